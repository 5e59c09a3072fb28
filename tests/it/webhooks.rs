//! Webhooks are told everything, in order, whatever their receiver or the gateway goes through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::follower::{Event, Follower};
use crate::harness::{Shop, eventually};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale;

/// What a receiver does with what it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// Reads, and closes without a word as soon as its mood changes.
    Hang,
    Says(u16),
    /// This status for one register's number, 200 for all others.
    SaysTo(&'static str, u16),
}

/// One request that came.
#[derive(Clone, Debug)]
struct Told {
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
    answered: Option<u16>,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    fn id(&self) -> u64 {
        self.body["id"].as_u64().unwrap()
    }
}

struct Shared {
    mood: Mood,
    told: Vec<Told>,
    /// Nobody listens.
    away: bool,
}

/// Somebody who wants to be told.
struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { mood: Mood::Says(200), told: Vec::new(), away: false }));
        let seen = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&seen);
                // Closed over without a word: as good as nobody there.
                if shared.lock().unwrap().away {
                    continue;
                }
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Receiver { address, shared }
    }

    fn url(&self, path: &str) -> String {
        format!("\"http://{}{path}\"", self.address)
    }

    fn mood(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    fn away(&self, away: bool) {
        self.shared.lock().unwrap().away = away;
    }

    fn told(&self) -> Vec<Told> {
        self.shared.lock().unwrap().told.clone()
    }

    /// The events that were taken, each once, in the order in which they came first.
    fn taken(&self, path: &str) -> Vec<Told> {
        let mut taken: Vec<Told> = Vec::new();
        for told in self.told() {
            let again = taken.iter().any(|earlier| earlier.id() == told.id());
            if told.path == path && told.answered == Some(200) && !again {
                taken.push(told);
            }
        }
        taken
    }

    #[track_caller]
    fn wait_taken(&self, path: &str, what: &str, enough: impl Fn(&Value) -> bool) {
        eventually(what, || self.taken(path).iter().any(|told| enough(&told.body)).then_some(()));
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).map(|_| line.trim_end().to_owned()).unwrap_or_default()
    };
    let first = line();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    assert!(first.starts_with("POST "), "{first:?}");
    let headers: Vec<(String, String)> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()))
        .map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap()
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mood = shared.lock().unwrap().mood;
    let answered = match mood {
        Mood::Hang => None,
        Mood::Says(status) => Some(status),
        Mood::SaysTo(number, status) if body["sale"]["trdInvcNo"] == number => Some(status),
        Mood::SaysTo(..) => Some(200),
    };
    let told = Told { path, headers, body, answered };
    shared.lock().unwrap().told.push(told);
    match answered {
        Some(status) => {
            let answer =
                format!("HTTP/1.1 {status} Word\r\nContent-Length: 2\r\nLocation: /elsewhere\r\n\r\nok");
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
        None => {
            while shared.lock().unwrap().mood == Mood::Hang {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The events of the log that a webhook should have been told.
fn from_the_log(shop: &Shop, last: &str, prefix: &str) -> Vec<Event> {
    let mut events = Follower::from_the_first(&shop.till()).until(|event| event.sale() == last);
    events.retain(|event| event.kind().starts_with(prefix));
    events
}

#[track_caller]
fn expect_all(receiver: &Receiver, path: &str, events: &[Event]) {
    let taken = receiver.taken(path);
    let bodies: Vec<&Value> = taken.iter().map(|told| &told.body).collect();
    let expected: Vec<&Value> = events.iter().map(|event| &event.data).collect();
    assert_eq!(bodies, expected, "all of them, in the order of the log");
    for told in &taken {
        assert_eq!(told.header("content-type"), "application/json");
        assert_eq!(told.header("etims-event-id"), told.id().to_string());
    }
    // The key tells events apart, and knows one that comes again.
    for told in receiver.told().iter().filter(|told| told.path == path) {
        let same =
            taken.iter().find(|first| first.header("idempotency-key") == told.header("idempotency-key"));
        assert_eq!(same.map(Told::id), Some(told.id()), "{told:?}");
    }
}

#[test]
fn everything_is_told_in_order_over_trouble_and_kills() {
    let kra = Kra::start(Wire::Json);
    let receiver = Receiver::start();
    let shop = Shop::with(&kra).set("notify.till_webhook", &receiver.url("/till/"));
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-0");
    receiver.wait_taken("/till/", "the first sale is told", |body| body["sale"]["trdInvcNo"] == "S-0");

    for (round, trouble) in [Mood::Says(500), Mood::Hang, Mood::Says(302), Mood::Says(429), Mood::Says(404)]
        .into_iter()
        .enumerate()
    {
        receiver.mood(trouble);
        let before = receiver.told().len();
        for number in 0..2 {
            till.sell(&format!("T-{round}-{number}"));
        }
        eventually("it is tried", || (receiver.told().len() > before).then_some(()));
        if round % 2 == 1 {
            gateway.kill();
            gateway = shop.open_registered();
        }
        receiver.mood(Mood::Says(200));
        receiver.wait_taken("/till/", &format!("told after {trouble:?}"), |body| {
            body["sale"]["trdInvcNo"] == format!("T-{round}-1")
        });
    }
    receiver.away(true);
    till.sell("AWAY");
    gateway.stop();
    receiver.away(false);
    let _gateway = shop.open_registered();
    let refused = json!({ "code": "910", "message": "Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": refused }));
    till.sell_offline("BAD");
    till.wait_status("BAD", "rejected");
    till.sell("LAST");
    receiver.wait_taken("/till/", "the last sale is told", |body| body["sale"]["trdInvcNo"] == "LAST");
    let events = from_the_log(&shop, "LAST", "sale.");
    assert_eq!(events.len(), 1 + 10 + 1 + 2, "{events:#?}");
    assert!(events.iter().any(|event| event.kind() == "sale.rejected"));
    expect_all(&receiver, "/till/", &events);
}

#[test]
fn alerts_are_told_when_they_begin_and_when_they_are_over() {
    let kra = Kra::start(Wire::Xml);
    let receiver = Receiver::start();
    let shop = Shop::with(&kra)
        .set("notify.alert_webhook", &receiver.url("/alert"))
        .set("sales.offline_warn", "\"1s\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    till.sell_offline("OLD");
    let offline =
        |kind: &'static str| move |body: &Value| body["type"] == kind && body["alert"]["code"] == "offline";
    receiver.wait_taken("/alert", "the alert is told", offline("alert.raised"));
    kra.line(true);
    receiver.wait_taken("/alert", "its end is told", offline("alert.cleared"));
    till.sell("END");
    let events = from_the_log(&shop, "END", "alert.");
    expect_all(&receiver, "/alert", &events);
}

/// A receiver that will never take one event must not keep the others from it for ever.
#[test]
fn an_event_that_is_refused_again_and_again_is_left_out() {
    let kra = Kra::start(Wire::Json);
    let receiver = Receiver::start();
    let shop = Shop::with(&kra).set("notify.till_webhook", &receiver.url("/"));
    let _gateway = shop.open_registered();
    let till = shop.till();
    receiver.mood(Mood::SaysTo("ODD", 422));
    for number in ["BEFORE", "ODD", "AFTER"] {
        till.sell(number);
    }
    receiver.wait_taken("/", "the others are told", |body| body["sale"]["trdInvcNo"] == "AFTER");
    let told = receiver.told();
    let numbers: Vec<&str> =
        told.iter().map(|told| told.body["sale"]["trdInvcNo"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["BEFORE", "ODD", "ODD", "ODD", "ODD", "ODD", "AFTER"]);
    let id = told[1].id();
    assert!(shop.journal().contains(&format!("event={id}")), "the journal names it");
    assert!(
        Follower::from_the_first(&till).until(|event| event.id == id).len() > 1,
        "who asks for it has it"
    );
}

#[test]
fn a_webhook_that_is_new_is_told_what_happens_from_now_on() {
    let kra = Kra::start(Wire::Json);
    let receiver = Receiver::start();
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    shop.till().sell("LONG-AGO");
    gateway.stop();
    shop.change("notify.till_webhook", &receiver.url("/new"));
    let gateway = shop.open_registered();
    shop.till().sell("NOW");
    receiver.wait_taken("/new", "it is told", |body| body["sale"]["trdInvcNo"] == "NOW");
    assert_eq!(receiver.told().len(), 1);
    gateway.stop();
}

#[test]
fn a_webhook_that_hangs_keeps_nobody_waiting() {
    let kra = Kra::start(Wire::Json);
    let receiver = Receiver::start();
    receiver.mood(Mood::Hang);
    let shop = Shop::with(&kra).set("notify.till_webhook", &receiver.url("/hang"));
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    eventually("it hangs", || (receiver.told().len() == 1).then_some(()));
    let begun = Instant::now();
    for number in 0..50 {
        till.post("/api/sales/?wait=0", &sale(&format!("S-{number}"))).expect(202);
    }
    till.wait_drained();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(receiver.told().len(), 1, "it hangs still");
    let begun = Instant::now();
    gateway.terminate();
    assert!(gateway.wait_end(Duration::from_secs(10)).success());
    assert!(begun.elapsed() < Duration::from_secs(5), "a stop does not wait for it: {:?}", begun.elapsed());
}
