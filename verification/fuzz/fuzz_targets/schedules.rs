//! Any bytes, read as a schedule, on the engine and on the oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    reveille_verification::props::fuzz::SCHEDULES.must_hold(data);
});
