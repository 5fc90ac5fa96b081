//! Restarts: last beats outlive the process where a ledger keeps them. Virtual time; two hubs that
//! share a ledger are two processes.

use reveille::{
    Builder, Cadence, Engine, LastBeat, Ledger, LedgerError, LedgerKeeper, ManualClock,
    MemoryLedger, Missed, Outcome, Place, Policy, Reveille, Tick, Wake,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

type Hub = Reveille<&'static str>;

struct Process {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str>,
    keeper: LedgerKeeper,
    faults: Arc<Mutex<Vec<String>>>,
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn every(n: u64) -> Cadence {
    Cadence::every(minutes(n)).expect("a period")
}

impl Process {
    /// Starts at so many minutes after midnight by the wall clock.
    fn start(at: u64, ledger: impl Ledger<&'static str>, change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        clock.set_wall(SystemTime::UNIX_EPOCH + minutes(at));
        let faults: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&faults);
        let builder = Builder::new().clock(clock.clone()).policy(change).on_fault(move |fault| {
            assert_eq!(fault.place, Place::Ledger);
            told.lock().expect("nobody panics").push(fault.message.clone());
        });
        let hub: Hub = builder.build().expect("a policy that holds");
        let keeper = hub.keep_ledger(ledger).expect("a thread");
        hub.install(|_| ()).expect("it has not stopped").keep();
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine, keeper, faults }
    }

    fn beat(&self, key: &'static str, cadence: Cadence) {
        let target = self.hub.target(key).expect("there is room");
        target.beat(cadence).expect("it has not stopped");
    }

    /// Runs for so many minutes: when each run started, in minutes since the start, and for how many
    /// beats it stood.
    fn run(&mut self, n: u64, outcome: Outcome) -> Vec<(u64, u64)> {
        let (mut runs, end) = (Vec::new(), self.clock_now() + minutes(n));
        loop {
            self.engine.turn(self.hub.now());
            while let Some(run) = self.engine.next_run() {
                runs.push((run.started().as_micros() / 60_000_000, run.missed() + 1));
                run.finish(outcome);
            }
            let next = self.engine.arm();
            if next > end {
                self.clock.advance_to(end);
                return runs;
            }
            self.clock.advance_to(next);
        }
    }

    fn clock_now(&self) -> Tick {
        self.hub.now()
    }

    fn end(self) {
        assert_eq!(*self.faults.lock().expect("nobody panics"), [""; 0]);
        self.keeper.close().expect("it is in memory");
    }
}

/// D-39, P8, P17: a restart moves no cadence. One of two hours that beat at 10:00 beats at 12:00,
/// though its process was made anew at 10:47.
#[test]
fn a_restart_moves_no_cadence() {
    let ledger = MemoryLedger::new();
    let mut first = Process::start(8 * 60, ledger.clone(), |_| {});
    first.beat("mail", every(120));
    assert_eq!(first.run(150, Outcome::ran()), [(120, 1)]);
    first.end();
    let mut second = Process::start(10 * 60 + 47, ledger.clone(), |_| {});
    second.beat("mail", every(120));
    assert_eq!(second.run(240, Outcome::ran()), [(73, 1), (193, 1)]);
    second.end();
    // A changed period counts from the last beat too, 14:00.
    let mut third = Process::start(14 * 60 + 10, ledger, |_| {});
    third.beat("mail", every(30));
    assert_eq!(third.run(60, Outcome::ran()), [(20, 1), (50, 1)]);
    third.end();
}

/// P14: beats that passed between two processes are missed ones, made up for as the policy says.
#[test]
fn what_passed_between_two_processes_was_missed() {
    for (missed, expected) in [
        (Missed::Skip, vec![(0, 3), (30, 1), (90, 1)]),
        (Missed::Delay, vec![(0, 3), (60, 1), (120, 1)]),
        (Missed::Burst, vec![(0, 1), (0, 1), (0, 1), (30, 1), (90, 1)]),
    ] {
        let ledger = MemoryLedger::new();
        let mut first = Process::start(0, ledger.clone(), |_| {});
        first.beat("mail", every(60));
        assert_eq!(first.run(60, Outcome::ran()), [(60, 1)]);
        first.end();
        // Down from 1:00 to 4:30: the beats of 2:00, 3:00 and 4:00.
        let mut second = Process::start(4 * 60 + 30, ledger, |policy| policy.missed = missed);
        second.beat("mail", every(60));
        assert_eq!(second.run(120, Outcome::ran()), expected, "{missed:?}");
        assert!(second.hub.counters().is_conserved());
        second.end();
    }
}

/// P8: a beat is kept when its run was done, not when it came: what a crash loses is repeated, and
/// never skipped.
#[test]
fn a_beat_that_was_not_done_is_repeated() {
    let ledger = MemoryLedger::new();
    let mut first = Process::start(0, ledger.clone(), |_| {});
    first.beat("mail", every(60));
    assert_eq!(first.run(61, Outcome::ran()), [(60, 1)]);
    assert_eq!(first.run(60, Outcome::busy_for(minutes(500))), [(120, 1)]);
    first.end();
    let mut second = Process::start(125, ledger, |_| {});
    second.beat("mail", every(60));
    // The beat of 2:00, which was busy, and the grid of 1:00.
    assert_eq!(second.run(60, Outcome::ran()), [(0, 1), (55, 1)]);
    second.end();
}

/// D-39, P8, P17: a process that ends right after it made up for what was missed moves no cadence: the beat that
/// is kept is the last that was missed, though it came before this process did.
#[test]
fn a_crash_loop_moves_no_cadence() {
    for missed in [Missed::Skip, Missed::Burst] {
        let ledger = MemoryLedger::new();
        let mut first = Process::start(0, ledger.clone(), |_| {});
        first.beat("mail", every(60));
        assert_eq!(first.run(60, Outcome::ran()), [(60, 1)]);
        first.end();
        for at in [4 * 60 + 30, 4 * 60 + 40, 4 * 60 + 45] {
            let mut next = Process::start(at, ledger.clone(), |policy| policy.missed = missed);
            next.beat("mail", every(60));
            let stood_for: u64 = next.run(1, Outcome::ran()).iter().map(|&(_, beats)| beats).sum();
            assert_eq!(stood_for, if at == 4 * 60 + 30 { 3 } else { 0 }, "{missed:?}, {at}");
            next.end();
        }
        let mut last = Process::start(4 * 60 + 50, ledger, |_| {});
        last.beat("mail", every(60));
        assert_eq!(last.run(60, Outcome::ran()), [(10, 1)], "{missed:?}");
        last.end();
    }
}

/// P8, P14: under `burst` none of the beats that are owed counts as done before the last of them is: the
/// next process makes up for all of them.
#[test]
fn beats_that_are_owed_are_not_skipped() {
    for done in 0..=3 {
        let ledger = MemoryLedger::new();
        let mut first = Process::start(0, ledger.clone(), |_| {});
        first.beat("mail", every(60));
        assert_eq!(first.run(60, Outcome::ran()), [(60, 1)]);
        first.end();
        // The beats of 2:00, 3:00 and 4:00, of which some are done.
        let mut second =
            Process::start(4 * 60 + 30, ledger.clone(), |policy| policy.missed = Missed::Burst);
        second.beat("mail", every(60));
        second.engine.turn(second.hub.now());
        for n in 0..3 {
            let run = second.engine.next_run().expect("three are owed");
            run.finish(if n < done { Outcome::ran() } else { Outcome::busy_for(minutes(500)) });
            second.engine.turn(second.hub.now());
            if n >= done {
                break;
            }
        }
        assert!(second.engine.next_run().is_none());
        assert_eq!(second.hub.counters().beats_done, done);
        second.end();
        let mut third = Process::start(4 * 60 + 40, ledger, |_| {});
        third.beat("mail", every(60));
        let expected = if done < 3 { vec![(0, 3), (20, 1)] } else { vec![(20, 1)] };
        assert_eq!(third.run(60, Outcome::ran()), expected, "{done} done");
        // A run without a beat is none that beats are done by.
        let before = third.hub.counters().beats_done;
        third.hub.wake("other", Wake::now());
        assert_eq!(third.run(1, Outcome::ran()), [(60, 1)]);
        assert_eq!(third.hub.counters().beats_done, before);
        third.end();
    }
}

/// P17: phases by the wall clock and by the key are kept with what was missed.
#[test]
fn phases_go_on_as_well() {
    let ledger = MemoryLedger::new();
    let quarter_past = || every(60).with_phase(minutes(15)).anchored();
    let mut first = Process::start(0, ledger.clone(), |_| {});
    first.beat("mail", quarter_past());
    assert_eq!(first.run(80, Outcome::ran()), [(15, 1), (75, 1)]);
    first.end();
    let mut second = Process::start(200, ledger, |_| {});
    second.beat("mail", quarter_past());
    assert_eq!(second.run(60, Outcome::ran()), [(0, 2), (55, 1)]);
    second.end();
}

/// Removed targets are forgotten; those that are not set yet are kept.
#[test]
fn what_was_removed_is_forgotten() {
    let mut ledger = MemoryLedger::new();
    let mut first = Process::start(0, ledger.clone(), |_| {});
    first.beat("gone", every(10));
    first.beat("kept", every(10));
    first.run(10, Outcome::ran());
    first.hub.target("gone").expect("it is there").remove();
    first.engine.turn(first.hub.now());
    first.end();
    let kept = ledger.load().expect("it is in memory");
    assert_eq!(kept, [("kept", LastBeat::from_unix_micros(600_000_000))]);
    // A process that does not set it forgets nothing, and neither does a stop.
    let second = Process::start(20, ledger.clone(), |_| {});
    second.hub.stop();
    second.end();
    assert_eq!(ledger.load().expect("it is in memory"), kept);
}

/// A ledger that cannot be loaded or stored is reported, and the schedule goes on.
#[test]
fn a_broken_ledger_stops_nothing() {
    struct Broken;
    impl Ledger<&'static str> for Broken {
        fn load(&mut self) -> Result<Vec<(&'static str, LastBeat)>, LedgerError> {
            Err(LedgerError::Other("nothing to read".into()))
        }
        fn store(&mut self, _: &[(&'static str, LastBeat)]) -> Result<(), LedgerError> {
            panic!("nothing to write")
        }
    }
    let mut process = Process::start(0, Broken, |_| {});
    assert!(process.keeper.refused().is_some());
    process.beat("mail", every(10));
    assert_eq!(process.run(20, Outcome::ran()), [(10, 1), (20, 1)]);
    let error = process.keeper.close().expect_err("it cannot be stored");
    assert!(error.to_string().contains("nothing to write"), "{error}");
    let faults = process.faults.lock().expect("nobody panics");
    assert!(faults[0].contains("nothing to read"), "{faults:?}");
    assert!(faults.last().is_some_and(|last| last.contains("nothing to write")), "{faults:?}");
}

/// P17: what was kept is not lost where a cadence is set twice before the driver hears of it.
#[test]
fn what_was_kept_waits_for_the_driver() {
    let ledger = MemoryLedger::new();
    let mut first = Process::start(0, ledger.clone(), |_| {});
    first.beat("mail", every(60));
    assert_eq!(first.run(60, Outcome::ran()), [(60, 1)]);
    first.end();
    let mut second = Process::start(70, ledger, |_| {});
    second.beat("mail", every(10));
    second.beat("mail", every(60));
    assert_eq!(second.run(60, Outcome::ran()), [(50, 1)]);
    second.end();
}

/// P8, P14: of what passed between two processes, the beats inside the hours were missed.
#[cfg(feature = "calendar")]
#[test]
fn what_was_missed_was_inside_the_hours() {
    let hours = reveille::Hours::daily("09:00", "17:00", "UTC").expect("hours");
    let ledger = MemoryLedger::new();
    let mut first = Process::start(14 * 60 + 50, ledger.clone(), |_| {});
    first.beat("mail", every(60).during(hours.clone()));
    assert_eq!(first.run(70, Outcome::ran()), [(60, 1)]);
    first.end();
    // 16:50 and 9:50 have passed, and all from 17:50 to 8:50, when nobody works.
    let mut second = Process::start(24 * 60 + 10 * 60 + 30, ledger, |_| {});
    second.beat("mail", every(60).during(hours));
    assert_eq!(second.run(30, Outcome::ran()), [(0, 2), (20, 1)]);
    second.end();
}

/// P8: a wall clock that was set back between two processes puts the last beat ahead; the cadence waits
/// one period, and not until that time comes again.
#[test]
fn a_wall_clock_that_was_set_back_silences_nothing() {
    let ledger = MemoryLedger::new();
    let mut first = Process::start(10 * 60, ledger.clone(), |_| {});
    first.beat("mail", every(30));
    assert_eq!(first.run(40, Outcome::ran()), [(30, 1)]);
    first.end();
    let mut second = Process::start(4 * 60, ledger, |_| {});
    second.beat("mail", every(30));
    assert_eq!(second.run(70, Outcome::ran()), [(30, 1), (60, 1)]);
    second.end();
}
