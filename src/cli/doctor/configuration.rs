//! The configuration: whether it is good, what is odd in it, and what is still to be set.

use std::path::Path;

use super::Finding;
use crate::config::{DEFAULT_PATH, Environment, Loaded, Settings, process_environment};
use crate::daemon::tls;

const SUBJECT: &str = "configuration";

/// Reads it as `run` does. Without settings nothing else can be looked at.
pub(super) fn look(path: Option<&Path>) -> (Vec<Finding>, Option<Settings>) {
    let loaded = match Settings::load(path, process_environment()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let correct = "correct it; `etims-gateway config check` shows the same";
            let findings =
                problems.iter().map(|it| Finding::fail(SUBJECT, it.to_string(), correct)).collect();
            return (findings, None);
        }
    };
    let mut findings = vec![Finding::ok(SUBJECT, read_from(&loaded))];
    let odd = "etims-gateway config check";
    findings.extend(loaded.warnings.iter().map(|it| Finding::warn(SUBJECT, it.to_string(), odd)));
    findings.extend(secrets(&loaded));
    findings.extend(to_be_set(&loaded.settings));
    (findings, Some(loaded.settings))
}

fn read_from(loaded: &Loaded) -> String {
    if loaded.sources.is_empty() {
        return format!("nothing is set ({DEFAULT_PATH} is not there): the defaults hold");
    }
    let sources: Vec<String> = loaded.sources.iter().map(ToString::to_string).collect();
    format!("good: {}", sources.join(", "))
}

/// Tokens and keys that are named, and TLS for registers on other machines.
fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let by_credential = "a secret that systemd passes is seen by the service alone";
    match loaded.check_secrets() {
        Ok(warnings) => {
            let mut findings: Vec<Finding> =
                warnings.iter().map(|it| Finding::warn(SUBJECT, it.to_string(), "chmod 0640")).collect();
            if let Err(fault) = tls(&loaded.settings) {
                let advice = "put certificate and key in order, or no TCP address but loopback works";
                findings.push(Finding::fail(SUBJECT, fault.to_string(), advice));
            }
            findings
        }
        // Credentials are given to the service, not to this command.
        Err(problems) => problems
            .iter()
            .map(|problem| match problem.value.as_deref() {
                Some(value)
                    if value.contains("credential:") && loaded.settings.credentials_directory.is_none() =>
                {
                    Finding::ok(SUBJECT, format!("{} = {value}: {by_credential}", problem.key))
                }
                _ => Finding::fail(
                    SUBJECT,
                    problem.to_string(),
                    "write the secret there, readable for the service's user",
                ),
            })
            .collect(),
    }
}

/// A till that sells for real has a KRA and an identity.
fn to_be_set(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.kra.environment == Environment::Simulator {
        findings.push(Finding::warn(
            SUBJECT,
            "kra.environment is \"simulator\": no sale reaches KRA, and receipts say SIMULATOR",
            "set it to \"sandbox\", \"production\" or \"custom\" before the shop sells",
        ));
    }
    if settings.device.tin.is_none() || settings.device.serial_number.is_none() {
        findings.push(Finding::warn(
            SUBJECT,
            "device.tin and device.serial_number are not both set: the device does not register itself",
            "set both, with device.bhf_id, as KRA approved them; or `etims-gateway device init --tin ...`",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    /// Levels and texts for a file of this text.
    fn check(text: &str) -> Vec<(Level, String)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        look(Some(&path)).0.into_iter().map(|it| (it.level, it.found)).collect()
    }

    #[test]
    fn what_is_good_odd_and_wrong() {
        let whole =
            "device.tin = \"P051234567Z\"\ndevice.serial_number = \"X\"\nkra.environment = \"sandbox\"\n";
        let found = check(whole);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Level::Ok);
        let found = check("");
        assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [Level::Ok, Level::Warn, Level::Warn]);
        let found = check("kra.wire = \"soap\"\nhttp.max_connections = 0\n");
        assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [Level::Fail, Level::Fail]);
        assert!(found[0].1.contains("kra.wire"), "{found:?}");
    }

    #[test]
    fn secrets_that_cannot_be_read() {
        let found = check("http.token_file = \"/no/such/file\"\n");
        assert!(found.iter().any(|it| it.0 == Level::Fail && it.1.contains("/no/such/file")), "{found:?}");
        let found = check("http.token_file = \"credential:till-token\"\n");
        assert!(found.iter().all(|it| it.0 != Level::Fail), "{found:?}");
    }
}
