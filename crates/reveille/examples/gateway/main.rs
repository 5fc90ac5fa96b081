//! A gateway: a small service that runs the agents of a configuration file, each on its cadence
//! and on request, as real processes.
//!
//! ```text
//! cargo run --release --example gateway                      serve gateway.toml
//! cargo run --release --example gateway -- --status 8080     the same, with a status page
//! cargo run --release --example gateway -- --storm 10          storm for ten seconds
//! cargo run --release --example gateway -- --storm 10 --naive  the same, over the old design
//! ```
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("the gateway needs process groups and SIGHUP: it is for Unix");

mod config;
mod naive;
mod process;
mod service;
mod storm;
mod words;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the agents of a configuration file, each on its cadence and on request.
#[derive(Parser)]
#[command(name = "gateway")]
struct Arguments {
    /// What to run; watched for changes.
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    /// Serve a status page on this port of 127.0.0.1; the environment's GATEWAY_TOKEN lets wake from it.
    #[arg(long, value_name = "PORT", conflicts_with = "storm")]
    status: Option<u16>,
    /// Storm for so long instead of serving, and say whether all was as promised.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    storm: Option<u64>,
    /// Storm over the old design, to see it fall silent.
    #[arg(long, requires = "storm")]
    naive: bool,
    /// Where the storm's choices come from: the same seed, the same choices.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "storm")]
    seed: u64,
}

fn default_config() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway/gateway.toml"))
}

/// What is wrong with the call or the configuration.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match config::read(&arguments.config) {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let done = match arguments.storm {
        None => service::serve(arguments.config, config, arguments.status),
        Some(seconds) => {
            let length = Duration::from_secs(seconds);
            let plan = storm::Plan::new(arguments.seed, length, &config.agents);
            if arguments.naive { naive::run(plan) } else { storm::run(plan) }
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
