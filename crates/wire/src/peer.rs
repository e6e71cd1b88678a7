//! Answers of other companies, read with suspicion: only an explicit, matching word counts. A status alone, a
//! stranger's answer or a broken one says nothing, and nothing may be concluded from it.

use recarga_reservation::{OperatorId, Outcome, Refusal, StoreId, TransactionId, Unacceptable, Vote};
use thiserror::Error;

use crate::availability::AvailabilityAnswer;
use crate::decode::decode;
use crate::express;
use crate::health::HealthAnswer;
use crate::hold::{HoldAnswer, YesVote};
use crate::problem::{NotAVote, Problem, ProblemKind};
use crate::session::{InquiryAnswer, SessionAnswer, SessionState};

/// An answer from which nothing may be concluded: ask again.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Unclear {
    /// Success was claimed in words that are not those of the answer.
    #[error("malformed answer with status {status}: {problem}")]
    Malformed {
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The answer is about another transaction or comes from another company.
    #[error("the answer is about another transaction or from another company")]
    Mismatched,
    /// The stops are held, but softly: that is no vote.
    #[error("a soft hold is not a vote")]
    NotAVote,
    /// The company has a problem that is no vote.
    #[error("status {status}: {problem}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// The problem.
        problem: Problem,
    },
    /// Neither a success nor a problem document.
    #[error("status {status} without a problem document")]
    Foreign {
        /// HTTP status.
        status: u16,
    },
}

/// Whom was asked, about what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The company.
    pub operator: &'a OperatorId,
    /// The transaction.
    pub transaction: &'a TransactionId,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// As it came.
    Raw(&'a [u8]),
    /// Read already: the stops are held.
    Held(HoldAnswer),
    /// Read already: what was asked is done.
    Done(SessionAnswer),
}

impl<'a, B: AsRef<[u8]> + ?Sized> From<&'a B> for Answer<'a> {
    fn from(body: &'a B) -> Self {
        let body = body.as_ref();
        express::only_answer(body).unwrap_or(Answer::Raw(body))
    }
}

impl Answer<'_> {
    // None of the answers that are read already says why something cannot be done.
    fn body(&self) -> &[u8] {
        match self {
            Answer::Raw(body) => body,
            Answer::Held(_) | Answer::Done(_) => &[],
        }
    }
}

/// How a company voted on a prepared hold.
///
/// # Errors
/// [`Unclear`]: it has not voted as far as is known.
pub fn read_vote<'a>(asked: Asked<'_>, status: u16, body: impl Into<Answer<'a>>) -> Result<Vote, Unclear> {
    let answer = body.into();
    if !is_success(status) {
        let problem = read_problem(status, answer.body())?;
        let refusal: Result<Refusal, NotAVote> = problem.to_refusal();
        return refusal.map(Vote::No).map_err(|NotAVote| Unclear::Problem { status, problem });
    }
    let answer = match answer {
        Answer::Raw(body) => read_success(status, body)?,
        Answer::Held(answer) => answer,
        Answer::Done(_) => return Err(Unclear::Mismatched),
    };
    asked.check(&answer.sessao, &answer.empresa)?;
    match answer.voto {
        Some(YesVote::Sim) => Ok(Vote::Yes { expires: answer.expira_em, store: answer.deposito }),
        None => Err(Unclear::NotAVote),
    }
}

/// What a company answered to a confirm: done, or a reason why it cannot be.
///
/// # Errors
/// [`Unclear`]: the confirm is still owed.
pub fn read_confirmed<'a>(
    asked: Asked<'_>,
    status: u16,
    body: impl Into<Answer<'a>>,
) -> Result<Result<(), Unacceptable>, Unclear> {
    read_done(asked, status, body.into(), SessionState::Confirmada)
}

/// What a company answered to an abort or a release: done, or a reason why it cannot be.
///
/// # Errors
/// [`Unclear`]: the message is still owed.
pub fn read_cancelled<'a>(
    asked: Asked<'_>,
    status: u16,
    body: impl Into<Answer<'a>>,
) -> Result<Result<(), Unacceptable>, Unclear> {
    read_done(asked, status, body.into(), SessionState::Cancelada)
}

/// What a company knows of a transaction, and the database it speaks from; or a reason why it does not say.
///
/// # Errors
/// [`Unclear`]: nothing is known; above all, not that the transaction was aborted.
pub fn read_outcome<'a>(
    asked: Asked<'_>,
    status: u16,
    body: impl Into<Answer<'a>>,
) -> Result<Result<(Outcome, StoreId), Unacceptable>, Unclear> {
    let answer = body.into();
    if !is_success(status) {
        return read_unacceptable(status, answer.body()).map(Err);
    }
    let answer: InquiryAnswer = match answer {
        Answer::Raw(body) => read_success(status, body)?,
        Answer::Held(_) | Answer::Done(_) => return Err(Unclear::Mismatched),
    };
    asked.check(&answer.sessao, &answer.empresa)?;
    Ok(Ok((answer.outcome(), answer.deposito)))
}

/// From which database a company speaks, by its answer to `GET /saude`.
///
/// # Errors
/// [`Unclear`]: it does not say, or another company answers.
pub fn read_store(operator: &OperatorId, status: u16, body: &[u8]) -> Result<StoreId, Unclear> {
    if !is_success(status) {
        return Err(Unclear::Foreign { status });
    }
    let answer: HealthAnswer = read_success(status, body)?;
    if answer.empresa == *operator { Ok(answer.deposito) } else { Err(Unclear::Mismatched) }
}

/// One page of what `operator` offers.
///
/// # Errors
/// [`Unclear`]: it does not say, or another company answers.
pub fn read_offer(operator: &OperatorId, status: u16, body: &[u8]) -> Result<AvailabilityAnswer, Unclear> {
    if !is_success(status) {
        let problem = read_problem(status, body)?;
        return Err(Unclear::Problem { status, problem });
    }
    let answer: AvailabilityAnswer = read_success(status, body)?;
    if answer.empresa == *operator { Ok(answer) } else { Err(Unclear::Mismatched) }
}

impl Asked<'_> {
    fn check(self, transaction: &TransactionId, operator: &OperatorId) -> Result<(), Unclear> {
        if transaction == self.transaction && operator == self.operator {
            Ok(())
        } else {
            Err(Unclear::Mismatched)
        }
    }
}

fn read_done(
    asked: Asked<'_>,
    status: u16,
    answer: Answer<'_>,
    wanted: SessionState,
) -> Result<Result<(), Unacceptable>, Unclear> {
    if !is_success(status) {
        return read_unacceptable(status, answer.body()).map(Err);
    }
    let answer = match answer {
        Answer::Raw(body) => read_success(status, body)?,
        Answer::Done(answer) => answer,
        Answer::Held(_) => return Err(Unclear::Mismatched),
    };
    asked.check(&answer.sessao, &answer.empresa)?;
    if answer.estado == wanted { Ok(Ok(())) } else { Err(Unclear::Mismatched) }
}

fn is_success(status: u16) -> bool {
    matches!(status, 200 | 201)
}

fn read_success<'de, T: serde::Deserialize<'de>>(status: u16, body: &'de [u8]) -> Result<T, Unclear> {
    decode(body).map_err(|problem| Unclear::Malformed { status, problem })
}

fn read_unacceptable(status: u16, body: &[u8]) -> Result<Unacceptable, Unclear> {
    let problem = read_problem(status, body)?;
    problem.to_unacceptable().ok_or(Unclear::Problem { status, problem })
}

fn read_problem(status: u16, body: &[u8]) -> Result<Problem, Unclear> {
    match decode::<Problem>(body) {
        Ok(problem) if problem.status() == status || problem.kind == ProblemKind::Unrecognised => Ok(problem),
        _ => Err(Unclear::Foreign { status }),
    }
}
