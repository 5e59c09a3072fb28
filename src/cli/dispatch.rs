//! From the command line to the command.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Cli, Command, ConfigCommand, DeviceCommand, Exit, QueueCommand, SeriesCommand, StoreCommand,
    check_config, demo, device_adopt, device_init, device_moved, doctor, export, parse, queue_list,
    queue_park, queue_retry, queue_settle, queue_show, receipt, run, run_salvage, run_simulator, run_verify,
    salvage_index, series_adopt, series_show, show_log, status, store_init, write_manual,
};
use crate::config::process_environment;

/// Runs the command that the words name.
pub fn dispatch() -> Exit {
    match carried_out() {
        Exit::Ok if UNSAID.load(Ordering::Relaxed) => Exit::Internal,
        exit => exit,
    }
}

fn carried_out() -> Exit {
    let Cli { config, command } = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let config = config.as_deref();
    match command {
        Command::Config(ConfigCommand::Check(output)) => {
            let checked =
                check_config(config, process_environment(), output, &mut io::stdout(), &mut io::stderr());
            checked.unwrap_or(Exit::Internal)
        }
        Command::Demo(arguments) => demo(&arguments),
        Command::Device(DeviceCommand::Adopt(arguments)) => device_adopt(config, &arguments),
        Command::Device(DeviceCommand::Init(arguments)) => device_init(config, &arguments),
        Command::Device(DeviceCommand::Moved(arguments)) => device_moved(config, &arguments),
        Command::Doctor(output) => doctor(config, output),
        Command::Export(arguments) => export(config, &arguments),
        Command::Log(arguments) => show_log(config, &arguments),
        Command::Manual(arguments) => write_manual(&arguments),
        Command::Queue(QueueCommand::List(output)) => queue_list(config, output),
        Command::Queue(QueueCommand::Show(arguments)) => queue_show(config, &arguments.id, arguments.output),
        Command::Queue(QueueCommand::Park(arguments)) => queue_park(config, &arguments),
        Command::Queue(QueueCommand::Retry(arguments)) => queue_retry(config, &arguments),
        Command::Queue(QueueCommand::Settle(arguments)) => queue_settle(config, &arguments),
        Command::Series(SeriesCommand::Adopt(arguments)) => series_adopt(config, &arguments),
        Command::Series(SeriesCommand::Show(output)) => series_show(config, output),
        Command::Receipt(arguments) => receipt(config, &arguments),
        Command::Run => run(config),
        Command::Salvage(arguments) => run_salvage(&arguments),
        Command::SalvageIndex(arguments) => salvage_index(&arguments),
        Command::Simulator(arguments) => run_simulator(&arguments),
        Command::Status(output) => status(config, output),
        Command::Store(StoreCommand::Init) => store_init(config),
        Command::Verify(arguments) => run_verify(config, &arguments),
    }
}

/// What was to be printed could not be.
static UNSAID: AtomicBool = AtomicBool::new(false);

/// One line to standard output. A reader that has gone away (`| head`) is not our trouble; a full disk is, and the exit code
/// says so.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = said
        && error.kind() != io::ErrorKind::BrokenPipe
        && !UNSAID.swap(true, Ordering::Relaxed)
    {
        eprintln!("etims-gateway: standard output: {error}");
    }
}
