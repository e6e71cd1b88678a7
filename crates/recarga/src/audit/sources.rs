//! Where an audit finds what companies remember: folders of stopped nodes, and nodes that run.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Forced, Record};
use recarga_reservation::{Fact, Timestamp};
use recarga_wire::audit::{AuditBranch, AuditPage, AuditTrip};
use recarga_wire::doubt::ForcedView;
use tokio::time::{Instant, sleep};

use super::finding::{Class, Kind};
use super::verdict::{Memory, Verdict, examine};
use crate::client::Client;

/// Between two looks at companies that are not settled yet.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Reads a stopped node's folder.
///
/// # Errors
/// There is no database of this program, or a process has it open.
pub fn read_folder(folder: &Path) -> Result<Memory> {
    let (operator, boot, records) = RedbStore::read(folder)?;
    let mut memory = Memory { operator, store: boot.store, branches: vec![], trips: vec![] };
    let mut forced = Vec::new();
    for record in records {
        match record {
            Record::Fact(Fact::Branch(transaction, branch)) => {
                memory.branches.push(AuditBranch::new(&transaction, &branch));
            }
            Record::Forced(one) => forced.push(one),
            Record::Fact(Fact::Trip(trip)) => memory.trips.push(AuditTrip::new(&trip)),
            _ => {}
        }
    }
    for Forced { transaction, at, by, reason, turned_out } in forced {
        let view = ForcedView::new(&transaction, &by, &reason, at, turned_out);
        let branch = memory.branches.iter_mut().find(|branch| branch.sessao == transaction);
        if let Some(branch) = branch {
            branch.forcada = Some(view);
        }
    }
    Ok(memory)
}

/// Asks a node for everything that it remembers.
///
/// # Errors
/// It does not answer, or the token is not its operator's.
pub async fn read_node(node: &Client) -> Result<Memory> {
    let mut memory: Option<Memory> = None;
    let mut path = "/auditoria".to_owned();
    loop {
        let page: AuditPage = node
            .call(Method::GET, &path, Vec::new())
            .await
            .with_context(|| format!("cannot read what {} remembers", node.url()))?;
        let memory_so_far = memory.get_or_insert_with(|| Memory {
            operator: page.empresa.clone(),
            store: page.deposito,
            branches: vec![],
            trips: vec![],
        });
        if (&memory_so_far.operator, memory_so_far.store) != (&page.empresa, page.deposito) {
            bail!("{} was replaced by another node while it was read; ask again", node.url());
        }
        memory_so_far.branches.extend(page.ramos);
        memory_so_far.trips.extend(page.viagens);
        match (page.proximo, memory.take()) {
            (Some(next), so_far) => {
                path = format!("/auditoria?cursor={next}");
                memory = so_far;
            }
            (None, Some(memory)) => return Ok(memory),
            (None, None) => bail!("{} answers with nothing", node.url()),
        }
    }
}

/// Examines stopped nodes, whose memories are at hand, together with nodes that run, until nothing is unsettled or
/// the time is up.
///
/// Companies that run are read one after the other while they go on, so that a look can see a trip at one company
/// and miss it at another, which was read before. What such a look finds wrong counts only if the next look, which
/// begins after it has ended, finds the same.
///
/// # Errors
/// A node cannot be read, or two sources speak for the same company.
pub async fn examine_until_settled(
    stopped: &[Memory],
    nodes: &[Client],
    settle: Duration,
) -> Result<Verdict> {
    let deadline = Instant::now() + settle;
    let mut before: Option<Verdict> = None;
    loop {
        let mut memories = stopped.to_vec();
        for node in nodes {
            memories.push(read_node(node).await?);
        }
        let seen = examine_all(&memories)?;
        let open = seen.has(Class::Violation) || seen.has(Class::Unsettled);
        if nodes.is_empty() || !open {
            return Ok(seen);
        }
        if let Some(before) = &before {
            let twice = with_doubts(&seen, before);
            if !twice.has(Class::Unsettled) || Instant::now() >= deadline {
                return Ok(twice);
            }
        }
        before = Some(seen);
        let left = deadline.saturating_duration_since(Instant::now());
        sleep(LOOK_EVERY.min(left.max(Duration::from_millis(50)))).await;
    }
}

/// Looks at companies at work, one after the other, for as long as somebody wants to know.
#[derive(Debug, Default)]
pub struct Looks {
    before: Verdict,
}

impl Looks {
    /// What this look finds, which began after the one before had ended: a violation counts if both have found it.
    ///
    /// # Errors
    /// Two memories speak for the same company.
    pub fn look(&mut self, memories: &[Memory]) -> Result<Verdict> {
        let seen = examine_all(memories)?;
        let twice = with_doubts(&seen, &self.before);
        self.before = seen;
        Ok(twice)
    }
}

/// Examines memories as they are.
///
/// # Errors
/// Two of them speak for the same company.
pub fn examine_all(memories: &[Memory]) -> Result<Verdict> {
    let mut seen = BTreeSet::new();
    for memory in memories {
        if !seen.insert(&memory.operator) {
            bail!("two sources speak for {}; name each company once", memory.operator);
        }
    }
    Ok(examine(memories, now()))
}

// Violations that the look before did not find are not proven yet.
fn with_doubts(seen: &Verdict, before: &Verdict) -> Verdict {
    let mut verdict = seen.clone();
    for finding in &mut verdict.findings {
        if finding.kind.class() == Class::Violation && !before.findings.contains(finding) {
            finding.kind = Kind::SeenOnce;
        }
    }
    verdict
}

fn now() -> Timestamp {
    SystemClock::new().now().utc
}

#[cfg(test)]
mod tests {
    use recarga_reservation::{OperatorId, StoreId, TransactionId};

    use super::super::finding::Finding;
    use super::*;

    fn verdict(found: &[(Kind, u64)]) -> Verdict {
        let operator = OperatorId::new("empresa-a").unwrap();
        let finding = |(kind, counter): &(Kind, u64)| {
            let coordinator = operator.clone();
            let transaction =
                TransactionId { coordinator, store: StoreId(1), epoch: 1, counter: *counter, nonce: 0 };
            Finding::new(*kind, &transaction, &operator)
        };
        Verdict { findings: found.iter().map(finding).collect(), ..Verdict::default() }
    }

    #[test]
    fn of_companies_at_work_only_what_two_looks_find_is_a_violation() {
        let before = verdict(&[(Kind::CommittedButMissing, 1), (Kind::InDoubt, 2)]);
        let seen =
            verdict(&[(Kind::CommittedButMissing, 1), (Kind::CommittedButMissing, 3), (Kind::InDoubt, 4)]);
        let kinds: Vec<Kind> =
            with_doubts(&seen, &before).findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [Kind::CommittedButMissing, Kind::SeenOnce, Kind::InDoubt]);
    }
}
