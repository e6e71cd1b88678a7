//! What this company offers: its EVSEs and when they are free.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{
    Branch, Evse, EvseId, Hold, OperatorId, Participant, Station, TimeWindow, Timestamp, VehicleId,
};
use recarga_wire::availability::{
    AvailabilityAnswer, AvailabilityQuery, AvailablePoint, Near, PAGE_POINTS_MAX, Point, PointState,
};

use self::index::Index;
use crate::ledger::Ledger;

mod index;

/// Without a period: the next day.
const PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Longest period that is looked at: a year.
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Its mean, for a sphere.
const EARTH_RADIUS_KM: f64 = 6371.0;
const MINUTE_MILLIS: i64 = 60_000;
/// EVSEs whose times are looked up in one go: whoever wants the ledger waits for that long.
const LOOKED_UP_AT_ONCE: usize = 32;

/// All stations of the company, by EVSE.
#[derive(Debug)]
pub struct Offer {
    stations: Vec<Station>,
    // Station and EVSE by their places above, in the order of ids: the order of pages.
    evses: Vec<(usize, usize)>,
    index: Index,
}

/// A part of the offer, and where the next part begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the order of EVSE ids.
    pub points: Vec<T>,
    /// To be asked for next; none on the last page.
    pub next: Option<String>,
}

impl Offer {
    /// The offer of these stations, no two EVSEs of which have the same id.
    pub fn new(stations: Vec<Station>) -> Self {
        let places = stations.iter().enumerate();
        let mut evses: Vec<(usize, usize)> =
            places.flat_map(|(at, station)| (0..station.evses.len()).map(move |index| (at, index))).collect();
        evses.sort_by_key(|&(station, evse)| &stations[station].evses[evse].id);
        let index = Index::new(&stations, &evses);
        Self { stations, evses, index }
    }

    /// Every EVSE.
    pub fn evses(&self) -> impl Iterator<Item = &Evse> {
        self.stations.iter().flat_map(|station| &station.evses)
    }

    /// The period that a question is about. A period that begins "now" begins at the full minute, so that the same
    /// question asked again within the minute has the same answer. None if it is over before it begins, which only
    /// an end alone can be.
    pub fn period(query: &AvailabilityQuery, now: Timestamp) -> Option<TimeWindow> {
        let this_minute = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(MINUTE_MILLIS));
        let from = query.from.unwrap_or(this_minute);
        let until = query.until.unwrap_or(from + PERIOD).min(from + PERIOD_MAX);
        TimeWindow::new(from, until).ok()
    }

    /// The EVSEs that match, without their times.
    pub fn points(&self, query: &AvailabilityQuery) -> Page<Point> {
        let Page { points, next } = self.find(query, None);
        Page { points: points.into_iter().map(|(station, evse)| Point::new(station, evse)).collect(), next }
    }

    /// The EVSEs that match, and when they are free within `period`; only those that changed, where that is asked for
    /// and known. `is_charging` tells whether a car says so.
    pub fn answer(
        &self,
        operator: &OperatorId,
        query: &AvailabilityQuery,
        period: TimeWindow,
        now: Timestamp,
        ledger: &Ledger,
        is_charging: impl Fn(&VehicleId) -> bool,
    ) -> AvailabilityAnswer {
        // Before the times are looked up: what changes meanwhile is told once more.
        let (revision, changed) = ledger.look(|state| {
            let changed = query.changed_after.and_then(|since| state.revisions.changed_after(since));
            let changed = changed.map(|evses| evses.cloned().collect::<Vec<_>>());
            (state.revisions.latest(), changed)
        });
        let since = query.changed_after.filter(|_| changed.is_some());
        let Page { points, next } = self.find(query, changed);
        let mut times = Vec::with_capacity(points.len());
        for some in points.chunks(LOOKED_UP_AT_ONCE) {
            ledger.look(|state| {
                let participant = &state.company.participant;
                times.extend(some.iter().map(|(_, evse)| Times::of(&evse.id, participant, period, now)));
            });
        }
        let point = |((station, evse), times): ((&Station, &Evse), Times)| AvailablePoint {
            ponto: Point::new(station, evse),
            estado: match times.taken {
                _ if times.out_of_service => PointState::Inoperante,
                None => PointState::Disponivel,
                Some(Taken::By(hold)) if is_charging(&hold.key.vehicle) => PointState::EmUso,
                Some(_) => PointState::Reservado,
            },
            livres: times.free,
        };
        AvailabilityAnswer {
            empresa: operator.clone(),
            revisao: revision,
            alterados_desde: since,
            pontos: points.into_iter().zip(times).map(point).collect(),
            proximo: next,
        }
    }

    // Among all EVSEs, or only these.
    fn find(&self, query: &AvailabilityQuery, among: Option<Vec<EvseId>>) -> Page<(&Station, &Evse)> {
        let most = query.limit.unwrap_or(PAGE_POINTS_MAX).clamp(1, PAGE_POINTS_MAX);
        let after = query.cursor.as_deref().unwrap_or("");
        let candidates = match among {
            None => self.candidates(query, most),
            Some(evses) => {
                let mut places: Vec<usize> = evses.iter().filter_map(|evse| self.place(evse)).collect();
                places.sort_unstable();
                Cow::Owned(places)
            }
        };
        let begin = candidates.partition_point(|&place| self.at(place).1.id.as_str() <= after);
        let candidates = candidates[begin..].iter().map(|&place| self.at(place));
        let mut found = candidates.filter(|(station, evse)| matches(query, station, evse));
        let points: Vec<(&Station, &Evse)> = found.by_ref().take(most).collect();
        let next = found.next().and(points.last()).map(|(_, last)| last.id.to_string());
        Page { points, next }
    }

    // EVSEs by their places, in order, among which is every one that matches.
    fn candidates(&self, query: &AvailabilityQuery, most: usize) -> Cow<'_, [usize]> {
        if let Some(wanted) = &query.evse {
            return Cow::Owned(self.place(wanted).into_iter().collect());
        }
        // If so many are around a place, going through all in the order of ids meets a page of them sooner.
        let few = (self.evses.len() * most).isqrt();
        self.index.candidates(query, few)
    }

    fn place(&self, evse: &EvseId) -> Option<usize> {
        self.evses.binary_search_by(|&(station, at)| self.stations[station].evses[at].id.cmp(evse)).ok()
    }

    fn at(&self, place: usize) -> (&Station, &Evse) {
        let (station, evse) = self.evses[place];
        (&self.stations[station], &self.stations[station].evses[evse])
    }
}

// What changes of an EVSE. It is copied under the ledger's lock, and nothing else is done there.
struct Times {
    out_of_service: bool,
    taken: Option<Taken>,
    free: Vec<TimeWindow>,
}

enum Taken {
    By(Arc<Hold>),
    Undecided,
}

impl Times {
    fn of(evse: &EvseId, participant: &Participant, period: TimeWindow, now: Timestamp) -> Self {
        let moment = TimeWindow::new(now, now + Duration::from_millis(1)).ok();
        let taken = moment.and_then(|moment| participant.taken_at(evse, moment)).map(|branch| match branch {
            Branch::Confirmed { hold } => Taken::By(hold.clone()),
            _ => Taken::Undecided,
        });
        let out_of_service = participant.is_out_of_service(evse);
        let free = match participant.calendar(evse) {
            _ if out_of_service => vec![],
            Some(calendar) => calendar.free(period),
            None => vec![period],
        };
        Self { out_of_service, taken, free }
    }
}

fn matches(query: &AvailabilityQuery, station: &Station, evse: &Evse) -> bool {
    let power_enough = |least: f64| {
        let mut fitting = evse.connectors.iter().filter(|one| query.plug.is_none_or(|plug| one.plug == plug));
        fitting.any(|connector| connector.power_kw >= least)
    };
    query.evse.as_ref().is_none_or(|wanted| *wanted == evse.id)
        && query.state.as_ref().is_none_or(|state| *state == station.state)
        && query.plug.is_none_or(|plug| evse.fits(plug))
        && query.power_kw_min.is_none_or(power_enough)
        && query.near.is_none_or(|near| distance_km(near, station) <= near.radius_km)
}

// Great-circle distance (haversine) on a sphere of the earth's mean radius.
fn distance_km(near: Near, station: &Station) -> f64 {
    let (a, b) = (near.latitude.to_radians(), station.latitude.to_radians());
    let (across, along) = ((b - a) / 2.0, (station.longitude - near.longitude).to_radians() / 2.0);
    let half = across.sin().powi(2) + a.cos() * b.cos() * along.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * half.sqrt().min(1.0).asin()
}
