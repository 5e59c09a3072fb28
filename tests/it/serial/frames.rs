//! The line as such: worked examples, damage, noise, pauses, lengths, strangers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{counted, numbers, on_one_line, open, said};
use crate::harness::{Dice, SERIAL, eventually};
use crate::kra::{Kra, Wire};
use crate::pty::{ACK, CAN, Line, NAK, SYN, frame};
use crate::sale::{sale, sale_with};

/// The sale of the specification's examples: the item is to be known from the catalogue.
const EXAMPLE: &str = "\x1E008802S{\"trdInvcNo\":\"T1-000123\",\"rcptTyCd\":\"S\",\"salesTyCd\":\"N\",\
    \"pmtTyCd\":\"01\",\"itemList\":[{\"itemCd\":\"KE2NTNO0000001\",\"qty\":2}],\"totAmt\":130.00}\x034807613F\n";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_worked_requests_are_understood_byte_for_byte() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    line.send("\x1E000B00H{\"proto\":1}\x03C5248464\n");
    let hello = line.reply();
    let body = hello.expect(0, 'h', 200);
    assert_eq!((&body["proto"], &body["accepting"], &body["last"]), (&json!(1), &json!(true), &Value::Null));
    assert!(body["boot"].is_u64() && body["now"].as_str().unwrap().contains("+03:00"), "{body}");

    line.send("\x1E000001T\x037F8B2881\n");
    let state = line.reply();
    let mut over_http = gateway.till().get("/api/device/status/").expect(200);
    over_http["st"] = json!(200);
    let told = state.expect(1, 't', 200);
    assert_eq!((&told["serialNumber"], &told["status"]), (&json!(SERIAL), &json!("active")));
    assert_eq!(
        told.as_object().unwrap().keys().collect::<Vec<_>>(),
        over_http.as_object().unwrap().keys().collect::<Vec<_>>()
    );

    // One validation, one answer: whatever HTTP says of that sale, the line says with the same words.
    line.send(EXAMPLE);
    let reply = line.reply();
    let body: String = EXAMPLE[8..].split('\x03').next().unwrap().to_owned();
    let over_http = gateway.till().ask("POST", "/api/sales/", Some(body.as_bytes())).unwrap();
    let mut expected = over_http.json();
    expected["st"] = json!(over_http.status);
    assert_eq!((reply.seq, &reply.body), (2, &expected));
    assert_eq!(reply.kind, if over_http.status < 400 { 's' } else { 'e' });
    drop(shop);
}

#[test]
fn a_sale_over_the_line_is_the_same_sale_over_http() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let signed = line.ask(1, 'S', &sale("T-1").to_string());
    let body = signed.expect(1, 's', 201).clone();
    assert_eq!(body["status"], "signed");
    let repeat = gateway.till().post("/api/sales/", &sale("T-1")).expect(200);
    assert_eq!((&repeat["repeat"], &repeat["receiptNo"]), (&json!(true), &body["receiptNo"]));
    let conflict = line.ask(2, 'S', &sale_with("T-1", json!({ "pmtTyCd": "02" })).to_string());
    assert_eq!(conflict.expect(2, 'e', 409)["error"], "trdInvcNo_reused");

    kra.line(false);
    let pending = line.ask(3, 'S', &sale("T-2").to_string());
    assert_eq!(pending.expect(3, 's', 202)["status"], "pending");
    let asked = line.ask(4, 'Q', r#"{"trdInvcNo":"T-2"}"#);
    assert_eq!(asked.expect(4, 'q', 200)["status"], "pending");
    assert_eq!(line.ask(5, 'L', "").expect(5, 'l', 200)["trdInvcNo"], "T-2");
    assert_eq!(line.ask(6, 'Q', r#"{"trdInvcNo":"NONE"}"#).expect(6, 'e', 404)["error"], "not_found");
    kra.line(true);
    let waited = line.ask(7, 'Q', r#"{"trdInvcNo":"T-2","wait":30}"#);
    assert_eq!(waited.expect(7, 'q', 200)["status"], "signed");

    // What happened since, eight at a time, and nothing twice.
    let (mut after, mut types) = (0, Vec::new());
    for seq in 8..40 {
        let news = line.ask(seq, 'N', &json!({ "after": after }).to_string());
        let body = news.expect(seq, 'n', 200);
        let events = body["events"].as_array().unwrap();
        assert!(events.len() <= 8);
        if events.is_empty() {
            break;
        }
        types.extend(events.iter().map(|event| event["type"].as_str().unwrap().to_owned()));
        after = body["next"].as_u64().unwrap();
    }
    assert_eq!(types.iter().filter(|kind| *kind == "sale.signed").count(), 2, "{types:?}");

    // Faults, and what is no request, come with HTTP's words too.
    let wrong = line.ask(50, 'S', r#"{"trdInvcNo":"T-3","itemList":[],"colour":"red"}"#);
    let over_http = gateway.till().ask(
        "POST",
        "/api/sales/",
        Some(br#"{"trdInvcNo":"T-3","itemList":[],"colour":"red"}"#),
    );
    assert_eq!(wrong.expect(50, 'e', 400)["errors"], over_http.unwrap().json()["errors"]);
    assert_eq!(line.ask(51, 'S', "").expect(51, 'e', 400)["error"], "bad_json");
    assert_eq!(line.ask(52, 'X', "{}").expect(52, 'e', 400)["error"], "bad_query");
    assert_eq!(line.ask(0, 'S', &sale("T-4").to_string()).expect(0, 'e', 400)["error"], "bad_query");
    let printed = line.ask(53, 'P', r#"{"trdInvcNo":"T-1"}"#);
    assert!(printed.expect(53, 'p', 200)["text"].as_str().unwrap().contains("TAX INVOICE"));
    assert_eq!(numbers(&shop).len(), 2);
}

/// Point 2. All 1224 single-bit errors are a test of the receiver; here one of each bit and each part of a frame goes over a
/// real line, and the good frame after it is taken.
#[test]
fn damaged_frames_are_never_executed() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let good = frame(7, 'S', &sale("DAMAGED").to_string());
    let (mut naks, mut sent) = (0, 0);
    for place in (0..good.len()).step_by(17) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        line.send(&bad);
        sent += 1;
        // One NAK in so long at most.
        let heard = line.hears(ms(260));
        naks += heard.iter().filter(|byte| **byte == NAK).count();
        assert!(heard.iter().all(|byte| matches!(*byte, NAK | ACK)), "{place}: {heard:02X?}");
    }
    for place in 8..good.len() - 11 {
        let mut bad = good.clone();
        bad.swap(place, place + 1);
        if bad != good {
            line.send(&bad);
        }
    }
    sleep(ms(600));
    line.hears(ms(50));
    assert!(naks * 4 > sent * 3 && counted(&gateway, "damaged") > 100, "{naks} of {sent}");
    assert_eq!(numbers(&shop), Vec::<String>::new());
    // Damaged, told so, sent again: executed once.
    let mut bad = good.clone();
    bad[30] ^= 4;
    line.send(&bad);
    assert_eq!(line.hears(ms(100)), [NAK]);
    line.send(&good);
    line.reply().expect(7, 's', 201);
    assert_eq!(numbers(&shop), ["DAMAGED"]);
}

/// Point 3.
#[test]
fn after_noise_and_a_torn_frame_a_good_one_is_executed_once() {
    let kra = Kra::start(Wire::Json);
    let (shop, _gateway, line) = open(&kra);
    let good = frame(9, 'S', &sale("AFTER-NOISE").to_string());
    line.send(b"\xFF\x80\x00 noise \x01\x02\x7F");
    line.send(&good[..good.len() / 2]);
    line.send(&good);
    line.reply().expect(9, 's', 201);
    line.is_quiet();
    assert_eq!(numbers(&shop), ["AFTER-NOISE"]);
}

/// Point 4.
#[test]
fn bytes_may_come_one_by_one_with_pauses_below_half_a_second() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let good = frame(3, 'S', &sale("SLOW").to_string());
    let one_by_one = |pause: Duration| {
        for (place, byte) in good.iter().enumerate() {
            line.send([*byte]);
            if place == 20 || place == 60 {
                sleep(pause);
            } else if place % 16 == 0 {
                sleep(ms(5));
            }
        }
    };
    one_by_one(ms(800));
    let heard = line.hears(ms(700));
    assert!(heard.is_empty(), "after silence nothing is answered: {heard:02X?}");
    assert_eq!(numbers(&shop), Vec::<String>::new());
    assert_eq!(counted(&gateway, "timed_out"), 1);
    one_by_one(ms(300));
    line.reply().expect(3, 's', 201);
    assert_eq!(numbers(&shop), ["SLOW"]);
}

/// Point 7.
#[test]
fn an_echo_of_the_gateways_own_bytes_is_dropped() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    for seq in 1..=5 {
        let mut reply = line.ask(seq, 'S', &sale(&format!("ECHO-{seq}")).to_string());
        line.send(std::mem::take(&mut reply.bytes));
        reply.expect(seq, 's', 201);
    }
    assert_eq!(line.enquire(), ACK);
    line.send([ACK, SYN, NAK, CAN]);
    line.is_quiet();
    assert_eq!(counted(&gateway, "echo"), 6);
    assert_eq!(numbers(&shop).len(), 5);
    assert_eq!(said(&shop, "serial port not usable"), 0);
}

/// Point 8.
#[test]
fn ten_megabytes_of_noise_do_nothing() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let mut dice = Dice::new();
    let began = Instant::now();
    let (mut heard, mut naks) = (Vec::new(), Vec::new());
    for _ in 0..10 << 20 >> 12 {
        let noise: Vec<u8> = (0..512).flat_map(|_| dice.below(u64::MAX).to_be_bytes()).collect();
        line.send(&noise);
        let read = line.read();
        naks.extend(read.iter().filter(|byte| **byte == NAK).map(|_| began.elapsed()));
        heard.extend(read);
    }
    let took = began.elapsed();
    let rest = line.hears(ms(700));
    naks.extend(rest.iter().filter(|byte| **byte == NAK).map(|_| began.elapsed()));
    heard.extend(rest);
    assert!(heard.iter().all(|byte| matches!(*byte, NAK | ACK)), "nothing but NAK, and ACK to an ENQ in it");
    assert!(
        naks.len() < 6 || naks.windows(6).all(|six| six[5] - six[0] > ms(950)),
        "fewer than five a second: {naks:?}"
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB more");
    eprintln!("10 MiB of noise in {took:?}: {} NAK, {grown} KiB more resident", naks.len());
    assert_eq!(numbers(&shop), Vec::<String>::new());
    line.send(frame(1, 'S', &sale("AFTER").to_string()));
    line.reply().expect(1, 's', 201);
}

/// The fastest usual line at its full rate, with noise between the frames: each is heard, and answered at once.
#[test]
fn at_115200_baud_no_frame_is_lost_under_noise() {
    let kra = Kra::start(Wire::Json);
    let (_shop, gateway, line) = open(&kra);
    let mut dice = Dice::new();
    let padding = "x".repeat(1000);
    let began = Instant::now();
    let (mut carried, mut slowest) = (0_u32, Duration::ZERO);
    for count in 0..120_u8 {
        let noise: Vec<u8> = (0..dice.below(40)).map(|_| dice.below(256).to_be_bytes()[7]).collect();
        let request =
            frame(count % 255 + 1, 'Q', &json!({ "trdInvcNo": padding, "wait": count }).to_string());
        for part in [noise.as_slice(), &request].concat().chunks(115) {
            line.send(part);
            carried += u32::try_from(part.len()).unwrap();
            // What comes at 11,520 bytes a second, as by a clock: a part that was late is made up for.
            let due = Duration::from_micros(u64::from(carried) * 1_000_000 / 11_520);
            sleep(due.saturating_sub(began.elapsed()));
        }
        let sent = Instant::now();
        let heard = line.listen(ms(3000), |heard| heard.last().is_some_and(|(_, byte)| *byte == b'\n'));
        let bytes: Vec<u8> = heard.into_iter().map(|(_, byte)| byte).collect();
        let end = bytes
            .iter()
            .position(|byte| *byte == 0x1E)
            .unwrap_or_else(|| panic!("no reply to {count}: {bytes:02X?}"));
        // Noise may hold a frame's beginning or an enquiry.
        assert!(bytes[..end].iter().all(|byte| matches!(*byte, NAK | ACK | SYN)), "{bytes:02X?}");
        assert_eq!(&bytes[end + 5..end + 7], format!("{:02X}", count % 255 + 1).as_bytes());
        slowest = slowest.max(sent.elapsed());
        carried = carried.max(u32::try_from(began.elapsed().as_micros() * 11_520 / 1_000_000).unwrap());
    }
    eprintln!("120 requests with noise in {:?}, the slowest answered in {slowest:?}", began.elapsed());
    assert_eq!(counted(&gateway, "request"), 120);
    assert!(slowest < ms(1000), "{slowest:?}");
}

/// Point 9.
#[test]
fn lengths() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    // FFFF exactly: what is left to say goes into a field that is refused for its length, with HTTP's words.
    let frame_of = |length: usize| {
        let bare = sale_with("LONGEST", json!({ "remark": "" })).to_string();
        sale_with("LONGEST", json!({ "remark": "x".repeat(length - bare.len()) })).to_string()
    };
    let longest = frame_of(0xFFFF);
    assert_eq!(longest.len(), 0xFFFF);
    let reply = line.ask(1, 'S', &longest);
    let over_http = gateway.till().ask("POST", "/api/sales/", Some(longest.as_bytes())).unwrap();
    assert_eq!(
        (&reply.body["st"], &reply.body["errors"]),
        (&json!(over_http.status), &over_http.json()["errors"])
    );

    // A length that is not kept: silence, and nothing is executed.
    line.send(b"\x1EFFFF02S{\"trdInvcNo\":\"SHORT\"");
    line.is_quiet();
    eventually("the frame was given up", || (counted(&gateway, "timed_out") == 1).then_some(()));
    assert_eq!(line.ask(3, 'S', "").expect(3, 'e', 400)["error"], "bad_json");
    assert_eq!(line.ask(4, 'T', "").expect(4, 't', 200)["status"], "active");
    assert_eq!(numbers(&shop), Vec::<String>::new());

    // A sale of very many lines.
    let lines: Vec<Value> = (0..300).map(|_| crate::sale::line()).collect();
    let many = json!({ "trdInvcNo": "MANY", "itemList": lines }).to_string();
    assert!(many.len() > 40_000);
    line.ask(5, 'S', &many).expect(5, 's', 201);
    assert_eq!(numbers(&shop), ["MANY"]);
}

/// A receipt that fits no reply: the register is told what to do, and its original is still to be had.
#[test]
fn a_receipt_that_is_too_long_for_the_line_is_not_printed() {
    let kra = Kra::start(Wire::Json);
    let (_shop, _gateway, line) = open(&kra);
    let lines: Vec<Value> = (0..300).map(|_| crate::sale::line()).collect();
    let many = json!({ "trdInvcNo": "MANY", "itemList": lines }).to_string();
    line.ask(1, 'S', &many).expect(1, 's', 201);
    let wide = line.ask(2, 'P', r#"{"trdInvcNo":"MANY","width":250}"#);
    let body = wide.expect(2, 'e', 413);
    assert_eq!(body["error"], "too_large");
    assert!(body["message"].as_str().unwrap().contains("small width"), "{body}");
    let copy = |text: &Value| text.as_str().unwrap().contains("COPY");
    let original = line.ask(3, 'P', r#"{"trdInvcNo":"MANY","width":32}"#);
    assert!(!copy(&original.expect(3, 'p', 200)["text"]));
    let second = line.ask(4, 'P', r#"{"trdInvcNo":"MANY","width":32}"#);
    assert!(copy(&second.expect(4, 'p', 200)["text"]));
}

/// Point 10.
#[test]
fn strangers_are_named_once_and_never_answered() {
    for (bytes, word) in [
        (&b"\x01\x24\x20\x4A\x05\x30\x30\x39\x33\x03"[..], "Datecs"),
        (&b"\x02\x23\x21\x60\x36\x32\x0A"[..], "Tremol"),
        (&b"{\"op\":\"status\"}\n"[..], "protocol to \"lines\""),
        (&b"\xF8\x80\x98\xE0"[..], "another speed"),
    ] {
        let kra = Kra::start(Wire::Json);
        let (shop, gateway, line) = open(&kra);
        sleep(ms(150));
        for _ in 0..4 {
            line.send(bytes);
            let heard = line.hears(ms(250));
            assert!(heard.is_empty(), "{word}: {heard:02X?}");
        }
        assert_eq!(said(&shop, word), 1, "{word}: {}", shop.journal());
        assert_eq!(counted(&gateway, "foreign"), 4);
        line.ask(1, 'T', "").expect(1, 't', 200);
    }
}

#[test]
fn an_enquiry_says_whether_a_sale_would_be_taken() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = on_one_line(&kra, "");
    shop.change("sales.offline_limit", "\"1s\"");
    kra.line(false);
    let mut gateway = shop.open();
    line.wait_ready();
    line.ask(1, 'S', &sale("OLD").to_string()).expect(1, 's', 202);
    eventually("sales are refused", || (line.enquire() == CAN).then_some(()));
    assert_eq!(line.ask(2, 'S', &sale("NEW").to_string()).expect(2, 'e', 503)["error"], "offline_limit");
    assert_eq!(line.ask(0, 'H', r#"{"proto":1}"#).expect(0, 'h', 200)["accepting"], false);
    // The known one is a repeat all the same.
    line.ask(3, 'S', &sale("OLD").to_string()).expect(3, 's', 200);
    gateway.terminate();
    gateway.wait_end(Duration::from_secs(15));
}

/// The words of a technician, on the same port.
#[test]
fn typed_words_are_answered_with_text() {
    let kra = Kra::start(Wire::Json);
    let (_shop, _gateway, line) = open(&kra);
    line.ask(1, 'S', &sale("WORDS").to_string()).expect(1, 's', 201);
    let typed = |line: &Line, word: &str| {
        sleep(ms(150));
        line.send(format!("{word}\n"));
        String::from_utf8(line.hears(ms(400))).unwrap()
    };
    let status = typed(&line, "status");
    assert!(
        status.contains("queue 0") && status.contains("KRA up") && status.contains("sales are taken"),
        "{status}"
    );
    assert!(typed(&line, "last").starts_with("WORDS signed, total 116.00"));
    assert!(typed(&line, "queue").starts_with("queue 0"));
    assert!(typed(&line, "help").contains("last"));
    for word in ["hullo", "statu", "", "STATUS"] {
        assert_eq!(typed(&line, word), "", "{word:?}");
    }
}
