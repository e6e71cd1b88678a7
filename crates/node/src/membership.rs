//! Who belongs to the federation, followed while the node runs.
//!
//! The federation's authority signs a roll. This node reads it from a file, looks now and then whether the file has
//! changed, and asks the other companies for theirs: of two rolls the later one holds, whoever brought it. What came
//! from another company is written to the file before it is acted upon. Where that fails it is acted upon all the same,
//! as it is signed and the others do so, and writing is tried again until it works. A company that is leaving takes
//! nothing new and sees through what it has promised.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream;
use recarga_federation::{CompanyKey, Fellow, Roll, pair_token};
use recarga_reservation::{Branch, OperatorId, Stage};
use recarga_wire::federation::{
    FederationAnswer, FellowView, Pending, ROLL_LENGTH_MAX, SignedRoll, Standing,
};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::config::{FederationConfig, PeerConfig, Secret};
use crate::files::write_whole;
use crate::ledger::Ledger;
use crate::peers::{Member, Members, Peers};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Companies that are asked for their roll at the same time.
const ASKED_AT_ONCE: usize = 16;
/// Reservations and trips that are looked at while nobody else can.
const SLICE: usize = 2048;

/// Makes a way to speak with a company.
pub type Connect = Box<dyn Fn(&PeerConfig) -> Member + Send + Sync>;

/// The roll as it is known here, and what follows from it.
pub struct Membership {
    operator: OperatorId,
    federation: Option<FederationConfig>,
    // Companies that are configured by themselves, whatever the roll says.
    configured: Members,
    peers: Peers,
    connect: Connect,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    roll: Option<(SignedRoll, Roll)>,
    // Of the file, when it was last read.
    stamp: Option<(SystemTime, u64)>,
    // The file does not have it: after a restart an older one would hold until another company is asked.
    is_unwritten: bool,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("federation", &self.federation).finish_non_exhaustive()
    }
}

impl Membership {
    /// Reads the file once, if a federation is configured, and puts its companies beside those in `peers`.
    pub fn new(
        operator: OperatorId,
        federation: Option<FederationConfig>,
        refresh: Duration,
        peers: Peers,
        connect: Connect,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let configured = (*peers.all()).clone();
        let known = Mutex::default();
        let membership =
            Self { operator, federation, configured, peers, connect, ledger, clock, refresh, known };
        if let Some(federation) = &membership.federation {
            membership.read_file(federation);
            if membership.signed().is_none() {
                warn!(file = %federation.members.display(), "no roll yet: nobody but the configured companies is known");
            }
        }
        membership
    }

    /// Follows the file and the other companies' rolls, for ever. Companies that do not answer hold up neither the
    /// file nor one another.
    pub async fn follow(&self) {
        let Some(federation) = &self.federation else { return };
        let file = async {
            loop {
                sleep(LOOK_EVERY).await;
                self.read_file(federation);
            }
        };
        let others = async {
            while !self.refresh.is_zero() {
                sleep(self.refresh).await;
                self.ask_others(federation).await;
                self.write_again(federation);
            }
        };
        join(file, others).await;
    }

    /// Whether this company stays: without a federation it does.
    pub fn standing(&self) -> Standing {
        match (&self.federation, &self.lock().roll) {
            (None, _) | (Some(_), None) => Standing::Ativa,
            (Some(_), Some((_, roll))) => match roll.companies.get(&self.operator) {
                Some(fellow) if fellow.is_leaving => Standing::Saindo,
                Some(_) => Standing::Ativa,
                None => Standing::Fora,
            },
        }
    }

    /// The roll as it was signed, for others.
    pub fn signed(&self) -> Option<SignedRoll> {
        self.lock().roll.as_ref().map(|(signed, _)| signed.clone())
    }

    /// What is known and, once this company is leaving, what keeps it from going.
    pub fn view(&self) -> FederationAnswer {
        let others = self.peers.all();
        let fellow = |(operator, member): (&OperatorId, &Member)| FellowView {
            empresa: operator.clone(),
            url: member.url.clone(),
            estado: if member.is_leaving { Standing::Saindo } else { Standing::Ativa },
        };
        let roll = self.lock().roll.as_ref().map(|(_, roll)| (roll.federation.clone(), roll.version));
        let (federacao, versao) = roll.unzip();
        let standing = self.standing();
        FederationAnswer {
            empresa: self.operator.clone(),
            estado: standing,
            federacao,
            versao,
            empresas: others.iter().map(fellow).collect(),
            pendencias: (standing != Standing::Ativa).then(|| self.pending()),
        }
    }

    // Everything is looked at, a slice at a time so that nobody else waits for long.
    fn pending(&self) -> Pending {
        let now = self.clock.now().utc;
        let (mut reservations, mut trips) = (Vec::new(), Vec::new());
        let mut from = Bound::Unbounded;
        while let Some(last) = self.ledger.look(|state| {
            let slice = state.company.participant.branches_from(from.clone()).take(SLICE);
            slice.fold(None, |_, (transaction, branch)| {
                if let Branch::Confirmed { hold } = branch {
                    reservations.extend(hold.last_end().filter(|end| *end > now));
                }
                Some(transaction.clone())
            })
        }) {
            from = Bound::Excluded(last);
        }
        let mut from = Bound::Unbounded;
        while let Some(last) = self.ledger.look(|state| {
            let slice = state.company.coordinator.trips_from(from.clone()).take(SLICE);
            slice.fold(None, |_, trip| {
                if matches!(trip.stage, Stage::Committed { .. } | Stage::Settled) {
                    trips.extend(trip.request.last_end().filter(|end| *end > now));
                }
                Some(trip.transaction.clone())
            })
        }) {
            from = Bound::Excluded(last);
        }
        self.ledger.look(|state| {
            let company = &state.company;
            let (soft, prepared) = company.participant.undecided();
            Pending {
                reservas: reservations.len(),
                em_duvida: soft + prepared,
                viagens: trips.len() + company.coordinator.waiting_count(),
                entregas: company.coordinator.owing_count(),
                ate: reservations.iter().chain(&trips).max().copied(),
            }
        })
    }

    fn read_file(&self, federation: &FederationConfig) {
        let stamp = stamp(&federation.members);
        if stamp.is_none() || stamp == self.lock().stamp {
            return;
        }
        self.lock().stamp = stamp;
        let file = federation.members.display();
        match read(&federation.members) {
            Ok(signed) => self.consider(federation, signed, None),
            Err(reason) => error!(%file, reason, "the roll cannot be read; the one known so far stays"),
        }
    }

    async fn ask_others(&self, federation: &FederationConfig) {
        let others = self.peers.all();
        stream::iter(&*others)
            .for_each_concurrent(ASKED_AT_ONCE, |(operator, member)| async move {
                match member.peer.roll().await {
                    Ok(Some(signed)) => self.consider(federation, signed, Some(operator)),
                    Ok(None) => {}
                    Err(error) => debug!(%operator, %error, "does not say who belongs to the federation"),
                }
            })
            .await;
    }

    // `from` is the company that brought it; none if it is the file.
    fn consider(&self, federation: &FederationConfig, signed: SignedRoll, from: Option<&OperatorId>) {
        let source = from.map_or_else(|| federation.members.display().to_string(), OperatorId::to_string);
        let roll = match Roll::believe(&signed, &federation.authority) {
            Ok(roll) => roll,
            Err(error) => return warn!(source, %error, "a roll that is not believed"),
        };
        let before = self.lock().roll.as_ref().map(|(_, roll)| roll.clone());
        if let Some(before) = &before {
            if before.federation != roll.federation {
                let (known, named) = (&before.federation, &roll.federation);
                return warn!(source, known, named, "a roll of another federation");
            }
            if before.version == roll.version && *before != roll {
                return error!(
                    source,
                    version = roll.version,
                    "ALARM: two different rolls have the same version"
                );
            }
            if before.version >= roll.version {
                return;
            }
        }
        let is_unwritten = from.is_some() && !write(federation, &signed);
        info!(source, version = roll.version, companies = roll.companies.len(), "the roll has changed");
        let members = self.members(federation, &roll, before.as_ref());
        {
            let mut known = self.lock();
            known.roll = Some((signed, roll));
            known.stamp = stamp(&federation.members);
            known.is_unwritten = is_unwritten;
        }
        self.peers.replace(members);
        self.close_or_open();
    }

    fn write_again(&self, federation: &FederationConfig) {
        if self.lock().is_unwritten
            && let Some(signed) = self.signed()
            && write(federation, &signed)
        {
            info!(file = %federation.members.display(), "the roll is written");
            let mut known = self.lock();
            known.stamp = stamp(&federation.members);
            known.is_unwritten = false;
        }
    }

    fn members(&self, federation: &FederationConfig, roll: &Roll, before: Option<&Roll>) -> Members {
        if roll.companies.get(&self.operator).is_some_and(|own| own.key != federation.key.public()) {
            error!("the roll has another key for this company: nobody will know it; check federation.key");
        }
        let now = self.peers.all();
        let mut members: BTreeMap<OperatorId, Member> = BTreeMap::new();
        for (operator, fellow) in roll.companies.iter().filter(|(operator, _)| **operator != self.operator) {
            let known = before.and_then(|before| before.companies.get(operator));
            let is_same = known.is_some_and(|known| known.url == fellow.url && known.key == fellow.key);
            // Who has not moved keeps the messages that wait for it.
            let member = match now.get(operator).filter(|_| is_same) {
                Some(member) => Member { is_leaving: fellow.is_leaving, ..member.clone() },
                None => match self.meet(&federation.key, &roll.federation, operator, fellow) {
                    Ok(member) => member,
                    Err(error) => {
                        error!(%operator, %error, "this company cannot be spoken with");
                        continue;
                    }
                },
            };
            members.insert(operator.clone(), member);
        }
        members.extend(self.configured.clone());
        members
    }

    fn meet(
        &self,
        key: &CompanyKey,
        federation: &str,
        operator: &OperatorId,
        fellow: &Fellow,
    ) -> Result<Member, recarga_federation::KeyError> {
        let token = |from, to| pair_token(key, &fellow.key, federation, from, to);
        let (ours, theirs) = (token(&self.operator, operator)?, token(operator, &self.operator)?);
        let (token, accepts): (Secret, Secret) = (ours.as_str().into(), theirs.as_str().into());
        let met = PeerConfig { id: operator.clone(), url: fellow.url.clone(), token, accepts: vec![accepts] };
        Ok(Member { is_leaving: fellow.is_leaving, ..(self.connect)(&met) })
    }

    fn close_or_open(&self) {
        let is_closed = self.standing() != Standing::Ativa;
        self.ledger.adjust(|state| state.company.participant.set_closed(is_closed));
        if is_closed {
            warn!(
                "this company is leaving the federation: it takes nothing new and sees through what it has promised"
            );
        }
    }

    // What it guards is never left half-changed.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(federation: &FederationConfig, signed: &SignedRoll) -> bool {
    let written = write_whole(&federation.members, &recarga_wire::encode(signed));
    if let Err(error) = &written {
        let file = federation.members.display();
        error!(%file, %error, "the roll cannot be written: it is followed, and forgotten at the next restart; let the node's user write in the file's folder");
    }
    written.is_ok()
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(file: &Path) -> Result<SignedRoll, String> {
    use std::io::Read as _;
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    // Twice, as letters may be escaped.
    opened.take(2 * ROLL_LENGTH_MAX as u64).read_to_end(&mut text).map_err(|error| error.to_string())?;
    recarga_wire::decode(&text).map_err(|problem| problem.to_string())
}
