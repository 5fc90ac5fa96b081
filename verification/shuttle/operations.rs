//! What a thread can be frozen in: every operation of a hub, and the steps of its driver.

use crate::arena;
use crate::driver::{Bedside, Household};
use reveille::{
    Builder, Cadence, Handler, ManualClock, Merge, Outcome, Registration, Reveille, Roster, Run,
    Runner, Target, Urgency, Wake,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A payload: how many wakes carried one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u64);

impl Merge for Count {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

/// The hub of a scene.
pub type Hub = Reveille<u8, (), Count>;

const SECOND: Duration = Duration::from_secs(1);

/// A hub in virtual time, and what its threads tell each other outside the model.
pub struct Scene {
    /// The hub.
    pub hub: Hub,
    /// Targets 0 to 3, two in each word of the ready set.
    pub targets: Vec<Target<u8, (), Count>>,
    /// The driver's.
    pub bedside: Bedside,
    /// Of the handlers that were installed, the oldest first.
    pub registrations: Vec<Arc<Registration<u8, (), Count>>>,
    /// Registrations of threads, alive to the end.
    kept: Mutex<Vec<Arc<Registration<u8, (), Count>>>>,
    /// Runners that were started beforehand, alive to the end.
    runners: Mutex<Vec<Arc<Runner<u8, (), Count>>>>,
    /// Runs of target 0 are handed to the worker.
    holds: AtomicBool,
    held: Mutex<Option<Run<u8, (), Count>>>,
    script: Arc<Mutex<Vec<Outcome>>>,
    /// Orders what is told below; no step.
    moment: AtomicU64,
    wakes: Mutex<Vec<(u8, u64)>>,
    starts: Mutex<Vec<(u8, u64)>>,
    /// The driver's next turn is the one in which it is frozen.
    pub freezes_driver: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handler(script: &Arc<Mutex<Vec<Outcome>>>) -> impl Handler<u8, (), Count> + use<> {
    let script = Arc::clone(script);
    move |_: &Run<u8, (), Count>| locked(&script).pop().unwrap_or(Outcome::ran())
}

/// A beat each second for targets that are there.
fn roster(keys: &[u8]) -> Roster<u8> {
    let each = |&key| Cadence::every(SECOND).ok().map(|cadence| (key, cadence));
    keys.iter().filter_map(each).collect()
}

impl Scene {
    /// A hub with a handler and four targets, not driven yet.
    pub fn new() -> Self {
        let clock = ManualClock::new();
        clock.advance(SECOND);
        let policy = |policy: &mut reveille::Policy| {
            // What an install finds waiting is not put off: it is to be served at once.
            policy.coalesce = Duration::ZERO;
            policy.max_targets = 8.try_into().unwrap_or(policy.max_targets);
            // One failure is enough to be given up.
            policy.max_attempts = std::num::NonZeroU32::MIN;
        };
        let hub = match Builder::new().policy(policy).clock(clock.clone()).build() {
            Ok(hub) => hub,
            Err(error) => panic!("{error}"),
        };
        let hub: Hub = hub;
        let script = Arc::default();
        let target = |key| match hub.target(key) {
            Ok(target) => target,
            Err(rejected) => panic!("{rejected}"),
        };
        let targets = (0..4).map(target).collect();
        let mut scene = Self {
            hub,
            targets,
            bedside: Bedside::new(&clock),
            registrations: Vec::new(),
            kept: Mutex::default(),
            runners: Mutex::default(),
            holds: AtomicBool::new(false),
            held: Mutex::default(),
            script,
            moment: AtomicU64::new(0),
            wakes: Mutex::default(),
            starts: Mutex::default(),
            freezes_driver: AtomicBool::new(false),
        };
        for _ in 0..2 {
            let registration = scene.install();
            scene.registrations.push(registration);
        }
        scene
    }

    fn now(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::Relaxed)
    }

    fn install(&self) -> Arc<Registration<u8, (), Count>> {
        match self.hub.install_handler(handler(&self.script)) {
            Ok(registration) => Arc::new(registration),
            Err(rejected) => panic!("{rejected}"),
        }
    }

    fn install_and_keep(&self) {
        let registration = self.install();
        locked(&self.kept).push(registration);
    }

    fn start_runner(&self) {
        match self.hub.runner_of(handler(&self.script), roster(&[0, 1])) {
            Ok(runner) => locked(&self.runners).push(Arc::new(runner)),
            Err(rejected) => panic!("{}", rejected.refusal),
        }
    }

    fn runner(&self) -> Arc<Runner<u8, (), Count>> {
        Arc::clone(&locked(&self.runners)[0])
    }

    /// A wake that must be served at once.
    pub fn wake(&self, key: u8) {
        let called = self.now();
        let wake = Wake::now().urgency(Urgency::Urgent);
        if !matches!(self.targets[usize::from(key)].wake(wake), reveille::Woken::Refused(_)) {
            locked(&self.wakes).push((key, called));
        }
    }

    /// The wakes of [`wake`](Self::wake) for which nothing was done: their targets still wait, and
    /// no run was started since.
    pub fn unserved(&self) -> Vec<u8> {
        let starts = locked(&self.starts);
        let since = |key, called| starts.iter().any(|&(of, at)| of == key && at > called);
        let wakes = locked(&self.wakes).clone();
        let waits =
            |key: u8| self.targets[usize::from(key)].state() == reveille::TargetState::Pending;
        let lost = wakes.iter().filter(|&&(key, called)| !since(key, called) && waits(key));
        lost.map(|&(key, _)| key).collect()
    }

    /// What a worker does: ends the run that it holds.
    pub fn finish_held(&self) {
        let run = locked(&self.held).take();
        if let Some(run) = run {
            run.finish(Outcome::ran());
        }
    }
}

/// The driver's household: executes runs itself, but for those that the worker holds.
pub struct Attendant(pub Arc<Scene>);

impl Household<u8, (), Count> for Attendant {
    fn turning(&mut self) {
        if self.0.freezes_driver.swap(false, Ordering::Relaxed) {
            arena::victim();
        }
    }

    fn serve(&mut self, run: Run<u8, (), Count>) {
        let key = *run.key();
        let now = self.0.now();
        locked(&self.0.starts).push((key, now));
        if key == 0 && self.0.holds.load(Ordering::Relaxed) {
            *locked(&self.0.held) = Some(run);
        } else {
            run.execute();
        }
    }
}

/// An operation in which a thread is frozen.
pub struct Operation {
    /// Its name; that of the check, too.
    pub name: &'static str,
    /// The promises about it.
    pub promises: &'static [&'static str],
    /// What must hold beside it.
    pub law: &'static str,
    /// Why others' wakes need not be served meanwhile, or why it is no part of P16.
    pub outside: Option<&'static str>,
    /// Whether others' wakes must be served, not merely return.
    pub serves: bool,
    /// Whether the driver is the victim.
    pub is_driver: bool,
    /// Whether a worker ends the run of target 0 meanwhile.
    pub has_worker: bool,
    /// The targets that the two others wake.
    pub wakes: [u8; 2],
    /// How things stand before.
    pub prepare: fn(&Scene),
    /// What the victim does.
    pub act: fn(&Scene),
    /// What another thread does beside it, before its wake.
    pub beside: fn(&Scene),
}

const FINISH_AND_SERVE: &str = "A thread frozen in it at any of its steps delays no other: all \
    others finish, and their wakes are served.";
const FINISH: &str = "A thread frozen in it at any of its steps keeps no other from finishing.";

const ALONE: &str = "an awaited wake and a cancel of its target wait for each other; a plain wake and \
                     the driver for neither";

const fn operation(name: &'static str, act: fn(&Scene)) -> Operation {
    Operation {
        name,
        promises: &["P16"],
        law: FINISH_AND_SERVE,
        outside: None,
        serves: true,
        is_driver: false,
        has_worker: false,
        wakes: [0, 1],
        prepare: |_| (),
        act,
        beside: act,
    }
}

fn ignore<T>(_: T) {}

fn wake_within(scene: &Scene, key: usize, delay: Duration) {
    let _ = scene.targets[key].wake(Wake::within(delay));
}

/// All of them.
pub fn operations() -> Vec<Operation> {
    vec![
        operation("freeze-wake-armed", |scene| scene.wake(0)),
        // Nobody else says anything of its word of the ready set.
        Operation {
            wakes: [0, 0],
            ..operation("freeze-wake-of-one-target", |scene| scene.wake(0))
        },
        Operation {
            prepare: |scene| wake_within(scene, 0, SECOND),
            ..operation("freeze-wake-preempted", |scene| scene.wake(0))
        },
        Operation {
            prepare: |scene| wake_within(scene, 0, SECOND),
            ..operation("freeze-wake-coalesced", |scene| wake_within(scene, 0, 2 * SECOND))
        },
        Operation {
            prepare: |scene| {
                scene.holds.store(true, Ordering::Relaxed);
                scene.wake(0);
            },
            has_worker: true,
            ..operation("freeze-wake-during-a-run", |scene| scene.wake(0))
        },
        Operation {
            prepare: |scene| {
                locked(&scene.script).push(Outcome::defer(SECOND));
                scene.wake(0);
            },
            ..operation("freeze-wake-urgent-past-a-deferral", |scene| scene.wake(0))
        },
        Operation {
            prepare: |scene| ignore(scene.targets[3].remove()),
            ..operation("freeze-wake-refused", |scene| scene.wake(3))
        },
        operation("freeze-wake-within", |scene| wake_within(scene, 0, SECOND)),
        operation("freeze-install", Scene::install_and_keep),
        Operation {
            beside: Scene::install_and_keep,
            ..operation("freeze-dispose-current", |scene| ignore(scene.registrations[1].dispose()))
        },
        operation("freeze-dispose-stale", |scene| ignore(scene.registrations[0].dispose())),
        operation("freeze-load", |scene| {
            let _ = scene.hub.handler();
            let _ = scene.registrations[0].is_current();
        }),
        Operation {
            promises: &["P16", "P8"],
            ..operation("freeze-beat", |scene| {
                if let Ok(cadence) = Cadence::every(SECOND) {
                    let _ = scene.targets[0].beat(cadence);
                }
            })
        },
        Operation {
            prepare: |scene| {
                if let Ok(cadence) = Cadence::every(SECOND) {
                    let _ = scene.targets[0].beat(cadence);
                }
            },
            ..operation("freeze-stop-beating", |scene| scene.targets[0].stop_beating())
        },
        Operation {
            outside: Some(ALONE),
            prepare: |scene| wake_within(scene, 0, SECOND),
            beside: |_| (),
            ..operation("freeze-cancel", |scene| ignore(scene.targets[0].cancel()))
        },
        Operation {
            outside: Some(ALONE),
            prepare: |scene| ignore(scene.targets[0].wake_awaited(Wake::within(SECOND))),
            beside: |_| (),
            ..operation("freeze-cancel-with-tickets", |scene| ignore(scene.targets[0].cancel()))
        },
        Operation {
            outside: Some(ALONE),
            beside: |_| (),
            ..operation("freeze-wake-awaited", |scene| {
                ignore(scene.targets[0].wake_awaited(Wake::now()));
            })
        },
        Operation {
            promises: &["P16", "P10"],
            ..operation("freeze-barrier", |scene| ignore(scene.targets[0].barrier(Wake::now())))
        },
        // To now: whatever is put off is to be served at once all the same.
        Operation {
            prepare: |scene| wake_within(scene, 0, SECOND),
            ..operation("freeze-postpone", |scene| {
                ignore(scene.targets[0].postpone(scene.hub.now()));
            })
        },
        // Its failure has left a floor, so the wakes are of others.
        Operation {
            prepare: |scene| {
                locked(&scene.script).push(Outcome::failed());
                scene.wake(0);
            },
            wakes: [1, 2],
            ..operation("freeze-revive", |scene| ignore(scene.targets[0].revive()))
        },
        Operation {
            promises: &["P16", "P13"],
            beside: Scene::install_and_keep,
            ..operation("freeze-retire", |scene| {
                ignore(scene.registrations[1].retire(Duration::ZERO));
            })
        },
        Operation {
            promises: &["P16", "P17"],
            outside: Some(
                "looks keys up under a read lock, and holds the lock of its own runner, for which \
                           nobody else waits here",
            ),
            prepare: Scene::start_runner,
            beside: Scene::install_and_keep,
            ..operation("freeze-runner-update", |scene| {
                ignore(scene.runner().update(roster(&[1, 2])));
            })
        },
        Operation {
            promises: &["P16", "P1"],
            outside: Some("looks keys up under a read lock, for targets that are gone"),
            prepare: Scene::start_runner,
            beside: Scene::install_and_keep,
            ..operation("freeze-runner-stop", |scene| ignore(scene.runner().stop()))
        },
        Operation {
            wakes: [1, 2],
            ..operation("freeze-remove", |scene| ignore(scene.targets[0].remove()))
        },
        Operation {
            promises: &["P16", "P10"],
            prepare: |scene| {
                scene.holds.store(true, Ordering::Relaxed);
                scene.wake(0);
            },
            wakes: [1, 2],
            beside: |_| (),
            ..operation("freeze-finish", Scene::finish_held)
        },
        Operation {
            law: FINISH,
            outside: Some("the driver is frozen itself, so nobody serves"),
            serves: false,
            is_driver: true,
            prepare: |scene| wake_within(scene, 2, SECOND),
            beside: Scene::install_and_keep,
            ..operation("freeze-turn", |_| ())
        },
        Operation {
            outside: Some(
                "looks a key up under a read lock; with others that do the same, and \
                           nobody who creates or removes",
            ),
            ..operation("freeze-wake-by-key", |scene| ignore(scene.hub.wake(0, Wake::now())))
        },
        Operation {
            outside: Some("calls the user's `Merge`, which here does not block"),
            ..operation("freeze-wake-with-payload", |scene| {
                ignore(scene.targets[0].wake(Wake::now().with(Count(1))));
            })
        },
        Operation {
            outside: Some("visits all targets under a read lock"),
            ..operation("freeze-counters", |scene| {
                let _ = scene.hub.counters();
            })
        },
        Operation {
            law: FINISH,
            outside: Some(
                "creating takes locks; the driver, who learns of new targets under one, \
                           may wait for them, and a wake by handle returns all the same",
            ),
            serves: false,
            beside: |_| (),
            ..operation("freeze-create", |scene| drop(scene.hub.target(7)))
        },
        Operation {
            promises: &["P16", "P13"],
            law: FINISH,
            outside: Some(
                "wakes are refused; the report has a lock, for which the end of a run \
                           may wait, and a wake by handle returns all the same",
            ),
            serves: false,
            beside: |_| (),
            ..operation("freeze-stop", |scene| drop(scene.hub.stop()))
        },
        Operation {
            promises: &["P11", "P13"],
            law: FINISH,
            outside: Some("as above; a run is in flight, so the driver goes on, and must not spin"),
            serves: false,
            prepare: |scene| {
                scene.holds.store(true, Ordering::Relaxed);
                scene.wake(0);
            },
            beside: |_| (),
            ..operation("freeze-stop-beside-a-run", |scene| drop(scene.hub.stop()))
        },
    ]
}
