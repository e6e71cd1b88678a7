//! A stop as one writes it on the command line: `empresa-a/A-REC-01-1@2026-12-01T11:00Z/40m`.

use recarga_reservation::Timestamp;
use recarga_wire::trip::TripStopBody;
use recarga_wire::{Text, instant};

use crate::duration;

/// Reads a stop. `now` is what `+2h` counts from.
///
/// # Errors
/// What is wrong and how to write it.
pub fn read(text: &str, now: Timestamp) -> Result<TripStopBody, String> {
    let wrong = |what: &str| {
        Err(format!("\"{text}\": {what}; write COMPANY/EVSE@START/DURATION or COMPANY/EVSE@START..END"))
    };
    let Some((place, window)) = text.split_once('@') else { return wrong("there is no @") };
    let Some((company, evse)) = place.split_once('/') else {
        return wrong("there is no / between company and EVSE");
    };
    let (start, end) = match (window.split_once(".."), window.split_once('/')) {
        (Some((start, end)), _) => {
            (read_instant(start, now).map_err(in_stop(text))?, read_instant(end, now).map_err(in_stop(text))?)
        }
        (None, Some((start, length))) => {
            let start = read_instant(start, now).map_err(in_stop(text))?;
            (start, start + duration::read(length).map_err(in_stop(text))?)
        }
        (None, None) => return wrong("the window has no end"),
    };
    let id = |what: &str| format!("\"{text}\": this is no id of {what}");
    Ok(TripStopBody {
        empresa: Text::read(company).map_err(|_| id("a company"))?,
        ponto_id: Text::read(evse).map_err(|_| id("an EVSE"))?,
        janela_inicio: start,
        janela_fim: end,
    })
}

fn in_stop(stop: &str) -> impl Fn(String) -> String {
    move |wrong| format!("\"{stop}\": {wrong}")
}

// What the wire reads, and besides: seconds may be left out, and `+2h` counts from now, to the full second so that
// nobody has to read or repeat milliseconds.
fn read_instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(later) = text.strip_prefix('+') {
        let at = now + duration::read(later)?;
        return Ok(Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000));
    }
    let full = with_seconds(text);
    instant::parse(full.as_deref().unwrap_or(text)).map_err(|_| {
        format!("\"{text}\" is no instant; write one as in 2026-12-01T11:00Z, 2026-12-01T08:00-03:00 or +2h")
    })
}

fn with_seconds(text: &str) -> Option<String> {
    const MINUTES: usize = "2026-12-01T11:00".len();
    let (minutes, offset) = text.split_at_checked(MINUTES)?;
    let is_offset = offset.starts_with(['Z', 'z', '+', '-']);
    is_offset.then(|| format!("{minutes}:00{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Result<(String, String), String> {
        let now = instant::parse("2026-12-01T10:30:15.250Z").unwrap();
        let stop = read(text, now)?;
        assert_eq!((stop.empresa.as_str(), stop.ponto_id.as_str()), ("empresa-a", "A-1"));
        Ok((instant::format(stop.janela_inicio), instant::format(stop.janela_fim)))
    }

    #[test]
    fn windows_are_read_in_every_form() {
        for (text, start, end) in [
            ("empresa-a/A-1@2026-12-01T11:00Z/40m", "2026-12-01T11:00:00Z", "2026-12-01T11:40:00Z"),
            ("empresa-a/A-1@2026-12-01T11:00:30Z/1h30m", "2026-12-01T11:00:30Z", "2026-12-01T12:30:30Z"),
            ("empresa-a/A-1@2026-12-01T08:00-03:00/PT20M", "2026-12-01T11:00:00Z", "2026-12-01T11:20:00Z"),
            (
                "empresa-a/A-1@2026-12-01T11:00Z..2026-12-01T12:00Z",
                "2026-12-01T11:00:00Z",
                "2026-12-01T12:00:00Z",
            ),
            ("empresa-a/A-1@+2h/40m", "2026-12-01T12:30:15Z", "2026-12-01T13:10:15Z"),
            ("empresa-a/A-1@+30m..+1h", "2026-12-01T11:00:15Z", "2026-12-01T11:30:15Z"),
        ] {
            assert_eq!(window(text), Ok((start.into(), end.into())), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, what) in [
            ("empresa-a/A-1", "no @"),
            ("empresa-a@+1h/40m", "no /"),
            ("empresa-a/A-1@+1h", "no end"),
            ("empresa-a/A-1@+1h/soon", "\"soon\" is no duration"),
            ("empresa-a/A-1@+1h/-40m", "no duration"),
            ("empresa-a/A-1@2026-12-01T11:00/40m", "\"2026-12-01T11:00\" is no instant"),
            ("empresa-a/A-1@amanhã/40m", "no instant"),
            ("empresa a/A-1@+1h/40m", "no id of a company"),
            ("empresa-a/#@+1h/40m", "no id of an EVSE"),
            ("é@", "no /"),
        ] {
            let wrong = window(text).unwrap_err();
            assert!(wrong.contains(what), "{text}: {wrong}");
        }
    }
}
