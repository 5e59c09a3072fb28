//! Where state and sockets are when the configuration does not say.

use std::path::{Path, PathBuf};

/// The parts of the machine that defaults depend on.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The configuration file when none is named.
    pub(super) config_file: PathBuf,
    /// State of an installed gateway.
    pub(super) installed_state: PathBuf,
    /// Sockets of an installed gateway.
    pub(super) installed_runtime: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            config_file: PathBuf::from(super::DEFAULT_PATH),
            installed_state: PathBuf::from("/var/lib/etims-gateway"),
            installed_runtime: PathBuf::from("/run/etims-gateway"),
        }
    }
}

impl Machine {
    /// `$STATE_DIRECTORY`, else the installed place if it exists, else `./etims-state`.
    pub(super) fn state_dir(&self, variables: &[(String, String)]) -> PathBuf {
        directory(variables, "STATE_DIRECTORY")
            .or_else(|| existing(&self.installed_state))
            .unwrap_or_else(|| PathBuf::from("./etims-state"))
    }

    /// `$RUNTIME_DIRECTORY`, else the installed place if it exists, else the state directory.
    pub(super) fn runtime_dir(&self, variables: &[(String, String)], state_dir: &Path) -> PathBuf {
        directory(variables, "RUNTIME_DIRECTORY")
            .or_else(|| existing(&self.installed_runtime))
            .unwrap_or_else(|| state_dir.to_owned())
    }
}

/// A directory passed by systemd in a variable; of several, separated by colons, the first.
pub(super) fn directory(variables: &[(String, String)], name: &str) -> Option<PathBuf> {
    let (_, value) = variables.iter().find(|(candidate, _)| candidate == name)?;
    value.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}

fn existing(path: &Path) -> Option<PathBuf> {
    path.is_dir().then(|| path.to_owned())
}
