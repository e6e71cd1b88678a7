//! What the help shows can be run as it is printed: the arguments are taken, and what is booked exists and is free.

use clap::{CommandFactory, Parser};
use recarga_node::config::Config;
use recarga_reservation::Timestamp;
use recarga_wire::trip::TripStopBody;

use super::{Arguments, trip};

// Each command of the program, with the name by which it is called.
fn commands() -> Vec<(String, clap::Command)> {
    let mut found = vec![];
    let mut waiting = vec![(String::from("recarga"), Arguments::command())];
    while let Some((name, command)) = waiting.pop() {
        waiting
            .extend(command.get_subcommands().map(|one| (format!("{name} {}", one.get_name()), one.clone())));
        found.push((name, command));
    }
    found
}

// Each line of a command's help that calls the program, as a shell would read it; what explains it is left out.
fn examples(command: &clap::Command) -> Vec<Vec<String>> {
    let Some(help) = command.get_after_help() else { return vec![] };
    let help = help.to_string().replace(" \\\n", " ").replace("$(date +%F)", "2026-01-31");
    let calls = help.lines().filter_map(|line| line.strip_prefix("  "));
    // What looks like an abbreviation is one.
    let whole = |word: String| match word.as_str() {
        "6d5b..." | "$(recarga federation key --out empresa-d.key)" => "5".repeat(64),
        "empresa-a.7ac1...4981064" => format!("empresa-a.{0}.1.1.{0}", "0".repeat(32)),
        _ => word,
    };
    calls
        .filter_map(words)
        .filter(|words| words.first().is_some_and(|word| word == "recarga"))
        .map(|words| words.into_iter().map(whole).collect())
        .collect()
}

// Up to what explains it, two spaces later, or to what the shell does with it.
fn words(line: &str) -> Option<Vec<String>> {
    let begin = line.find("recarga ")?;
    let (mut words, mut word, mut quote) = (vec![], String::new(), None);
    let line = line.get(begin..)?.split(';').next()?;
    let mut letters = line.trim_start().chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ') => {
                words.push(std::mem::take(&mut word));
                // The continuation of a line is set in; an explanation is set off.
                while letters.next_if_eq(&' ').is_some() {
                    if letters.peek().is_some_and(|next| next.is_alphabetic()) {
                        return Some(words);
                    }
                }
            }
            _ => word.push(letter),
        }
    }
    words.push(word);
    let own = words.iter().position(|word| ["|", ">", "2>>"].contains(&word.as_str()));
    words.truncate(own.unwrap_or(words.len()));
    Some(words)
}

#[test]
fn every_example_is_taken_as_it_is_printed() {
    let mut count = 0;
    for (name, command) in commands() {
        for example in examples(&command) {
            count += 1;
            if let Err(error) = Arguments::try_parse_from(&example) {
                panic!("in the help of `{name}`: {example:?}\n{error}");
            }
        }
    }
    assert!(count > 60, "{count} examples are found");
}

#[test]
fn every_command_has_an_example() {
    for (name, command) in commands() {
        let is_one = !command.has_subcommands();
        assert!(!is_one || !examples(&command).is_empty(), "the help of `{name}` has no example");
    }
}

// Whoever tries one after the other is refused nothing.
#[test]
fn what_the_examples_book_is_there_and_free() {
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks/demo");
    let offered: Vec<(String, String)> = ["empresa-a", "empresa-b", "empresa-c"]
        .iter()
        .flat_map(|name| {
            let config = Config::read(&demo.join(format!("{name}.toml"))).unwrap();
            let evses = config.stations.into_iter().flat_map(|station| station.evses);
            evses.map(|evse| ((*name).to_owned(), evse.id.to_string())).collect::<Vec<_>>()
        })
        .collect();
    let mut booked: Vec<TripStopBody> = vec![];
    for (name, command) in commands() {
        for example in examples(&command) {
            let stops = example.windows(2).filter(|pair| pair[0] == "--stop");
            for stop in stops.map(|pair| trip::stop::read(&pair[1], Timestamp::from_millis(0)).unwrap()) {
                let place = (stop.empresa.to_string(), stop.ponto_id.to_string());
                assert!(offered.contains(&place), "in the help of `{name}`: there is no {place:?}");
                let is_taken = booked.iter().any(|other| {
                    (&other.empresa, &other.ponto_id) == (&stop.empresa, &stop.ponto_id)
                        && other.janela_inicio < stop.janela_fim
                        && stop.janela_inicio < other.janela_fim
                });
                assert!(!is_taken, "in the help of `{name}`: {place:?} is booked by another example");
                booked.push(stop);
            }
        }
    }
    assert!(booked.len() > 5, "{booked:?}");
}
