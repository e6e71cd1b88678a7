//! JSON that is read as it was written, without a space or an escape. Every step says whether it was so; what has not
//! worked out is not gone back to.

use recarga_reservation::OperatorId;

use crate::text::Text;

/// What is left to read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Punctuation and names, exactly these.
    pub fn take(&mut self, json: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(json.as_bytes())?;
        Some(())
    }

    /// As [`Reader::take`], where they may be missing.
    pub fn has(&mut self, json: &str) -> bool {
        self.take(json).is_some()
    }

    /// Nothing is left.
    pub fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// A text of ASCII without escapes.
    pub fn plain(&mut self) -> Option<&'a str> {
        self.take("\"")?;
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let end = self.0.iter().position(|byte| !is_plain(byte))?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        self.take("\"")?;
        str::from_utf8(text).ok()
    }

    /// A value that travels as a text.
    pub fn text<T: Text>(&mut self) -> Option<T> {
        T::read(self.plain()?).ok()
    }

    /// A company; the name of one that is known is not kept again.
    pub fn operator<'k>(&mut self, known: impl IntoIterator<Item = &'k OperatorId>) -> Option<OperatorId> {
        let text = self.plain()?;
        match known.into_iter().find(|known| known.as_str() == text) {
            Some(known) => Some(known.clone()),
            None => OperatorId::read(text).ok(),
        }
    }

    /// A number without a sign, a fraction or an exponent.
    pub fn number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        // More digits are no number that this program writes, and zeros before it are none of JSON.
        if digits == 0 || digits > 18 || (digits > 1 && number[0] == b'0') {
            return None;
        }
        self.0 = rest;
        let number = number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        N::try_from(number).ok()
    }

    /// A list whose `[` was taken already.
    pub fn rest_of_list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        if self.has("]") {
            return Some(items);
        }
        loop {
            items.push(read(self)?);
            if self.has("]") {
                return Some(items);
            }
            self.take(",")?;
        }
    }
}
