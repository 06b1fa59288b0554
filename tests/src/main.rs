//! The `spoolway` command and its `bootstrap`, as the tests run them.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // one program for both: to link it takes longer than most tests
    if std::env::args_os().next().is_some_and(|name| name == "bootstrap") {
        return cli::bootstrap();
    }
    cli::main()
}
