//! Problems from other companies, back into the words of the rules.

use std::time::Duration;

use recarga_reservation::{Reason, Refusal, Unacceptable};
use thiserror::Error;

use super::{Amount, Problem, ProblemKind};

/// A company's problem says nothing about how it votes: it may or may not hold what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a problem without an explicit, understandable no is not a vote")]
pub struct NotAVote;

impl Problem {
    /// What a company means that votes no.
    ///
    /// # Errors
    /// [`NotAVote`] unless the problem says `"voto":"nao"` and is one that the rules know as a refusal.
    pub fn to_refusal(&self) -> Result<Refusal, NotAVote> {
        if !self.is_vote {
            return Err(NotAVote);
        }
        let reason = match self.kind {
            ProblemKind::UnknownEvse => Reason::UnknownEvse,
            ProblemKind::WrongPlug => Reason::WrongPlug,
            ProblemKind::OutOfService => Reason::OutOfService,
            ProblemKind::WindowInThePast => Reason::InThePast,
            ProblemKind::WindowTooLong => Reason::TooLong { max: self.seconds()? },
            ProblemKind::WindowTooFarAhead => Reason::TooFarAhead { max: self.seconds()? },
            ProblemKind::StopCount => match self.maximum {
                Some(Amount::Stops(max)) => {
                    Reason::StopCount { max: usize::try_from(max).map_err(|_| NotAVote)? }
                }
                _ => return Err(NotAVote),
            },
            ProblemKind::StopsOverlap => Reason::StopsOverlap,
            ProblemKind::Held => Reason::Held,
            ProblemKind::Booked => Reason::Booked { free: self.free.to_vec() },
            ProblemKind::SessionClosed => Reason::Closed,
            ProblemKind::AnotherStore => Reason::AnotherStore,
            ProblemKind::SessionDiffers => Reason::Different,
            ProblemKind::RequestedElsewhere => {
                Reason::RequestedElsewhere { transaction: self.session.as_deref().cloned().ok_or(NotAVote)? }
            }
            ProblemKind::QuotaReached => Reason::QuotaReached,
            ProblemKind::TooManyTrips => match (self.maximum, self.used, &self.operator) {
                (Some(Amount::Trips(max)), Some(Amount::Trips(used)), Some(operator)) => {
                    Reason::TooManyTrips { operator: operator.clone(), max, used }
                }
                _ => return Err(NotAVote),
            },
            ProblemKind::TooMuchTime => match (self.used, &self.operator) {
                (Some(Amount::Seconds(used)), Some(operator)) => Reason::TooMuchTime {
                    operator: operator.clone(),
                    max: self.seconds()?,
                    used: Duration::from_secs(used.into()),
                },
                _ => return Err(NotAVote),
            },
            ProblemKind::Stale => Reason::Stale,
            ProblemKind::Unreachable => {
                Reason::Unreachable { operator: self.operator.clone().ok_or(NotAVote)? }
            }
            ProblemKind::TooSlow => Reason::TooSlow,
            ProblemKind::Withdrawn => Reason::Withdrawn,
            _ => return Err(NotAVote),
        };
        Ok(Refusal { stop: self.stop, reason })
    }

    /// What a company means that does not accept a confirm, a cancel or a question; none if the problem is another.
    pub fn to_unacceptable(&self) -> Option<Unacceptable> {
        match self.kind {
            ProblemKind::Forbidden => Some(Unacceptable::NotCoordinator),
            ProblemKind::SessionUnknown => Some(Unacceptable::NeverPrepared),
            ProblemKind::ReleasedHeuristically => Some(Unacceptable::ReleasedHeuristically),
            ProblemKind::SessionConfirmed => Some(Unacceptable::AlreadyConfirmed),
            _ => None,
        }
    }

    fn seconds(&self) -> Result<Duration, NotAVote> {
        match self.maximum {
            Some(Amount::Seconds(most)) => Ok(Duration::from_secs(most.into())),
            _ => Err(NotAVote),
        }
    }
}
