//! Names of things. Every name that travels is checked once, here, and is cheap to clone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Not `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    #[error("an identifier has 1 to 64 characters A-Z a-z 0-9 . _ - and starts with a letter or digit")]
    Malformed,
    /// Not `coordinator.store.epoch.counter.nonce`.
    #[error("a transaction id has the form coordinator.store.epoch.counter.nonce")]
    MalformedTransaction,
}

const ID_LENGTH_MAX: usize = 64;

fn check(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let starts_well = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    let all_well = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if starts_well && all_well && bytes.len() <= ID_LENGTH_MAX { Ok(()) } else { Err(IdError::Malformed) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, so that it can stand in a topic or a URL.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

id!(/// A company that runs charging stations (wire: `empresa`).
    OperatorId);
id!(/// A place with one or more EVSEs (OCPI: location; wire: `estacao_id`).
    StationId);
id!(/// What is reserved: it serves one car at a time (wire: `ponto_id`).
    EvseId);
id!(/// A cable or socket of an EVSE (wire: `conector_id`).
    ConnectorId);
id!(/// A car (wire: `veiculo_id`).
    VehicleId);
id!(/// What the client calls its request; repeats carry the same (wire: `requisicao_id`).
    RequestId);
id!(/// A trip as drivers see it; unguessable (wire: `viagem_id`).
    TripId);

/// Which database a node speaks from. A wiped or restored database gets another, so that nothing that it has
/// forgotten is mistaken for something that it never did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex(text).map(StoreId)
    }
}

/// One attempt to reserve all stops of a trip (wire: `sessao`). Never reused: the coordinator counts within a
/// boot epoch of one store, and the nonce keeps strangers from guessing it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// Who decides.
    pub coordinator: OperatorId,
    /// The database in which the decision stands.
    pub store: StoreId,
    /// How often that database has been started, this time included.
    pub epoch: u64,
    /// Counts up within the epoch.
    pub counter: u64,
    /// 128 random bits.
    pub nonce: u128,
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coordinator, store, epoch, counter, nonce } = self;
        write!(f, "{coordinator}.{store}.{epoch}.{counter}.{nonce:032x}")
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TransactionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // From the right, because a company's id may itself contain dots.
        let mut parts = text.rsplitn(5, '.');
        let mut next = || parts.next().ok_or(IdError::MalformedTransaction);
        let (nonce, counter, epoch, store, coordinator) = (next()?, next()?, next()?, next()?, next()?);
        Ok(Self {
            coordinator: OperatorId::new(coordinator).map_err(|_| IdError::MalformedTransaction)?,
            store: store.parse()?,
            epoch: parse_decimal(epoch)?,
            counter: parse_decimal(counter)?,
            nonce: parse_hex(nonce)?,
        })
    }
}

// One text for one id: no signs, no leading zeros, lower case only, exactly 32 digits.
fn parse_hex(text: &str) -> Result<u128, IdError> {
    let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(IdError::MalformedTransaction);
    }
    u128::from_str_radix(text, 16).map_err(|_| IdError::MalformedTransaction)
}

fn parse_decimal(text: &str) -> Result<u64, IdError> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if !canonical {
        return Err(IdError::MalformedTransaction);
    }
    text.parse().map_err(|_| IdError::MalformedTransaction)
}

/// A client's request, whoever of the companies it was sent to: the key under which repeats are recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The car for which the trip is.
    pub vehicle: VehicleId,
    /// What its driver calls the request.
    pub request: RequestId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_to_their_alphabet() {
        for good in ["a", "A-SSA-01-1", "carro_42", "0.1", &"x".repeat(64)] {
            assert!(EvseId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a+", "#", "a b", "é", &"x".repeat(65)] {
            assert!(EvseId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_transaction_id_has_one_text() {
        let id = TransactionId {
            coordinator: OperatorId::new("empresa.a").unwrap(),
            store: StoreId(7),
            epoch: 3,
            counter: 10,
            nonce: u128::MAX,
        };
        assert_eq!(id.to_string().parse::<TransactionId>().unwrap(), id);
        let hex = "0".repeat(32);
        for bad in [
            "",
            "a.b",
            &format!("a.{hex}.01.1.{hex}"),
            &format!("a.{hex}.+1.1.{hex}"),
            &format!("a.{hex}..1.{hex}"),
            &format!("a.{hex}.1.1.{}", "A".repeat(32)),
            &format!("a.{hex}.1.99999999999999999999999.{hex}"),
            &format!("/.{hex}.1.1.{hex}"),
        ] {
            assert!(bad.parse::<TransactionId>().is_err(), "{bad}");
        }
    }
}
