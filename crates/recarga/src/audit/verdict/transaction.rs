//! Whether one transaction is all or nothing.

use recarga_reservation::{OperatorId, TransactionId};
use recarga_wire::audit::{AuditBranch, AuditTrip, BranchCause, BranchState};
use recarga_wire::hold::HoldStop;
use recarga_wire::trip::TripState;

use super::super::finding::{Finding, Kind, NotExamined};
use super::{Found, HISTORY_MIN, Records, World, window};

/// Compares what everybody remembers of a transaction.
pub(super) fn judge(
    world: &World<'_>,
    transaction: &TransactionId,
    records: &Records<'_>,
    found: &mut Found,
) {
    note_absent(world, transaction, records, found);
    match records.trip {
        Some(trip) => {
            judge_trip(world, trip, found);
            judge_strangers(trip, records, found);
            for participant in trip.participantes.iter().filter(|one| world.is_examined(one)) {
                let branch = records.branches.get(participant).copied();
                judge_participant(world, trip, participant, branch, found);
            }
        }
        None if world.has_decisions_of(transaction) => judge_uncommitted(world, records, found),
        None => judge_among_themselves(world, transaction, records, found),
    }
}

// Tombstones bind nobody to anything, so that they name nobody who would be missed.
fn note_absent(world: &World<'_>, transaction: &TransactionId, records: &Records<'_>, found: &mut Found) {
    let live: Vec<&AuditBranch> =
        records.branches.values().copied().filter(|branch| branch.estado != BranchState::Abortada).collect();
    if records.trip.is_none() && live.is_empty() {
        return;
    }
    let coordinator = &transaction.coordinator;
    if world.is_examined(coordinator) && !world.has_decisions_of(transaction) {
        found.not_examined.insert(NotExamined::Database(coordinator.clone(), transaction.store));
    }
    let named = live.iter().flat_map(|branch| &branch.participantes);
    let named = named.chain(records.trip.iter().flat_map(|trip| &trip.participantes));
    for company in named.chain([coordinator]).filter(|company| !world.is_examined(company)) {
        found.not_examined.insert(NotExamined::Company(company.clone()));
    }
}

// What the coordinator's record says by itself.
fn judge_trip(world: &World<'_>, trip: &AuditTrip, found: &mut Found) {
    let coordinator = &trip.sessao.coordinator;
    if !trip.pendentes.is_empty() {
        let cancelled = trip.estado == TripState::Cancelada;
        let kind = if cancelled { Kind::ReleaseOwed } else { Kind::ConfirmOwed };
        let mut finding = Finding::new(kind, &trip.sessao, coordinator);
        finding.companies = trip.pendentes.clone();
        found.findings.insert(finding);
    }
    let is_valid = matches!(trip.estado, TripState::Confirmada | TripState::Mista);
    if is_valid {
        for lost in trip.perdidas.iter().filter(|lost| !world.is_examined(lost)) {
            let stops = stops_at(trip, lost);
            let mixed = Finding::new(Kind::MixedOutcome, &trip.sessao, lost);
            found.findings.insert(mixed.with_windows(stops.iter().filter_map(window)));
        }
    }
    match world.successors.get(&trip.sessao) {
        Some(successor) if is_valid => {
            let mut finding = Finding::new(Kind::ReplacedButValid, &trip.sessao, coordinator);
            finding.transactions.push(successor.sessao.clone());
            found.findings.insert(finding);
        }
        None if trip.estado == TripState::Alterada && trip.decidida_em + HISTORY_MIN > world.now => {
            found.findings.insert(Finding::new(Kind::ReplacedByNothing, &trip.sessao, coordinator));
        }
        _ => {}
    }
}

fn judge_strangers(trip: &AuditTrip, records: &Records<'_>, found: &mut Found) {
    for (company, branch) in &records.branches {
        if branch.estado != BranchState::Abortada && !trip.participantes.contains(company) {
            found.findings.insert(about(Kind::Stranger, company, branch));
        }
    }
}

// What a participant may say depends on what the coordinator says.
fn judge_participant(
    world: &World<'_>,
    trip: &AuditTrip,
    company: &OperatorId,
    branch: Option<&AuditBranch>,
    found: &mut Found,
) {
    let wanted = stops_at(trip, company);
    let is_valid = matches!(trip.estado, TripState::Confirmada | TripState::Mista);
    let lost = trip.perdidas.contains(company);
    let Some(branch) = branch else {
        let kind = match (world.is_past(&wanted), lost && is_valid) {
            (true, _) => return found.forgotten += 1,
            (false, true) => Kind::MixedOutcome,
            (false, false) => Kind::CommittedButMissing,
        };
        let finding = Finding::new(kind, &trip.sessao, company);
        found.findings.insert(finding.with_windows(wanted.iter().filter_map(window)));
        return;
    };
    let owed = trip.pendentes.contains(company);
    // A change that moved every stop elsewhere is confirmed here without a window, and nobody comes to release it.
    let reserved = match branch.estado {
        BranchState::Confirmada => !branch.reservas.is_empty(),
        state => state == BranchState::Preparada,
    };
    let kind = match (branch.estado, trip.estado) {
        (BranchState::Abortada, _) if branch.causa == Some(BranchCause::Heuristica) => {
            Some(if is_valid { Kind::MixedOutcome } else { Kind::HeuristicRelease })
        }
        (BranchState::Abortada, _) => Some(Kind::CommittedButAborted),
        (BranchState::Provisoria, _) => Some(Kind::CommittedButSoft),
        _ if branch.reservas != wanted => Some(Kind::DifferentStops),
        _ if lost && is_valid => Some(Kind::LostButReserved),
        (BranchState::Confirmada, TripState::Confirmada | TripState::Mista) => None,
        (BranchState::Liberada, TripState::Confirmada | TripState::Mista) => Some(Kind::CommittedButReleased),
        (BranchState::Preparada, TripState::Alterada) => Some(Kind::AcknowledgedButPrepared),
        (BranchState::Preparada, _) if owed => Some(Kind::InDoubt),
        (BranchState::Preparada, TripState::Confirmada | TripState::Mista) => {
            Some(Kind::AcknowledgedButPrepared)
        }
        (_, TripState::Cancelada) => (reserved && !owed).then_some(Kind::CancelledButReserved),
        (_, TripState::Alterada) => {
            let successor = world.successors.get(&trip.sessao);
            let owed = successor.is_some_and(|new| new.pendentes.contains(company));
            (reserved && !owed).then_some(Kind::ReplacedButReserved)
        }
    };
    found.findings.extend(kind.map(|kind| about(kind, company, branch)));
}

// The coordinator's record is at hand and has nothing of it: it was never committed, or is long past.
fn judge_uncommitted(world: &World<'_>, records: &Records<'_>, found: &mut Found) {
    for (company, branch) in &records.branches {
        match branch.estado {
            // A branch without stops reserves nothing and cannot be told from one whose trip is long past.
            BranchState::Confirmada | BranchState::Liberada
                if branch.reservas.is_empty() || world.is_past(&branch.reservas) =>
            {
                found.forgotten += 1;
            }
            BranchState::Confirmada | BranchState::Liberada => {
                found.findings.insert(about(Kind::ConfirmedWithoutCommit, company, branch));
            }
            BranchState::Preparada | BranchState::Provisoria | BranchState::Abortada => {
                judge_undecided(company, branch, found);
            }
        }
    }
}

// Nobody can say what was decided: the participants must agree.
fn judge_among_themselves(
    world: &World<'_>,
    transaction: &TransactionId,
    records: &Records<'_>,
    found: &mut Found,
) {
    let is = |state: BranchState| move |branch: &&AuditBranch| branch.estado == state;
    let branches = || records.branches.values().copied();
    let confirmed = branches().find(is(BranchState::Confirmada));
    let released = branches().find(is(BranchState::Liberada));
    let Some(committed) = confirmed.or(released) else {
        for (company, branch) in &records.branches {
            judge_undecided(company, branch, found);
        }
        return;
    };
    let first = branches().flat_map(|branch| &branch.reservas).map(|stop| stop.janela_inicio).min();
    let is_recent = first.is_some_and(|first| first + HISTORY_MIN > world.now);
    for company in committed.participantes.iter().filter(|one| world.is_examined(one)) {
        let Some(branch) = records.branches.get(company) else {
            // What its windows were nobody says; if those of the others are recent, so were its own.
            if is_recent {
                found.findings.insert(Finding::new(Kind::Split, transaction, company));
            } else {
                found.forgotten += 1;
            }
            continue;
        };
        let heuristic = branch.causa == Some(BranchCause::Heuristica);
        let kind = match branch.estado {
            BranchState::Liberada => None,
            BranchState::Confirmada => released.map(|_| Kind::HalfReleased),
            BranchState::Preparada => Some(Kind::InDoubt),
            BranchState::Abortada if heuristic && confirmed.is_some() => Some(Kind::MixedOutcome),
            BranchState::Abortada if heuristic => Some(Kind::HeuristicRelease),
            BranchState::Abortada | BranchState::Provisoria => Some(Kind::Split),
        };
        found.findings.extend(kind.map(|kind| about(kind, company, branch)));
    }
}

// Of a transaction that nobody calls committed.
fn judge_undecided(company: &OperatorId, branch: &AuditBranch, found: &mut Found) {
    if branch.estado == BranchState::Preparada {
        found.findings.insert(about(Kind::InDoubt, company, branch));
    } else if branch.causa == Some(BranchCause::Heuristica) {
        found.findings.insert(about(Kind::HeuristicRelease, company, branch));
    }
}

fn about(kind: Kind, company: &OperatorId, branch: &AuditBranch) -> Finding {
    Finding::new(kind, &branch.sessao, company).with_windows(branch.reservas.iter().filter_map(window))
}

fn stops_at(trip: &AuditTrip, company: &OperatorId) -> Vec<HoldStop> {
    let here = trip.paradas.iter().filter(|stop| stop.empresa == *company);
    let stop = here.map(|stop| HoldStop {
        parada: stop.parada,
        ponto_id: stop.ponto_id.clone(),
        janela_inicio: stop.janela_inicio,
        janela_fim: stop.janela_fim,
    });
    stop.collect()
}
