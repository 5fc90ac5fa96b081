//! M22: extras made twice; payload merge ∥ take.

use crate::model::{Extent, Model};
use crate::support::{at, drive, every, hub_of, join, spawn};
use reveille::{Engine, Merge, Outcome, Reveille, Run, Target, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m22-extras-made-twice",
        promises: &["P3", "P8"],
        law: "A first payload and a first cadence at once both take effect.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: extras,
    },
    Model {
        name: "m22-payload-merge-take",
        promises: &["P3", "P4", "P7"],
        law: "The payload of an accepted wake that meets a start reaches exactly one run.",
        threads: 2,
        extent: Extent::All,
        body: taken,
    },
    Model {
        name: "m22-payload-given-back",
        promises: &["P3", "P7"],
        law: "A payload that a failed run gives back comes once more, before what came meanwhile.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: given_back,
    },
];

/// What wakes carry: who made them, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log(Vec<u8>);

impl Merge for Log {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

type Parts = (Reveille<u32, (), Log>, Engine<u32, (), Log>, Target<u32, (), Log>);

/// A driven hub with a handler and one target.
fn parts() -> Parts {
    let hub: Reveille<u32, (), Log> = hub_of(|_| {});
    let Ok(mut engine) = hub.engine() else { panic!("nobody drives it") };
    let Ok(registration) = hub.install(|_: &Run<u32, (), Log>| ()) else { panic!("it is open") };
    registration.keep();
    let Ok(target) = hub.target(0) else { panic!("it is open, and has room") };
    engine.turn(at(0));
    (hub, engine, target)
}

fn wake(target: &Target<u32, (), Log>, by: u8) {
    let woken = target.wake(Wake::now().with(Log(vec![by])));
    assert!(woken.is_accepted(), "P3: an open hub refused");
}

/// Serves what there is; what payloads came, in the order of the runs.
fn log(run: Run<u32, (), Log>, came: &mut Vec<u8>) {
    came.extend(run.payload().into_iter().flat_map(|log| &log.0));
    run.finish(Outcome::ran());
}

/// Two users and the driver need the extras of a new target at once.
///
/// Fails on: `extras-made-by-a-store`.
fn extras() {
    let (hub, mut engine, target) = parts();
    let requester = spawn("requester", {
        let target = target.clone();
        move || wake(&target, 1)
    });
    let setter = spawn("setter", {
        let target = target.clone();
        move || assert!(target.beat(every(1_000)).is_ok())
    });
    let mut came = Vec::new();
    engine.turn(at(0));
    while let Some(run) = engine.next_run() {
        log(run, &mut came);
    }
    join(requester);
    join(setter);
    drive(&mut engine, at(0), |run| log(run, &mut came));
    assert_eq!(came, [1], "P3: the payload");
    assert_eq!(target.snapshot().next_beat, Some(at(1_000)), "P8: the cadence was lost");
    assert_eq!(engine.deadline(), at(1_000), "P8: the cadence is not armed");
    assert!(hub.counters().is_conserved(), "P12: {:?}", hub.counters());
}

/// A wake with a payload waits and is due; another comes as the run starts.
///
/// Fails on: `payload-taken-by-load-and-store`, `payload-not-tried-again`.
fn taken() {
    let (hub, mut engine, target) = parts();
    wake(&target, 1);
    engine.turn(at(1));
    let requester = spawn("requester", move || wake(&target, 2));
    let mut came = Vec::new();
    while let Some(run) = engine.next_run() {
        log(run, &mut came);
    }
    join(requester);
    drive(&mut engine, at(1), |run| log(run, &mut came));
    assert_eq!(came, [1, 2], "P4, P7: payloads that reached a run");
    assert!(hub.counters().is_conserved(), "P12: {:?}", hub.counters());
}

/// A run fails and gives its payload back while another wake brings one.
///
/// Fails on: `payload-given-back-behind`, `payload-not-tried-again`,
/// `end-without-bit`.
fn given_back() {
    let (hub, mut engine, target) = parts();
    wake(&target, 1);
    engine.turn(at(1));
    let Some(failing) = engine.next_run() else { panic!("a wake that is due starts") };
    let worker = spawn("worker", move || failing.finish(Outcome::failed()));
    let requester = spawn("requester", move || wake(&target, 2));
    let mut came = Vec::new();
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P9: a failed target has a floor, a running one a run");
    join(worker);
    join(requester);
    drive(&mut engine, at(1), |_| panic!("P9: a failed target has a floor"));
    let floor = engine.deadline();
    drive(&mut engine, floor, |run| log(run, &mut came));
    assert_eq!(came, [1, 2], "P7: payloads that reached the run");
    assert!(hub.counters().is_conserved(), "P12: {:?}", hub.counters());
}
