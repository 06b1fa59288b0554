//! The stages as Lambda functions: one program, whose handler says which stage it is.

use std::process::ExitCode;

/// The one of `spoolway`, for the same reason.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::bootstrap()
}
