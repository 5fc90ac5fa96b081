use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::parse::{ParseError, parse};
use super::{Counter, Expectation, LastRun, Scenario, TargetState, TicketState, Verb};
use crate::generate::schedule;

/// Parses what must not parse.
fn refused(text: &str) -> ParseError {
    match parse(text) {
        Err(error) => error,
        Ok(scenario) => panic!("{text:?} was read as {scenario:?}"),
    }
}

/// What the grammar does not allow is an error on its own line.
#[test]
fn bad_lines_are_refused() {
    let bad = [
        // Policies.
        "policy",
        "policy coalesce",
        "policy coalesce=",
        "policy coalesce=-1",
        "policy coalesce=+1",
        "policy coalesce=1.5",
        "policy coalesce=1s",
        "policy coalesce=18446744073709551616",
        "policy coalesce = 1",
        "policy Coalesce=1",
        "policy window=1",
        "policy coalesce=1 coalesce=1",
        "policy retry=0",
        "policy max-active=0",
        "policy max-attempts=0",
        "policy backoff-factor=0",
        "policy backoff-factor=1.5",
        "policy missed=later",
        "policy on-replace=",
        "policy missed=skip burst",
        "policy spacing=",
        "policy spacing=off",
        "policy flood=",
        "policy flood=5",
        "policy flood=0",
        "policy flood=0/100",
        "policy flood=5/0",
        "policy flood=5/",
        "policy flood=/100",
        "policy flood=1001/100",
        "policy flood=5/100/100",
        "policy barrier-limit=none",
        "policy spacing=1 spacing=1",
        "policy wall=",
        "policy wall=0",
        "policy wall=2025-03-30",
        "policy wall=2025-03-30T00:00:00",
        "policy wall=2025-03-30T00:00Z",
        "policy wall=2025-03-30T24:00:00Z",
        "policy wall=2025-02-30T00:00:00Z",
        "policy wall=2025-03-30T00:00:00.0Z",
        "policy wall=2025-03-30T00:00:00.0001Z",
        "policy wall=2025-03-30T00:00:00+01:00",
        "policy wall=9999-01-01T00:00:00Z",
        "policy run-limit=0",
        "policy run-limit=",
        "policy run-limit=none",
        "policy run-limit=5 run-limit=off",
        "policy on-overrun=",
        "policy on-overrun=finish",
        // Times.
        "install A",
        "-1 install A",
        "+1 install A",
        "1.0 install A",
        "1ms install A",
        "18446744073709551616 install A",
        "0",
        // Verbs.
        "0 instal A",
        "0 Install A",
        "0 policy retry=1",
        "0 install",
        "0 install A B",
        "0 install A!",
        "0 install ünnamed",
        "0 install A,B",
        "0 dispose",
        "0 dispose A B",
        "0 script A",
        "0 script A on",
        "0 script A on x",
        "0 script A run",
        "0 script A ran:5",
        "0 script A busy:0",
        "0 script A busy:",
        "0 script A busy:x",
        "0 script A busy:-1",
        "0 script A fail:0",
        "0 script A fail:",
        "0 script A fail@5:5",
        "0 script A panic:5",
        "0 script A defer",
        "0 script A defer:0",
        "0 script A ran@",
        "0 script A ran@x",
        "0 script A ran@5@5",
        "0 script A hold@5",
        "0 script A hold:5",
        "0 script A ran@5:5",
        "0 script A ran, ran",
        "0 wake",
        "0 wake x y",
        "0 wake x in",
        "0 wake x in=",
        "0 wake x in=-1",
        "0 wake x in=1 in=1",
        "0 wake x at=1",
        "0 wake x reason=",
        "0 wake x reason=a,b",
        "0 wake x urgency=high",
        "0 wake x urgency=Urgent",
        "0 wake in=0",
        "0 beat",
        "0 beat x",
        "0 beat x every=0",
        "0 beat x every=",
        "0 beat x phase=1",
        "0 beat x every=1 every=2",
        "0 beat x off every=1",
        "0 beat x on",
        "0 beat x hours=08:00-10:00",
        "0 beat x every=5 hours=",
        "0 beat x every=5 hours=8:00-10:00",
        "0 beat x every=5 hours=08:00",
        "0 beat x every=5 hours=08:00-",
        "0 beat x every=5 hours=08:60-10:00",
        "0 beat x every=5 hours=08:00-24:01",
        "0 beat x every=5 hours=24:00-08:00",
        "0 beat x every=5 hours=08:00-08:00",
        "0 beat x every=5 hours=08:00-10:00-12:00",
        "0 beat x every=5 hours=08:00-10:00 hours=12:00-14:00",
        "0 beat x every=5 zone=UTC",
        "0 beat x every=5 hours=08:00-10:00 zone=",
        "0 beat x every=5 hours=08:00-10:00 zone=Europe/Nowhere",
        "0 beat x off hours=08:00-10:00",
        "0 runner A x=5/hours",
        "0 finish",
        "0 finish A",
        "0 finish A x",
        "0 finish A x hold",
        "0 finish A x ran@5",
        "0 finish A x ran ran",
        "0 cancel",
        "0 cancel x y",
        "0 postpone",
        "0 postpone x",
        "0 postpone x 5",
        "0 postpone x in=",
        "0 postpone x in=5 in=5",
        "0 postpone in=5",
        "0 wake-all x",
        "0 wake-all in=",
        "0 wake-all or=deferral",
        "0 wake-all urgency=high",
        "0 barrier",
        "0 barrier x y",
        "0 barrier x in=5",
        "0 barrier x urgency=urgent",
        "0 barrier x reason=",
        "0 await",
        "0 await t",
        "0 await t x y",
        "0 await t x or=",
        "0 await t x or=busy",
        "0 await t x or=deferral or=no-handler",
        "0 await t x at=5",
        "0 revive",
        "0 revive x y",
        "0 runner",
        "0 runner A x",
        "0 runner A x=",
        "0 runner A x=0",
        "0 runner A x=5/",
        "0 runner A x=5/y",
        "0 runner A x=5/1/1",
        "0 runner A =5",
        "0 runner A x=5 x=6",
        "0 update",
        "0 update A x",
        "0 update A x=5 y=5 x=5",
        "0 remove",
        "0 remove x y",
        "0 suspend",
        "0 suspend -1",
        "0 suspend ms=1",
        "0 wallclock",
        "0 wallclock --1",
        "0 wallclock -",
        "0 wallclock +1",
        "0 wallclock 9223372036854775808",
        "0 stop now then",
        "0 stop A!",
        "0 stop limit=1",
        "0 stop drain=",
        "0 stop drain=1 drain=1",
        // Expectations.
        "0 expect",
        "0 expect nothing",
        "0 expect runs",
        "0 expect runs x",
        "0 expect runs -1",
        "0 expect runs 1 by",
        "0 expect runs 1 by A by B",
        "0 expect runs 1 on x on y",
        "0 expect runs 1 at x",
        "0 expect last",
        "0 expect last x",
        "0 expect last on",
        "0 expect last on x by",
        "0 expect last on x y",
        "0 expect last on x reason=a,b",
        "0 expect last on x reasons=a,",
        "0 expect last on x reasons=",
        "0 expect last on x attempt=one",
        "0 expect last on x at=1 at=1",
        "0 expect last on x start=1",
        "0 expect last on x beside=",
        "0 expect ticket",
        "0 expect ticket t",
        "0 expect ticket t done",
        "0 expect ticket t ran skip",
        "0 expect ticket t gave up",
        "0 expect poisoned",
        "0 expect poisoned none x",
        "0 expect poisoned x,y",
        "0 expect order",
        "0 expect order x,y",
        "0 expect pending",
        "0 expect pending x y",
        "0 expect idle",
        "0 expect running",
        "0 expect deadline",
        "0 expect deadline never",
        "0 expect deadline 1 2",
        "0 expect handler",
        "0 expect handler A B",
        "0 expect active",
        "0 expect active none",
        "0 expect peak",
        "0 expect counts",
        "0 expect counts started",
        "0 expect counts started=x",
        "0 expect counts started=1 started=1",
        "0 expect counts done=1",
        "0 expect conserved now",
    ];
    for line in bad {
        let error = refused(&format!("# first\n\n{line}\n0 install Z"));
        assert_eq!(error.line, 3, "{line}: {error}");
        assert!(!error.expected.is_empty() && !error.got.is_empty(), "{line}");
    }
}

/// Lines that are wrong only because of those before them.
#[test]
fn bad_sequences_are_refused() {
    let bad = [
        (2, "5 install A\n4 install B"),
        (2, "0 install A\npolicy retry=1"),
        (2, "policy retry=1\npolicy retry=1"),
        (2, "100 suspend 50\n149 install A"),
        (3, "100 suspend 50\n150 suspend 50\n199 install A"),
        (2, "0 suspend 18446744073709551615\n5 install A"),
        (2, "5 suspend 18446744073709551615\n18446744073709551614 install A"),
    ];
    for (line, text) in bad {
        assert_eq!(refused(text).line, line, "{text}");
    }
}

/// An error says what was expected at that place and what stood there.
#[test]
fn errors_tell_what_was_expected() {
    let told = |text: &str| refused(text).to_string();
    assert_eq!(
        told("0 wake"),
        "line 1: expected a target (letters, digits and -_:./@), got the end of the line"
    );
    assert_eq!(
        told("0 beat x every=0"),
        "line 1: expected whole milliseconds of at least 1, got `0`"
    );
    assert_eq!(
        told("9 stop\n5 stop"),
        "line 2: expected a time of at least 9 (the time of the step before), got `5`"
    );
    assert_eq!(
        told("9 suspend 5\n9 stop"),
        "line 2: expected a time of at least 14 (the end of the suspend), got `9`"
    );
    assert_eq!(told("0 wake x in=1 in=2"), "line 1: expected in= only once, got `in=2`");
    assert_eq!(told("0 stop limit=1"), "line 1: expected drain=, got `limit=1`");
    assert_eq!(told("0 runner A x=10 y"), "line 1: expected TARGET=MS or TARGET=MS/PHASE, got `y`");
    assert_eq!(told("0 runner A x=10 x=20/5"), "line 1: expected x only once, got `x=20/5`");
    assert_eq!(told("policy flood=5"), "line 1: expected N/MS or off, got `5`");
    assert_eq!(
        told("policy run-limit=0"),
        "line 1: expected off or whole milliseconds of at least 1, got `0`"
    );
    assert_eq!(told("policy on-overrun=finish"), "line 1: expected report or cancel, got `finish`");
    assert_eq!(
        told("policy wall=today"),
        "line 1: expected an instant like 2025-03-30T00:00:00Z, got `today`"
    );
    assert_eq!(
        told("0 beat x every=5 hours=8-10"),
        "line 1: expected HH:MM-HH:MM, from 00:00 to 24:00, got `8-10`"
    );
    assert_eq!(
        told("0 beat x every=5 hours=08:00-08:00"),
        "line 1: expected an end other than the start (the whole day is 00:00-24:00), got \
         `08:00-08:00`"
    );
    assert_eq!(
        told("0 beat x every=5 hours=08:00-09:00 zone=Mars"),
        "line 1: expected a zone of the IANA data base, like Europe/Berlin, got `Mars`"
    );
    assert_eq!(
        told("0 beat x every=5 zone=UTC"),
        "line 1: expected hours=HH:MM-HH:MM with zone=, got the end of the line"
    );
    assert_eq!(told("0 postpone x"), "line 1: expected in=, got the end of the line");
}

/// Editors of other systems leave marks that are no errors.
#[test]
fn marks_of_other_systems_are_tolerated() {
    let plain = parse("# c\n0 install A\n\n5 wake x in=0\n");
    assert_eq!(parse("\u{feff}# c\r\n0 install A\r\n\r\n5 wake x in=0\r\n"), plain);
    assert_eq!(parse("#c\n 0\tinstall  A # c\n# c\n0005 wake x in=00#c"), plain);
    assert!(plain.is_ok());
}

/// Nothing at all is a scenario in which nothing happens.
#[test]
fn an_empty_text_is_a_scenario() {
    assert_eq!(parse(""), Ok(Scenario { policy: super::Policy::default(), steps: vec![] }));
    assert_eq!(parse("# only this"), parse("\n\n"));
}

/// The largest numbers are numbers.
#[test]
fn large_numbers_are_read() {
    let text = "18446744073709551615 wake x in=18446744073709551615";
    assert_eq!(
        parse(text).map(|scenario| scenario.to_string().trim_end().to_owned()),
        Ok(text.to_owned())
    );
    assert!(parse("0 wallclock -9223372036854775808").is_ok());
}

/// Words of the grammar are names where a name stands.
#[test]
fn names_may_be_words_of_the_grammar() {
    for text in [
        "0 install none",
        "0 wake on",
        "0 expect runs 1 by on on by",
        "0 script on on on ran",
        "0 stop drain",
        "0 await none in",
        "0 runner runner stop=1",
        "0 expect ticket ran ran",
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_:./@-]{1,6}",
        select(vec!["on", "by", "off", "expect"]).prop_map(str::to_owned),
    ]
}

fn expectation() -> impl Strategy<Value = Expectation> {
    let states = select(vec![TargetState::Pending, TargetState::Idle, TargetState::Running]);
    let counters = select(Counter::ALL.to_vec());
    prop_oneof![
        (any::<u64>(), option::of(name()), option::of(name()))
            .prop_map(|(count, by, on)| Expectation::Runs { count, by, on }),
        last_run().prop_map(Expectation::Last),
        vec(name(), 1..4).prop_map(Expectation::Order),
        (name(), states).prop_map(|(target, state)| Expectation::State { target, state }),
        option::of(any::<u64>()).prop_map(Expectation::Deadline),
        option::of("[A-Z]").prop_map(Expectation::Handler),
        any::<u64>().prop_map(Expectation::Active),
        any::<u64>().prop_map(Expectation::Peak),
        (counters, any::<u64>()).prop_map(|counts| Expectation::Counts(vec![counts])),
        (name(), select(TicketState::ALL.to_vec()))
            .prop_map(|(name, state)| Expectation::Ticket { name, state }),
        btree_set(name(), 0..3).prop_map(Expectation::Poisoned),
        Just(Expectation::Conserved),
    ]
}

fn last_run() -> impl Strategy<Value = LastRun> {
    let reasons = option::of(btree_set(name(), 1..4));
    let number = || option::of(any::<u64>());
    (
        name(),
        option::of(name()),
        option::of(name()),
        reasons,
        number(),
        number(),
        (number(), number()),
    )
        .prop_map(|(on, by, reason, reasons, attempt, missed, (at_ms, beside))| {
            let reasons: Option<BTreeSet<String>> = reasons;
            LastRun { on, by, reason, reasons, attempt, missed, at_ms, beside }
        })
}

proptest! {
    /// What is printed is read back as the same.
    #[test]
    fn printing_and_parsing_is_the_identity(
        schedule in schedule(),
        expectations in vec(expectation(), 0..6),
    ) {
        let last = schedule.steps.last().map_or(0, |step| match step.verb {
            Verb::Act(super::Action::Suspend { ms } | super::Action::Restart { ms }) => {
                step.at_ms + ms
            }
            _ => step.at_ms,
        });
        let steps = schedule.steps.into_iter().map(|step| (step.at_ms, step.verb));
        let more = expectations.into_iter().map(|it| (last, Verb::Expect(it)));
        let scenario = Scenario::new(schedule.policy, steps.chain(more).collect());
        prop_assert_eq!(parse(&scenario.to_string()), Ok(scenario));
    }

    /// No text makes the parser panic, and an error is on a line of the text.
    #[test]
    fn any_text_is_read_or_refused(text in "([0-9]{1,3} )?[a-z#@:=\\-0-9 \t\r\n\u{feff}é]{0,60}") {
        if let Err(error) = parse(&text) {
            prop_assert!((1..=text.lines().count()).contains(&error.line));
        }
    }
}
