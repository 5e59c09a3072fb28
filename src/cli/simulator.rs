//! `simulator`: a strict KRA on loopback.

use std::path::Path;

use super::{Exit, SimulatorArgs, say};
use crate::simulator::{self, FAULTS, FaultOrder, Options, Tls};

/// What it can do wrong, for its help.
pub(super) fn fault_list() -> String {
    let mut list = "Faults, with their arguments:".to_owned();
    for fault in FAULTS {
        let arguments =
            if fault.args.is_empty() { String::new() } else { format!(":{}", fault.args.join(",")) };
        list += &format!("\n  {}{arguments}\n      {}", fault.name, fault.help);
    }
    list
}

/// Runs it until it is told to stop.
pub fn run_simulator(arguments: &SimulatorArgs) -> Exit {
    let mut options =
        Options { listen: arguments.listen, control: Some(arguments.control), ..Options::default() };
    for text in &arguments.fault {
        match text.parse::<FaultOrder>() {
            Ok(order) => options.faults.push(order),
            Err(error) => {
                eprintln!("etims-gateway: --fault {text}: {error}");
                return Exit::Usage;
            }
        }
    }
    match tls(arguments.tls_certificate.as_deref(), arguments.tls_key.as_deref()) {
        Ok(tls) => options.tls = tls,
        Err(exit) => return exit,
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("etims-gateway: {error}");
            return Exit::Internal;
        }
    };
    runtime.block_on(async {
        let simulator = match simulator::bind(options).await {
            Ok(simulator) => simulator,
            Err(error) => {
                eprintln!("etims-gateway: {error}");
                return Exit::Unavailable;
            }
        };
        say(&format!("KRA simulator: {}", simulator.base_url()));
        if let Some(control) = simulator.control_address() {
            say(&format!("controls:      http://{control}/_sim/books"));
        }
        simulator.serve(stop()).await;
        Exit::Ok
    })
}

fn tls(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Tls>, Exit> {
    let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            eprintln!("etims-gateway: {}: {error}", path.display());
            Exit::NoInput
        })
    };
    Ok(Some(Tls { certificate: read(certificate)?, key: read(key)? }))
}

async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
