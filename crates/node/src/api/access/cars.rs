//! The tokens of single cars, as many as there are cars: found by a hash of which nobody outside knows the key, then
//! compared in constant time, so that the time taken tells nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use recarga_reservation::VehicleId;
use tracing::{error, info};

use crate::config::stamp::Stamp;
use crate::config::vehicle_tokens::{self, VehicleToken, VehicleTokens};
use crate::tokens::same;

/// Who the cars are.
#[derive(Debug)]
pub struct Cars {
    tokens: VehicleTokens,
    hasher: RandomState,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    // Of the file that was read last, also if it could not be understood: that is said once.
    stamp: Option<Stamp>,
    by_hash: HashMap<u64, Vec<VehicleToken>>,
}

impl Cars {
    /// As configured; the file is read at once.
    pub fn new(tokens: VehicleTokens) -> Self {
        let cars = Self { tokens, hasher: RandomState::new(), known: RwLock::default() };
        cars.replace(None, Vec::new());
        cars.reread();
        cars
    }

    /// Whether a call for a car needs that car's token.
    pub fn are_known(&self) -> bool {
        self.tokens.are_required()
    }

    /// Whether there is a file that may change.
    pub fn have_file(&self) -> bool {
        self.tokens.file.is_some()
    }

    /// Whose token it is.
    pub fn holder(&self, token: &str) -> Option<VehicleId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let alike = known.by_hash.get(&self.hasher.hash_one(token))?;
        let mut holder = None;
        for (car, secret) in alike {
            if same(token, secret) {
                holder = Some(car.clone());
            }
        }
        holder
    }

    /// Reads the file again if it has changed. One that cannot be read or understood changes nothing: the tokens of
    /// before stay valid. Blocks.
    pub fn reread(&self) {
        let Some(path) = &self.tokens.file else { return };
        // Looked at before it is read: what changes meanwhile is seen the next time.
        let stamp = Stamp::of(path);
        if self.known.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return;
        }
        match vehicle_tokens::read(path, &self.tokens.inline) {
            Ok(tokens) => {
                info!(tokens = tokens.len(), file = %path.display(), "tokens of cars read");
                self.replace(stamp, tokens);
            }
            Err(reason) => {
                error!(%reason, "the tokens of cars cannot be read; those of before stay valid");
                self.known.write().unwrap_or_else(PoisonError::into_inner).stamp = stamp;
            }
        }
    }

    fn replace(&self, stamp: Option<Stamp>, tokens: Vec<VehicleToken>) {
        let mut by_hash: HashMap<u64, Vec<VehicleToken>> = HashMap::new();
        for (car, token) in self.tokens.inline.iter().cloned().chain(tokens) {
            by_hash.entry(self.hasher.hash_one(token.expose())).or_default().push((car, token));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { stamp, by_hash };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_makes_no_sense_changes_nothing_and_the_next_good_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cars");
        let replace = |text: &str| {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
        };
        replace("carro-5 first-token");
        let inline = vec![("carro-1".parse().unwrap(), "own-token".into())];
        let cars = Cars::new(VehicleTokens { inline, file: Some(path.clone()) });
        let holds = |token: &str| cars.holder(token).map(|car| car.to_string());
        for text in ["carro-7 sevenths-token\ncarro-5 short", "no token here", "carro-5 own-token"] {
            replace(text);
            cars.reread();
            assert_eq!(holds("first-token").as_deref(), Some("carro-5"), "{text}");
            assert_eq!(holds("sevenths-token"), None, "{text}: half of it counts");
            assert_eq!(holds("own-token").as_deref(), Some("carro-1"), "{text}");
        }
        fs::remove_file(&path).unwrap();
        cars.reread();
        assert_eq!(
            holds("first-token").as_deref(),
            Some("carro-5"),
            "a file that is gone takes nothing away"
        );
        replace("carro-7 sevenths-token");
        cars.reread();
        assert_eq!((holds("first-token"), holds("sevenths-token").as_deref()), (None, Some("carro-7")));
        assert_eq!(holds("own-token").as_deref(), Some("carro-1"));
    }
}
