//! One target of `recarga-fuzz`, named by `RECARGA_FUZZ_TARGET`, driven by libFuzzer: what it reaches in the code
//! decides which inputs are worth spoiling further. See `scripts/fuzz`.
#![no_main]

use std::process;
use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use recarga_fuzz::corpus::Kept;
use recarga_fuzz::{Target, corpus, mutate, run, targets};

fuzz_target!(|bytes: &[u8]| {
    let Aim { target, .. } = aim();
    if let Err(finding) = target.try_on(bytes) {
        eprintln!("{}: {}", target.name, finding.what);
        // What libFuzzer takes for a crash, so that it keeps the input.
        process::abort();
    }
});

// Bytes as libFuzzer spoils them, and JSON, lines and requests as we do: it knows what is new, we know the grammar.
fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    let Aim { target, kept } = aim();
    let mut rng = fastrand::Rng::with_seed(seed.into());
    if rng.bool() {
        return fuzzer_mutate(bytes, size, most);
    }
    let spoilt = mutate::once(&mut rng, bytes[..size].to_vec(), kept, target.form);
    let size = spoilt.len().min(most);
    bytes[..size].copy_from_slice(&spoilt[..size]);
    size
});

struct Aim {
    target: Target,
    kept: Vec<Kept>,
}

fn aim() -> &'static Aim {
    static AIM: OnceLock<Aim> = OnceLock::new();
    AIM.get_or_init(|| {
        // libFuzzer's own hook ends the process at every panic, also at those that the store expects and catches.
        run::be_quiet_about_panics();
        let name = std::env::var("RECARGA_FUZZ_TARGET").unwrap_or_default();
        let target = targets::all().into_iter().find(|target| target.name == name);
        let kept = corpus::of(&name);
        match (target, kept) {
            (Some(target), Ok(kept)) => Aim { target, kept },
            _ => {
                eprintln!("RECARGA_FUZZ_TARGET names no target: {name:?}");
                process::exit(2)
            }
        }
    })
}
