//! The command line: the one place where commands and flags are declared.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use super::exit_code::Exit;
use super::simulator::fault_list;
use crate::fiscal::Day;

/// Store-and-forward gateway between a shop's cash registers and KRA's eTIMS OSCU service
#[derive(Clone, Debug, Parser)]
#[command(name = "etims-gateway", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 good, 1 a problem was found, 64 wrong command line, 65 damaged data, \
    66 no store or file there, 69 not reachable, 70 internal fault, 77 not permitted, 78 wrong configuration.")]
pub struct Cli {
    /// Configuration file [default: /etc/etims-gateway/config.toml, which may be absent]
    ///
    /// Files conf.d/*.toml beside it are read after it, and environment variables ETIMS_SECTION__KEY after those.
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground, as systemd does
    Run,
    /// Show the whole way of a sale on this machine, with nothing installed
    ///
    /// Starts KRA's simulator and a gateway on free loopback ports in a temporary directory, posts sales, cuts the
    /// line, posts more, restores it, shows how the queue drains, and prints a finished receipt with its QR code. Exit
    /// code 0 only if every sale ended signed.
    Demo(DemoArgs),
    /// Run KRA's simulator alone
    #[command(after_long_help = fault_list())]
    Simulator(SimulatorArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Register this device with KRA
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Show device, line to KRA, queue, last receipt, disk and alerts on one screen
    ///
    /// Exit code 0 healthy, 1 degraded, 69 when no daemon answers.
    Status(Output),
    /// Examine the installation: configuration, daemon, device, files, disk, clock, serial ports, and the way to KRA
    ///
    /// A line for each thing, ok, warn or FAIL, with what to do. Nothing is changed; one question goes to KRA, without the
    /// device's key. Run it with sudo: what others may not see is left out. Exit code 1 where something failed.
    Doctor(Output),
    /// Look at the documents that wait for KRA or were set aside, and decide about them
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look at the series of invoice numbers, and the way out where it has stopped
    #[command(subcommand)]
    Series(SeriesCommand),
    /// Show the exchanges with KRA: what was asked, how it went, without keys and customers
    ///
    /// Asks the running daemon, or reads the log of a stopped one. With --json, one line of JSON an exchange, with both
    /// bodies as far as they may be kept.
    Log(LogArgs),
    /// Write the sales journal for an inspector to standard output
    ///
    /// NDJSON: one record a line, with its exact bytes and the till's signatures; the last line is the signed manifest.
    /// `verify FILE` checks it on any machine. Customers' data is in it as far as the sales hold it; keys are not. Asks
    /// the running daemon, which records the export, or reads the store of a stopped one and writes nothing there.
    Export(ExportArgs),
    /// Check the signature chain of the sales log, or of an export
    ///
    /// Without a path, or with a directory: asks the running daemon, or reads the store of a stopped one; writes nothing.
    /// With a file: checks that export alone, on any machine. Exit code 1 and the first bad record's number on damage.
    Verify(VerifyArgs),
    /// Print the receipt of a sale: a copy, or the original where it may be had
    ///
    /// The original may be had once, and once more within 15 minutes of that, where the paper jammed. A sale that KRA has not
    /// signed has a slip that says so.
    Receipt(ReceiptArgs),
    /// Read out of a damaged store what can be read, into a new one
    ///
    /// DIR, the damaged store's directory (state_dir), is only read. The new store has the same device and keys, and every
    /// record that could be read under its old running number. What could not be read is listed: running numbers and, where
    /// known, the registers' own numbers. Nothing that KRA may have is sent again before its books were asked; where those
    /// show more than is left, the series stops and `series adopt` takes it over. Keep DIR as evidence; then set state_dir to
    /// the new directory. Exit code 0 all was read, 1 something was lost, 66 there is no store.
    Salvage(SalvageArgs),
    /// What `salvage` starts to read an index that may end it
    #[command(hide = true)]
    SalvageIndex(SalvageIndexArgs),
    /// Make the store of a new till
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write man pages and shell completions, when a package is made
    #[command(hide = true)]
    Manual(ManualArgs),
}

/// How results are printed.
#[derive(Args, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Format spoken to the simulator
    #[arg(long, value_enum, default_value_t = DemoWire::Xml)]
    pub wire: DemoWire,
    /// Leave simulator and gateway running, and print their addresses and a curl line to try
    #[arg(long)]
    pub keep: bool,
}

/// Formats the demonstration can speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DemoWire {
    /// XML, as the OSCU of the xml wire
    Xml,
    /// JSON, as KRA's public servers
    Json,
}

/// Options of `simulator`.
#[derive(Args, Clone, Debug)]
pub struct SimulatorArgs {
    /// Address to listen on, such as 127.0.0.1:9443; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Address of its levers (/_sim/), in reach while the line is cut; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub control: SocketAddr,
    /// Misbehave from the start; may be given several times (more: POST /_sim/faults)
    ///
    /// NAME, NAME=TIMES, NAME:ARGUMENTS=TIMES or NAME:ARGUMENTS@FUNCTION=TIMES, such as late:5000=1 or
    /// result_cd:913,no such code@saveTrnsSalesOsdc=2. Without TIMES, until it is switched off.
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Speak TLS with this certificate chain (PEM)
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
}

/// `config ...`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report all problems of the configuration at once, with key and allowed values; exit code 78 on any
    Check(Output),
}

/// `device ...`
#[derive(Clone, Debug, Subcommand)]
pub enum DeviceCommand {
    /// Register this device with KRA, or show the registration it has
    Init(DeviceInitArgs),
    /// Bring in a device that KRA registered elsewhere, or a key that KRA gave again
    ///
    /// KRA gives a device's key once. Where the device was registered by another product, or KRA sent the values again
    /// after "902 device already installed", they are taken in here: the key from a file, SCU id, MRC number, and the number
    /// that the next invoice gets. Works while the device is not registered yet, or failed; sales that were taken meanwhile
    /// are sent. On a registered device --key-file alone puts a new key in the place of the old one.
    ///
    /// With none of KRA's values, only the device's serial number is put right (--serial): for a device that was configured
    /// with a wrong one and has sold before KRA was reached. KRA is then asked to register it.
    Adopt(DeviceAdoptArgs),
    /// Confirm that the store was moved to other hardware on purpose
    ///
    /// A store that finds itself on other hardware takes sales and sends nothing: it may be a copy of a till that goes on
    /// selling. Say so only if no other till goes on with these sales.
    Moved(DeviceMovedArgs),
}

/// Options of `device adopt`; taxpayer, branch and serial come from the configuration where not given.
#[derive(Args, Clone, Debug)]
pub struct DeviceAdoptArgs {
    /// Taxpayer PIN [default: device.tin]
    #[arg(long, value_name = "PIN")]
    pub tin: Option<String>,
    /// Branch, two digits [default: device.bhf_id]
    #[arg(long, value_name = "BRANCH")]
    pub bhf_id: Option<String>,
    /// Serial number of the device, as KRA approved it [default: device.serial_number]
    #[arg(long, value_name = "SERIAL")]
    pub serial: Option<String>,
    /// File with the communication key (cmcKey) alone on its first line; `-` reads standard input [default: a key of this
    /// device that lies in the state directory already]
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,
    /// SCU id (sdcId), as KRA gave it
    #[arg(long, value_name = "SDCID")]
    pub sdc_id: Option<String>,
    /// MRC number (mrcNo), as KRA gave it
    #[arg(long, value_name = "MRCNO")]
    pub mrc_no: Option<String>,
    /// Device id (dvcId), as KRA gave it
    #[arg(long, value_name = "DVCID")]
    pub dvc_id: Option<String>,
    /// Taxpayer's name, printed where trader.name is not set
    #[arg(long, value_name = "NAME")]
    pub taxpayer_name: Option<String>,
    /// Number of the next invoice: 1 if the device has issued none, else one more than the last in KRA's books
    #[arg(long, value_name = "N")]
    pub next_invc_no: Option<u64>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `device moved`.
#[derive(Args, Clone, Debug)]
pub struct DeviceMovedArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `device init`; what is not given comes from the configuration.
#[derive(Args, Clone, Debug)]
pub struct DeviceInitArgs {
    /// Taxpayer PIN [default: device.tin]
    #[arg(long, value_name = "PIN")]
    pub tin: Option<String>,
    /// Branch, two digits [default: device.bhf_id]
    #[arg(long, value_name = "BRANCH")]
    pub bhf_id: Option<String>,
    /// Serial number of the device, as KRA approved it [default: device.serial_number]
    #[arg(long, value_name = "SERIAL")]
    pub serial: Option<String>,
    /// Show the whole communication key (a secret) instead of masking it
    #[arg(long)]
    pub show_key: bool,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// `queue ...`
#[derive(Clone, Debug, Subcommand)]
pub enum QueueCommand {
    /// List the documents that wait, in the order they will be sent, and those set aside; and items that KRA did not take yet
    List(Output),
    /// Show one document: what happened to it, what it means for the shop, and what can be done; or an item
    Show(QueueShowArgs),
    /// Try a document again, or all of them; or an item
    ///
    /// A parked document waits for KRA anew. One that KRA refused does too: use it where the cause was at KRA and is put
    /// right; else post a corrected sale with `replaces`. One in doubt is looked up in KRA's books now. --all ends every
    /// pause and hold and releases what is parked; what KRA refused stays refused. An item (its itemCd, or item:ITEMCD where
    /// a sale may have the same number) that KRA did not take is sent again as it is.
    Retry(QueueRetryArgs),
    /// Set a waiting document aside: it is not sent until it is retried, and those behind it go on
    Park(QueueParkArgs),
    /// Close a document for good by a person's word
    ///
    /// accepted: KRA's books show it under the number it was sent with. not-accepted: KRA does not have it, and it is not
    /// sent; its slip is not valid. elsewhere: it was given to KRA in another way, by hand or by another device.
    /// One that is in doubt can be settled only where KRA's books cannot be asked, or cannot prove what is in them.
    Settle(QueueSettleArgs),
}

/// Options of `queue retry`.
#[derive(Args, Clone, Debug)]
pub struct QueueRetryArgs {
    /// The document's running number, or the register's own number of the sale (trdInvcNo); where one may mean either,
    /// seq:NUMBER or trd:NUMBER says which
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "all", conflicts_with = "all")]
    pub id: Option<String>,
    /// End every pause and hold, and release all parked documents
    #[arg(long)]
    pub all: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `queue park`.
#[derive(Args, Clone, Debug)]
pub struct QueueParkArgs {
    /// The document's running number, or the register's own number of the sale (trdInvcNo); where one may mean either,
    /// seq:NUMBER or trd:NUMBER says which
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `queue settle`.
#[derive(Args, Clone, Debug)]
pub struct QueueSettleArgs {
    /// The document's running number, or the register's own number of the sale (trdInvcNo); where one may mean either,
    /// seq:NUMBER or trd:NUMBER says which
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// As what it is closed
    #[arg(long = "as", value_name = "AS", value_enum)]
    pub settled_as: SettledAs,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// As what a document is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SettledAs {
    /// It is in KRA's books under the number it was sent with
    Accepted,
    /// It was given to KRA in another way
    Elsewhere,
    /// It is not in KRA's books, and is not to be sent
    NotAccepted,
}

/// `series ...`
#[derive(Clone, Debug, Subcommand)]
pub enum SeriesCommand {
    /// Show both books side by side, KRA's looked up now, and what to do
    ///
    /// Exit code 1 where the series has stopped.
    Show(Output),
    /// Go on behind what KRA has, where the series has stopped
    ///
    /// Walks KRA's invoices from the last one that both books agree on up to the first free number: invoices of others are
    /// written down as such, our own are taken over, and the next sale gets the number behind them. Find out first which
    /// other till or product numbers in this series, and stop it.
    Adopt(SeriesAdoptArgs),
}

/// Options of `series adopt`.
#[derive(Args, Clone, Debug)]
pub struct SeriesAdoptArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Go on with this number; only where KRA itself said that it expects it, or cannot be asked for its invoices
    #[arg(long, value_name = "N")]
    pub next: Option<u64>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `queue show`.
#[derive(Args, Clone, Debug)]
pub struct QueueShowArgs {
    /// The document's running number, or the register's own number of the sale (trdInvcNo); where one may mean either,
    /// seq:NUMBER or trd:NUMBER says which
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `log`.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Show the last ten exchanges, then each new one until interrupted, over restarts of the daemon
    #[arg(long)]
    pub follow: bool,
    /// Only the exchanges about the sale of this register's number
    #[arg(long, value_name = "TRDINVCNO")]
    pub sale: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// First day, in Nairobi, such as 2026-11-01 [default: from the oldest record that is kept]
    #[arg(long, value_name = "DAY")]
    pub from: Option<Day>,
    /// Last day, included [default: up to the newest record]
    #[arg(long, value_name = "DAY")]
    pub to: Option<Day>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub format: ExportFormat,
}

/// Formats of an export.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ExportFormat {
    /// One record a line, the signed manifest last: what `verify` checks
    Ndjson,
    /// A table for reading; it proves nothing
    Csv,
}

/// Options of `verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// An export, or the state directory of a stopped daemon [default: ask the running one, else state_dir]
    #[arg(value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `receipt`.
#[derive(Args, Clone, Debug)]
pub struct ReceiptArgs {
    /// The register's own number of the sale (trdInvcNo), or its running number; where one may mean either, seq:NUMBER or
    /// trd:NUMBER says which
    #[arg(value_name = "TRDINVCNO", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// The original, not a copy
    #[arg(long)]
    pub original: bool,
    /// For what kind of printer
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReceiptFormat,
    /// Characters on a line
    #[arg(long, default_value = "42", value_name = "CHARACTERS", value_parser = value_parser!(u64).range(32..=250))]
    pub width: u64,
}

/// For what kind of printer a receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReceiptFormat {
    /// Orders for a printer that speaks ESC/POS
    Escpos,
    /// The facts
    Json,
    /// Lines
    Text,
}

/// Options of `salvage`.
#[derive(Args, Clone, Debug)]
pub struct SalvageArgs {
    /// The damaged store's directory; no gateway may be running on it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The new store's directory: it is made, or is there and empty
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// How results are printed.
    #[command(flatten)]
    pub output: Output,
}

/// Options of `salvage-index`.
#[derive(Args, Clone, Debug)]
pub struct SalvageIndexArgs {
    /// A copy of the index
    pub dir: PathBuf,
    /// The journal's id
    pub journal: String,
}

/// Options of `manual`.
#[derive(Args, Clone, Debug)]
pub struct ManualArgs {
    /// Directory to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `store ...`
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Make an empty store; where one is already, nothing is changed
    Init,
}

/// Reads the command line, the program's name first.
///
/// # Errors
/// Help and version were printed (code 0), or what is wrong with the line (code 64).
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    Cli::try_parse_from(words).map_err(|error| {
        // Nowhere left to say that it could not be said.
        let _printed = error.print();
        if error.use_stderr() { Exit::Usage } else { Exit::Ok }
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, DemoWire, DeviceCommand, Exit, QueueCommand, parse};

    fn words(line: &str) -> impl Iterator<Item = std::ffi::OsString> {
        std::iter::once("etims-gateway").chain(line.split_whitespace()).map(Into::into)
    }

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_read() {
        for line in [
            "run",
            "run --config /c.toml",
            "--config /c.toml demo --wire json --keep",
            "simulator --listen 127.0.0.1:9443 --control 127.0.0.1:9444 --fault hang --fault 401",
            "simulator --listen 127.0.0.1:0 --tls-certificate c --tls-key k",
            "config check --json --config x",
            "device init --show-key --json",
            "device init --tin P051234567Z --bhf-id 00 --serial X",
            "device adopt --key-file k --sdc-id KRACU1 --mrc-no M1 --next-invc-no 41 --dvc-id 9 --json",
            "device adopt --serial RIGHT --reason typo",
            "device moved --reason repaired",
            "status --json",
            "doctor --json",
            "queue list",
            "queue show A-1 --json",
            "queue retry 17",
            "queue retry --all --reason x --json",
            "queue park A-1 --reason x",
            "queue settle A-1 --as not-accepted --reason x",
            "series show --json",
            "series adopt --reason x --next 5",
            "log",
            "log --follow --sale T1-000123 --json",
            "verify",
            "verify /var/lib/etims-gateway --json",
            "store init",
            "export",
            "export --from 2026-11-01 --to 2026-11-30 --format csv",
        ] {
            assert!(Cli::try_parse_from(words(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn flags_arrive() {
        let cli = parse(words("device init --serial X --show-key --config /c")).unwrap();
        assert_eq!(cli.config.unwrap().to_str(), Some("/c"));
        let Command::Device(DeviceCommand::Init(init)) = cli.command else { panic!("device init") };
        assert!(
            init.show_key && init.tin.is_none() && init.serial.as_deref() == Some("X") && !init.output.json
        );
        let Command::Demo(demo) = parse(words("demo")).unwrap().command else { panic!("demo") };
        assert_eq!((demo.wire, demo.keep), (DemoWire::Xml, false));
        let Command::Queue(QueueCommand::Show(show)) = parse(words("queue show 17 --json")).unwrap().command
        else {
            panic!("queue show")
        };
        assert_eq!((show.id.as_str(), show.output.json), ("17", true));
    }

    #[test]
    fn wrong_lines_and_help() {
        let check =
            |line: &str, expected: Exit| assert_eq!(parse(words(line)).err(), Some(expected), "{line}");
        for line in [
            "",
            "rum",
            "run --json",
            "device moved",
            "device adopt --next-invc-no x",
            "queue",
            "queue show",
            "queue retry",
            "queue retry 1 --all",
            "queue settle 1 --as accepted",
            "queue settle 1 --as gone --reason x",
            "series",
            "series adopt",
            "demo --wire gateway",
            "simulator",
            "config",
        ] {
            check(line, Exit::Usage);
        }
        check("simulator --listen nowhere", Exit::Usage);
        check("export --from 2026-11-31", Exit::Usage);
        check("export --to today", Exit::Usage);
        check("simulator --listen 127.0.0.1:1 --tls-key k", Exit::Usage);
        for line in ["--help", "-h", "--version", "-V", "queue show --help"] {
            check(line, Exit::Ok);
        }
    }
}
