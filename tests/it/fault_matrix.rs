//! G1 to G5, fault by fault: whatever KRA or the line does, to a sale whose register waits and to one from the queue, on
//! either wire, KRA's books end right and the register is told the truth at every step.
//!
//! A row for each fault that the simulator knows, and for each class of answers of section 2 of the delivery rules.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use etims_gateway::simulator::{FAULTS, FaultOrder};
use serde_json::{Value, json};

use crate::harness::{Gateway, PATIENCE, Shop, eventually, on_both_wires};
use crate::kra::{Books, Kra, SAVE, Wire};
use crate::sale::{qr_url, running_number, sale};
use crate::till::Till;

mod rows;

use rows::{Last, ROWS, Row, Seen};

on_both_wires! { books_and_answers_are_right_under_every_fault }

/// Rows that are tried at the same time, each with a KRA and a gateway of its own.
const AT_ONCE: usize = 6;

#[test]
fn every_fault_has_a_row() {
    for help in FAULTS {
        let named = |row: &&Row| row.fault.split(':').next() == Some(help.name);
        assert!(ROWS.iter().any(|row| named(&row)), "{}: what does a register see of it?", help.name);
    }
}

fn books_and_answers_are_right_under_every_fault(wire: Wire) {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = ROWS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| try_row(wire, row))).is_err() {
                        failed.lock().unwrap().push(row);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "rows that do not hold: {failed:#?}");
    eprintln!("{} rows on the {} wire in {:?}", ROWS.len(), wire.name(), begun.elapsed());
}

fn try_row(wire: Wire, row: &Row) {
    let scene = Scene::set(wire, row);
    scene.a_register_waits();
    scene.out_of_the_queue();
}

/// How a sale came to KRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It was posted while KRA was away, with one behind it.
    FromTheQueue,
    /// Its register waits for the answer.
    Waiting,
}

/// A shop and its KRA, for one row.
struct Scene<'a> {
    row: &'a Row,
    kra: Kra,
    shop: Shop,
    till: Till,
    /// What KRA's books must hold, in their order.
    booked: Mutex<Vec<String>>,
    _gateway: Gateway,
}

impl<'a> Scene<'a> {
    fn set(wire: Wire, row: &'a Row) -> Self {
        let kra = if row.is("bad_certificate") { Kra::start_tls(wire) } else { Kra::start(wire) };
        let shop =
            Shop::with(&kra).set("kra.connect_timeout", "\"500ms\"").set("kra.request_timeout", "\"1500ms\"");
        let gateway = shop.open_registered();
        let till = shop.till();
        till.sell("FIRST");
        let booked = Mutex::new(vec!["FIRST".to_owned()]);
        Scene { row, kra, shop, till, booked, _gateway: gateway }
    }

    fn a_register_waits(&self) {
        if self.row.is("bad_certificate") {
            // The connection that stands was made before; the next one is another.
            self.kra.line(false);
            self.kra.line(true);
        }
        self.order_fault();
        let wait = if self.row.at_last == Last::SignedOnceLifted { 3 } else { 20 };
        let answer = self.till.post(&format!("/api/sales/?wait={wait}"), &sale("WAITING"));
        self.check_first_answer("WAITING", answer.status, &answer.json());
        self.till.sell_offline("BEHIND-WAITING");
        self.go_through("WAITING", "BEHIND-WAITING", Way::Waiting);
    }

    fn out_of_the_queue(&self) {
        if self.row.is("refuse") {
            self.order_fault();
        } else {
            self.kra.line(false);
        }
        // As a register posts that is ready to wait: KRA is away, so it is not kept waiting.
        for (number, position) in [("QUEUED", 1), ("BEHIND-QUEUED", 2)] {
            let answer = self.till.post("/api/sales/?wait=20", &sale(number));
            let body = answer.json();
            self.check_told(number, &body);
            assert_eq!((answer.status, &body["status"]), (202, &json!("pending")), "{body}");
            // A line that comes back by itself may have been quicker than the second register.
            if self.row.fault != "refuse:700" {
                assert_eq!(body["position"], position, "{body}");
            }
        }
        if !self.row.is("refuse") {
            self.order_fault();
            self.kra.line(true);
        }
        self.go_through("QUEUED", "BEHIND-QUEUED", Way::FromTheQueue);
    }

    fn order_fault(&self) {
        let order: FaultOrder = self.row.fault.parse().unwrap();
        let mut order = serde_json::to_value(order).unwrap();
        let on_connections = self.row.is("refuse") || self.row.is("bad_certificate");
        if !on_connections {
            order["function"] = json!(SAVE);
        }
        if self.row.at_last != Last::SignedOnceLifted && !self.row.is("refuse") {
            order["count"] = json!(1);
        }
        self.kra.fault(order);
    }

    fn check_first_answer(&self, number: &str, status: u16, body: &Value) {
        self.check_told(number, body);
        let seen = match (status, body["inDoubt"] == true) {
            (201, _) => Seen::Signed,
            (202, true) => Seen::InDoubt,
            (202, false) => Seen::Pending,
            (422, _) => Seen::Rejected,
            _ => panic!("{status} {body}"),
        };
        // On a busy machine the queue may have gone on before the register is answered: then it hears how it ended.
        let quick = self.row.at_once == Seen::Pending
            && seen == Seen::Signed
            && matches!(self.row.at_last, Last::Signed | Last::SignedAside);
        let fault = self.row.fault;
        assert!(seen == self.row.at_once || quick, "{fault}: {seen:?} is what {number} sees: {body}");
    }

    /// From the first answer to the end of both sales.
    fn go_through(&self, number: &str, behind: &str, way: Way) {
        let ends = match self.row.at_last {
            Last::Rejected => "rejected",
            Last::SettledByHand => "settled",
            _ => "signed",
        };
        match self.row.at_last {
            Last::SignedOnceLifted => self.stands_until_lifted(number, behind),
            Last::SettledByHand | Last::SignedOnceAdopted | Last::SignedOnceRetried => {
                self.needs_a_person(number, behind);
            }
            Last::Rejected | Last::Signed | Last::SignedAside => {}
        }
        self.wait_telling_truth(number, ends);
        self.wait_telling_truth(behind, "signed");
        if self.row.at_last != Last::SignedOnceLifted {
            let struck = self.kra.struck();
            // Where the line was cut nobody counts who found it so.
            assert!(struck == [1] || self.row.is("refuse"), "{} strikes once: {struck:?}", self.row.fault);
        }
        self.kra.clear_faults();
        let books = self.kra.books();
        let mut booked = self.booked.lock().unwrap();
        let others_first = self.row.at_last == Last::SignedAside && books.numbers().last() == Some(&number);
        let order = if others_first { [behind, number] } else { [number, behind] };
        booked
            .extend(order.iter().filter(|it| **it == behind || ends == "signed").map(|it| (*it).to_owned()));
        books.expect_numbered(&booked);
        self.check_repeat(number, ends, way);
        let queue = self.till.queue();
        let open = (&queue["waiting"], &queue["inDoubt"], &queue["parked"]);
        assert_eq!(open, (&json!(0), &json!(0), &json!(0)), "{queue}");
    }

    /// While it lasts nothing gets into the books and nobody is blamed.
    fn stands_until_lifted(&self, number: &str, behind: &str) {
        if self.row.is("refuse") {
            // Nobody counts those that are turned away: what counts is that the gateway has noticed.
            eventually("the gateway knows that KRA is away", || {
                (self.till.get("/api/device/status/").expect(200)["kra"] == "down").then_some(())
            });
        } else {
            self.kra.wait_struck(2);
        }
        for waiting in [number, behind] {
            let state = self.till.state(waiting);
            self.check_told(waiting, &state);
            assert_eq!(state["status"], "pending", "{state}");
        }
        let queue = self.till.queue();
        assert_eq!(
            (&queue["waiting"], &queue["parked"], &queue["rejected"]),
            (&json!(2), &json!(0), &json!(0)),
            "{queue}"
        );
        self.kra.books().expect_numbered(&self.booked.lock().unwrap());
        self.kra.clear_faults();
    }

    /// Nothing happens by itself, and a technician can do something about it.
    fn needs_a_person(&self, number: &str, behind: &str) {
        self.kra.wait_struck(1);
        if self.row.at_last != Last::SignedOnceRetried {
            eventually("health says that something is wrong", || {
                (self.till.get("/health/").expect(200)["status"] == "degraded").then_some(())
            });
        }
        for waiting in [number, behind] {
            let state = self.till.state(waiting);
            self.check_told(waiting, &state);
            assert_eq!(state["status"], "pending", "{state}");
        }
        self.kra.books().expect_numbered(&self.booked.lock().unwrap());
        let because = ["--reason", "KRA's books were looked at"];
        match self.row.at_last {
            Last::SettledByHand => {
                let adopted = self.shop.command(&["series", "adopt", because[0], because[1]]);
                assert!(adopted.code != Some(0) && adopted.text().contains("queue settle"), "{adopted:?}");
                // What was sent may still land: until its time is over, and KRA's books were asked after that, the
                // technician is told to wait.
                eventually("the technician's word is taken", || {
                    let settled = ["queue", "settle", number, "--as", "not-accepted", because[0], because[1]];
                    if self.shop.command(&settled).code == Some(0) {
                        return Some(());
                    }
                    self.shop.command(&["queue", "retry", number]).expect(0);
                    None
                });
            }
            Last::SignedOnceAdopted => {
                self.shop.command(&["series", "adopt", because[0], because[1]]).expect(0);
            }
            _ => {
                self.shop.command(&["queue", "retry", "--all"]).expect(0);
            }
        }
    }

    /// Looks at a sale until it has ended like this; whatever is shown meanwhile has to be true.
    fn wait_telling_truth(&self, number: &str, ends: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.till.state(number);
            self.check_told(number, &state);
            if state["status"] == ends {
                return;
            }
            assert_eq!(state["status"], "pending", "{number} ends {ends}: {state}");
            assert!(Instant::now() < deadline, "{number} is never {ends}: {state}");
            thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// A register that asks again is told the same.
    fn check_repeat(&self, number: &str, ends: &str, way: Way) {
        let again = self.till.post("/api/sales/", &sale(number));
        let body = again.json();
        self.check_told(number, &body);
        let expected = if ends == "rejected" { 422 } else { 200 };
        assert_eq!(again.status, expected, "{way:?}: {body}");
        assert!(ends == "rejected" || body["repeat"] == true, "{way:?}: {body}");
    }

    /// What a register is told of a sale is what KRA's books say: signed is what is in them, with the signature that is
    /// there, and nothing else has anything to print a fiscal receipt from.
    fn check_told(&self, number: &str, told: &Value) {
        // Looked at after the answer: what is in the books stays there.
        let books = self.kra.books();
        check_told(&books, number, told);
    }
}

fn check_told(books: &Books, number: &str, told: &Value) {
    assert_eq!(told["trdInvcNo"], number, "{told}");
    let booked = books.sale(number);
    let refused = told["error"] == "kra_rejected" || told["status"] == "rejected";
    if told["status"] == "signed" {
        let booked =
            booked.unwrap_or_else(|| panic!("{number} is called signed, and not in the books: {told}"));
        for (ours, theirs) in [
            ("signature", "rcptSign"),
            ("internalData", "intrlData"),
            ("invcNo", "invcNo"),
            ("receiptNo", "curRcptNo"),
            ("totalReceiptNo", "totRcptNo"),
            ("sdcDateTime", "sdcDateTime"),
        ] {
            assert!(!told[ours].is_null() && told[ours] == booked[theirs], "{ours}: {told} {booked}");
        }
        assert_eq!(told["qrUrl"], qr_url(told["signature"].as_str().unwrap()), "{told}");
    } else {
        for fiscal in
            ["signature", "internalData", "receiptNo", "totalReceiptNo", "qrUrl", "sdcDateTime", "invcNo"]
        {
            assert!(told[fiscal].is_null(), "{fiscal} of what is not signed: {told}");
        }
        let settled = told["status"] == "settled";
        assert!(refused || settled || told["status"] == "pending", "{told}");
        assert!(
            !settled || booked.is_none(),
            "{number} was settled as not accepted, and is in the books: {told}"
        );
        // What waits has a slip; it says which one.
        if !refused && !settled {
            assert!(running_number(told) > 0 && told["localSignature"].is_string(), "{told}");
            assert!(told["position"].as_u64().is_some_and(|place| place > 0), "{told}");
            assert!(told["retryAfter"].is_u64(), "{told}");
        }
    }
    assert!(!refused || booked.is_none(), "{number} is called refused, and is in the books: {told}");
}
