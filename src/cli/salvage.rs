//! `salvage`: a new store from what can be read of a damaged one.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Exit, SalvageArgs, SalvageIndexArgs, say};
use crate::daemon::clock::stamp;
use crate::queue::Status;
use crate::store::{Indexed, Known, SalvageError, Salvaged, known_documents, salvage};

/// How long a damaged index may take: sled may also wait for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes the new store and lists what could not be read.
pub fn run_salvage(arguments: &SalvageArgs) -> Exit {
    let SalvageArgs { dir, into, output } = arguments;
    match salvage(dir, into, stamp, &ask_index) {
        Ok(salvaged) => {
            say(&if output.json { describe(&salvaged).to_string() } else { text(&salvaged, dir, into) });
            if salvaged.is_whole() { Exit::Ok } else { Exit::Problem }
        }
        Err(error) => {
            if output.json {
                say(&json!({ "ok": false, "message": error.to_string() }).to_string());
            } else {
                eprintln!("etims-gateway: {error}");
            }
            exit_of(&error)
        }
    }
}

fn exit_of(error: &SalvageError) -> Exit {
    let denied = |source: &std::io::Error| source.kind() == std::io::ErrorKind::PermissionDenied;
    match error {
        SalvageError::NoStore { .. } => Exit::NoInput,
        SalvageError::InUse { .. } => Exit::Unavailable,
        SalvageError::Inside { .. } | SalvageError::NotEmpty { .. } => Exit::Usage,
        SalvageError::Key { .. } | SalvageError::Unreadable { .. } => Exit::Damaged,
        SalvageError::Io { source, .. } if denied(source) => Exit::Permission,
        SalvageError::Commit(_)
        | SalvageError::Io { .. }
        | SalvageError::Open(_)
        | SalvageError::Verify(_) => Exit::Internal,
    }
}

/// One document of the index, as a line between the two processes.
#[derive(Deserialize, Serialize)]
struct Line {
    seq: u64,
    trader_ref: String,
    status: String,
    number: Option<u64>,
}

/// Has a process of its own read the index: sled may end it, or never come back.
fn ask_index(copy: &Path, journal: &[u8; 16]) -> Result<Indexed, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .arg("salvage-index")
        .arg(copy)
        .arg(HEXLOWER.encode(journal))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let out = child.stdout.take();
    let (tell, told) = sync_channel(1);
    let reading = std::thread::spawn(move || {
        let read = out.map(listen);
        let _ = tell.send(());
        read
    });
    if told.recv_timeout(PATIENCE).is_err() {
        child.kill().map_err(|error| error.to_string())?;
    }
    let ended = child.wait().map_err(|error| error.to_string())?;
    match reading.join() {
        Ok(Some(read)) if ended.success() => read,
        _ => Err("it is damaged".to_owned()),
    }
}

/// Reads what the other process prints.
fn listen(out: ChildStdout) -> Result<Indexed, String> {
    let mut indexed = Indexed::default();
    for (index, line) in BufReader::new(out).lines().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if index == 0 {
            indexed.applied = line.parse().map_err(|_| "it gave no answer".to_owned())?;
            continue;
        }
        let Line { seq, trader_ref, status, number } =
            serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let status = Status::from_word(&status).ok_or("it gave an unknown status")?;
        indexed.documents.push(Known { seq, trader_ref, status, number });
    }
    Ok(indexed)
}

/// The other process: prints the last record in the index, then its documents.
pub fn salvage_index(arguments: &SalvageIndexArgs) -> Exit {
    let id = HEXLOWER.decode(arguments.journal.as_bytes()).ok().and_then(|id| <[u8; 16]>::try_from(id).ok());
    let Some(id) = id else { return Exit::Usage };
    let Ok(Indexed { applied, documents }) = known_documents(&arguments.dir, &id) else {
        return Exit::Damaged;
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = writeln!(out, "{applied}").and_then(|()| {
        for Known { seq, trader_ref, status, number } in documents {
            let line = Line { seq, trader_ref, status: status.word().to_owned(), number };
            writeln!(out, "{}", serde_json::to_string(&line).map_err(std::io::Error::other)?)?;
        }
        out.flush()
    });
    if written.is_ok() { Exit::Ok } else { Exit::Internal }
}

fn describe(it: &Salvaged) -> Value {
    let sale = |sale: &crate::store::LostSale| json!({ "record": sale.seq, "trdInvcNo": sale.trader_ref, "standing": sale.standing });
    json!({
        "ok": true,
        "whole": it.is_whole(),
        "records": it.read,
        "lastKept": it.last_kept,
        "sales": it.sales,
        "lostRecords": it.lost,
        "lostSales": it.lost_sales.iter().map(sale).collect::<Vec<_>>(),
        "endIsUnsure": it.end_is_unsure,
        "damage": it.damage,
        "inDoubt": it.in_doubt,
        "unsure": it.unsure,
        "nextInvcNo": it.next_number,
        "seriesSetBack": it.set_back,
        "toDo": it.to_do,
        "oldHead": { "record": it.old_head.0, "hash": HEXLOWER.encode(&it.old_head.1) },
        "lastRecord": it.head.0,
        "chainHead": HEXLOWER.encode(&it.head.1),
    })
}

fn text(it: &Salvaged, dir: &Path, into: &Path) -> String {
    let mut lines = vec![
        format!(
            "{}: {} records were read into {}, {} sales among them",
            dir.display(),
            it.read,
            into.display(),
            it.sales
        ),
        format!(
            "as it was up to record {}; the new chain is sound and ends at record {}",
            it.old_head.0, it.head.0
        ),
    ];
    lines.extend(it.damage.iter().map(|what| format!("damaged: {what}")));
    lines.extend(it.lost.iter().map(|(first, last)| format!("lost: records {first} to {last}")));
    for sale in &it.lost_sales {
        let name = sale.trader_ref.as_deref().unwrap_or("of unknown number");
        let standing =
            sale.standing.as_deref().map_or(String::new(), |standing| format!(", last {standing}"));
        lines.push(format!("lost: sale {name}, record {}{standing}", sale.seq));
    }
    if it.end_is_unsure {
        lines.push("lost: perhaps records after the last one; nothing says how many".to_owned());
    }
    lines.extend(
        it.in_doubt.iter().map(|key| format!("in doubt: sale {key}; KRA's books are asked about it first")),
    );
    if it.unsure > 0 {
        lines.push(format!(
            "{} more that are not finished may have got further than is known: before anything is sent, KRA's books are \
             asked for number {}; if they have it, the series stops, and `series adopt` takes over what they hold",
            it.unsure, it.next_number
        ));
    }
    lines.extend(it.to_do.iter().map(|what| format!("to do: {what}")));
    lines.push(format!(
        "{} is as it was: keep it. Set state_dir to {}, or move it there",
        dir.display(),
        into.display()
    ));
    lines.join("\n")
}
