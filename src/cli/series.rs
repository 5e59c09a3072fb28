//! `series show`, `series adopt`: the way out of a stopped series.

use std::fmt::Write;
use std::path::Path;

use hyper::{Method, StatusCode};

use super::ask::{ask, ended_as};
use super::queue::not_understood;
use super::queue_order::give;
use super::{Exit, Output, SeriesAdoptArgs, say};
use crate::admin::{SeriesMessage, TheirsMessage, WideOrderMessage};

/// Both books side by side. Exit code 1 where the series has stopped.
pub fn series_show(config: Option<&Path>, output: Output) -> Exit {
    let answer = match ask(config, Method::GET, "/series", None) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((status, answer)) => return ended_as(status, &answer),
        Err(exit) => return exit,
    };
    let series: SeriesMessage = match serde_json::from_value(answer.clone()) {
        Ok(series) => series,
        Err(error) => return not_understood(&error),
    };
    if output.json {
        say(&answer.to_string());
    } else {
        say(series_text(&series).trim_end());
    }
    if series.stopped.is_some() { Exit::Problem } else { Exit::Ok }
}

/// Goes on behind what KRA has.
pub fn series_adopt(config: Option<&Path>, arguments: &SeriesAdoptArgs) -> Exit {
    let SeriesAdoptArgs { reason, next, output } = arguments;
    let message = WideOrderMessage { reason: Some(reason.clone()), next: *next };
    give(config, "/series/adopt", &message, *output)
}

fn series_text(series: &SeriesMessage) -> String {
    let mut text = String::new();
    let mut row = |number: &str, ours: &str, theirs: &str| {
        writeln!(text, "{number:<10}  {ours:<44}  {theirs}").expect("a String takes all");
    };
    row("NUMBER", "THIS GATEWAY", "KRA'S BOOKS");
    if let Some(last) = &series.last {
        let theirs = series.kra_last.as_ref().map(theirs_text).unwrap_or_default();
        row(
            &last.invc_no.to_string(),
            &format!("the last known, receipt signature {}", last.rcpt_sign),
            &theirs,
        );
    }
    let bound = |number: u64| series.bound.as_ref().filter(|bound| bound.invc_no == number);
    let ours = match bound(series.next) {
        Some(bound) => {
            let doubt = if bound.in_doubt { ", in doubt" } else { "" };
            format!("sale {} (ID {}){doubt}", bound.trd_invc_no, bound.id)
        }
        None if series.stopped.is_some() => "nothing; nothing is sent".to_owned(),
        None => "free: the next sale gets it".to_owned(),
    };
    row(&series.next.to_string(), &ours, &theirs_text(&series.kra_next));
    if let Some(bound) = series.bound.as_ref().filter(|bound| bound.invc_no != series.next) {
        row(
            &bound.invc_no.to_string(),
            &format!("sale {} (ID {}), in doubt", bound.trd_invc_no, bound.id),
            "",
        );
    }
    if let Some(expected) = series.kra_expects {
        row("", "", &format!("KRA said that it expects number {expected}"));
    }
    row("stopped", series.stopped.as_deref().unwrap_or("no, it flows"), "");
    row("what to do", &series.advice, "");
    text.lines().fold(String::new(), |all, line| all + line.trim_end() + "\n")
}

fn theirs_text(theirs: &TheirsMessage) -> String {
    match theirs.state.as_str() {
        "absent" => "nothing".to_owned(),
        "there" => format!(
            "sale {}, receipt signature {}",
            theirs.trd_invc_no.as_deref().unwrap_or("without a trdInvcNo"),
            theirs.rcpt_sign.as_deref().unwrap_or("-")
        ),
        "no_look_up" => "this KRA does not show its invoices".to_owned(),
        _ => format!("cannot be read now: {}", theirs.words.as_deref().unwrap_or("-")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_books_stand_side_by_side() {
        let series: SeriesMessage = serde_json::from_value(json!({
            "stopped": "number 3 is another sale's at KRA", "next": 3, "last": { "invcNo": 2, "rcptSign": "AAAA" },
            "bound": { "id": 17, "trdInvcNo": "A-1", "invcNo": 3, "inDoubt": true },
            "kraNext": { "state": "there", "trdInvcNo": "STRANGER", "rcptSign": "BBBB" },
            "kraLast": { "state": "there", "trdInvcNo": "A-0", "rcptSign": "AAAA" },
            "advice": "stop the other till",
        }))
        .unwrap();
        let text = series_text(&series);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("2 ") && lines[1].matches("AAAA").count() == 2, "{text}");
        assert!(lines[2].starts_with("3 ") && lines[2].contains("A-1 (ID 17), in doubt"), "{text}");
        assert!(
            lines[2].contains("STRANGER") && lines[3] == "stopped     number 3 is another sale's at KRA",
            "{text}"
        );
        assert_eq!(lines[4], "what to do  stop the other till", "{text}");
    }
}
