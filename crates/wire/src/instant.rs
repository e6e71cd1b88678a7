//! Instants as text: RFC 3339 in UTC, to the millisecond.

use std::borrow::Cow;

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
    match read_as_written(text.as_bytes()) {
        Some(instant) => Ok(instant),
        None => parse_any(text),
    }
}

fn parse_any(text: &str) -> Result<Timestamp, Cow<'static, str>> {
    match shape(text.as_bytes()) {
        Shape::Complete => match text.parse::<jiff::Timestamp>().map(|instant| instant.as_millisecond()) {
            Ok(instant) if (FIRST..=LAST).contains(&instant) && exists(text.as_bytes(), instant) => {
                Ok(Timestamp::from_millis(instant))
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
    let (days, of_day) = (clamped.div_euclid(DAY_MILLIS), clamped.rem_euclid(DAY_MILLIS));
    let (year, month, day) = date_of(days);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    buffer.copy_from_slice(b"0000-00-00T00:00:00.000Z");
    put(&mut buffer[0..4], year);
    put(&mut buffer[5..7], month);
    put(&mut buffer[8..10], day);
    put(&mut buffer[11..13], seconds / 3600);
    put(&mut buffer[14..16], seconds / 60 % 60);
    put(&mut buffer[17..19], seconds % 60);
    put(&mut buffer[20..23], millis);
    let length = if millis == 0 {
        buffer[19] = b'Z';
        20
    } else {
        LENGTH_MAX
    };
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

// Each message has several instants, nearly all of them as `write` puts them: the library, which can do far more, takes
// ten times as long for these. Whatever looks otherwise is left to it.
fn read_as_written(text: &[u8]) -> Option<Timestamp> {
    let (text, millis) = match text {
        [text @ .., b'.', a, b, c, b'Z'] => (text, number(&[*a, *b, *c])?),
        [text @ .., b'Z'] => (text, 0),
        _ => return None,
    };
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *text else {
        return None;
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let days = days_until(year, month, day);
    // A date that does not exist would be that of another day.
    let exists = date_of(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    let instant = days * DAY_MILLIS + ((hour * 60 + minute) * 60 + second) * 1000 + millis;
    (exists && (FIRST..=LAST).contains(&instant)).then(|| Timestamp::from_millis(instant))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

const DAY_MILLIS: i64 = 86_400_000;
// Years are counted from March on, so that the day that only some have is their last; and by four centuries, after
// which the calendar repeats itself.
const DAYS_OF_YEAR: i64 = 365;
const DAYS_OF_FOUR_CENTURIES: i64 = 146_097;
const DAYS_FROM_MARCH_OF_YEAR_0: i64 = 719_468;

// Days from 1970 until a date.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    let of_cycle = year * DAYS_OF_YEAR + year / 4 - year / 100 + of_year;
    cycle * DAYS_OF_FOUR_CENTURIES + of_cycle - DAYS_FROM_MARCH_OF_YEAR_0
}

// The date so many days after 1970 began.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_FROM_MARCH_OF_YEAR_0;
    let (cycle, of_cycle) =
        (days.div_euclid(DAYS_OF_FOUR_CENTURIES), days.rem_euclid(DAYS_OF_FOUR_CENTURIES));
    let leap_days = of_cycle / 1_460 - of_cycle / 36_524 + of_cycle / 146_096;
    let year = (of_cycle - leap_days) / DAYS_OF_YEAR;
    let of_year = of_cycle - (year * DAYS_OF_YEAR + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = cycle * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

fn put(digits: &mut [u8], mut value: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
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

// The library takes offsets of more than a day, and a leap second at the end of any minute.
fn exists(text: &[u8], instant: i64) -> bool {
    let offset_fits = match text {
        [.., b'+' | b'-', h1, h2, b':', n1, n2] => {
            number(&[*h1, *h2]).is_some_and(|hours| hours < 24)
                && number(&[*n1, *n2]).is_some_and(|minutes| minutes < 60)
        }
        _ => true,
    };
    let is_leap_second = text.get(17..19) == Some(b"60");
    offset_fits && (!is_leap_second || instant.rem_euclid(DAY_MILLIS) / 1000 == DAY_MILLIS / 1000 - 1)
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
        for leap in ["2016-12-31T23:59:60Z", "2016-12-31T20:59:60-03:00", "2016-12-31T23:59:60.5Z"] {
            assert_eq!(format(parse(leap).unwrap())[..19], *"2016-12-31T23:59:59", "{leap}");
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
            "2026-12-01T12:00:00+24:00",
            "2026-12-01T12:00:00-25:00",
            "2026-12-01T12:00:00+03:60",
            "2026-12-01T12:00:60Z",
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

    // Of every day that can be written, and of dates that do not exist.
    #[test]
    fn the_calendar_is_that_of_the_library() {
        let mut day = jiff::civil::date(0, 1, 1);
        let last = jiff::civil::date(9999, 12, 30);
        let mut days = FIRST / DAY_MILLIS;
        while day <= last {
            let expected = (i64::from(day.year()), i64::from(day.month()), i64::from(day.day()));
            assert_eq!(date_of(days), expected);
            assert_eq!(days_until(expected.0, expected.1, expected.2), days);
            day = day.tomorrow().unwrap();
            days += 1;
        }
        for year in [1900, 2000, 2026, 2028] {
            for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                let text = format!("{year}-{month:02}-{day:02}T12:00:00Z");
                assert_eq!(read_as_written(text.as_bytes()), parse_any(&text).ok(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_agree(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{3})?Z") {
            if let Some(instant) = read_as_written(text.as_bytes()) {
                prop_assert_eq!(parse_any(&text).unwrap(), instant);
            } else if let Ok(instant) = parse_any(&text) {
                prop_assert!(text.contains(":60"), "{text} is {instant:?} only to the library");
            }
        }

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
