//! What the story is played on: a directory, free loopback ports, the simulator and the gateway as processes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::client::Peer;
use super::directory::{Directory, DirectoryError};
use super::process::{Process, ProcessError, ReadySocket, this_program};
use crate::cli::args::DemoWire;

/// How long a process may take until it is ready; a busy machine needs more than an idle one.
const STARTING: Duration = Duration::from_secs(30);

/// Pause between two looks at a process that tells nobody when it is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What went wrong behind the story.
#[derive(Debug, Error)]
pub(super) enum StageError {
    /// No directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// No free port.
    #[error("no free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// A file or socket in the directory.
    #[error("cannot make {0}: {1}")]
    File(PathBuf, io::Error),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The stage. Dropped, it kills what runs and removes its directory unless that is kept.
#[derive(Debug)]
pub(super) struct Stage {
    gateway: Option<(Process, ReadySocket)>,
    simulator: Option<Process>,
    wire: DemoWire,
    kra: SocketAddr,
    levers: SocketAddr,
    till: SocketAddr,
    starts: u32,
    directory: Directory,
}

impl Stage {
    /// Makes directory, ports and configuration; starts nothing yet.
    pub(super) fn set(wire: DemoWire) -> Result<Self, StageError> {
        let directory = Directory::new()?;
        let [kra, levers, till] = free_ports().map_err(StageError::Port)?;
        let stage = Self { gateway: None, simulator: None, wire, kra, levers, till, starts: 0, directory };
        let file = stage.config_file();
        std::fs::write(&file, stage.configuration()).map_err(|error| StageError::File(file, error))?;
        Ok(stage)
    }

    /// The settings of the gateway. In a file, so that `status`, `queue` and `verify` reach this gateway with one
    /// flag, and so that no gateway installed on this machine is touched.
    fn configuration(&self) -> String {
        let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
        format!(
            "# Written by `etims-gateway demo`.\n\
             state_dir = {state}\n\n\
             [kra]\nenvironment = \"simulator\"\nbase_url = \"{base_url}\"\nwire = \"{wire}\"\n\
             connect_timeout = \"2s\"\nrequest_timeout = \"5s\"\n\n\
             [http]\nlisten = [\"{till}\"]\n\n\
             [unix]\npath = {socket}\n\n\
             [admin]\npath = {admin}\n\n\
             [delivery]\nbackoff_initial = \"100ms\"\nbackoff_max = \"1s\"\nprobe_max = \"1s\"\n\n\
             [storage]\nmin_free = \"8MiB\"\nreserve = \"8MiB\"\n\n\
             [log]\nformat = \"text\"\n",
            state = quoted(&self.directory.path().join("state")),
            base_url = self.base_url(),
            wire = wire_word(self.wire),
            till = self.till,
            socket = quoted(&self.till_socket()),
            admin = quoted(&self.directory.path().join("admin.sock")),
        )
    }

    /// Starts the simulator and waits until it answers.
    pub(super) async fn start_simulator(&mut self) -> Result<(), StageError> {
        let (kra, levers) = (self.kra.to_string(), self.levers.to_string());
        let command = this_program("simulator", &["simulator", "--listen", &kra, "--control", &levers])?;
        let log = self.directory.path().join("simulator.log");
        let simulator = self.simulator.insert(Process::start("simulator", command, &log)?);
        let peer = Peer::Tcp(self.levers);
        let answers = async {
            while peer.get("/_sim/line", STARTING).await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        Ok(simulator.wait_ready(answers, STARTING).await?)
    }

    /// Starts the gateway and waits until it says READY; how long that took.
    pub(super) async fn start_gateway(&mut self) -> Result<Duration, StageError> {
        let began = Instant::now();
        self.starts += 1;
        let path = self.directory.path().join(format!("notify-{}.sock", self.starts));
        let socket = ReadySocket::bind(&path).map_err(|error| StageError::File(path.clone(), error))?;
        let config = self.config_file();
        let mut command = this_program("gateway", &["run", "--config"])?;
        command.arg(config).env("NOTIFY_SOCKET", path);
        let process = Process::start("gateway", command, &self.gateway_log())?;
        let (process, socket) = self.gateway.insert((process, socket));
        process.wait_ready(socket.ready(), STARTING).await?;
        Ok(began.elapsed())
    }

    /// Kills the gateway as a power cut would; the id it had.
    pub(super) async fn kill_gateway(&mut self) -> Result<Option<u32>, StageError> {
        let Some((process, _socket)) = self.gateway.take() else { return Ok(None) };
        let id = process.id();
        process.kill().await?;
        Ok(id)
    }

    /// Runs a subcommand against this gateway; what it said.
    pub(super) async fn command(&self, arguments: &[&str]) -> Result<Output, StageError> {
        let name = "command";
        let failed = |source| ProcessError::System { name, what: "run", source };
        let mut command = this_program(name, arguments)?;
        command.arg("--config").arg(self.config_file()).kill_on_drop(true);
        match tokio::time::timeout(STARTING, command.output()).await {
            Ok(output) => Ok(output.map_err(failed)?),
            Err(_) => {
                let log = self.gateway_log();
                Err(ProcessError::Late { name, limit: STARTING, log }.into())
            }
        }
    }

    /// Stops the gateway, then the simulator; what was wrong with how they stopped.
    pub(super) async fn stop(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some((process, _socket)) = self.gateway.take() {
            wrong.extend(process.stop().await);
        }
        if let Some(process) = self.simulator.take() {
            wrong.extend(process.stop().await);
        }
        wrong
    }

    /// Waits until either process ends, which neither should.
    pub(super) async fn breaks(&mut self) -> ProcessError {
        let gateway = async {
            match &mut self.gateway {
                Some((process, _)) => process.ends().await,
                None => std::future::pending().await,
            }
        };
        let simulator = async {
            match &mut self.simulator {
                Some(process) => process.ends().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = gateway => error,
            error = simulator => error,
        }
    }

    /// Leaves the directory in place at the end.
    pub(super) fn keep(&mut self) {
        self.directory.keep();
    }

    /// The directory, if it stays.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.directory.is_kept().then(|| self.directory.path())
    }

    /// KRA as the gateway reaches it, while the line is up.
    pub(super) fn kra(&self) -> Peer {
        Peer::Tcp(self.kra)
    }

    /// The simulator's levers, in reach while the line is cut.
    pub(super) fn levers(&self) -> Peer {
        Peer::Tcp(self.levers)
    }

    /// A register on the network.
    pub(super) fn till(&self) -> Peer {
        Peer::Tcp(self.till)
    }

    /// A register on the same machine.
    pub(super) fn local_till(&self) -> Peer {
        Peer::Unix(self.till_socket())
    }

    /// KRA's address as the gateway has it in its settings.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/etims-api", self.kra)
    }

    /// The gateway's settings.
    pub(super) fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// The gateway's own words, of all its runs.
    pub(super) fn gateway_log(&self) -> PathBuf {
        self.directory.path().join("gateway.log")
    }

    fn till_socket(&self) -> PathBuf {
        self.directory.path().join("till.sock")
    }
}

/// The wire as the settings name it.
fn wire_word(wire: DemoWire) -> &'static str {
    match wire {
        DemoWire::Json => "json",
        DemoWire::Xml => "xml",
    }
}

/// Three different ports that are free now. All are held until all are known.
fn free_ports() -> io::Result<[SocketAddr; 3]> {
    let free = || TcpListener::bind("127.0.0.1:0");
    let held = [free()?, free()?, free()?];
    let [first, second, third] = &held;
    Ok([first.local_addr()?, second.local_addr()?, third.local_addr()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_configuration_is_toml_and_gone_with_the_stage() {
        let stage = Stage::set(DemoWire::Json).unwrap();
        let file = stage.config_file();
        let table: toml::Table = toml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(table["kra"]["wire"].as_str(), Some("json"));
        assert_eq!(table["http"]["listen"][0].as_str(), Some(&*stage.till.to_string()));
        assert!(stage.kra != stage.levers && stage.levers != stage.till && stage.till != stage.kra);
        assert!(stage.kept().is_none());
        drop(stage);
        assert!(!file.exists());
    }
}
