//! The `cenote` command.

use std::process::ExitCode;

use cenote::cli;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &cli::Cenote::default())
}
