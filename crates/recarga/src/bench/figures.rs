//! What processes and nodes say of themselves: processor time, flushes.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;

use crate::client::Client;

/// Everything that is counted, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Processor time of the nodes' processes; none if they are not ours.
    pub nodes_cpu: Option<Duration>,
    /// Processor time of this process.
    pub own_cpu: Duration,
    /// Flushes to disk of all nodes; none if they do not say.
    pub flushes: Option<u64>,
    /// Records made durable by all nodes.
    pub records: Option<u64>,
    /// What has gone over the loopback device, whoever sent it.
    pub loopback_bytes: Option<u64>,
}

/// Looks at the processes (none: they are not ours) and asks the nodes.
///
/// # Errors
/// The system does not tell.
pub async fn look(pids: Option<&[u32]>, nodes: &[Client]) -> Result<Snapshot> {
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let mut snapshot =
        Snapshot { own_cpu: cpu("self")?, loopback_bytes: loopback(&devices), ..Snapshot::default() };
    if let Some(pids) = pids {
        let mut sum = Duration::ZERO;
        for pid in pids {
            sum += cpu(&pid.to_string())?;
        }
        snapshot.nodes_cpu = Some(sum);
    }
    let (mut flushes, mut records) = (Some(0), Some(0));
    for node in nodes {
        // A node of another make may have no such figures.
        let text = match node.send(Method::GET, "/metrics", Vec::new()).await {
            Ok(answer) if answer.status == 200 => String::from_utf8_lossy(&answer.body).into_owned(),
            _ => String::new(),
        };
        flushes = flushes.zip(figure(&text, "recarga_flushes")).map(|(sum, one)| sum + one);
        records = records.zip(figure(&text, "recarga_durable_records")).map(|(sum, one)| sum + one);
    }
    Ok(Snapshot { flushes, records, ..snapshot })
}

/// A figure of a node's `/metrics`, by its whole name.
pub fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

// The first column of a device's line is what it has received.
fn loopback(devices: &str) -> Option<u64> {
    let line = devices.lines().find_map(|line| line.trim_start().strip_prefix("lo:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time of a process, or of `thread-self`.
///
/// # Errors
/// There is none.
pub fn cpu(process: &str) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("{path} has no processor times"))?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Memory of a process, in bytes.
///
/// # Errors
/// There is none.
pub fn memory(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(1024 * kilobytes.with_context(|| format!("{path} has no VmRSS"))?)
}

// User and system time are the 14th and 15th field; the 2nd is the program's name in brackets, in which anything goes.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_system_and_the_nodes_say() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 70 30 1 1 20 0 4 0 100 0 0";
        assert_eq!(ticks(stat), Some(100));
        assert_eq!(ticks("42"), None);
        let text = "# HELP recarga_flushes x\nrecarga_flushes_other 3\nrecarga_flushes 17\n";
        assert_eq!(figure(text, "recarga_flushes"), Some(17));
        assert_eq!(figure(text, "recarga_records"), None);
        assert!(cpu("self").is_ok() && cpu("thread-self").is_ok());
        assert!(memory(std::process::id()).unwrap() > 1_000_000);
        let devices = "Inter-|   Receive\n face |bytes packets\n  eth0: 9 1\n    lo: 1234 7 0\n";
        assert_eq!((loopback(devices), loopback("")), (Some(1234), None));
    }
}
