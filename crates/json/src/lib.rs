//! JSON that is put down piece by piece: for the few messages and records of which every trip takes several. The library
//! that writes all others takes two to three times as many instructions for these (docs/decisions/express.md).

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

/// JSON under way. Names and punctuation are the caller's, who tests that they are what the library would write; values
/// are written here, and right whatever they are.
#[derive(Debug)]
pub struct Draft(Vec<u8>);

impl Draft {
    /// Nothing yet, and room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was put down.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Punctuation and names, as they are.
    pub fn put(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        // Without a way out, so that many are looked at together.
        if text.bytes().fold(false, |found, byte| found | is_special(byte)) {
            return self.any(text);
        }
        self.put("\"").put(text).put("\"")
    }

    /// What a value looks like, as a text. Nothing in it may need to be escaped.
    pub fn shown(&mut self, value: &impl Display) -> &mut Self {
        self.put("\"");
        let from = self.0.len();
        // Memory takes whatever is written.
        let _ = write!(self.0, "{value}");
        debug_assert!(!self.0[from..].iter().any(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\')));
        self.put("\"")
    }

    /// An integer.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.put(itoa::Buffer::new().format(number))
    }

    /// A list.
    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.put("[");
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.put(",");
            }
            put(self, item);
        }
        self.put("]")
    }

    /// Whatever the library writes.
    ///
    /// # Panics
    /// At a map whose keys are no texts, and at a value that refuses to be written. No message and no record has one.
    pub fn any(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        #[expect(
            clippy::expect_used,
            reason = "a message has only text keys and nothing in it fails to be written"
        )]
        serde_json::to_writer(&mut self.0, value)
            .expect("a message has only text keys and nothing in it fails");
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_writes_what_the_library_writes(texts in proptest::collection::vec("\\PC{0,12}|[\\x00-\\x7f]{0,12}", 0..4), number: i64) {
            let mut draft = Draft::with_capacity(0);
            draft.put("{\"texts\":").list(&texts, |draft, text| {
                draft.text(text);
            });
            draft.put(",\"number\":").number(number).put(",\"shown\":").shown(&number).put("}");
            let value = serde_json::json!({ "number": number, "shown": number.to_string(), "texts": texts });
            let read: serde_json::Value = serde_json::from_slice(&draft.into_bytes()).unwrap();
            prop_assert_eq!(&read, &value);
            for text in texts {
                let mut draft = Draft::with_capacity(0);
                draft.text(&text);
                prop_assert_eq!(draft.into_bytes(), serde_json::to_vec(&text).unwrap());
            }
        }
    }
}
