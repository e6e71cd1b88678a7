//! Fuzzes for as long as one likes: see `recarga-fuzz --help`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use recarga_fuzz::run::{Finding, Tally};
use recarga_fuzz::{Target, corpus, run, targets};

/// Gives mutated inputs to everything that reads bytes from outside.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  recarga-fuzz --seconds 60
  recarga-fuzz --target hold-request --seconds 3600
  recarga-fuzz --target hold-request --seed 4711
  recarga-fuzz --target hold-request --input finding.bin"
)]
struct Arguments {
    /// How long to spend on each target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only this target; `--list` names them
    #[arg(long)]
    target: Option<String>,
    /// Begin with this seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this seed, and print its input
    #[arg(long, requires = "target")]
    seed: Option<u64>,
    /// Only this file
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Name the targets
    #[arg(long)]
    list: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut all = targets::all();
    if let Some(name) = &arguments.target {
        all.retain(|target| target.name == name);
        if all.is_empty() {
            eprintln!("there is no target {name}; --list names them");
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut is_sound = true;
    for target in all {
        if arguments.list {
            println!("{}", target.name);
            continue;
        }
        is_sound &= fuzz(&target, &arguments)?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fuzz(target: &Target, arguments: &Arguments) -> io::Result<bool> {
    if let Some(path) = &arguments.input {
        return Ok(report(
            target,
            target.try_on(&std::fs::read(path)?).map(|verdict| println!("{verdict:?}")),
        ));
    }
    let kept = corpus::of(target.name)?;
    if let Some(seed) = arguments.seed {
        let input = recarga_fuzz::mutate::input(&mut fastrand::Rng::with_seed(seed), &kept, target.form);
        println!("{}", String::from_utf8_lossy(&input));
        return Ok(report(target, target.try_seed(&kept, seed).map(|verdict| println!("{verdict:?}"))));
    }
    #[expect(clippy::disallowed_methods, reason = "a person says how long it may take")]
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut seed = arguments.from;
    run::be_quiet_about_panics();
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        match target.try_seed(&kept, seed) {
            Ok(verdict) => tally.count(verdict),
            Err(finding) => {
                println!("{}: seed {seed}", target.name);
                return Ok(report(target, Err(finding)));
            }
        }
        seed += 1;
        if seed.is_multiple_of(2_000) {
            print!("\r{}: {} inputs", target.name, tally.total());
            io::stdout().flush()?;
        }
    }
    println!(
        "\r{}: {} inputs, {} read, {} refused",
        target.name,
        tally.total(),
        tally.accepted,
        tally.refused
    );
    Ok(true)
}

fn report(target: &Target, result: Result<(), Finding>) -> bool {
    match result {
        Ok(()) => true,
        Err(finding) => {
            println!("{}", finding.report(target.name));
            false
        }
    }
}
