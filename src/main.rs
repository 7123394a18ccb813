//! The binary: gives the answer of a command to the system as its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    roundsman::app::main()
}
