//! `verify`: everything the project can check about itself.

#[cfg(not(any(reveille_loom, reveille_shuttle)))]
mod cli;

#[cfg(not(any(reveille_loom, reveille_shuttle)))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// The flags are for the test targets; `verify` sets them itself, in builds of its own.
#[cfg(any(reveille_loom, reveille_shuttle))]
fn main() -> std::process::ExitCode {
    eprintln!("verify: built under a checker's cfg; unset it in RUSTFLAGS and run it again");
    std::process::ExitCode::FAILURE
}
