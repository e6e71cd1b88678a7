//! The other companies, as they come and go while the node runs.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use recarga_reservation::OperatorId;
use tokio::sync::watch;

use crate::peer::{Catalogue, Peer};
use crate::tokens::Tokens;

/// Another company.
#[derive(Clone, Debug)]
pub struct Member {
    /// To whom messages are sent.
    pub peer: Arc<dyn Peer>,
    /// Who says what it offers.
    pub catalogue: Arc<dyn Catalogue>,
    /// What is presented to it: the first of these.
    pub presents: Tokens,
    /// What it must present: any of these.
    pub accepts: Tokens,
    /// Where its node is.
    pub url: String,
    /// It sees through what it has promised, and takes nothing new.
    pub is_leaving: bool,
}

/// All other companies by their names.
pub type Members = BTreeMap<OperatorId, Member>;

/// The other companies; clones share them.
#[derive(Clone, Debug)]
pub struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Never changed, but replaced.
    members: RwLock<Arc<Members>>,
    changes: watch::Sender<u64>,
}

impl Member {
    /// Whether its token is worth something only together with a certificate in its name.
    pub fn needs_certificate(&self) -> bool {
        self.url.starts_with("https://")
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::new(Members::new())
    }
}

impl Peers {
    /// These, until they are replaced.
    pub fn new(members: Members) -> Self {
        let members = RwLock::new(Arc::new(members));
        Self { shared: Arc::new(Shared { members, changes: watch::Sender::new(0) }) }
    }

    /// All of them.
    pub fn all(&self) -> Arc<Members> {
        self.shared.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of them.
    pub fn get(&self, operator: &OperatorId) -> Option<Arc<dyn Peer>> {
        self.all().get(operator).map(|member| member.peer.clone())
    }

    /// Whether it is one of them.
    pub fn contains(&self, operator: &OperatorId) -> bool {
        self.all().contains_key(operator)
    }

    /// From now on these. What is under way with one that is gone ends by itself.
    pub fn replace(&self, members: Members) {
        *self.shared.members.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(members);
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// Wakes whoever has to know that they were replaced.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}
