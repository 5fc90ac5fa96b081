//! What was measured on, and when: a figure without it is none.

use std::fs;

pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    date: String,
    rounds: u32,
    processes: u32,
}

impl Machine {
    pub(crate) fn this(rounds: u32, processes: u32) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = named.map_or("an unknown CPU", |name| name.trim_matches([' ', '\t', ':']));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.map_or_else(|_| "an unknown kernel".to_owned(), |k| k.trim().to_owned()),
            date: jiff::Timestamp::now().to_string().chars().take(10).collect(),
            rounds,
            processes,
        }
    }

    /// Command, machine and date.
    pub(crate) fn line(&self) -> String {
        let Self { cpu, cores, kernel, date, rounds, processes } = self;
        format!(
            "`cargo bench-report --rounds {rounds} --processes {processes}` on {cpu}, {cores} cores, \
             {kernel}, {date}"
        )
    }
}
