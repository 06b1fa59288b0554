//! The `spoolway` command.

use std::process::ExitCode;

/// The allocator of musl and of glibc alike loses to it where many threads free what others made.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
