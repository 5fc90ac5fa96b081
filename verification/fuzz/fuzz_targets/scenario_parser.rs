//! Any bytes, read as a scenario.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    reveille_verification::props::fuzz::SCENARIO_PARSER.must_hold(data);
});
