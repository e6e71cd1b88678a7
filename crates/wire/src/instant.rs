//! Instants as text: RFC 3339 in UTC, to the millisecond.

use std::borrow::Cow;

use jiff::tz::Offset;
use recarga_reservation::Timestamp;

const EXPECTED: &str = "use RFC 3339, como 2026-12-01T14:00:00Z";

// The first and the last instant that can be written, in milliseconds.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_200_000_000;

/// Reads an instant. `Z` and any other offset are accepted; digits beyond the millisecond are dropped.
///
/// # Errors
/// In Portuguese, what is wrong and how to write it. An instant without an offset is refused: whose noon would it be?
pub fn parse(text: &str) -> Result<Timestamp, Cow<'static, str>> {
    match shape(text.as_bytes()) {
        Shape::Complete => match text.parse::<jiff::Timestamp>() {
            Ok(instant) if (FIRST..=LAST).contains(&instant.as_millisecond()) => {
                Ok(Timestamp::from_millis(instant.as_millisecond()))
            }
            _ => Err(Cow::Owned(format!("esta data ou hora não existe; {EXPECTED}"))),
        },
        Shape::WithoutOffset => {
            Err(Cow::Borrowed("falta o fuso horário: acrescente Z (UTC) ou um deslocamento, como -03:00"))
        }
        Shape::Other => Err(Cow::Owned(format!("não é um instante; {EXPECTED}"))),
    }
}

/// Writes an instant: always `Z`, and milliseconds only where they are not zero. What lies outside the years 0 to 9999
/// cannot be written and becomes the first or the last instant that can.
pub fn format(instant: Timestamp) -> String {
    let mut buffer = [0; LENGTH_MAX];
    write(instant, &mut buffer).to_owned()
}

pub(crate) const LENGTH_MAX: usize = "2026-12-01T14:00:00.000Z".len();

/// Like [`format`], without an allocation.
pub(crate) fn write(instant: Timestamp, buffer: &mut [u8; LENGTH_MAX]) -> &str {
    let clamped = instant.as_millis().clamp(FIRST, LAST);
    let date_time = Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(clamped).unwrap_or_default());
    let millis = date_time.subsec_nanosecond() / 1_000_000;
    buffer.copy_from_slice(b"0000-00-00T00:00:00.000Z");
    put(&mut buffer[0..4], i32::from(date_time.year()));
    put(&mut buffer[5..7], i32::from(date_time.month()));
    put(&mut buffer[8..10], i32::from(date_time.day()));
    put(&mut buffer[11..13], i32::from(date_time.hour()));
    put(&mut buffer[14..16], i32::from(date_time.minute()));
    put(&mut buffer[17..19], i32::from(date_time.second()));
    put(&mut buffer[20..23], millis);
    let length = if millis == 0 {
        buffer[19] = b'Z';
        20
    } else {
        LENGTH_MAX
    };
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

fn put(digits: &mut [u8], mut value: i32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

enum Shape {
    Complete,
    WithoutOffset,
    Other,
}

// The library reads more than RFC 3339 (spaces, zone names, missing seconds); what companies exchange has one form.
fn shape(text: &[u8]) -> Shape {
    const DATE_TIME: &[u8] = b"0000-00-00T00:00:00";
    if text.len() < DATE_TIME.len() || !alike(&text[..DATE_TIME.len()], DATE_TIME) {
        let date_only = text.len() == 10 && alike(text, &DATE_TIME[..10]);
        let no_seconds = text.len() == 16 && alike(text, &DATE_TIME[..16]);
        return if date_only || no_seconds { Shape::WithoutOffset } else { Shape::Other };
    }
    let mut rest = &text[DATE_TIME.len()..];
    if let Some((b'.', fraction)) = rest.split_first() {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return Shape::Other;
        }
        rest = &fraction[digits..];
    }
    match rest {
        b"" => Shape::WithoutOffset,
        b"Z" | b"z" => Shape::Complete,
        [b'+' | b'-', offset @ ..] if alike(offset, b"00:00") => Shape::Complete,
        _ => Shape::Other,
    }
}

fn alike(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(&byte, &like)| match like {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't'),
            _ => byte == like,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_are_converted_and_their_absence_is_refused() {
        let noon = parse("2026-12-01T12:00:00Z").unwrap();
        for same in ["2026-12-01T09:00:00-03:00", "2026-12-01T12:00:00.0004z", "2026-12-01t12:00:00+00:00"] {
            assert_eq!(parse(same).unwrap(), noon, "{same}");
        }
        for naive in ["2026-12-01T12:00:00", "2026-12-01T12:00", "2026-12-01", "2026-12-01T12:00:00.5"] {
            assert!(parse(naive).unwrap_err().contains("falta o fuso"), "{naive}");
        }
        for bad in [
            "",
            "amanhã",
            "2026-12-01 12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-12-01T12:00:00Z[America/Bahia]",
            "2026-12-01T12:00:00-03",
            "2026-12-01T12:00:00.Z",
            "+002026-12-01T12:00:00Z",
            "1764590400",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    // They were read, and written as the nearest instant that can be: another one.
    #[test]
    fn what_cannot_be_written_is_not_read() {
        for (last, beyond) in [
            ("9999-12-30T20:00:00Z", "9999-12-30T20:00:00.001Z"),
            ("9999-12-31T10:00:00+14:00", "9999-12-30T21:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01"),
            ("0000-01-01T14:00:00+14:00", "0000-01-01T13:59:59.999+14:00"),
        ] {
            let last = parse(last).unwrap();
            assert_eq!(parse(&format(last)), Ok(last));
            assert!(parse(beyond).unwrap_err().contains("não existe"), "{beyond}");
        }
    }

    #[test]
    fn milliseconds_are_written_only_where_they_are_not_zero() {
        let at = |millis| format(Timestamp::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_120), "1970-01-01T00:00:01.120Z");
        assert_eq!(at(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(i64::MIN), "0000-01-01T00:00:00Z");
        assert_eq!(at(i64::MAX), "9999-12-30T20:00:00Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in -62_167_219_200_000i64..253_402_200_000_000) {
            let instant = Timestamp::from_millis(millis);
            prop_assert_eq!(parse(&format(instant)).unwrap(), instant);
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:. +-]{0,30}|\\PC{0,30}") {
            let _ = parse(&text);
        }
    }
}
