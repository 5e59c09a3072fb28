//! The `etims-gateway` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    etims_gateway::main()
}
