//! The configuration read again while the node runs, for the tokens that stand in it. Whatever else it says counts
//! from the next start on.

use std::sync::{Mutex, PoisonError};

use recarga_reservation::OperatorId;
use tracing::{error, info, warn};

use super::Access;
use crate::config::stamp::Stamp;
use crate::config::{Config, Written};

/// What has been seen of the file.
#[derive(Debug)]
pub struct Renewal {
    // As the node started.
    written: Written,
    // The companies that stood in the file then.
    configured: Vec<OperatorId>,
    seen: Mutex<Seen>,
}

type Stamps = Vec<Option<Stamp>>;

#[derive(Debug)]
struct Seen {
    // The files as of the last reading, and as of the last look.
    read: Written,
    looked: Stamps,
    // Why the last reading changed nothing; it is said once.
    refused: Option<String>,
}

impl Renewal {
    /// Of the file that a configuration was read from.
    pub fn of(config: &Config) -> Self {
        let seen = Seen { read: config.written.clone(), looked: Stamps::new(), refused: None };
        Self {
            written: config.written.clone(),
            configured: config.peers.iter().map(|peer| peer.id.clone()).collect(),
            seen: Mutex::new(seen),
        }
    }

    /// Whether there is a file at all.
    pub fn has_file(&self) -> bool {
        self.written.file.is_some()
    }
}

impl Seen {
    fn stamps(&self) -> Stamps {
        self.read.stamps.iter().map(|(file, _)| Stamp::of(file)).collect()
    }

    fn is_stale(&self) -> bool {
        self.read.stamps.iter().any(|(file, stamp)| Stamp::of(file) != *stamp)
    }
}

impl Access {
    /// Reads the configuration again if it has changed since it was read for this node, which may have waited to lead.
    pub(super) fn catch_up(&self) {
        let mut seen = self.renewal.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_stale() {
            self.read_again(&mut seen);
        }
    }

    /// Reads again what has changed of the configuration and of the file of cars' tokens. To be called now and then;
    /// blocks. A file that is being written is left alone until it has looked the same twice: half of one may open doors.
    pub fn look(&self) {
        self.cars.reread();
        let mut seen = self.renewal.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen.stamps();
        let is_settled = now == seen.looked;
        seen.looked = now;
        // One that was refused may name a file that is there by now.
        if is_settled && (seen.refused.is_some() || seen.is_stale()) {
            self.read_again(&mut seen);
        }
    }

    /// Reads the configuration again at once, whether it has changed or not. Blocks.
    pub fn reread(&self) {
        self.cars.reread();
        self.read_again(&mut self.renewal.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    // One that cannot be used changes nothing.
    fn read_again(&self, seen: &mut Seen) {
        let Some(file) = &self.renewal.written.file else { return };
        let stamps = seen.stamps();
        match Config::read(file) {
            Ok(config) => {
                let renewed = self.take_over(&config).join(", ");
                match renewed.as_str() {
                    "" => {
                        info!(file = %file.display(), "the configuration was read again; its tokens are the same")
                    }
                    _ => {
                        info!(file = %file.display(), renewed, "the configuration was read again; its tokens count from now on");
                    }
                }
                for field in self.renewal.written.differences(&config.written) {
                    warn!(field, "changes only with a restart");
                }
                config.warnings().iter().for_each(|warning| warn!("{warning}"));
                (seen.read, seen.refused) = (config.written, None);
            }
            Err(problem) => {
                let reason = problem.to_string().replace("\n  - ", " ");
                if seen.refused.as_ref() != Some(&reason) {
                    error!(reason, "the configuration cannot be used; the tokens of before stay valid");
                }
                seen.refused = Some(reason);
                for ((_, known), stamp) in seen.read.stamps.iter_mut().zip(stamps) {
                    *known = stamp;
                }
            }
        }
    }

    // The fields that are others now.
    fn take_over(&self, config: &Config) -> Vec<String> {
        let mut renewed = Vec::new();
        let mut note = |is_other: bool, field: &str| is_other.then(|| renewed.push(field.to_owned()));
        note(self.operator.renew(&config.operator_tokens), "operator.operator_token");
        note(self.drivers.renew(&config.driver_tokens), "operator.driver_tokens");
        let members = self.companies.all();
        for peer in config.peers.iter().filter(|peer| self.renewal.configured.contains(&peer.id)) {
            let Some(member) = members.get(&peer.id) else { continue };
            note(member.accepts.renew(&peer.accepts), &format!("peers.{}.accepts", peer.id));
            note(
                member.presents.renew(std::slice::from_ref(&peer.token)),
                &format!("peers.{}.token", peer.id),
            );
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::peers::Peers;

    fn write(file: &Path, operator: &str, drivers: &str) {
        let text = format!(
            "[operator]\nid = \"empresa-a\"\nname = \"A\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"unused\"\n\
             operator_token = \"{operator}\"\n{drivers}"
        );
        fs::write(file, text).unwrap();
    }

    #[test]
    fn who_has_waited_to_lead_begins_with_the_tokens_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        write(&file, "the-old-one", "");
        let config = Config::read(&file).unwrap();
        write(&file, "the-one-of-now", "");
        let access = Access::new(&config, Peers::default());
        assert!(access.operator.hold("the-one-of-now") && !access.operator.hold("the-old-one"));
    }

    #[test]
    fn half_a_file_opens_no_door() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        write(&file, "operators-token", "driver_tokens = [\"drivers-token\"]");
        let access = Access::new(&Config::read(&file).unwrap(), Peers::default());
        access.look();
        access.look();
        // Whoever writes it has come so far, which would be in order; then to the end.
        write(&file, "operators-token", "");
        access.look();
        assert!(access.knows_drivers());
        write(&file, "operators-token", "driver_tokens = [\"drivers-token\", \"another-one\"]");
        access.look();
        assert!(access.drivers.hold("drivers-token") && !access.drivers.hold("another-one"));
        access.look();
        assert!(access.drivers.hold("drivers-token") && access.drivers.hold("another-one"));
        write(&file, "operators-token", "");
        access.look();
        access.look();
        assert!(!access.knows_drivers(), "that is what it says now");
    }
}
