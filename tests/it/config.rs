//! A wrong configuration is told whole, with exit code 78; a right one is called right.

use std::fs;
use std::path::Path;

use crate::harness::{Shop, binary, run};

#[test]
fn all_problems_are_told_at_once() {
    let shop = Shop::bare();
    let file = shop.path("wrong.toml");
    let text = format!(
        "state_dir = {:?}\n[kra]\nenvironment = \"moon\"\nwire = \"morse\"\nbase_ulr = \"x\"\nrequest_timeout = 5\n\
         [http]\nlisten = [\"0.0.0.0:1\", \"nowhere\"]\nmax_body = \"many\"\n[device]\ntin = \"P05\"\n\
         [sales]\nrealtime_wait = \"-1s\"\n[shop]\nname = \"x\"\n",
        shop.state()
    );
    fs::write(&file, text).unwrap();
    let keys = [
        "kra.environment",
        "kra.wire",
        "kra.base_ulr",
        "kra.request_timeout",
        "http.listen",
        "http.max_body",
        "device.tin",
        "sales.realtime_wait",
        "shop",
    ];
    for args in [&["config", "check"][..], &["run"]] {
        let mut command = binary();
        command.current_dir(shop.path("")).args(args).arg("--config").arg(&file);
        let ended = run(command);
        ended.expect(78);
        for key in keys {
            assert!(ended.text().contains(key), "{args:?} names {key}: {ended:#?}");
        }
        assert!(ended.text().contains("did you mean") && ended.text().contains("kra.base_url"), "{ended:#?}");
        assert!(
            ended.text().contains("simulator") && ended.text().contains("sandbox"),
            "allowed values: {ended:#?}"
        );
    }
    assert!(!shop.state().exists(), "nothing was made");
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let shop = Shop::bare();
    for (name, text) in [("broken.toml", "[kra\n"), ("latin.toml", "x = \"\u{1}\"")] {
        let file = shop.path(name);
        fs::write(&file, text).unwrap();
        let mut command = binary();
        command.args(["config", "check", "--config"]).arg(&file);
        let ended = run(command);
        ended.expect(78);
        assert!(ended.text().contains(name), "{ended:#?}");
    }
    let mut command = binary();
    command.args(["config", "check", "--config"]).arg(shop.path("missing.toml"));
    let ended = run(command);
    assert!(matches!(ended.code, Some(66 | 78)), "a file that was named and is not there: {ended:#?}");
    assert!(ended.text().contains("missing.toml"), "{ended:#?}");
}

#[test]
fn a_good_one_checks() {
    let shop = Shop::bare();
    shop.command(&["config", "check"]).expect(0);
    // Environment variables stand above files, and are told as sources of problems.
    let mut command = binary();
    command.args(["config", "check", "--config"]).arg(shop.config()).env("ETIMS_KRA__WIRE", "morse");
    let ended = run(command);
    ended.expect(78);
    assert!(ended.text().contains("ETIMS_KRA__WIRE"), "{ended:#?}");
    assert!(!shop.state().exists(), "a check makes nothing");
}

#[test]
fn every_shipped_file_checks() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let examples = fs::read_dir(dir.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        examples.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    assert!(!files.is_empty(), "no examples in {}", dir.display());
    files.push(dir.join("etims-gateway.toml"));
    for file in files {
        let mut command = binary();
        command.args(["config", "check", "--config"]).arg(&file);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{}: {ended:#?}", file.display());
    }
}

#[test]
fn wrong_usage_is_64() {
    for args in [&["sell"][..], &["run", "--fast"], &["config"], &[]] {
        let mut command = binary();
        command.args(args);
        let ended = run(command);
        assert_eq!(ended.code, Some(64), "{args:?}: {ended:#?}");
    }
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let mut command = binary();
        command.args(args);
        run(command).expect(0);
    }
}
