//! The kept inputs, thousands of mutations of each, and targets that are wrong on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use recarga_fuzz::run::Tally;
use recarga_fuzz::{Form, Target, Verdict, corpus, targets};

/// For each target. More: `recarga-fuzz --seconds 600`.
const MUTATIONS: u64 = 2_000;
/// For each that opens a database, a connection or a node.
const MUTATIONS_SLOW: u64 = 500;

#[test]
fn every_target_keeps_a_corpus_and_every_corpus_has_a_target() {
    let targets: BTreeSet<_> = targets::all().iter().map(|target| target.name.to_owned()).collect();
    let folders = std::fs::read_dir(corpus::folder()).unwrap();
    let folders: BTreeSet<_> =
        folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(targets, folders);
}

#[test]
fn the_kept_inputs_come_to_what_their_names_say() {
    for target in targets::all() {
        let mut tally = Tally::default();
        for kept in corpus::of(target.name).unwrap() {
            let path = kept.path.display();
            let verdict =
                target.try_on(&kept.bytes).unwrap_or_else(|finding| panic!("{path}: {}", finding.what));
            tally.count(verdict);
            let is_bad = kept.path.file_name().unwrap().to_string_lossy().starts_with("bad-");
            assert_eq!(verdict == Verdict::Refused, is_bad, "{path}: {verdict:?}");
        }
        assert!(tally.accepted > 0, "{}: no good input is kept, so no mutation comes far", target.name);
    }
}

#[test]
fn mutations_find_nothing() {
    std::thread::scope(|scope| {
        for target in targets::all() {
            scope.spawn(move || {
                let kept = corpus::of(target.name).unwrap();
                let mut tally = Tally::default();
                for seed in 0..if targets::is_slow(&target) { MUTATIONS_SLOW } else { MUTATIONS } {
                    match target.try_seed(&kept, seed) {
                        Ok(verdict) => tally.count(verdict),
                        Err(finding) => panic!(
                            "{name}: {what}\nto repeat: recarga-fuzz --target {name} --seed {seed}",
                            name = target.name,
                            what = finding.what
                        ),
                    }
                }
                println!("{}: {} read, {} refused", target.name, tally.accepted, tally.refused);
                assert!(
                    tally.accepted > 0 && tally.refused > 0,
                    "{}: {tally:?}: nothing is tried",
                    target.name
                );
            });
        }
    });
}

/// Readers with a defect each, and the target whose corpus they are given.
const DEFECTS: [(&str, Target); 4] = [
    (
        "hold-request",
        Target {
            name: "panics where a list is empty",
            form: Form::Json,
            read: |bytes| {
                let value = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
                let stops = value["reservas"].as_array().cloned().unwrap_or_else(|| vec![0.into()]);
                Ok(if stops[0].is_object() { Verdict::Accepted } else { Verdict::Refused })
            },
        },
    ),
    (
        "vehicle-status",
        Target {
            name: "accepts a battery that is more than full",
            form: Form::Json,
            read: |bytes| match serde_json::from_slice::<serde_json::Value>(bytes) {
                Ok(value) if value["bateria_pct"].as_f64().is_some_and(|percent| percent > 100.0) => {
                    Err("more than full".to_owned())
                }
                _ => Ok(Verdict::Refused),
            },
        },
    ),
    (
        "topic",
        Target {
            name: "lets a control character through",
            form: Form::Text,
            read: |bytes| match String::from_utf8_lossy(bytes).chars().any(char::is_control) {
                true => Err("a control character".to_owned()),
                false => Ok(Verdict::Refused),
            },
        },
    ),
    (
        "company-config",
        Target {
            name: "takes the second of two equal tables",
            form: Form::Lines,
            read: |bytes| {
                let twice = String::from_utf8_lossy(bytes).matches("[operator]").count() > 1;
                if twice { Err("two operators".to_owned()) } else { Ok(Verdict::Refused) }
            },
        },
    ),
];

#[test]
fn defects_planted_into_readers_are_found() {
    for (corpus, target) in DEFECTS {
        let kept = corpus::of(corpus).unwrap();
        let found = (0..MUTATIONS).find(|&seed| target.try_seed(&kept, seed).is_err());
        println!("{}: {found:?}", target.name);
        assert!(found.is_some(), "a reader that {} is not noticed", target.name);
    }
}
