//! The binary: gives the answer of a command to the system as its exit code.

use std::process::ExitCode;

/// A run allocates and frees some 60 KiB in pieces that the C library's allocator gives back to the kernel and asks for
/// again: a seventh of what a probe costs. Under musl that allocator also has one lock for all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    roundsman::app::main()
}
