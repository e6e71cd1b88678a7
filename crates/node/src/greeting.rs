//! Finds out, after a start, from which database each other company speaks, so that the holds of the first trips can
//! say so, too. Later each vote says it.

use std::future::pending;
use std::time::Duration;

use futures_util::future::join_all;
use recarga_reservation::OperatorId;
use tokio::time::sleep;
use tracing::debug;

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::peer::Peer;
use crate::peers::Peers;

/// First pause after a company did not answer; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Asks every company until it has answered once; those that come, when they come.
pub async fn greet(peers: &Peers, ledger: &Ledger, clock: &dyn Clock) {
    let mut changes = peers.changes();
    loop {
        changes.mark_unchanged();
        let all = peers.all();
        let greetings =
            all.iter().map(|(operator, member)| greet_one(operator, &*member.peer, ledger, clock));
        let greeted = async {
            join_all(greetings).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = greeted => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

async fn greet_one(operator: &OperatorId, peer: &dyn Peer, ledger: &Ledger, clock: &dyn Clock) {
    let mut pause = PAUSE;
    loop {
        match peer.store().await {
            Ok(store) => {
                return ledger.adjust(|state| state.company.coordinator.heard_from(operator, store));
            }
            Err(error) => debug!(%operator, %error, "does not say yet from which database it speaks"),
        }
        sleep(pause / 2 + clock.jitter(pause / 2)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
