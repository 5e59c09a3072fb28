//! One file per subcommand.

mod args;
mod ask;
mod config_check;
mod control;
mod demo;
mod device;
mod device_adopt;
mod dispatch;
mod doctor;
mod exit_code;
mod export;
mod log;
mod manual;
mod queue;
mod queue_order;
mod receipt;
mod run;
mod salvage;
mod series;
mod simulator;
mod status;
mod store_init;
mod verify;
mod verify_file;

pub use args::{
    Cli, Command, ConfigCommand, DemoArgs, DemoWire, DeviceAdoptArgs, DeviceCommand, DeviceInitArgs,
    DeviceMovedArgs, ExportArgs, ExportFormat, LogArgs, ManualArgs, Output, QueueCommand, QueueParkArgs,
    QueueRetryArgs, QueueSettleArgs, QueueShowArgs, ReceiptArgs, ReceiptFormat, SalvageArgs,
    SalvageIndexArgs, SeriesAdoptArgs, SeriesCommand, SettledAs, SimulatorArgs, StoreCommand, VerifyArgs,
    parse,
};
pub use config_check::check_config;
pub use demo::demo;
pub use device::device_init;
pub use device_adopt::{device_adopt, device_moved};
pub use dispatch::dispatch;
use dispatch::say;
pub use doctor::doctor;
pub use exit_code::Exit;
pub use export::export;
pub use log::show_log;
pub use manual::write_manual;
pub use queue::{queue_list, queue_show};
pub use queue_order::{queue_park, queue_retry, queue_settle};
pub use receipt::receipt;
pub use run::run;
pub use salvage::{run_salvage, salvage_index};
pub use series::{series_adopt, series_show};
pub use simulator::run_simulator;
pub use status::status;
pub use store_init::store_init;
pub use verify::run_verify;
