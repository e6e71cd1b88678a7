//! Keys, as texts of 64 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use recarga_reservation::OperatorId;
use sha2::Sha256;
use thiserror::Error;
use x25519_dalek::StaticSecret;

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not 64 digits of 0-9 a-f.
    #[error("a key has 64 hexadecimal digits, 0-9 and a-f")]
    Malformed,
    /// No point of the curve, or one that everybody would share a secret with.
    #[error("these digits are no key; take it from `recarga federation key`")]
    Weak,
}

/// Signs the roll.
pub struct Authority(SigningKey);

/// By which the roll's signature is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthorityKey(VerifyingKey);

/// A company's own key.
#[derive(Clone)]
pub struct CompanyKey(StaticSecret);

/// What others know of a company's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl Authority {
    /// From 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&random))
    }

    /// By which its signatures are checked.
    pub fn public(&self) -> AuthorityKey {
        AuthorityKey(self.0.verifying_key())
    }

    /// The key itself, for its file.
    pub fn expose(&self) -> String {
        digits(self.0.as_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        digits(&self.0.sign(message).to_bytes())
    }
}

impl AuthorityKey {
    pub(crate) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let Some(signature) = bytes::<64>(signature) else { return false };
        self.0.verify_strict(message, &Signature::from_bytes(&signature)).is_ok()
    }
}

impl CompanyKey {
    /// From 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(StaticSecret::from(random))
    }

    /// What others may know of it.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }

    /// The key itself, for its file.
    pub fn expose(&self) -> String {
        digits(self.0.as_bytes())
    }
}

/// What company `from` shows to company `to`, as both work it out: `own` is the key of one of them and `other` the
/// public key of the other.
///
/// # Errors
/// [`KeyError::Weak`]: with the other's key everybody would know the secret.
pub fn pair_token(
    own: &CompanyKey,
    other: &PublicKey,
    federation: &str,
    from: &OperatorId,
    to: &OperatorId,
) -> Result<String, KeyError> {
    let shared = own.0.diffie_hellman(&x25519_dalek::PublicKey::from(other.0));
    if !shared.was_contributory() {
        return Err(KeyError::Weak);
    }
    // Ids have no zero bytes, and the federation's name comes last: nothing else gives the same text.
    let purpose = format!("recarga pair token v1\0{from}\0{to}\0{federation}");
    let mut token = [0; 32];
    #[expect(clippy::expect_used, reason = "the length is far below what HKDF gives")]
    Hkdf::<Sha256>::new(None, shared.as_bytes()).expand(purpose.as_bytes(), &mut token).expect("32 bytes");
    Ok(digits(&token))
}

macro_rules! text {
    ($name:ident, |$bytes:ident| $make:expr) => {
        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let $bytes = bytes::<32>(text).ok_or(KeyError::Malformed)?;
                $make
            }
        }
    };
}

text!(Authority, |bytes| Ok(Self::new(bytes)));
text!(AuthorityKey, |bytes| VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| KeyError::Weak));
text!(CompanyKey, |bytes| Ok(Self::new(bytes)));
text!(PublicKey, |bytes| Ok(Self(bytes)));

impl fmt::Display for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits(self.0.as_bytes()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits(&self.0))
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for CompanyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn digits(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let is_well_formed =
        text.len() == 2 * LENGTH && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; LENGTH];
    if !is_well_formed {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(id: &str) -> OperatorId {
        id.parse().unwrap()
    }

    #[test]
    fn two_companies_work_out_the_same_secret_and_nobody_else_does() {
        let (a, b, c) = (CompanyKey::new([1; 32]), CompanyKey::new([2; 32]), CompanyKey::new([3; 32]));
        let (ida, idb) = (operator("empresa-a"), operator("empresa-b"));
        let token = |own: &CompanyKey, other: &CompanyKey, federation: &str, from, to| {
            pair_token(own, &other.public(), federation, from, to).unwrap()
        };
        let known = token(&a, &b, "brasil", &ida, &idb);
        assert_eq!(known, token(&b, &a, "brasil", &ida, &idb), "both know it");
        assert_eq!(known.len(), 64);
        for other in [
            token(&a, &b, "brasil", &idb, &ida), // the way back has another
            token(&a, &b, "chile", &ida, &idb),
            token(&c, &b, "brasil", &ida, &idb),
            token(&a, &c, "brasil", &ida, &idb),
        ] {
            assert_ne!(known, other);
        }
    }

    #[test]
    fn a_key_with_which_everybody_knows_the_secret_is_refused() {
        let (a, from, to) = (CompanyKey::new([1; 32]), operator("a"), operator("b"));
        for weak in ["00".repeat(32), format!("01{}", "00".repeat(31))] {
            assert_eq!(pair_token(&a, &weak.parse().unwrap(), "f", &from, &to), Err(KeyError::Weak));
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_not_shown() {
        let (authority, company) = (Authority::new([7; 32]), CompanyKey::new([8; 32]));
        assert_eq!(authority.expose().parse::<Authority>().unwrap().public(), authority.public());
        assert_eq!(company.expose().parse::<CompanyKey>().unwrap().public(), company.public());
        assert_eq!(authority.public().to_string().parse(), Ok(authority.public()));
        assert_eq!(company.public().to_string().parse(), Ok(company.public()));
        assert_eq!(format!("{company:?}"), "***");
        for bad in ["", "0", &"0".repeat(63), &"A".repeat(64), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Malformed), "{bad}");
        }
    }
}
