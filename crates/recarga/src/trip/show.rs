//! Answers for people.

use std::process::ExitCode;

use jiff::tz::TimeZone;
use recarga_reservation::Timestamp;
use recarga_wire::Problem;
use recarga_wire::trip::{StopState, TripAnswer, TripState};

use super::ask::{Asked, Question};
use crate::client::Client;

/// Prints what was answered; its exit status says the same.
pub fn print(client: &Client, question: &Question, asked: &Asked, json: bool) -> ExitCode {
    let zone = TimeZone::system();
    match asked {
        Asked::Trip(said) if json => say!("{}", said.raw),
        Asked::Trips(said) if json => say!("{}", said.raw),
        Asked::Refused(said) if json => say!("{}", said.raw),
        Asked::Trip(said) => say_on!("{}", trip(&said.message, &zone)),
        Asked::Trips(said) if said.message.viagens.is_empty() => {
            say!("no trips; another company may have coordinated them (--node)");
        }
        Asked::Trips(said) => {
            let trips: Vec<String> = said.message.viagens.iter().map(|one| trip(one, &zone)).collect();
            say_on!("{}", trips.join("\n"));
        }
        Asked::Refused(said) => eprint!("{}", problem(&said.message, &zone)),
        Asked::Unknown(why) => eprint!("{}", unknown(client, question, why)),
    }
    asked.exit_code()
}

fn trip(trip: &TripAnswer, zone: &TimeZone) -> String {
    let TripAnswer { viagem_id, requisicao_id, veiculo_id, servidor, .. } = trip;
    let state = match trip.estado {
        TripState::Confirmada => "confirmed",
        TripState::Cancelada => "cancelled",
        TripState::Alterada => "changed",
        TripState::Mista => "mixed: some stops are lost and must be booked again",
    };
    let mut rows = vec![["stop", "company", "EVSE", "local time", "UTC", "state"].map(str::to_owned)];
    for stop in &trip.paradas {
        let (start, end) = (stop.janela_inicio, stop.janela_fim);
        rows.push([
            (stop.parada + 1).to_string(),
            stop.empresa.to_string(),
            stop.ponto_id.to_string(),
            window(start, end, zone),
            window(start, end, &TimeZone::UTC),
            stop_state(stop.estado).to_owned(),
        ]);
    }
    format!(
        "trip {viagem_id}: {state}\ncar {veiculo_id}, request {requisicao_id}, coordinated by {servidor}\n{}",
        table(&rows)
    )
}

fn stop_state(state: StopState) -> &'static str {
    match state {
        StopState::Confirmada => "confirmed",
        StopState::AConfirmar => "guaranteed",
        StopState::Perdida => "LOST",
        StopState::Liberada => "released",
    }
}

fn problem(problem: &Problem, zone: &TimeZone) -> String {
    let mut text = format!("{} ({})\n{}\n", problem.kind.title(), problem.kind.code(), problem.detail);
    if let Some(stop) = problem.stop {
        text.push_str(&format!("stop: {}\n", stop + 1));
    }
    if let Some(field) = &problem.field {
        text.push_str(&format!("field: {field}\n"));
    }
    if !problem.free.is_empty() {
        text.push_str("free instead:\n");
        let row = |free: &recarga_reservation::TimeWindow| {
            let (start, end) = (free.start(), free.end());
            ["".to_owned(), window(start, end, zone), format!("{} UTC", window(start, end, &TimeZone::UTC))]
        };
        text.push_str(&table(&problem.free.iter().map(row).collect::<Vec<_>>()));
    }
    text
}

fn unknown(client: &Client, question: &Question, why: &str) -> String {
    let mut text = format!("The answer is not known yet: {why}\nThis is no refusal. ");
    if let Some((vehicle, request)) = &question.request {
        text.push_str(&format!(
            "Ask with\n  recarga trip list --vehicle {vehicle} --request {request} --node {}\nor repeat the same \
             command with --request {request}: it never reserves twice.\n",
            client.url()
        ));
    }
    text
}

// The end is written in full only if it is on another day.
fn window(start: Timestamp, end: Timestamp, zone: &TimeZone) -> String {
    let at = |instant: Timestamp| {
        let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).unwrap_or_default();
        instant.to_zoned(zone.clone())
    };
    let (start, end) = (at(start), at(end));
    let time =
        |one: &jiff::Zoned| one.strftime(if one.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string();
    let day = start.strftime("%Y-%m-%d").to_string();
    if start.date() == end.date() {
        format!("{day} {}-{}", time(&start), time(&end))
    } else {
        format!("{day} {} - {} {}", time(&start), end.strftime("%Y-%m-%d"), time(&end))
    }
}

fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use recarga_reservation::TimeWindow;
    use recarga_wire::{ProblemKind, decode, instant};

    fn recife() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(-3))
    }

    #[test]
    fn a_trip_is_a_table_in_local_time_and_utc() {
        let session = format!("empresa-a.{0}.1.1.{0}", "0".repeat(32));
        let answer: TripAnswer = decode(
            format!(
                r#"{{"viagem_id":"v1","estado":"confirmada","requisicao_id":"p1","veiculo_id":"carro-1",
                "servidor":"empresa-a","sessao":"{session}","decidida_em":"2026-12-01T10:00:00Z","paradas":[
                {{"parada":0,"empresa":"empresa-a","ponto_id":"A-1","janela_inicio":"2026-12-01T11:00:00Z",
                "janela_fim":"2026-12-01T11:40:00Z","estado":"confirmada"}},
                {{"parada":1,"empresa":"empresa-b","ponto_id":"B-MCZ-1","janela_inicio":"2026-12-02T02:30:00Z",
                "janela_fim":"2026-12-02T03:30:10Z","estado":"a_confirmar"}}]}}"#
            )
            .as_bytes(),
        )
        .unwrap();
        let expected = "\
trip v1: confirmed
car carro-1, request p1, coordinated by empresa-a
stop  company    EVSE     local time                             UTC                        state
1     empresa-a  A-1      2026-12-01 08:00-08:40                 2026-12-01 11:00-11:40     confirmed
2     empresa-b  B-MCZ-1  2026-12-01 23:30 - 2026-12-02 00:30:10  2026-12-02 02:30-03:30:10  guaranteed
";
        let collapse = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(collapse(&trip(&answer, &recife())), collapse(expected));
    }

    #[test]
    fn a_refusal_says_which_stop_and_what_is_free() {
        let at = |text: &str| instant::parse(text).unwrap();
        let free = TimeWindow::new(at("2026-12-01T12:00:00Z"), at("2026-12-01T12:40:00Z")).unwrap();
        let mut refusal = Problem::new(ProblemKind::Booked, "o ponto já está reservado").at_stop(1);
        refusal.free = vec![free].into();
        let text = problem(&refusal.at("paradas[1].janela_inicio"), &recife());
        for part in
            ["ponto-reservado", "já está", "stop: 2", "field: paradas[1]", "09:00-09:40", "12:00-12:40 UTC"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
