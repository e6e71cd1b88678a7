//! Names of things. Every name that travels is checked once, here, and is cheap to clone.

use std::cmp::Ordering;
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
const HEX_DIGITS: [u8; 16] = *b"0123456789abcdef";

// Which characters an identifier may have, by their code.
const ALPHABET: [bool; 256] = {
    let mut alphabet = [false; 256];
    let mut code = 0;
    while code < alphabet.len() {
        let byte = code as u8;
        alphabet[code] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        code += 1;
    }
    alphabet
};

fn check(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let starts_well = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    let all_well = bytes.len() <= ID_LENGTH_MAX && bytes.iter().all(|byte| ALPHABET[usize::from(*byte)]);
    if starts_well && all_well { Ok(()) } else { Err(IdError::Malformed) }
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
        f.write_str(str::from_utf8(&hex(self.0)).unwrap_or_default())
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
        parse_hex(text.as_bytes()).map(StoreId)
    }
}

/// One attempt to reserve all stops of a trip (wire: `sessao`). Never reused: the coordinator counts within a
/// boot epoch of one store, and the nonce keeps strangers from guessing it.
#[derive(Clone, PartialEq, Eq, Hash)]
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

impl TransactionId {
    /// By which of two trips that were asked for at the same instant the older is told. All companies must agree on it.
    pub fn seniority(&self) -> impl Ord + '_ {
        (&self.coordinator, self.store, self.epoch, self.counter, self.nonce)
    }
}

/// An order for looking things up, and nothing else: of one coordinator, and nearly of all, in the order of time. The text
/// comes last, since it lies elsewhere in memory and is seldom needed.
impl Ord for TransactionId {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |id: &Self| (id.epoch, id.counter, id.nonce, id.store);
        numbers(self).cmp(&numbers(other)).then_with(|| self.coordinator.cmp(&other.coordinator))
    }
}

impl PartialOrd for TransactionId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TransactionId {
    // In one piece: each message and each record has several of these, and the library's way of writing numbers, of any
    // width and to any base, takes ten times as long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coordinator, store, epoch, counter, nonce } = self;
        let mut text = Line::default();
        text.put(coordinator.as_str().as_bytes());
        text.put(b".");
        text.put(&hex(store.0));
        text.put(b".");
        text.put_decimal(*epoch);
        text.put(b".");
        text.put_decimal(*counter);
        text.put(b".");
        text.put(&hex(*nonce));
        f.write_str(text.as_str())
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
        let (rest, nonce) = split_hex(text.as_bytes())?;
        let (rest, counter) = split_decimal(rest)?;
        let (rest, epoch) = split_decimal(rest)?;
        let (rest, store) = split_hex(rest)?;
        // Cut at an ASCII character.
        let coordinator = &text[..rest.len()];
        Ok(Self {
            coordinator: OperatorId::new(coordinator).map_err(|_| IdError::MalformedTransaction)?,
            store: StoreId(parse_hex(store)?),
            epoch: parse_decimal(epoch)?,
            counter: parse_decimal(counter)?,
            nonce: parse_hex(nonce)?,
        })
    }
}

// What stands before the last dot, and what follows it: so many digits as these have, or up to so many.
fn split_hex(text: &[u8]) -> Result<(&[u8], &[u8]), IdError> {
    let dot = text.len().checked_sub(HEX_LENGTH + 1).filter(|dot| text[*dot] == b'.');
    let dot = dot.ok_or(IdError::MalformedTransaction)?;
    Ok((&text[..dot], &text[dot + 1..]))
}

fn split_decimal(text: &[u8]) -> Result<(&[u8], &[u8]), IdError> {
    let end = &text[text.len().saturating_sub(DECIMAL_LENGTH_MAX + 1)..];
    let digits = end.iter().rev().position(|byte| *byte == b'.').ok_or(IdError::MalformedTransaction)?;
    let dot = text.len() - digits - 1;
    Ok((&text[..dot], &text[dot + 1..]))
}

const LINE_LENGTH_MAX: usize = ID_LENGTH_MAX + 2 * HEX_LENGTH + 2 * DECIMAL_LENGTH_MAX + 4;
const HEX_LENGTH: usize = 32;
const DECIMAL_LENGTH_MAX: usize = 20;

// The text of a transaction's id, while it is written.
struct Line {
    bytes: [u8; LINE_LENGTH_MAX],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE_LENGTH_MAX], length: 0 }
    }
}

impl Line {
    // What the longest id needs is there.
    fn put(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
    }

    fn put_decimal(&mut self, mut number: u64) {
        let mut digits = [0; DECIMAL_LENGTH_MAX];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.put(&digits[first..]);
    }

    fn as_str(&self) -> &str {
        // Identifiers and digits are ASCII.
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

fn hex(number: u128) -> [u8; HEX_LENGTH] {
    let mut digits = [0; HEX_LENGTH];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    digits
}

// One text for one id: no signs, no leading zeros, lower case only, exactly 32 digits.
fn parse_hex(digits: &[u8]) -> Result<u128, IdError> {
    let digits: &[u8; HEX_LENGTH] = digits.try_into().map_err(|_| IdError::MalformedTransaction)?;
    // Without a way out before the end: nearly always all of them are digits.
    let (mut bytes, mut all) = ([0; HEX_LENGTH / 2], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (HEX_VALUES[usize::from(pair[0])], HEX_VALUES[usize::from(pair[1])]);
        *byte = high << 4 | low;
        all |= high | low;
    }
    if all == NO_HEX_DIGIT { Err(IdError::MalformedTransaction) } else { Ok(u128::from_be_bytes(bytes)) }
}

// The two digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [HEX_DIGITS[byte >> 4], HEX_DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

// All bits, which no digit has.
const NO_HEX_DIGIT: u8 = u8::MAX;
const HEX_VALUES: [u8; 256] = {
    let mut values = [NO_HEX_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[HEX_PAIRS[value][1] as usize] = value as u8;
        value += 1;
    }
    values
};

fn parse_decimal(digits: &[u8]) -> Result<u64, IdError> {
    let is_canonical = !digits.is_empty() && (digits.len() == 1 || digits[0] != b'0');
    if !is_canonical {
        return Err(IdError::MalformedTransaction);
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'));
        let number = digit.and_then(|digit| number.checked_mul(10)?.checked_add(digit));
        number.ok_or(IdError::MalformedTransaction)
    })
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
        assert_eq!(id.to_string(), format!("empresa.a.{:032x}.3.10.{}", 7, "f".repeat(32)));
        assert_eq!(id.to_string().parse::<TransactionId>().unwrap(), id);
        for number in [0, 1, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            assert_eq!(StoreId(number).to_string(), format!("{number:032x}"));
            assert_eq!(StoreId(number).to_string().parse(), Ok(StoreId(number)));
        }
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

    #[test]
    fn an_order_for_looking_up_and_one_that_companies_agree_on() {
        let id = |coordinator: &str, store: u128, epoch: u64, counter: u64| TransactionId {
            coordinator: OperatorId::new(coordinator).unwrap(),
            store: StoreId(store),
            epoch,
            counter,
            nonce: 0,
        };
        // Each is older than the next to all companies, of whichever version.
        let by_seniority =
            [id("a", 1, 2, 3), id("a", 1, 2, 10), id("a", 1, 3, 1), id("a", 2, 1, 1), id("b", 1, 1, 1)];
        assert!(by_seniority.windows(2).all(|pair| pair[0].seniority() < pair[1].seniority()));
        let mut by_time = by_seniority.to_vec();
        by_time.sort();
        let [first, second, third, fourth, fifth] = by_seniority;
        assert_eq!(by_time, [fifth, fourth, first, second, third]);
    }
}
