//! Bytes a target, as the process's resident memory grows: `/proc/self/statm`, so Linux alone.
//!
//! `cargo run --release -p reveille-benches --example memory`

use reveille::{Builder, Cadence, Engine, ManualClock, Outcome, Reveille, Run, Target, Tick, Wake};
use std::time::Duration;

const TARGETS: u32 = 1_000_000;

fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("statm has one field")?.parse()?;
    Ok(pages * 4_096)
}

struct Meter(u64);

impl Meter {
    fn say(&mut self, what: &str) -> Result<(), Box<dyn std::error::Error>> {
        let now = resident()?;
        let grown = now.saturating_sub(self.0) as f64 / f64::from(TARGETS);
        println!("{grown:>8.1}  {what}");
        self.0 = now;
        Ok(())
    }
}

/// A turn takes in a few of them.
fn take_in(engine: &mut Engine<u64>, now: Tick) {
    while {
        engine.turn(now);
        engine.deadline() == Tick::NOW
    } {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{TARGETS} targets with u64 keys; bytes a target that each step adds:");
    let mut meter = Meter(resident()?);
    let builder = Builder::new().clock(ManualClock::new());
    let hub: Reveille<u64> = builder.build()?;
    let _registration = hub.install(|_: &Run<u64>| Outcome::ran())?;
    let mut engine = hub.engine()?;
    meter.say("a hub (ready set for 2^20 targets)")?;

    let mut targets: Vec<Target<u64>> = Vec::with_capacity(TARGETS as usize);
    for key in 0..u64::from(TARGETS) {
        targets.push(hub.target(key)?);
    }
    meter.say("created, with a handle each (16 of these)")?;
    take_in(&mut engine, Tick::NOW);
    meter.say("known to the engine")?;

    for _ in 0..10 {
        for target in &targets {
            target.wake(Wake::at(Tick::from_micros(1_000_000_000)));
        }
    }
    meter.say("ten wakes each, not yet taken in")?;
    take_in(&mut engine, Tick::NOW);
    meter.say("waiting in the engine's store")?;

    let hour = Duration::from_secs(3_600);
    for target in &targets {
        target.beat(Cadence::every(hour)?)?;
    }
    take_in(&mut engine, Tick::NOW);
    meter.say("a cadence each")?;

    let mut runs = 0;
    take_in(&mut engine, Tick::from_micros(1_000_000_000));
    while let Some(run) = engine.next_run() {
        run.execute();
        runs += 1;
        if runs % 4 == 0 {
            engine.turn(Tick::from_micros(1_000_000_000));
        }
    }
    meter.say("a run each, one after the other")?;
    assert_eq!(runs, TARGETS);
    Ok(())
}
