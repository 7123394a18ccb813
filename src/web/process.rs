//! What the kernel says of this process.

use std::fs::File;
use std::io::Read as _;

/// How much of it is read; the lines that matter come early.
const READ_MAX: u64 = 16 * 1024;

/// What it takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its resident memory, in bytes.
    pub resident: Option<u64>,
    /// The most that it ever had.
    pub resident_max: Option<u64>,
    /// Its threads.
    pub threads: Option<u64>,
}

impl Process {
    /// As it is now; nothing is known where there is no `/proc`.
    pub fn look() -> Self {
        let mut status = String::new();
        let read = File::open("/proc/self/status").and_then(|file| file.take(READ_MAX).read_to_string(&mut status));
        read.map_or_else(|_| Self::default(), |_| Self::of(&status))
    }

    fn of(status: &str) -> Self {
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name| number(name).map(|kibibytes| kibibytes.saturating_mul(1024));
        Self { resident: bytes("VmRSS"), resident_max: bytes("VmHWM"), threads: number("Threads") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_memory_and_threads() {
        let told = Process::of("Name:\troundsman\nVmHWM:\t   71204 kB\nVmRSS:\t   69512 kB\nThreads:\t7\n");
        assert_eq!((told.resident, told.resident_max, told.threads), (Some(71_180_288), Some(72_912_896), Some(7)));
        assert_eq!(Process::of("VmRSS:\nThreads: many"), Process::default());
        assert!(Process::look().resident.is_some_and(|bytes| bytes > 1_000_000));
    }
}
