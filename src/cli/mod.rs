//! One file per subcommand.

mod args;
mod config_check;
mod demo;
mod exit_code;

pub use args::{
    Cli, Command, ConfigCommand, DemoArgs, DemoWire, DeviceCommand, DeviceInitArgs, Output, QueueCommand,
    QueueShowArgs, SimulatorArgs, StoreCommand, VerifyArgs, parse,
};
pub use config_check::check_config;
pub use demo::demo;
pub use exit_code::Exit;
