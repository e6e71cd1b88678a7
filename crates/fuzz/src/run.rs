//! Gives inputs to a target until one is wrong.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::corpus::Kept;
use crate::{Target, Verdict, corpus, mutate};

/// Longer than any input takes, also on a machine that is busy; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a target did wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

impl Finding {
    /// Keeps the input in a file, and says what to do with it.
    pub fn report(&self, target: &str) -> String {
        let Finding { what, input } = self;
        let path = std::env::temp_dir().join(format!("recarga-fuzz-{target}-{:016x}", hash(input)));
        let repeat = "to repeat: cargo run -p recarga-fuzz --";
        match std::fs::write(&path, input) {
            Ok(()) => format!(
                "{target}: {what}\n{repeat} --target {target} --input {path}\nonce it is mended, keep the input in {corpus}",
                path = path.display(),
                corpus = corpus::folder().join(target).display()
            ),
            Err(error) => {
                format!("{target}: {what}\nthe input cannot be written to {}: {error}", path.display())
            }
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// How many inputs came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read.
    pub accepted: u64,
    /// Refused.
    pub refused: u64,
}

/// A finding is reported with its input; the trace of a panic besides would hide it.
pub fn be_quiet_about_panics() {
    panic::set_hook(Box::new(|_| {}));
}

impl Target {
    /// Gives it one input; a panic is a finding.
    ///
    /// # Errors
    /// What is wrong.
    pub fn try_on(&self, input: &[u8]) -> Result<Verdict, Finding> {
        let said = {
            let _watched = Watched::begin(self.name, input);
            panic::catch_unwind(AssertUnwindSafe(|| (self.read)(input)))
        };
        let said = said.unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            Err(format!("panics: {}", text.unwrap_or("without a word")))
        });
        said.map_err(|what| Finding { what, input: input.to_vec() })
    }

    /// Gives it the input that a seed makes of the kept ones.
    ///
    /// # Errors
    /// What is wrong.
    pub fn try_seed(&self, kept: &[Kept], seed: u64) -> Result<Verdict, Finding> {
        let input = mutate::input(&mut Rng::with_seed(seed), kept, self.form);
        self.try_on(&input)
    }
}

impl Tally {
    /// One more.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Refused => self.refused += 1,
        }
    }

    /// All together.
    pub fn total(self) -> u64 {
        self.accepted + self.refused
    }
}

/// What a thread is working on.
struct UnderWay {
    since: Instant,
    target: &'static str,
    input: Vec<u8>,
}

fn under_way() -> MutexGuard<'static, HashMap<ThreadId, UnderWay>> {
    static UNDER_WAY: OnceLock<Mutex<HashMap<ThreadId, UnderWay>>> = OnceLock::new();
    UNDER_WAY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// An input that is watched for as long as this lives.
struct Watched;

impl Watched {
    fn begin(target: &'static str, input: &[u8]) -> Self {
        static WATCH: Once = Once::new();
        // Nothing else can end a reader that never returns.
        WATCH.call_once(|| drop(thread::spawn(watch)));
        let work = UnderWay { since: now(), target, input: input.to_vec() };
        under_way().insert(thread::current().id(), work);
        Watched
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        under_way().remove(&thread::current().id());
    }
}

fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        if let Some((target, finding)) = overdue(PATIENCE) {
            eprintln!("{}", finding.report(target));
            std::process::exit(101);
        }
    }
}

fn overdue(patience: Duration) -> Option<(&'static str, Finding)> {
    let under_way = under_way();
    let late = under_way.values().find(|work| now().duration_since(work.since) >= patience)?;
    let what = format!("takes more than {} s", patience.as_secs());
    Some((late.target, Finding { what, input: late.input.clone() }))
}

#[expect(clippy::disallowed_methods, reason = "how long a reader takes is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::Form;

    #[test]
    fn a_reader_that_never_returns_is_noticed() {
        static RETURNS: Barrier = Barrier::new(2);
        let read = |_: &[u8]| {
            RETURNS.wait();
            Ok(Verdict::Refused)
        };
        let target = Target { name: "planted", form: Form::Bytes, read };
        thread::scope(|scope| {
            scope.spawn(|| target.try_on(b"for ever"));
            let (name, finding) = loop {
                if let Some(late) = overdue(Duration::ZERO) {
                    break late;
                }
                thread::yield_now();
            };
            assert_eq!((name, &finding.input[..]), ("planted", &b"for ever"[..]));
            RETURNS.wait();
        });
        assert!(overdue(Duration::ZERO).is_none(), "and forgotten once it has");
    }
}
