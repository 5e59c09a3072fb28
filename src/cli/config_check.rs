//! `config check`: all problems at once, or where the settings that hold come from.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::config::{DEFAULT_PATH, Effective, Loaded, Problems, Settings, Source, Warning};
use crate::daemon::{Unusable, tls};

use super::args::Output;
use super::exit_code::Exit;

/// Checks the configuration of `path` (none: the default one) and `environment` as `run` does, secret files included.
/// The report goes to `out`; problems and warnings for people go to `err`. Exit code 78 on any problem.
///
/// # Errors
/// The report cannot be written.
pub fn check_config(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    output: Output,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Exit> {
    let checked = Settings::load(path, environment).and_then(|mut loaded| {
        loaded.warnings.extend(loaded.check_secrets()?);
        match tls(&loaded.settings) {
            Ok(_) => Ok(loaded),
            Err(Unusable { key, why }) => Err(loaded.found_wrong(key, why)),
        }
    });
    match (&checked, output.json) {
        (Ok(loaded), true) => {
            let (sources, settings, warnings) = (&loaded.sources, &loaded.effective, &loaded.warnings);
            print_json(
                out,
                &Report { ok: true, sources, settings, warnings, problems: &Problems::default() },
            )?;
        }
        (Err(problems), true) => {
            print_json(out, &Report { ok: false, sources: &[], settings: &[], warnings: &[], problems })?;
        }
        (Ok(loaded), false) => print_text(loaded, out, err)?,
        (Err(problems), false) => {
            writeln!(err, "{problems}")?;
            let count = problems.iter().count();
            writeln!(err, "{count} problem{}", if count == 1 { "" } else { "s" })?;
        }
    }
    Ok(if checked.is_ok() { Exit::Ok } else { Exit::Configuration })
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    problems: &'a Problems,
    warnings: &'a [Warning],
    sources: &'a [Source],
    settings: &'a [Effective],
}

fn print_json(out: &mut impl Write, report: &Report<'_>) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

fn print_text(loaded: &Loaded, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    writeln!(out, "OK")?;
    if loaded.sources.is_empty() {
        return writeln!(out, "Nothing is set ({DEFAULT_PATH} is not there): the defaults hold.");
    }
    writeln!(out, "Read, a later one over an earlier one:")?;
    for source in &loaded.sources {
        writeln!(out, "  {source}")?;
    }
    let set: Vec<&Effective> =
        loaded.effective.iter().filter(|held| held.source != Source::Default).collect();
    if !set.is_empty() {
        writeln!(out, "Set; the defaults hold for the rest:")?;
    }
    for Effective { key, value, source } in set {
        writeln!(out, "  {key} = {}  ({source})", value.as_deref().unwrap_or("none"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Exit, Output, check_config};

    /// Exit code, report and complaints for a file with this text.
    fn check(text: &str, json: bool) -> (Exit, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit =
            check_config(Some(&path), std::iter::empty(), Output { json }, &mut out, &mut err).unwrap();
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_good_file() {
        let text = "device.tin = \"P051234567Z\"\nkra.environment = \"sandbox\"\n";
        let (exit, out, err) = check(text, false);
        assert_eq!(exit, Exit::Ok);
        assert!(out.starts_with("OK\n") && out.contains("config.toml\n"), "{out}");
        assert!(
            out.contains("  kra.environment = \"sandbox\"  (") && out.contains("config.toml:2)"),
            "{out}"
        );
        assert!(err.starts_with("warning: device.serial_number: "), "{err}");
        let (exit, out, err) = check(text, true);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, &report["ok"], err.as_str()), (Exit::Ok, &true.into(), ""));
        let url =
            report["settings"].as_array().unwrap().iter().find(|held| held["key"] == "kra.base_url").unwrap();
        assert_eq!(url["value"], "\"https://etims-api-sbx.kra.go.ke/etims-api\"");
        assert_eq!(url["source"], "default");
    }

    #[test]
    fn a_bad_file() {
        let text = "kra.wire = \"soap\"\nhttp.max_connections = 0\nhttp.token_file = \"/no/such/file\"\n";
        let (exit, out, err) = check(text, false);
        assert_eq!((exit, out.as_str()), (Exit::Configuration, ""));
        assert!(
            err.contains(":1: kra.wire = \"soap\"")
                && err.contains(":2: http.max_connections")
                && err.ends_with("2 problems\n"),
            "{err}"
        );
        let (exit, out, err) = check(text, true);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, &report["ok"], err.as_str()), (Exit::Configuration, &false.into(), ""));
        assert_eq!(report["problems"].as_array().unwrap().len(), 2);
        let (exit, _, err) = check("http.token_file = \"/no/such/file\"\n", false);
        assert_eq!(exit, Exit::Configuration);
        assert!(err.contains("/no/such/file cannot be read") && err.ends_with("1 problem\n"), "{err}");
    }
}
