//! What a target costs that waits: how far the resident memory of a process grows that does nothing else.

use crate::{Progress, median};
use nix::sys::resource::{UsageWho, getrusage};
use reveille_benches::peers::PEERS;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::time::Instant as TokioInstant;

/// So many wait.
pub(crate) const TARGETS: u32 = 100_000;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Bytes a target.
    pub(crate) bytes: f64,
}

pub(crate) const NAME: &str = "memory of a target";

/// Each peer in a process of its own.
pub(crate) fn measure(progress: &Progress) -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = Vec::new();
    for (name, _) in
        PEERS.iter().filter(|(name, _)| *name == "reveille" || !name.starts_with("reveille"))
    {
        progress.doing(&format!("{NAME}: {name}"));
        let output = Command::new(std::env::current_exe()?).args(["--resident", name]).output()?;
        if !output.status.success() {
            return Err(format!("{NAME}: {name} ended with {}", output.status).into());
        }
        let bytes = String::from_utf8(output.stdout)?.trim().parse()?;
        cases.push(Case { name: (*name).to_owned(), bytes });
    }
    Ok(cases)
}

/// What such a process does: prints how many bytes a target of this peer has taken.
pub(crate) fn resident(name: &str) -> Result<(), Box<dyn Error>> {
    let peer = PEERS.iter().find(|(other, _)| *other == name);
    let (_, start) = peer.ok_or_else(|| format!("there is no peer `{name}`"))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let _inside = runtime.enter();
    let before = most_resident()?;
    let peer = start(TARGETS, TokioInstant::now(), Arc::new(|_| {}));
    // Soon enough for every driver to be woken and take them in, and not before all is measured.
    let away = Duration::from_secs(10).as_micros() as u64;
    for target in 0..TARGETS {
        peer.wake(target, away + u64::from(target));
    }
    thread::sleep(Duration::from_secs(1));
    println!("{:.1}", (most_resident()? - before) as f64 / f64::from(TARGETS));
    peer.stop();
    Ok(())
}

/// The most bytes that this process had in memory so far.
fn most_resident() -> Result<i64, Box<dyn Error>> {
    // Where it can be told: by what `getrusage` says, a child had what its parent has until it became this.
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        return Ok(
            most.ok_or("the kernel tells no high-water mark")?.trim().parse::<i64>()? * 1_024
        );
    }
    // Apple's kernels count bytes, the others KiB.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1_024 };
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.max_rss() * unit)
}

/// The median over processes, case by case.
pub(crate) fn merge<'a>(cases: &mut [Case], others: impl Iterator<Item = &'a Vec<Case>> + Clone) {
    for (which, case) in cases.iter_mut().enumerate() {
        let of_others = others.clone().filter_map(|other| Some(other.get(which)?.bytes));
        case.bytes = median(of_others.chain([case.bytes]).collect());
    }
}
