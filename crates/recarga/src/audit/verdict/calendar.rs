//! Whether an EVSE is booked twice.

use std::collections::BTreeMap;

use recarga_reservation::{EvseId, TimeWindow};
use recarga_wire::audit::{AuditBranch, BranchState};

use super::super::finding::{Finding, Kind};
use super::{Found, Memory, window};

/// Looks for windows of one EVSE that overlap.
pub(super) fn judge(memory: &Memory, found: &mut Found) {
    let mut calendars: BTreeMap<EvseId, Vec<(TimeWindow, &AuditBranch)>> = BTreeMap::new();
    for branch in memory.branches.iter().filter(|branch| is_live(branch)) {
        for (evse, window) in branch.reservas.iter().filter_map(window) {
            calendars.entry(evse).or_default().push((window, branch));
        }
    }
    for (evse, mut slots) in calendars {
        slots.sort_by_key(|(window, branch)| (*window, &branch.sessao));
        for (place, (window, branch)) in slots.iter().enumerate() {
            let later = slots[place + 1..].iter().take_while(|(later, _)| later.start() < window.end());
            for (other_window, other) in later.filter(|(_, other)| !is_change(branch, other)) {
                let mut finding = Finding::new(Kind::DoubleBooked, &branch.sessao, &memory.operator);
                if other.sessao != branch.sessao {
                    finding.transactions.push(other.sessao.clone());
                }
                let windows = [(evse.clone(), *window), (evse.clone(), *other_window)];
                found.findings.insert(finding.with_windows(windows));
            }
        }
    }
}

fn is_live(branch: &AuditBranch) -> bool {
    matches!(branch.estado, BranchState::Provisoria | BranchState::Preparada | BranchState::Confirmada)
}

// Until a change is confirmed the trip has its old windows and its new ones; confirming swaps both in one write.
fn is_change(one: &AuditBranch, other: &AuditBranch) -> bool {
    let replaces = |new: &AuditBranch, old: &AuditBranch| {
        new.substitui.as_ref() == Some(&old.sessao) && new.estado != BranchState::Confirmada
    };
    replaces(one, other) || replaces(other, one)
}
