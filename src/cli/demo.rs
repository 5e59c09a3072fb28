//! `demo`: the whole way of a sale on this machine, with nothing installed.
//!
//! A simulator of KRA and a gateway run as processes of their own on loopback sockets, in a temporary directory, and
//! the story tells what registers, gateway and KRA say to each other. What it claims it checks: the exit code is 0 only
//! if all of it is true.

mod books;
mod client;
mod directory;
mod goods;
mod narrator;
mod process;
mod return_goods;
mod stage;
mod story;
mod terminal;

use std::io::Write;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

use self::goods::BASKETS;
use self::narrator::Narrator;
use self::stage::Stage;
use self::story::{Story, StoryError};
use super::args::{DemoArgs, DemoWire};
use super::exit_code::Exit;

/// Plays the story and says whether all of it was true. Interrupted (Ctrl-C, SIGTERM, SIGHUP), it stops its children
/// and removes its directory; with `--keep` it leaves both running until then.
pub fn demo(arguments: &DemoArgs) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(play(arguments)),
        Err(error) => {
            eprintln!("etims-gateway: {error}");
            Exit::Internal
        }
    }
}

async fn play(arguments: &DemoArgs) -> Exit {
    let mut narrator = Narrator::on_stdout();
    let began = Instant::now();
    narrator.show(&format!(
        "etims-gateway {}: a shop's sales on their way to KRA, on this machine alone ({} wire)",
        env!("CARGO_PKG_VERSION"),
        match arguments.wire {
            DemoWire::Json => "JSON",
            DemoWire::Xml => "XML",
        }
    ));
    let mut stage = match Stage::set(arguments.wire) {
        Ok(stage) => stage,
        Err(error) => {
            narrator.show(&format!("\nThe demo cannot start: {error}"));
            return Exit::Problem;
        }
    };
    let told = tokio::select! {
        told = Story::new(&mut stage, &mut narrator).tell() => Some(told),
        () = interruption() => None,
    };
    let took = began.elapsed();
    if arguments.keep && matches!(told, Some(Ok(()))) {
        stage.keep();
        show_around(&stage, &mut narrator);
        tokio::select! {
            () = interruption() => {}
            error = stage.breaks() => narrator.check("both keep running", &[error.to_string()]),
        }
    }
    narrator.step("Stop both");
    let wrong = stage.stop().await;
    narrator.check("both stopped cleanly when told to", &wrong);
    let exit = conclude(&mut stage, &mut narrator, told);
    if exit == Exit::Ok {
        let (sales, checks) = (BASKETS.len(), narrator.passed());
        narrator.show(&format!("\nAll true: {sales} sales, {checks} checks, {took:.1?}."));
    }
    if let Some(directory) = stage.kept() {
        narrator.show(&format!("Kept: {}", directory.display()));
    }
    exit
}

/// Says what was not true and where to read more; keeps the directory then.
fn conclude<W: Write>(
    stage: &mut Stage,
    narrator: &mut Narrator<W>,
    told: Option<Result<(), StoryError>>,
) -> Exit {
    let broken = match told {
        None => {
            narrator.show("\nInterrupted.");
            return Exit::Problem;
        }
        Some(told) => told.err(),
    };
    if broken.is_none() && narrator.failures().is_empty() {
        return Exit::Ok;
    }
    stage.keep();
    let failures = narrator.failures().to_vec();
    narrator.show("\nNOT all of it was true:");
    for failure in failures {
        narrator.show(&format!("- {failure}"));
    }
    if let Some(error) = broken {
        narrator.show(&format!("- the story broke off: {error}"));
    }
    narrator.show(&format!("The gateway's log: {}", stage.gateway_log().display()));
    Exit::Problem
}

/// What a person can do while both keep running.
fn show_around<W: Write>(stage: &Stage, narrator: &mut Narrator<W>) {
    let program = std::env::current_exe()
        .map_or_else(|_| "etims-gateway".to_owned(), |path| path.display().to_string());
    let sale = |number: &str| {
        format!(
            "-H 'Content-Type: application/json' -d '{{\"trdInvcNo\":\"{number}\",\"itemList\":[{{\
             \"itemCd\":\"KE2NTNO0000001\",\"itemClsCd\":\"5059690800\",\"itemNm\":\"Bread\",\"pkgUnitCd\":\"NT\",\
             \"qtyUnitCd\":\"NO\",\"qty\":1,\"prc\":65,\"taxTyCd\":\"C\"}}]}}'"
        )
    };
    let (till, config) = (stage.till(), stage.config_file());
    let config = config.display();
    narrator.step("Both keep running: try it from another terminal (Ctrl-C here ends them)");
    narrator.show(&format!(
        "   Sell over TCP:\n     curl -s {till}/api/sales/ {}\n\
         \x20  Sell over the Unix socket:\n     curl -s --unix-socket {} http://localhost/api/sales/ {}\n\
         \x20  Cut the line to KRA, and bring it back:\n     \
         curl -s {levers}/_sim/line -d '{{\"up\":false}}'\n     curl -s {levers}/_sim/line -d '{{\"up\":true}}'\n\
         \x20  Look:\n     {program} status --config {config}\n     {program} queue list --config {config}\n     \
         curl -s {till}/health/\n     curl -s {levers}/_sim/books",
        sale("MINE-1"),
        stage.local_till(),
        sale("MINE-2"),
        levers = stage.levers(),
    ));
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
async fn interruption() {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        // Then this signal still ends us, only less tidily.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
