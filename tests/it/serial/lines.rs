//! Lines of JSON, for technicians and scripts.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::{counted, numbers, on_one_line, said};
use crate::harness::{PATIENCE, Shop, eventually};
use crate::kra::{Kra, Wire};
use crate::pty::{Line, crc, frame};
use crate::sale::sale;

fn open(kra: &Kra) -> (Shop, crate::harness::Gateway, Line) {
    let (shop, line) = on_one_line(kra, ", protocol = \"lines\", prefix = \"A-\"");
    let gateway = shop.open_registered();
    eventually("the port is open", || (said(&shop, "serial port open") == 1).then_some(()));
    (shop, gateway, line)
}

fn answer(line: &Line) -> String {
    let heard = line.listen(PATIENCE, |heard| heard.last().is_some_and(|(_, byte)| *byte == b'\n'));
    String::from_utf8(heard.into_iter().map(|(_, byte)| byte).collect()).unwrap()
}

fn ask(line: &Line, text: &str) -> Value {
    line.send(format!("{text}\n"));
    let answer = answer(line);
    assert!(answer.starts_with("{\"st\":"), "{answer}");
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn requests_and_answers_are_those_of_frames() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let body = ask(&line, &json!({ "op": "sale", "data": sale("L-1"), "seq": 7 }).to_string());
    assert_eq!((&body["st"], &body["trdInvcNo"], &body["seq"]), (&json!(201), &json!("L-1"), &json!(7)));
    // The register's own number is another one in the books.
    assert_eq!(numbers(&shop), ["A-L-1"]);
    assert_eq!(ask(&line, r#"{"op":"last"}"#)["trdInvcNo"], "L-1");
    assert_eq!(ask(&line, r#"{"op":"query","data":{"trdInvcNo":"L-1"}}"#)["status"], "signed");
    assert_eq!(ask(&line, r#"{"op":"hello","data":{"proto":1}}"#)["last"]["trdInvcNo"], "L-1");
    assert_eq!(ask(&line, r#"{"op":"status"}"#)["status"], "active");
    let print = |more: &str| ask(&line, &format!(r#"{{"op":"print","data":{{"trdInvcNo":"L-1"{more}}}}}"#));
    let original = print("")["text"].as_str().unwrap().to_owned();
    assert!(original.contains("TAX INVOICE") && !original.contains("COPY"), "{original}");
    assert!(!original.contains("A-L-1"), "its own number: {original}");
    assert!(print(r#","width":32"#)["text"].as_str().unwrap().contains("COPY"));
    assert!(print(r#","format":"escpos""#)["escpos"].is_string());
    assert_eq!(print(r#","format":"json""#)["tis"]["trdInvcNo"], "L-1");
    let news = ask(&line, r#"{"op":"news","data":{"after":0}}"#);
    let signed = news["events"].as_array().unwrap().iter().find(|event| event["type"] == "sale.signed");
    assert_eq!(signed.unwrap()["sale"]["trdInvcNo"], "L-1");
    assert_eq!(ask(&line, r#"{"op":"dance"}"#)["st"], 400);
    assert_eq!(ask(&line, "{")["error"], "bad_json");
    assert_eq!(counted(&gateway, "unchecked"), 1);
    line.send("status\n");
    let words = String::from_utf8(line.hears(Duration::from_millis(400))).unwrap();
    assert!(words.contains("queue 0"), "{words}");
}

#[test]
fn a_line_with_a_check_is_answered_with_one_and_a_wrong_check_is_not_executed() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    line.send("{\"op\":\"status\"}\t55CCF620\n");
    let text = answer(&line);
    let (json, check) = text.trim_end().split_once('\t').unwrap();
    assert_eq!(check, format!("{:08X}", crc(json.as_bytes())));
    let request = json!({ "op": "sale", "data": sale("L-2") }).to_string();
    line.send(format!("{request}\t{:08X}\n", crc(request.as_bytes()) ^ 1));
    assert!(answer(&line).starts_with("{\"st\":400,\"error\":\"crc\""));
    assert_eq!(numbers(&shop), Vec::<String>::new());
    line.send(format!("{request}\t{:08X}\n", crc(request.as_bytes())));
    assert!(answer(&line).starts_with("{\"st\":201,"));
    assert_eq!((numbers(&shop).len(), counted(&gateway, "unchecked")), (1, 0));
}

#[test]
fn lines_that_are_too_long_and_frames_are_not_taken() {
    let kra = Kra::start(Wire::Json);
    let (shop, _gateway, line) = open(&kra);
    line.send(format!("{{\"op\":\"sale\",\"data\":{{\"remark\":\"{}\"}}}}\n", "x".repeat(70_000)));
    assert!(answer(&line).starts_with("{\"st\":400,"));
    sleep(Duration::from_millis(150));
    line.send(frame(1, 'S', &sale("L-3").to_string()));
    line.is_quiet();
    assert_eq!(said(&shop, "set its protocol to \"frame\""), 1);
    assert_eq!(ask(&line, r#"{"op":"status"}"#)["st"], 200);
    assert_eq!(numbers(&shop), Vec::<String>::new());
}
