//! `manual`: the man pages and shell completions, from the declaration of the commands and the table of the configuration's
//! keys. Run when a package is made; hidden from people.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Cli, Exit, ManualArgs};
use crate::config::{DEFAULT_PATH, Fallback, LIVE, every_key};

const NAME: &str = "etims-gateway";
/// The page of the configuration, section 5.
const CONFIGURATION: &str = "etims-gateway.toml";

/// Writes everything below one directory: `man/*.8`, `man/*.5`, `completions/`.
pub fn write_manual(arguments: &ManualArgs) -> Exit {
    match write_all(&arguments.out) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("etims-gateway: writing the manual to {}: {error}", arguments.out.display());
            Exit::Internal
        }
    }
}

fn write_all(out: &Path) -> io::Result<()> {
    let pages = out.join("man");
    fs::create_dir_all(&pages)?;
    let mut root = Cli::command();
    root.build();
    write_pages(&root, &pages)?;
    fs::write(pages.join(format!("{CONFIGURATION}.5")), configuration_page())?;
    let completions = out.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, file) in [
        (Shell::Bash, NAME.to_owned()),
        (Shell::Fish, format!("{NAME}.fish")),
        (Shell::Zsh, format!("_{NAME}")),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
        fs::write(completions.join(file), text)?;
    }
    Ok(())
}

/// A page for each command: `etims-gateway.8`, `etims-gateway-queue-list.8`.
fn write_pages(command: &Command, into: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    fs::write(into.join(format!("{name}.8")), page(command, &name)?)?;
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(below, into)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name)
        .section("8")
        .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
        .manual("eTIMS gateway");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|it| !it.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|it| !it.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    if name == NAME {
        text.extend_from_slice(installed().to_roff().as_bytes());
    } else {
        let mut more = Roff::new();
        section(&mut more, "SEE ALSO", &[&format!("{NAME}(8), {CONFIGURATION}(5)")]);
        text.extend_from_slice(more.to_roff().as_bytes());
    }
    Ok(text)
}

fn section(roff: &mut Roff, title: &str, paragraphs: &[&str]) {
    roff.control("SH", [title]);
    for paragraph in paragraphs {
        roff.text([roman(*paragraph)]);
        roff.control("PP", []);
    }
}

fn entries(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
}

/// What the commands do not say: the gateway as it is installed.
fn installed() -> Roff {
    let mut roff = Roff::new();
    section(&mut roff, "THE SERVICE", &SERVICE);
    section(&mut roff, "SERIAL PORTS", &SERIAL);
    section(&mut roff, "SECRETS", &SECRETS);
    section(&mut roff, "REMOVAL AND THE LAW", &REMOVAL);
    section(&mut roff, "THE JOURNAL", &JOURNAL);
    entries(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    entries(&mut roff, "FILES", &FILES);
    let see = format!("{CONFIGURATION}(5), systemctl(1), journalctl(1), systemd.exec(5)");
    section(&mut roff, "SEE ALSO", &[&see]);
    roff
}

const SERVICE: [&str; 4] = [
    "The package makes the store of a new till, enables and starts etims-gateway.service and its two socket units. Registers \
     post to 127.0.0.1:8460 or to /run/etims-gateway/till.sock; for the latter they are in the group etims-till. systemd \
     holds both sockets, so that a sale posted while the gateway starts anew waits instead of failing.",
    "systemctl reload etims-gateway takes over what can change at once; a file with a problem is told, and the old settings \
     hold on. systemctl status shows the line to KRA, the queue and the last receipt.",
    "Other addresses than those are said to the socket units, not in the configuration: systemctl edit \
     etims-gateway-tcp.socket.",
    "The service is restarted for ever, unless the store is damaged (exit status 65) or the configuration is wrong (78). \
     Without a store (66) it is tried again: its disk may be mounted later; it never begins an empty one by itself where a \
     till sells for real.",
];

const SERIAL: [&str; 1] = [
    "Devices are closed to the service. Where registers are on serial lines, it is let to open serial ports with: mkdir -p \
     /etc/systemd/system/etims-gateway.service.d; cp /usr/share/etims-gateway/serial.conf \
     /etc/systemd/system/etims-gateway.service.d/; systemctl daemon-reload; systemctl restart etims-gateway.",
];

const SECRETS: [&str; 3] = [
    "The configuration names files, or systemd credentials as credential:NAME. The service loads, where they are there, \
     etims-gateway.till-token, etims-gateway.tls-key and etims-gateway.kra-credentials from /etc/credstore; sealed ones (see \
     systemd-creds(1)) take a drop-in with LoadCredentialEncrypted=. A new value counts from the next start on.",
    "The Ed25519 key that signs sales is made by the gateway with its store. To give it instead, put a PKCS#8 key (PEM or DER; \
     openssl genpkey -algorithm ed25519) into /etc/credstore/etims-gateway.signing-key before the store is made. It then has to \
     be there at every start.",
    "KRA's key of the device lies in the state directory, mode 0600.",
];

const REMOVAL: [&str; 1] = [
    "Tax law asks for five years of sales. Removing the package keeps /var/lib/etims-gateway, and so does purging it, which says \
     so: it holds the sales and the key that KRA gave once. Export them first (etims-gateway export), keep a copy, then remove \
     it by hand.",
];

const JOURNAL: [&str; 2] = [
    "journalctl -u etims-gateway -x explains each event, and what to do. Events have the fields ETIMS_TRD_INVC_NO, ETIMS_INVC_NO, \
     ETIMS_SEQ, ETIMS_RESULT_CD, ETIMS_ALERT and others, so that journalctl ETIMS_TRD_INVC_NO=T1-000123 is the story of one \
     sale.",
    "Keys and customers' data are never in it.",
];

const EXIT_STATUS: [(&str, &str); 9] = [
    ("0", "Good."),
    ("1", "A problem was found."),
    ("64", "The command line is wrong."),
    ("65", "The store is damaged."),
    ("66", "There is no store, or no such file."),
    ("69", "The gateway or KRA cannot be reached."),
    ("70", "A fault of the program itself."),
    ("77", "Not permitted."),
    ("78", "The configuration is wrong."),
];

const FILES: [(&str, &str); 6] = [
    ("/etc/etims-gateway/config.toml", "The configuration; conf.d/*.toml beside it is read after it."),
    ("/var/lib/etims-gateway", "The store: journal, queue, keys, log of exchanges with KRA."),
    ("/run/etims-gateway/till.sock", "Registers."),
    ("/run/etims-gateway/admin.sock", "These commands."),
    ("/etc/credstore", "Secrets, as systemd credentials."),
    (
        "/usr/share/doc/etims-gateway/examples",
        "Examples: whole configurations, a register's side of a serial line, alerts for Prometheus.",
    ),
];

fn configuration_page() -> String {
    let mut roff = Roff::new();
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [CONFIGURATION, "5", "", &source, "eTIMS gateway"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{CONFIGURATION} - configuration of {NAME}(8)"))]);
    roff.control("SH", ["SYNOPSIS"]);
    for path in [DEFAULT_PATH, "/etc/etims-gateway/conf.d/*.toml"] {
        roff.text([italic(path)]);
        roff.control("br", []);
    }
    section(&mut roff, "DESCRIPTION", &DESCRIPTION);
    let mut heading = None;
    for key in every_key() {
        let (of, own) = key.split();
        if heading.replace(of) != Some(of) {
            let title = match of {
                "" => "AT THE TOP".to_owned(),
                "serial" => "[[SERIAL]]".to_owned(),
                section => format!("[{}]", section.to_uppercase()),
            };
            roff.control("SH", [title.as_str()]);
        }
        let fallback = match key.fallback {
            Fallback::Value(value) => value,
            Fallback::Words(words) => words,
        };
        roff.control("TP", []);
        roff.text([bold(key.name)]);
        let live = if LIVE.contains(&key.name) { " A reload takes it over at once." } else { "" };
        roff.text([roman(format!("{}{live}", key.meaning))]);
        roff.control("br", []);
        roff.text([roman(format!("{own}: {}. Default: {fallback}.", key.kind))]);
    }
    section(&mut roff, "SEE ALSO", &[&format!("{NAME}(8), {NAME}-config-check(8)")]);
    roff.to_roff()
}

const DESCRIPTION: [&str; 4] = [
    "TOML. Files conf.d/*.toml beside the file that is named are read after it, in the order of their names, then environment \
     variables ETIMS_SECTION__KEY (ETIMS_KRA__BASE_URL); the last one wins. A key that does not exist is an error.",
    "Durations: \"500ms\", \"30s\", \"5m\", \"12h\", \"1830d\". Sizes: \"64MiB\" (1024 x 1024), \"64MB\" (1000 x 1000).",
    "No secret stands in these files: keys ending in _file, and tls_key, name a file, or \"credential:NAME\" for a credential that \
     systemd passes.",
    "A reload (systemctl reload etims-gateway) takes over what is marked so below; all else counts from the next start on. A file \
     with any problem changes nothing. Check with: etims-gateway config check.",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command with its flags that people see, by the name of its page.
    fn commands(command: &Command, found: &mut Vec<(String, Vec<String>)>) {
        let flags = command.get_arguments().filter(|it| !it.is_hide_set()).filter_map(|it| it.get_long());
        let name = command.get_display_name().unwrap_or(NAME).to_owned();
        found.push((name, flags.map(|flag| format!("--{flag}")).collect()));
        for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            commands(below, found);
        }
    }

    /// As a reader sees it, nearly: without the marks of roff.
    fn plain(text: &str) -> String {
        text.replace("\\-", "-")
            .replace("\\fB", "")
            .replace("\\fR", "")
            .replace("\\fI", "")
            .replace("\\&", "")
    }

    #[test]
    fn every_command_flag_and_key_has_its_place() {
        let out = tempfile::tempdir().unwrap();
        assert_eq!(write_manual(&ManualArgs { out: out.path().to_owned() }), Exit::Ok);
        let read = |name: &str| plain(&fs::read_to_string(out.path().join(name)).unwrap());
        let mut root = Cli::command();
        root.build();
        let mut found = Vec::new();
        commands(&root, &mut found);
        assert!(found.iter().any(|(name, _)| name == "etims-gateway-queue-settle"), "{found:?}");
        for (name, flags) in &found {
            let page = read(&format!("man/{name}.8"));
            for flag in flags {
                assert!(page.contains(flag.as_str()), "{name} says nothing of {flag}");
            }
            assert!(
                !page.contains("salvage-index") && !page.contains("--out"),
                "{name} shows what is hidden"
            );
        }
        assert_eq!(
            fs::read_dir(out.path().join("man")).unwrap().count(),
            found.len() + 1,
            "no page is left over"
        );
        let page = read("man/etims-gateway.toml.5");
        for key in every_key() {
            assert!(page.contains(&format!("\n{}\n", key.name)), "{}", key.name);
            let words = key.meaning.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
            assert!(page.contains(&words), "{}: {words}", key.name);
        }
        for shell in ["etims-gateway", "etims-gateway.fish", "_etims-gateway"] {
            assert!(read(&format!("completions/{shell}")).contains("settle"), "{shell}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let help = Cli::command().get_after_help().unwrap().to_string();
        for (code, _) in EXIT_STATUS {
            assert!(help.contains(&format!(" {code} ")), "{code}: {help}");
        }
    }
}
