//! `queue list`, `queue show`: what waits, and what needs a person.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::ask::{ask, segment, words};
use super::{Exit, Output, say};
use crate::admin::{DocumentMessage, ItemMessage, ItemRow, QueuePage, QueueRow};

/// Lists pending, rejected and parked documents in order of acceptance.
pub fn queue_list(config: Option<&Path>, output: Output) -> Exit {
    let mut rows: Vec<QueueRow> = Vec::new();
    let mut items: Vec<ItemRow> = Vec::new();
    let mut after = None;
    loop {
        let path = after.map_or_else(|| "/queue".to_owned(), |after: u64| format!("/queue?after={after}"));
        let page: QueuePage = match ask(config, Method::GET, &path, None) {
            Ok((StatusCode::OK, answer)) => match serde_json::from_value(answer) {
                Ok(page) => page,
                Err(error) => return not_understood(&error),
            },
            Ok((_, answer)) => return refused(&answer),
            Err(exit) => return exit,
        };
        rows.extend(page.documents);
        items.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if output.json {
        say(&json!({ "documents": rows, "items": items }).to_string());
        return Exit::Ok;
    }
    if rows.is_empty() && items.is_empty() {
        say("the queue is empty");
        return Exit::Ok;
    }
    list_documents(&rows);
    list_items(&items);
    say("`etims-gateway queue show ID` says what happened to one, and what can be done");
    Exit::Ok
}

fn list_documents(rows: &[QueueRow]) {
    if rows.is_empty() {
        return;
    }
    say(&format!(
        "{:>8}  {:<20} {:<18} {:>12} {:>8}  {}",
        "ID", "TRDINVCNO", "STATE", "TOTAL", "AGE", "LAST"
    ));
    for row in rows {
        let state = if row.in_doubt { format!("{} (in doubt)", row.status) } else { row.status.clone() };
        say(&format!(
            "{:>8}  {:<20} {:<18} {:>12} {:>8}  {}",
            row.id,
            row.trd_invc_no,
            state,
            row.tot_amt,
            age(row.age_seconds),
            row.last.as_deref().unwrap_or("")
        ));
    }
}

fn list_items(rows: &[ItemRow]) {
    if rows.is_empty() {
        return;
    }
    say(&format!("{:<20}  {:<30} {:<10} {}", "ITEMCD", "ITEMNM", "STATE", "LAST"));
    for row in rows {
        let ItemRow { item_cd, item_nm, status, last, .. } = row;
        let name: String = item_nm.chars().take(30).collect();
        say(&format!("{item_cd:<20}  {name:<30} {status:<10} {}", last.as_deref().unwrap_or("")));
    }
}

/// One fact a line.
fn item_text(row: &ItemRow) -> String {
    let advice = match row.status.as_str() {
        "refused" => {
            "KRA refused it: correct it and post it again; `queue retry` sends the same once more. Sales that name it are sent"
        }
        "parked" => "its tries are spent: `queue retry` sends it again. Sales that name it are sent",
        "queued" => "it is saved at KRA when no sale is on its way, or before a sale that names it",
        _ => "KRA has it as it is here",
    };
    let mut text = String::new();
    for (label, value) in [
        ("itemCd", Some(row.item_cd.as_str())),
        ("itemNm", Some(row.item_nm.as_str())),
        ("state", Some(row.status.as_str())),
        ("since", Some(row.as_of.as_str())),
        ("last", row.last.as_deref()),
        ("named by sale", row.trd_invc_no.as_deref()),
        ("what it means", Some(advice)),
    ] {
        if let Some(value) = value {
            writeln!(text, "{label:<16} {value}").expect("a String takes all");
        }
    }
    text
}

/// One document, by its running number or its register's number.
pub fn queue_show(config: Option<&Path>, id: &str, output: Output) -> Exit {
    let answer = match ask(config, Method::GET, &format!("/queue/{}", segment(id)), None) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(exit) => return exit,
    };
    if output.json {
        say(&answer.to_string());
        return Exit::Ok;
    }
    if let Ok(ItemMessage { item }) = serde_json::from_value(answer.clone()) {
        say(item_text(&item).trim_end());
        return Exit::Ok;
    }
    match serde_json::from_value::<DocumentMessage>(answer) {
        Ok(document) => {
            say(document_text(&document).trim_end());
            Exit::Ok
        }
        Err(error) => not_understood(&error),
    }
}

/// One fact a line, then what happened, what it means and what can be done.
fn document_text(document: &DocumentMessage) -> String {
    let row = &document.row;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(text, "{label:<16} {value}").expect("a String takes all");
    };
    line("running number", &row.id.to_string());
    line("trdInvcNo", &row.trd_invc_no);
    line("state", &format!("{}{}", row.status, if row.in_doubt { ", in doubt" } else { "" }));
    line("KRA's number", &row.invc_no.map_or_else(|| "-".to_owned(), |number| number.to_string()));
    line("total", &row.tot_amt);
    line("accepted", &format!("{}, {} ago", document.accepted_at, age(row.age_seconds)));
    line("provisional slip", &row.temp_receipt_no);
    line("tries", &row.attempts.to_string());
    line("last", row.last.as_deref().unwrap_or("-"));
    for (label, value) in [
        ("credits", &row.credits),
        ("replaces", &document.replaces),
        ("replaced by", &document.replaced_by),
        ("settled as", &document.settled_as),
    ] {
        if let Some(value) = value {
            line(label, value);
        }
    }
    let story: Vec<String> = document.story.iter().map(|it| format!("{}  {}", it.at, it.text)).collect();
    let advice: Vec<String> = document.advice.iter().cloned().collect();
    for (head, lines) in
        [("what happened", story), ("what it means", advice), ("what can be done", document.commands.clone())]
    {
        if !lines.is_empty() {
            write!(text, "\n{head}\n  {}\n", lines.join("\n  ")).expect("a String takes all");
        }
    }
    text
}

fn age(seconds: u64) -> String {
    let whole = if seconds < 3600 { seconds } else { seconds - seconds % 60 };
    humantime::format_duration(Duration::from_secs(whole)).to_string().replace(' ', "")
}

fn refused(answer: &Value) -> Exit {
    eprintln!("etims-gateway: {}", words(answer));
    Exit::Problem
}

pub(super) fn not_understood(error: &serde_json::Error) -> Exit {
    eprintln!("etims-gateway: the daemon's answer is not understood ({error}): is it of another version?");
    Exit::Internal
}
