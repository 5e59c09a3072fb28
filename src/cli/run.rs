//! `run`: the daemon.

use std::path::Path;

use tracing::error;

use super::Exit;
use crate::config::Settings;
use crate::daemon::{self, Configuration, StartError, Stopped};
use crate::store::OpenError;
use crate::systemd::{passed_sockets, start_logging};

/// Worker threads: a till has few cores, and the disk is waited for on threads of their own.
const WORKERS: usize = 2;
/// Threads that may wait for the disk at one time.
const WAITING_THREADS: usize = 16;

/// Checks the configuration, then runs until told to stop.
pub fn run(config: Option<&Path>) -> Exit {
    // First of all, before anything opens a file: systemd's sockets have fixed numbers.
    let passed = match passed_sockets() {
        Ok(passed) => passed,
        Err(error) => {
            eprintln!("etims-gateway: {error}");
            return Exit::Configuration;
        }
    };
    let Some(configuration) = load_all(config) else { return Exit::Configuration };
    let settings = &configuration.loaded.settings;
    if let Err(error) = start_logging(daemon::log_format(settings), daemon::log_level(settings)) {
        eprintln!("etims-gateway: {error}");
        return Exit::Internal;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(WAITING_THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(name: "start_failed", %error, "the runtime cannot be started");
            return Exit::Internal;
        }
    };
    let ended = runtime.block_on(daemon::run(configuration, passed));
    runtime.shutdown_background();
    match ended {
        Ok(Stopped::Asked) => Exit::Ok,
        Ok(Stopped::Failed(_)) => Exit::Internal,
        Err(error) => {
            error!(name: "start_failed", "{error}");
            exit_of(&error)
        }
    }
}

/// The checked settings; their problems are printed.
pub(super) fn load(config: Option<&Path>) -> Option<Settings> {
    load_all(config).map(|configuration| configuration.loaded.settings)
}

fn load_all(config: Option<&Path>) -> Option<Configuration> {
    let said = |key: &str, message: &str| eprintln!("warning: {key}: {message}");
    match Configuration::read(config.map(Path::to_owned), said) {
        Ok(configuration) => Some(configuration),
        Err(problems) => {
            eprintln!("{}", problems.to_string().trim_end());
            None
        }
    }
}

/// Who has to act on a start that failed.
pub(super) fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Directory { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        StartError::Catalogue(_) | StartError::Directory { .. } | StartError::Signals(_) => Exit::Internal,
        // Whoever has it now may be gone at the next try.
        StartError::Listen(error) if error.is_in_use() => Exit::Unavailable,
        StartError::Guard(_)
        | StartError::Kra(_)
        | StartError::Listen(_)
        | StartError::OtherDevice { .. }
        | StartError::Unusable(_) => Exit::Configuration,
        StartError::Ledger(error) => match error {
            crate::store::LedgerOpenError::Damaged(_) => Exit::Damaged,
            // Started again, it is mended.
            crate::store::LedgerOpenError::Index(_) => Exit::Internal,
            crate::store::LedgerOpenError::OtherEnvironment { .. } => Exit::Configuration,
        },
        StartError::Store(error) => match error {
            OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Exit::Permission
            }
            OpenError::Index { .. } | OpenError::Io { .. } => Exit::Internal,
            OpenError::Locked { .. } => Exit::Unavailable,
            OpenError::NoStore { .. } => Exit::NoInput,
            _ => Exit::Damaged,
        },
    }
}
