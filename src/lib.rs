//! etims-gateway: a store-and-forward daemon between a shop's cash registers and KRA's eTIMS OSCU service.

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod fiscal;
pub mod gateway;
pub mod http;
pub mod kra;
pub mod pos;
pub mod queue;
pub mod simulator;
pub mod status;
pub mod store;
pub mod systemd;
pub mod wire;

/// Runs the command that the command line names.
pub fn main() -> std::process::ExitCode {
    cli::dispatch().into()
}
