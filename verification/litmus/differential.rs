//! Whether the checker reaches everything: random programs, against brute force.
//!
//! The checker may show more than sequential consistency, since memory is weak; it may not show
//! less. An outcome that brute force finds and the checker does not is *lost*.

use fastrand::Rng;
use reveille_core::sync::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::check::{Check, Report};
use crate::program::{Op, Outcome, Program};

/// Where the random numbers start. Another seed is another set of programs.
const SEED: u64 = 0x5eed;

/// Losses that a report shows.
const SHOWN: usize = 5;

/// The checks of this part: on a loom whose search is complete, nothing may be lost; on the one
/// that is published, the loss is expected, and its absence is news.
pub(crate) fn checks(patched: bool) -> Vec<Check> {
    if !patched {
        return vec![
            Check::new("stock-loom-loses-outcomes", || expect_loss(&[(witness(), None)])),
            Check::new("stock-loom-loses-of-two-threads", || expect_loss(&two_threads())),
            Check::new("stock-loom-loses-of-three-threads", || expect_loss(&three_threads())),
            Check::new("stock-loom-loses-within-bounds", || expect_loss(&bounded())),
        ];
    }
    vec![
        Check::new("differential-smallest-witness", || expect_none_lost(&[(witness(), None)])),
        Check::new("differential-two-threads", || expect_none_lost(&two_threads())),
        Check::new("differential-three-threads", || expect_none_lost(&three_threads())),
        Check::new("differential-with-a-mutex", || expect_none_lost(&with_a_mutex())),
        Check::new("differential-within-bounds", || expect_none_lost(&bounded())),
    ]
}

/// A program, and the bound of preemptions within which it is searched.
type Task = (Program, Option<usize>);

/// The smallest program whose outcomes stock loom does not all reach.
fn witness() -> Program {
    let one = vec![Op::Load(1, Relaxed), Op::Cas(1, 0, 5, Relaxed)];
    let other = vec![Op::Load(1, Relaxed), Op::Add(1, 1, Relaxed)];
    Program { variables: 2, threads: vec![one, other] }
}

const NO_LONGER: &str = "\
this loom, said to be without our patch, reaches every outcome: a later loom has changed its \
search, or REVEILLE_LOOM was not set to `patched` at build time. If the differential tests pass on \
the published loom, the patch can go.";

fn expect_loss(tasks: &[Task]) -> Report {
    let survey = Survey::of(tasks);
    if survey.lost.is_empty() { survey.report.failed(NO_LONGER.to_owned()) } else { survey.report }
}

fn expect_none_lost(tasks: &[Task]) -> Report {
    let survey = Survey::of(tasks);
    if survey.lost.is_empty() {
        return survey.report;
    }
    let shown = survey.lost.iter().take(SHOWN);
    let lines: Vec<_> = shown
        .map(|((program, bound), outcome)| match bound {
            None => format!("{program}: {outcome}"),
            Some(bound) => format!("{program}: {outcome}, within {bound} preemptions"),
        })
        .collect();
    let lost = survey.lost.len();
    survey
        .report
        .failed(format!("the search skips interleavings: {lost} lost\n{}", lines.join("\n")))
}

fn two_threads() -> Vec<Task> {
    let mut rng = Rng::with_seed(SEED);
    (0..1_000).map(|_| (random(&mut rng, 2, 3), None)).collect()
}

fn three_threads() -> Vec<Task> {
    let mut rng = Rng::with_seed(SEED);
    (0..100).map(|_| (random(&mut rng, 3, 2), None)).collect()
}

/// Each thread does one of its steps, or two, under one mutex.
fn with_a_mutex() -> Vec<Task> {
    let mut rng = Rng::with_seed(SEED);
    let program = |rng: &mut Rng, threads, most| {
        let mut program = random(rng, threads, most);
        for steps in &mut program.threads {
            let from = rng.usize(0..steps.len());
            let to = rng.usize(from + 1..=steps.len());
            steps.insert(to, Op::Unlock);
            steps.insert(from, Op::Lock);
        }
        program
    };
    let two: Vec<_> = (0..200).map(|_| (program(&mut rng, 2, 3), None)).collect();
    let three = (0..50).flat_map(|_| {
        let program = program(&mut rng, 3, 2);
        [Some(0), Some(1), Some(2)].map(|bound| (program.clone(), bound))
    });
    two.iter().cloned().chain(three).collect()
}

/// Each program within several bounds. Only three threads can show that a switch that is free,
/// since the running thread has ended, is not taken at the bound.
fn bounded() -> Vec<Task> {
    let mut rng = Rng::with_seed(SEED);
    let programs: Vec<_> = (0..100).map(|_| random(&mut rng, 3, 2)).collect();
    programs.iter().flat_map(|p| (0..3).map(|bound| (p.clone(), Some(bound)))).collect()
}

/// A program of so many threads, each of at most so many steps, and one less at least.
fn random(rng: &mut Rng, threads: usize, most: usize) -> Program {
    let strength = rng.u8(0..3);
    let threads = (0..threads)
        .map(|_| {
            let mut steps = Vec::new();
            for _ in 0..rng.usize(most - 1..=most) {
                // A fence is no access: it comes on top of the steps.
                if strength == 0 && rng.u8(0..4) == 0 {
                    steps.push(Op::Fence(SeqCst));
                }
                steps.push(step(rng, strength));
            }
            steps
        })
        .collect();
    Program { variables: 2, threads }
}

fn step(rng: &mut Rng, strength: u8) -> Op {
    let order = |acquire_release: Ordering| match strength {
        0 => Relaxed,
        1 => acquire_release,
        _ => SeqCst,
    };
    let word = rng.usize(0..2);
    match rng.u8(0..10) {
        0..4 => Op::Load(word, order(Acquire)),
        4..6 => Op::Store(word, rng.u64(1..4), order(Release)),
        6 => Op::Swap(word, rng.u64(1..4), order(AcqRel)),
        7 => Op::Add(word, 1, order(AcqRel)),
        _ => Op::Cas(word, rng.u64(0..2), rng.u64(1..4), order(AcqRel)),
    }
}

/// What came of many programs.
struct Survey {
    report: Report,
    lost: Vec<(Task, Outcome)>,
}

impl Survey {
    fn of(tasks: &[Task]) -> Self {
        let mut report = Report { complete: true, ..Report::default() };
        let (mut lost, mut losers, mut outcomes) = (Vec::new(), 0, 0);
        for task in tasks {
            let (program, bound) = task;
            let allowed = program.allowed(*bound);
            let (reached, searched) = program.reached(*bound);
            let before = lost.len();
            lost.extend(allowed.difference(&reached).map(|gone| (task.clone(), gone.clone())));
            losers += usize::from(lost.len() > before);
            outcomes += allowed.len();
            report = report.and(Report::of(searched, *bound));
            if report.failure.is_some() {
                report = report.failed(program.to_string());
                break;
            }
        }
        let (searches, gone) = (tasks.len(), lost.len());
        report.note =
            format!("{searches} searches, {outcomes} outcomes, {gone} lost in {losers} searches");
        Self { report, lost }
    }
}
