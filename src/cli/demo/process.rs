//! A child process with its log file: started, waited for, killed, stopped.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a process that was asked to stop may take before it is killed.
const STOPPING: Duration = Duration::from_secs(8);

/// Variables with which a service manager, or a user's own configuration, would reach into a child of ours.
const FOREIGN_VARIABLES: [&str; 12] = [
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What went wrong with a process.
#[derive(Debug, Error)]
pub(super) enum ProcessError {
    /// It ended when it should have run.
    #[error("the {name} ended by itself ({status}); its log: {log}")]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// Where it said why.
        log: PathBuf,
    },
    /// It runs, but does not do what it should.
    #[error("the {name} was not ready within {limit:?}; its log: {log}")]
    Late {
        /// Which.
        name: &'static str,
        /// How long it had.
        limit: Duration,
        /// Where it may say why.
        log: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {what} the {name}: {source}")]
    System {
        /// Which.
        name: &'static str,
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A process of ours. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// This very program, with these arguments, free of what is meant for its parent.
pub(super) fn this_program(name: &'static str, arguments: &[&str]) -> Result<Command, ProcessError> {
    let program =
        std::env::current_exe().map_err(|source| ProcessError::System { name, what: "find", source })?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        if variable
            .to_str()
            .is_some_and(|name| name.starts_with("ETIMS_") || FOREIGN_VARIABLES.contains(&name))
        {
            command.env_remove(variable);
        }
    }
    Ok(command)
}

impl Process {
    /// Starts it; what it says goes to the end of `log`. It is in a process group of its own: Ctrl-C reaches the demo
    /// alone, which stops its children in order.
    pub(super) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self, ProcessError> {
        let failed = |what| move |source| ProcessError::System { name, what, source };
        let file =
            OpenOptions::new().append(true).create(true).open(log).map_err(failed("open the log of"))?;
        let copy: File = file.try_clone().map_err(failed("open the log of"))?;
        command.stdout(file).stderr(copy).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(failed("start"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// The process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for what shows that it is ready.
    ///
    /// # Errors
    /// When it ends instead, or is late.
    pub(super) async fn wait_ready(
        &mut self,
        ready: impl Future<Output = ()>,
        limit: Duration,
    ) -> Result<(), ProcessError> {
        tokio::select! {
            () = ready => Ok(()),
            ended = self.child.wait() => Err(self.ended(ended)),
            () = tokio::time::sleep(limit) => {
                Err(ProcessError::Late { name: self.name, limit, log: self.log.clone() })
            }
        }
    }

    /// Waits until it ends, which it should not.
    pub(super) async fn ends(&mut self) -> ProcessError {
        let ended = self.child.wait().await;
        self.ended(ended)
    }

    fn ended(&self, ended: io::Result<ExitStatus>) -> ProcessError {
        match ended {
            Ok(status) => ProcessError::Ended { name: self.name, status, log: self.log.clone() },
            Err(source) => ProcessError::System { name: self.name, what: "wait for", source },
        }
    }

    /// Kills it with SIGKILL, as a crash or a power cut would, and waits until it is gone.
    pub(super) async fn kill(mut self) -> Result<(), ProcessError> {
        let failed = |source| ProcessError::System { name: self.name, what: "kill", source };
        self.child.kill().await.map_err(failed)
    }

    /// Asks it to stop with SIGTERM; kills it if it will not. Says what is wrong with how it went.
    pub(super) async fn stop(mut self) -> Option<String> {
        let name = self.name;
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(id) = id else { return Some(format!("the {name} had ended before it was stopped")) };
        if let Err(error) = kill_process(id, Signal::TERM) {
            return Some(format!("the {name} could not be asked to stop: {error}"));
        }
        match timeout(STOPPING, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(Ok(status)) => Some(format!("the {name} stopped with {status}")),
            Ok(Err(error)) => Some(format!("the {name} could not be waited for: {error}")),
            Err(_) => {
                let _ = self.child.kill().await;
                Some(format!("the {name} did not stop within {STOPPING:?} and was killed"))
            }
        }
    }
}

/// The socket on which a daemon tells its service manager that it is ready. Reads on until dropped, so that the
/// daemon is never held up by it.
#[derive(Debug)]
pub(super) struct ReadySocket {
    ready: watch::Receiver<bool>,
    reader: JoinHandle<()>,
}

impl ReadySocket {
    /// Listens at `path`, which is new.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let (told, ready) = watch::channel(false);
        let reader = tokio::spawn(async move {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message).await {
                if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                    told.send_replace(true);
                }
            }
        });
        Ok(Self { ready, reader })
    }

    /// Waits for READY.
    pub(super) async fn ready(&self) {
        // The sender lives as long as the reading task, and that as long as this value.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }
}

impl Drop for ReadySocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_is_heard_among_other_news() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let socket = ReadySocket::bind(&path).unwrap();
        let daemon = UnixDatagram::unbound().unwrap();
        daemon.send_to(b"STATUS=recovering\nNOTREADY=1", &path).await.unwrap();
        assert!(timeout(Duration::from_millis(50), socket.ready()).await.is_err());
        daemon.send_to(b"STATUS=up\nREADY=1\n", &path).await.unwrap();
        timeout(Duration::from_secs(5), socket.ready()).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_ends_is_reported_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("child.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken; exit 70"]);
        let mut child = Process::start("gateway", command, &log).unwrap();
        let error = child.wait_ready(std::future::pending(), Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains("ended by itself (exit status: 70)"), "{error}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "broken\n");
    }

    #[tokio::test]
    async fn one_that_runs_is_stopped_or_killed() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("child.log");
        let start = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Process::start("gateway", command, &log).unwrap()
        };
        let obedient = start("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
        while std::fs::read_to_string(&log).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(obedient.stop().await, None);
        assert!(start("exec sleep 60").stop().await.is_some_and(|words| words.contains("signal: 15")));
        start("exec sleep 60").kill().await.unwrap();
    }
}
