//! Refusals of the rules, in words for drivers.

use std::borrow::Cow;
use std::time::Duration;

use recarga_reservation::{NotChangeable, Reason, Refusal, Stop, TRIP_STOPS_MAX, TripError, Unacceptable};

use super::{Amount, Problem, ProblemKind};

/// Where the stops of the request stand, so that a refusal can name the field.
#[derive(Clone, Copy, Debug)]
pub enum Stops<'a> {
    /// A trip: stop n is `paradas[n]`.
    OfTrip,
    /// A hold, which has only this company's stops: the stop's place in `reservas`.
    OfHold(&'a [Stop]),
}

impl Stops<'_> {
    fn list(self) -> &'static str {
        match self {
            Stops::OfTrip => "paradas",
            Stops::OfHold(_) => "reservas",
        }
    }

    fn path(self, number: u16, member: &str) -> Option<String> {
        let index = match self {
            Stops::OfTrip => usize::from(number),
            Stops::OfHold(stops) => stops.iter().position(|stop| stop.number == number)?,
        };
        Some(format!("{}[{index}].{member}", self.list()))
    }
}

impl Problem {
    /// A refusal, with the field that it concerns. Not yet a vote: see [`Problem::as_vote`].
    pub fn from_refusal(refusal: &Refusal, stops: Stops<'_>) -> Problem {
        let mut problem = Problem::new(kind(&refusal.reason), detail(&refusal.reason));
        problem.stop = refusal.stop;
        problem.field = field(refusal, stops).map(Into::into);
        match &refusal.reason {
            Reason::TooLong { max } | Reason::TooFarAhead { max } => problem.maximum = Some(seconds(*max)),
            Reason::TooManyTrips { operator, max, used } => {
                (problem.maximum, problem.used) = (Some(Amount::Trips(*max)), Some(Amount::Trips(*used)));
                problem.operator = Some(operator.clone());
            }
            Reason::TooMuchTime { operator, max, used } => {
                (problem.maximum, problem.used) = (Some(seconds(*max)), Some(seconds(*used)));
                problem.operator = Some(operator.clone());
            }
            Reason::StopCount { max } => {
                problem.maximum = Some(Amount::Stops(u32::try_from(*max).unwrap_or(u32::MAX)));
            }
            Reason::Booked { free } => problem.free = free.as_slice().into(),
            Reason::RequestedElsewhere { transaction } => {
                problem.operator = Some(transaction.coordinator.clone());
                problem.session = Some(Box::new(transaction.clone()));
            }
            Reason::Unreachable { operator } => problem.operator = Some(operator.clone()),
            _ => {}
        }
        problem
    }

    pub(crate) fn stop_count(list: &str, max: usize) -> Problem {
        let detail = format!("`{list}` deve ter de 1 a {max} elementos");
        let mut problem = Problem::new(ProblemKind::StopCount, detail).at(list);
        problem.maximum = Some(Amount::Stops(u32::try_from(max).unwrap_or(u32::MAX)));
        problem
    }

    pub(crate) fn stops_overlap(list: &str, earlier: usize, later: usize) -> Problem {
        let detail = format!(
            "as janelas de {list}[{earlier}] e {list}[{later}] se sobrepõem, e um carro não recarrega em dois \
             lugares ao mesmo tempo: separe-as"
        );
        Problem::new(ProblemKind::StopsOverlap, detail).at(format!("{list}[{later}].janela_inicio"))
    }
}

impl From<&Unacceptable> for Problem {
    fn from(error: &Unacceptable) -> Problem {
        Problem::of(match error {
            Unacceptable::NotCoordinator => ProblemKind::Forbidden,
            Unacceptable::NeverPrepared => ProblemKind::SessionUnknown,
            Unacceptable::ReleasedHeuristically => ProblemKind::ReleasedHeuristically,
            Unacceptable::AlreadyConfirmed => ProblemKind::SessionConfirmed,
        })
    }
}

impl From<Unacceptable> for Problem {
    fn from(error: Unacceptable) -> Problem {
        Problem::from(&error)
    }
}

impl From<NotChangeable> for Problem {
    fn from(error: NotChangeable) -> Problem {
        match error {
            NotChangeable::Unknown => Problem::new(
                ProblemKind::NotFound,
                "esta empresa não coordena uma viagem com este identificador; confira `viagem_id` e pergunte à \
                 empresa que a coordenou",
            ),
            NotChangeable::Over => Problem::of(ProblemKind::TripOver),
            NotChangeable::Busy => Problem::of(ProblemKind::TripBusy),
            NotChangeable::Cancelled => Problem::of(ProblemKind::TripCancelled),
        }
    }
}

impl From<TripError> for Problem {
    fn from(error: TripError) -> Problem {
        match error {
            TripError::StopCount => Problem::stop_count(Stops::OfTrip.list(), TRIP_STOPS_MAX),
            TripError::StopsOverlap { earlier, later } => {
                Problem::stops_overlap(Stops::OfTrip.list(), earlier, later)
                    .at_stop(u16::try_from(later).unwrap_or(u16::MAX))
            }
        }
    }
}

fn kind(reason: &Reason) -> ProblemKind {
    match reason {
        Reason::UnknownEvse => ProblemKind::UnknownEvse,
        Reason::WrongPlug => ProblemKind::WrongPlug,
        Reason::OutOfService => ProblemKind::OutOfService,
        Reason::InThePast => ProblemKind::WindowInThePast,
        Reason::TooLong { .. } => ProblemKind::WindowTooLong,
        Reason::TooFarAhead { .. } => ProblemKind::WindowTooFarAhead,
        Reason::StopCount { .. } => ProblemKind::StopCount,
        Reason::StopsOverlap => ProblemKind::StopsOverlap,
        Reason::Held => ProblemKind::Held,
        Reason::Booked { .. } => ProblemKind::Booked,
        Reason::Closed => ProblemKind::SessionClosed,
        Reason::AnotherStore => ProblemKind::AnotherStore,
        Reason::Different => ProblemKind::SessionDiffers,
        Reason::RequestedElsewhere { .. } => ProblemKind::RequestedElsewhere,
        Reason::QuotaReached => ProblemKind::QuotaReached,
        Reason::TooManyTrips { .. } => ProblemKind::TooManyTrips,
        Reason::TooMuchTime { .. } => ProblemKind::TooMuchTime,
        Reason::Stale => ProblemKind::Stale,
        Reason::Unreachable { .. } => ProblemKind::Unreachable,
        Reason::TooSlow => ProblemKind::TooSlow,
        Reason::Withdrawn => ProblemKind::Withdrawn,
    }
}

fn detail(reason: &Reason) -> Cow<'static, str> {
    match reason {
        Reason::TooLong { max } => Cow::Owned(format!(
            "a janela é mais longa do que a empresa permite; use no máximo {}",
            span(*max)
        )),
        Reason::TooFarAhead { max } => Cow::Owned(format!(
            "a empresa ainda não aceita reservas para tão longe; use uma janela que comece em no máximo {}",
            span(*max)
        )),
        Reason::StopCount { max } => {
            Cow::Owned(format!("a empresa aceita de 1 a {max} paradas em um pedido; divida a viagem"))
        }
        Reason::TooManyTrips { operator, max, used } => Cow::Owned(format!(
            "{operator} aceita no máximo {max} viagens em aberto por carro, e este carro tem {used}; cancele uma \
             delas ou espere que termine"
        )),
        Reason::TooMuchTime { operator, max, used } => Cow::Owned(format!(
            "{operator} aceita no máximo {} de janelas reservadas por carro, e este carro já tem {}; peça janelas mais \
             curtas, cancele uma viagem ou espere que uma termine",
            span(*max),
            span(*used)
        )),
        Reason::Booked { free } if free.is_empty() => Cow::Borrowed(
            "o ponto está reservado nesta janela e não há janela livre por perto; escolha outro ponto",
        ),
        Reason::Booked { .. } => Cow::Borrowed(
            "o ponto está reservado nesta janela; escolha uma das janelas de `livres` ou outro ponto",
        ),
        Reason::RequestedElsewhere { transaction } => Cow::Owned(format!(
            "este pedido já está com {0}; pergunte a {0} antes de pedir de novo",
            transaction.coordinator
        )),
        Reason::Unreachable { operator } => Cow::Owned(format!(
            "{operator} não respondeu a tempo e nada foi reservado; tente mais tarde ou troque a parada"
        )),
        other => Cow::Borrowed(kind(other).cure()),
    }
}

fn seconds(duration: Duration) -> Amount {
    Amount::Seconds(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}

fn field(refusal: &Refusal, stops: Stops<'_>) -> Option<String> {
    let member = match &refusal.reason {
        Reason::UnknownEvse | Reason::WrongPlug | Reason::OutOfService => "ponto_id",
        Reason::InThePast
        | Reason::TooFarAhead { .. }
        | Reason::StopsOverlap
        | Reason::Held
        | Reason::Booked { .. } => "janela_inicio",
        Reason::TooLong { .. } => "janela_fim",
        Reason::Unreachable { .. } => "empresa",
        Reason::StopCount { .. } => return Some(stops.list().to_owned()),
        Reason::Stale if matches!(stops, Stops::OfHold(_)) => return Some("substitui".to_owned()),
        Reason::AnotherStore if matches!(stops, Stops::OfHold(_)) => return Some("depositos".to_owned()),
        Reason::Closed | Reason::Different if matches!(stops, Stops::OfHold(_)) => {
            return Some("sessao".to_owned());
        }
        Reason::RequestedElsewhere { .. } => return Some("requisicao_id".to_owned()),
        Reason::TooManyTrips { .. } | Reason::TooMuchTime { .. } => {
            return Some("veiculo.veiculo_id".to_owned());
        }
        _ => return None,
    };
    stops.path(refusal.stop?, member)
}

fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds >= 86_400 && seconds.is_multiple_of(86_400) => format!("{} dias", seconds / 86_400),
        _ if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} horas", seconds / 3_600),
        _ if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} minutos", seconds / 60),
        _ => format!("{seconds} segundos"),
    }
}
