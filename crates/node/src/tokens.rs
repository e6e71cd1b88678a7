//! Tokens that open something, which are renewed while they do.

use std::sync::{Arc, PoisonError, RwLock};

use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Tokens side by side; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    // Never changed, but replaced.
    shared: Arc<RwLock<Arc<[Secret]>>>,
}

impl Tokens {
    /// These, until they are renewed.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self { shared: Arc::new(RwLock::new(secrets.into())) }
    }

    /// All of them.
    pub fn all(&self) -> Arc<[Secret]> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there are none, so that nothing is opened.
    pub fn are_none(&self) -> bool {
        self.all().is_empty()
    }

    /// Whether it is one of them. All are compared, in constant time, so that the time taken tells nothing.
    pub fn hold(&self, token: &str) -> bool {
        self.all().iter().fold(false, |is_held, secret| same(token, secret) | is_held)
    }

    /// From now on these; whether they are others than before.
    pub fn renew(&self, secrets: &[Secret]) -> bool {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let are_others = **shared != *secrets;
        if are_others {
            *shared = secrets.into();
        }
        are_others
    }
}

/// Whether a token is the one that is known, in a time that tells nothing.
pub fn same(token: &str, secret: &Secret) -> bool {
    token.as_bytes().ct_eq(secret.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_is_renewed() {
        let tokens = Tokens::new(vec!["the-old-one".into()]);
        let seen = tokens.clone();
        assert!(tokens.renew(&["the-new-one".into(), "the-old-one".into()]));
        assert!(seen.hold("the-old-one") && seen.hold("the-new-one") && !seen.hold("the-new-on"));
        assert!(!tokens.renew(&["the-new-one".into(), "the-old-one".into()]), "the same as before");
        assert!(tokens.renew(&["the-new-one".into()]));
        assert!(!seen.hold("the-old-one") && seen.hold("the-new-one"));
        assert!(tokens.renew(&[]) && seen.are_none() && !seen.hold(""));
    }
}
