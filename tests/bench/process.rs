//! What a process costs, read from `/proc`: never asked of the process itself.

use std::fs;

/// 100 ticks a second on every Linux that people run.
const TICKS: f64 = 100.0;

/// User and system time that a process has taken, in seconds.
pub fn cpu_seconds(process: u32) -> f64 {
    ticks(&process.to_string(), [11, 12]) / TICKS
}

/// The same of all children of ours that have ended and were waited for.
pub fn cpu_seconds_of_ended_children() -> f64 {
    ticks("self", [13, 14]) / TICKS
}

/// Fields of `/proc/PID/stat`, counted from the state: a name may hold spaces and parentheses.
fn ticks(process: &str, fields: [usize; 2]) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process");
    let values: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().filter_map(|n| values.get(*n)?.parse::<f64>().ok()).sum()
}

/// What of a process is in memory, in MiB.
pub fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// A number from the environment, for those who want another size.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
