//! M13: handlers that use their hub ∥ another thread.
//!
//! The driver's turns come after both have ended: what a turn meets is M14's.

use crate::model::{Extent, Model};
use crate::support::{
    Engine, Hub, Run, Target, at, conserved, engine, hub, install, join, rest, spawn, target,
};
use reveille::{Outcome, Registration, Wake, Woken};
use reveille_core::Disposal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const MODELS: &[Model] = &[
    Model {
        name: "m13-wakes-itself-wake",
        promises: &["P3", "P6", "P12"],
        law: "A handler that wakes its own target has a further run, also beside another's wake.",
        threads: 2,
        extent: Extent::All,
        body: wakes_itself,
    },
    Model {
        name: "m13-wakes-another-install",
        promises: &["P3", "P6", "P12"],
        law: "What a handler wakes runs once, also beside an install.",
        threads: 2,
        extent: Extent::All,
        body: wakes_another,
    },
    Model {
        name: "m13-installs-install",
        promises: &["P2", "P3", "P12"],
        law: "Of a handler's install and another's the later one stays, and it runs what waits.",
        threads: 2,
        extent: Extent::All,
        body: installs,
    },
    Model {
        name: "m13-disposes-itself-install",
        promises: &["P1", "P3"],
        law: "A handler that disposes itself leaves another's install in.",
        threads: 2,
        extent: Extent::All,
        body: disposes_itself,
    },
    Model {
        name: "m13-stops-wake",
        promises: &["P3", "P12", "P13"],
        law: "A handler can stop its hub; a wake beside that is discarded and counted, or refused.",
        threads: 2,
        extent: Extent::All,
        body: stops,
    },
    Model {
        name: "m13-waits-for-its-own-drain-stop",
        promises: &["P13"],
        law: "A handler that waits for a drain of its own hub is not waited for.",
        threads: 2,
        extent: Extent::All,
        body: waits_for_its_own_drain,
    },
];

/// A hub with a handler, a target and its run, about to be executed.
fn about_to_run<T: Into<Outcome>>(
    handler: impl Fn(&Run) -> T + Send + Sync + 'static,
) -> (Arc<Hub>, Engine, Target, Run) {
    let hub = Arc::new(hub(|_| {}));
    let Ok(registration) = hub.install(handler) else { panic!("the hub is open") };
    registration.keep();
    let (engine, target, run) = started(&hub);
    (hub, engine, target, run)
}

/// A run of target 0, about to be executed.
fn started(hub: &Hub) -> (Engine, Target, Run) {
    let mut engine = engine(hub);
    let target = target(hub, 0);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let Some(run) = engine.next_run() else { panic!("P3: it is due") };
    (engine, target, run)
}

/// What a handler was told; std's lock, since the driver's thread alone takes it.
type Told<T> = Arc<Mutex<Vec<T>>>;

fn tell<T>(told: &Told<T>, what: T) {
    told.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

fn told<T: Clone>(told: &Told<T>) -> Vec<T> {
    told.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The wakes of the handler and of the other thread merge behind the run.
///
/// Fails where a wake during a run is nothing but a flag.
fn wakes_itself() {
    let answers: Told<Woken> = Told::default();
    let (hub, mut engine, target, run) = about_to_run({
        let answers = Arc::clone(&answers);
        move |run| tell(&answers, run.hub().wake(*run.key(), Wake::now()))
    });
    let producer = spawn("producer", move || target.wake(Wake::now()));
    run.execute();
    let mut answers = told(&answers);
    answers.push(join(producer));
    let runs = rest(&mut engine, at(1)).len();
    let armed = answers.iter().filter(|woken| **woken == Woken::Armed).count();
    assert!(answers.iter().all(Woken::is_accepted), "P3: an open hub refused: {answers:?}");
    assert!(runs >= 1 && runs == armed, "P3, P6: {runs} further runs, {answers:?}");
    conserved(&hub);
}

/// The handler looks up and wakes another target, which starts under the handler installed last.
///
/// Fails where a wake that arms does not publish.
fn wakes_another() {
    let (hub, mut engine, _, run) = about_to_run(|run: &Run| {
        let woken = run.hub().wake(1, Wake::now());
        assert_eq!(woken, Woken::Armed, "P3");
    });
    // The engine knows it, so that only news makes it look there.
    target(&hub, 1);
    engine.turn(at(1));
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || install(&hub)
    });
    run.execute();
    let installed = join(installer);
    assert!(installed.is_some(), "P2: an open hub refused a handler");
    let started = rest(&mut engine, at(1));
    assert_eq!(started.len(), 1, "P3, P6: {started:?}");
    assert_eq!((started[0].key, Some(started[0].generation)), (1, installed), "P2");
    assert_eq!(hub.counters().panics, 0, "P3: the handler's wake");
    conserved(&hub);
}

/// Two installs, one from inside a run.
///
/// Fails where the slot is loaded, then stored.
fn installs() {
    let generations = Told::default();
    let (hub, mut engine, target, run) = about_to_run({
        let generations = Arc::clone(&generations);
        move |run| tell(&generations, install(&run.hub()))
    });
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || install(&hub)
    });
    run.execute();
    let installed = [told(&generations)[0], join(installer)];
    assert_ne!(installed[0], installed[1], "P2");
    let latest = installed.into_iter().max().flatten();
    assert_eq!(hub.handler(), latest, "P2: of {installed:?}");
    let _ = target.wake(Wake::now());
    let started = rest(&mut engine, at(1));
    assert_eq!(started.len(), 1, "P3, P6: {started:?}");
    assert_eq!(Some(started[0].generation), latest, "P2: {started:?} of {installed:?}");
    conserved(&hub);
}

/// The handler disposes its registration beside an install.
///
/// Fails where a dispose clears newer generations too.
fn disposes_itself() {
    let own: Told<Option<Disposal>> = Told::default();
    let registration = Arc::new(Mutex::new(None::<Registration<u32>>));
    let hub = Arc::new(hub(|_| {}));
    let installed = hub.install({
        let (own, registration) = (Arc::clone(&own), Arc::clone(&registration));
        move |_: &Run| {
            let registration = registration.lock().unwrap_or_else(PoisonError::into_inner).take();
            tell(&own, registration.map(|registration| registration.dispose()));
        }
    });
    let Ok(installed) = installed else { panic!("the hub is open") };
    *registration.lock().unwrap_or_else(PoisonError::into_inner) = Some(installed);
    let (mut engine, target, run) = started(&hub);
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || {
            let generation = install(&hub);
            let _ = target.wake(Wake::now());
            generation
        }
    });
    run.execute();
    let installed = join(installer);
    let disposal = told(&own)[0];
    assert!(matches!(disposal, Some(Disposal::Removed | Disposal::Superseded)), "P1: {disposal:?}");
    assert_eq!(hub.handler(), installed, "P1: the stale dispose ({disposal:?}) removed another");
    let started = rest(&mut engine, at(1));
    assert_eq!(started.len(), 1, "P3, P6: {started:?}");
    assert_eq!(Some(started[0].generation), installed, "P2");
}

/// The report of a stop from inside has the run itself as in flight.
///
/// Fails where a stop leaves the words open.
fn stops() {
    let reports = Told::default();
    let (hub, mut engine, target, run) = about_to_run({
        let reports = Arc::clone(&reports);
        move |run| tell(&reports, run.hub().stop().report())
    });
    let producer = spawn("producer", move || target.wake(Wake::now()).is_accepted());
    run.execute();
    let accepted = join(producer);
    let Some(report) = told(&reports)[0] else { panic!("P13: a stop has its report at once") };
    assert_eq!((report.in_flight, report.left), (1, 1), "P13: the run itself: {report:?}");
    assert_eq!(report.discarded, u64::from(accepted), "P3: {report:?}, accepted: {accepted}");
    assert_eq!(hub.stop().report(), Some(report), "P13: one report");
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P13: a run started after the stop");
    assert!(engine.is_finished(), "P13: the driver has work left");
    conserved(&hub);
}

/// The handler waits for a drain, which another thread waits for too.
///
/// Fails where the run is not excused, or not known to be inside.
fn waits_for_its_own_drain() {
    let reports = Told::default();
    let (hub, mut engine, _, run) = about_to_run({
        let reports = Arc::clone(&reports);
        move |run| tell(&reports, Some(run.hub().drain(Duration::MAX).wait()))
    });
    let stopper = spawn("another who drains", {
        let hub = Arc::clone(&hub);
        move || hub.drain(Duration::MAX).wait()
    });
    run.execute();
    let report = join(stopper);
    // The other one may have stopped the hub before the handler was called: then it never is.
    let inside = told(&reports).first().copied().flatten().unwrap_or(report);
    assert_eq!(inside, report, "P13: one report");
    engine.turn(at(1));
    assert!(engine.is_finished(), "P13: the driver has work left");
    conserved(&hub);
}
