//! The kept inputs, and thousands of mutations of each. That this can fail is the matter of `planted.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use recarga_fuzz::run::Tally;
use recarga_fuzz::{Verdict, corpus, targets};

/// For each target. More: `recarga-fuzz --seconds 600`.
const MUTATIONS: u64 = 1_000;
/// For each that opens a database, a connection or a node.
const MUTATIONS_SLOW: u64 = 200;

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
                        Err(finding) => panic!("seed {seed}: {}", finding.report(target.name)),
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
