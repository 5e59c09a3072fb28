//! Credit notes: given for what was sold and not yet given back, sent only once their sale is in KRA's books, and holding up
//! nobody meanwhile.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Dice, Shop, TIN, eventually, on_both_wires};
use crate::kra::{Books, Kra, LOOK_UP, SAVE, Wire};
use crate::sale::{sale, sale_of, sale_with};
use crate::till::Till;

on_both_wires! {
    a_sale_is_given_back_in_parts,
    a_note_waits_for_its_sale_and_nobody_for_the_note,
    a_note_is_looked_up_with_its_original,
    killed_between_a_sale_and_its_note,
}

/// A shop whose KRA is given up quickly.
fn patient(kra: &Kra) -> Shop {
    Shop::with(kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"")
}

/// A credit note on `original`, over so many of the two pieces.
fn note(number: &str, original: &str, qty: &str) -> Value {
    note_with(number, original, json!({ "qty": qty }), json!({}))
}

fn note_with(number: &str, original: &str, of_line: Value, of_head: Value) -> Value {
    let mut note = sale_of(number, of_line);
    let head = json!({ "rcptTyCd": "R", "orgTrdInvcNo": original, "rfdRsnCd": "06" });
    for changes in [head, of_head] {
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                note.as_object_mut().unwrap().remove(name);
            } else {
                note[name] = value.clone();
            }
        }
    }
    note
}

/// The invoice as KRA's look-up shows it.
fn booked(kra: &Kra, number: &str) -> Value {
    let found = kra.invoices(TIN).into_iter().find(|invoice| invoice["trdInvcNo"] == number);
    found.unwrap_or_else(|| panic!("{number} is not in KRA's books"))
}

fn number_of(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("a number: {value}"))
}

fn print(till: &Till, number: &str, query: &str) -> String {
    let answer = till.get(&format!("/api/sales/{number}/receipt/?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

/// With each gap one space wide, whatever the paper's.
fn flat(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each note stands behind its sale.
fn expect_behind(books: &Books, pairs: &[(&str, &str)]) {
    let numbers = books.numbers();
    let place =
        |number: &str| numbers.iter().position(|it| *it == number).unwrap_or_else(|| panic!("{number}"));
    for (note, sale) in pairs {
        assert!(place(note) > place(sale), "{note} before {sale}: {numbers:?}");
    }
}

fn a_sale_is_given_back_in_parts(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("OTHER");
    let buyer = json!({ "custTin": "P051234567Z", "custNm": "Buyer Ltd" });
    let sold = till.post("/api/sales/", &sale_with("SALE", buyer)).expect(201);

    let first = till.post("/api/sales/", &note("NOTE-1", "SALE", "1.5")).expect(201);
    assert_eq!((&first["status"], &first["label"]), (&json!("signed"), &json!("NC")), "{first}");
    assert_eq!(first["orgTrdInvcNo"], "SALE", "{first}");
    assert_eq!(number_of(&first["invcNo"]), 3, "of the same series: {first}");
    let on_wire = booked(&kra, "NOTE-1");
    assert_eq!(number_of(&on_wire["orgInvcNo"]), number_of(&sold["invcNo"]), "{on_wire}");
    for (name, expected) in [
        ("rcptTyCd", "R"),
        ("salesSttsCd", "02"),
        ("rfdRsnCd", "06"),
        ("custTin", TIN),
        ("custNm", "Buyer Ltd"),
    ] {
        assert_eq!(on_wire[name], expected, "{name}: {on_wire}");
    }
    assert_eq!(on_wire["rfdDt"].as_str().map(str::len), Some(14), "{on_wire}");
    assert!(on_wire["cnclReqDt"].is_null() && on_wire["cnclDt"].is_null(), "{on_wire}");
    for (name, expected) in [("totAmt", "87"), ("totTaxAmt", "12")] {
        let amount = on_wire[name].to_string().replace(['"'], "");
        assert_eq!(amount.trim_end_matches('0').trim_end_matches('.'), expected, "positive: {on_wire}");
    }

    // What is left is told; a repeat is a repeat, also when nothing is left.
    let fault = till.post("/api/sales/", &note("NOTE-2", "SALE", "1")).expect_field("itemList[0].qty");
    assert_eq!(fault["code"], "exceeds_original", "{fault}");
    assert!(fault["message"].as_str().unwrap().contains("2.00 sold, 0.50 left"), "{fault}");
    till.post("/api/sales/", &note("NOTE-2", "SALE", "0.5")).expect(201);
    till.post("/api/sales/", &note("NOTE-3", "SALE", "0.01")).expect_field("itemList[0].qty");
    let again = till.post("/api/sales/", &note("NOTE-1", "SALE", "1.5")).expect(200);
    assert_eq!((&again["repeat"], &again["status"]), (&json!(true), &json!("signed")), "{again}");
    till.post("/api/sales/", &note("NOTE-1", "SALE", "1")).expect_error(409, "trdInvcNo_reused");
    gateway.kill();

    let gateway = shop.open();
    till.post("/api/sales/", &note("NOTE-3", "SALE", "0.01")).expect_field("itemList[0].qty");
    // KRA's number of a sale of ours is that sale.
    let by_number = json!({ "orgTrdInvcNo": null, "orgInvcNo": 1 });
    let other = till.post("/api/sales/", &note_with("NOTE-4", "", json!({}), by_number.clone())).expect(201);
    assert_eq!(
        (&other["orgTrdInvcNo"], &other["limitsUnchecked"]),
        (&json!("OTHER"), &Value::Null),
        "{other}"
    );
    till.post("/api/sales/", &note("NOTE-5", "OTHER", "1")).expect_field("itemList[0].qty");
    let fault = till.post("/api/sales/", &note_with("NOTE-5", "", json!({}), by_number));
    assert!(fault.expect_field("itemList[0].qty")["message"].as_str().unwrap().contains("0.00 left"));
    gateway.stop();

    // Made anew, the index knows the same.
    std::fs::remove_dir_all(shop.state().join("sled")).unwrap();
    let gateway = shop.open();
    till.post("/api/sales/", &note("NOTE-3", "SALE", "0.01")).expect_field("itemList[0].qty");
    let shown = shop.command(&["queue", "show", "NOTE-1"]);
    assert!(shown.expect(0).out.contains("credits") && shown.out.contains("SALE"), "{shown:#?}");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
    let export = shop.command(&["export", "--from", "2020-01-01", "--to", "2100-01-01"]);
    assert!(export.expect(0).out.contains("\"credited\":\"SALE\""), "{}", export.out);
    kra.books().expect_in_order(&["OTHER", "SALE", "NOTE-1", "NOTE-2", "NOTE-4"]);
}

/// What the sale does not allow is refused, by the field that says so.
#[test]
fn what_is_refused() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SALE");
    till.post("/api/sales/", &sale_with("TRAINING", json!({ "salesTyCd": "T" }))).expect(200);
    till.post("/api/sales/", &note_with("NOTE", "SALE", json!({ "qty": 1 }), json!({}))).expect(201);
    let discounted = sale_of("CHEAP", json!({ "dcAmt": "16" }));
    till.post("/api/sales/", &discounted).expect(201);
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": SAVE,
        "args": { "code": "910", "message": "Invalid remark [<remark>]" },
    }));
    till.post("/api/sales/?wait=20", &sale("REFUSED")).expect(422);
    kra.line(false);
    for number in ["ELSEWHERE", "NEVER"] {
        till.sell_offline(number);
        shop.command(&["queue", "park", number]).expect(0);
    }
    for (number, how) in [("ELSEWHERE", "elsewhere"), ("NEVER", "not-accepted")] {
        shop.command(&["queue", "settle", number, "--as", how, "--reason", "x"]).expect(0);
    }
    kra.line(true);

    let both = json!({ "orgInvcNo": 1 });
    let none = json!({ "orgTrdInvcNo": null });
    for (original, of_line, of_head, field, part) in [
        ("NOBODY", json!({}), json!({}), "orgTrdInvcNo", "orgInvcNo"),
        ("NOTE", json!({}), json!({}), "orgTrdInvcNo", "only a sale can be credited"),
        ("TRAINING", json!({}), json!({}), "orgTrdInvcNo", "never gets"),
        ("REFUSED", json!({}), json!({}), "orgTrdInvcNo", "no invoice to credit"),
        ("ELSEWHERE", json!({}), json!({}), "orgTrdInvcNo", "credited there"),
        ("NEVER", json!({}), json!({}), "orgTrdInvcNo", "no invoice to credit"),
        ("SALE", json!({}), both, "orgInvcNo", "together"),
        ("SALE", json!({}), none, "orgTrdInvcNo", "required"),
        ("SALE", json!({}), json!({ "rfdRsnCd": null }), "rfdRsnCd", "required"),
        ("SALE", json!({}), json!({ "rfdRsnCd": "14" }), "rfdRsnCd", "list 32"),
        ("SALE", json!({}), json!({ "custTin": "P000000000A" }), "custTin", "that of the sale"),
        ("SALE", json!({}), json!({ "custNm": "Somebody" }), "custNm", "that of the sale"),
        ("SALE", json!({}), json!({ "cfmDt": "20200101000000" }), "cfmDt", "before the day of the sale"),
        ("SALE", json!({}), json!({ "salesTyCd": "P" }), "salesTyCd", "proforma"),
        ("SALE", json!({ "qty": 1 }), json!({ "replaces": "REFUSED" }), "replaces", "another kind"),
        ("SALE", json!({ "qty": "1.01" }), json!({}), "itemList[0].qty", "2.00 sold, 1.00 left"),
        ("SALE", json!({ "qty": -1 }), json!({}), "itemList[0].qty", "more than 0"),
        ("SALE", json!({ "itemCd": "KE2NTNO0000002" }), json!({}), "itemList[0].itemCd", "not on the sale"),
        ("SALE", json!({ "prc": "58.01" }), json!({}), "itemList[0].prc", "58.00"),
        ("SALE", json!({ "taxTyCd": "A" }), json!({}), "itemList[0].taxTyCd", "as on the sale: B"),
        ("CHEAP", json!({}), json!({}), "itemList[0].totAmt", "100.00 paid, 100.00 left"),
    ] {
        let answer = till.post("/api/sales/?wait=0", &note_with("BAD", original, of_line, of_head));
        let fault = answer.expect_field(field);
        assert!(fault["message"].as_str().unwrap().contains(part), "{part}: {fault}");
    }
    assert_eq!(till.get("/api/sales/BAD/").status, 404);
    // Every reason of KRA's list is one.
    for reason in 1..=13 {
        let head = json!({ "rfdRsnCd": format!("{reason:02}") });
        let body = note_with(&format!("R-{reason}"), "SALE", json!({ "qty": "0.05" }), head);
        till.post("/api/sales/?wait=0", &body).expect(202);
    }
    // Practice touches no sale.
    let training = note_with("T-1", "SALE", json!({ "qty": 2 }), json!({ "salesTyCd": "T" }));
    let trained = till.post("/api/sales/", &training).expect(200);
    assert_eq!((&trained["status"], &trained["label"]), (&json!("not_fiscal"), &json!("TC")), "{trained}");
    till.wait_drained();
    let left = till.post("/api/sales/", &note("BAD", "SALE", "1")).expect_field("itemList[0].qty");
    assert!(left["message"].as_str().unwrap().contains("0.35 left"), "{left}");
}

fn a_note_waits_for_its_sale_and_nobody_for_the_note(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = patient(&kra).set("delivery.backoff_initial", "\"5s\"").set("delivery.backoff_max", "\"5s\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    // KRA lacks something that the sale needs: it steps aside, and its note with it.
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": SAVE,
        "args": { "code": "922", "message": "invoice only after the sales data" },
    }));
    till.post("/api/sales/?wait=0", &sale("SALE")).expect(202);
    eventually("KRA wants something else first", || {
        let row = shop.command(&["queue", "show", "SALE", "--json"]).expect(0).json();
        (row["attempts"] == 1).then_some(())
    });
    let waits = till.post("/api/sales/?wait=0", &note("NOTE", "SALE", "2")).expect(202);
    assert_eq!(waits["status"], "pending", "{waits}");
    // Those behind are not held up: once it is known who steps aside, each is signed while it is waited for.
    till.sell_offline("BEHIND-1");
    till.wait_status("BEHIND-1", "signed");
    till.sell("BEHIND-2");
    assert_eq!(till.state("NOTE")["status"], "pending");
    till.wait_status("SALE", "signed");
    till.wait_status("NOTE", "signed");
    let books = kra.books();
    books.expect_in_order(&["FIRST", "BEHIND-1", "BEHIND-2", "SALE", "NOTE"]);

    // In doubt: nothing else goes, and the note is behind it in the end. Posted while nobody knows.
    kra.fault(json!({ "fault": "lose_answer", "count": 1, "function": SAVE }));
    kra.fault(json!({ "fault": "http_status", "count": 2, "function": LOOK_UP, "args": { "status": 500 } }));
    till.post("/api/sales/?wait=0", &sale("DOUBT")).expect(202);
    eventually("nobody knows whether it is in", || (till.queue()["inDoubt"] == 1).then_some(()));
    till.post("/api/sales/?wait=0", &note("OF-DOUBT", "DOUBT", "1")).expect(202);
    till.wait_status("OF-DOUBT", "signed");
    // Without a line nothing is decided; both wait, over a kill too.
    kra.line(false);
    till.sell_offline("LATER");
    till.post("/api/sales/?wait=0", &note("OF-LATER", "LATER", "2")).expect(202);
    till.post("/api/sales/?wait=0", &note("TOO-MUCH", "LATER", "1")).expect_field("itemList[0].qty");
    gateway.kill();
    let _gateway = shop.open();
    till.post("/api/sales/?wait=0", &note("TOO-MUCH", "LATER", "1")).expect_field("itemList[0].qty");
    kra.line(true);
    till.wait_status("OF-LATER", "signed");
    let books = kra.books();
    expect_behind(&books, &[("OF-DOUBT", "DOUBT"), ("OF-LATER", "LATER"), ("NOTE", "SALE")]);
    assert_eq!(books.refused().len(), 0, "no note came before its sale: {:?}", books.refused());
}

/// An answer lost: KRA's invoice is ours only if it credits the same sale.
fn a_note_is_looked_up_with_its_original(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = patient(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SALE");
    kra.fault(json!({ "fault": "lose_answer", "count": 1, "function": SAVE }));
    till.post("/api/sales/?wait=0", &note("NOTE", "SALE", "1")).expect(202);
    till.wait_status("NOTE", "signed");
    kra.fault(json!({ "fault": "close_after_read", "count": 1, "function": SAVE }));
    till.post("/api/sales/?wait=0", &note("NOTE-2", "SALE", "1")).expect(202);
    till.wait_status("NOTE-2", "signed");
    gateway.stop();
    kra.books().expect_in_order(&["SALE", "NOTE", "NOTE-2"]);
}

/// Whenever it is killed: the note is there once, behind its sale, and takes what it takes once.
fn killed_between_a_sale_and_its_note(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = patient(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    let mut dice = Dice::new();
    let mut pairs = Vec::new();
    for round in 0..8 {
        let (sold, noted) = (format!("S-{round}"), format!("N-{round}"));
        let poster = till.clone();
        let bodies = [sale(&sold).to_string(), note(&noted, &sold, "2").to_string()];
        let posts = thread::spawn(move || {
            bodies.map(|body| {
                let answer = poster.ask("POST", "/api/sales/?wait=0", Some(body.as_bytes()));
                answer.is_ok_and(|answer| matches!(answer.status, 200..=202))
            })
        });
        thread::sleep(std::time::Duration::from_micros(dice.below(20_000)));
        gateway.kill();
        let answered = posts.join().unwrap();
        gateway = shop.open();
        let there = [&sold, &noted].map(|number| till.get(&format!("/api/sales/{number}/")).status == 200);
        for (answered, there) in answered.into_iter().zip(there) {
            assert!(there || !answered, "what was answered is there, in round {round}");
        }
        assert!(there[0] || !there[1], "a note without its sale, in round {round}");
        till.post("/api/sales/?wait=0", &sale(&sold));
        till.post("/api/sales/?wait=0", &note(&noted, &sold, "2"));
        till.post("/api/sales/?wait=0", &note("ONE-MORE", &sold, "1")).expect_field("itemList[0].qty");
        pairs.push((noted, sold));
    }
    till.wait_drained();
    let books = kra.books();
    assert_eq!(books.sales().len(), 16, "{:?}", books.numbers());
    let pairs: Vec<_> = pairs.iter().map(|(note, sale)| (note.as_str(), sale.as_str())).collect();
    expect_behind(&books, &pairs);
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

/// The last piece is given back once.
#[test]
fn of_many_at_once_only_as_many_as_are_left() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let sold = sale_of("SALE", json!({ "qty": 5 }));
    till.post("/api/sales/", &sold).expect(201);
    let answers: Vec<u16> = thread::scope(|scope| {
        let posts: Vec<_> = (0..12)
            .map(|number| {
                let (till, body) = (till.clone(), note(&format!("N-{number}"), "SALE", "1"));
                scope.spawn(move || till.post("/api/sales/?wait=0", &body).status)
            })
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let taken = answers.iter().filter(|status| matches!(status, 201 | 202)).count();
    assert_eq!(taken, 5, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 201 | 202 | 400)), "{answers:?}");
    till.wait_drained();
    assert_eq!(kra.books().sales().len(), 6);
}

/// What KRA refuses, or a person closes, is given back; sent again, it takes it again, if it is still there.
#[test]
fn what_a_refused_note_took_is_there_again() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SALE");
    let refuse = || {
        let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
        kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    };
    refuse();
    let refused = till.post("/api/sales/?wait=20", &note("BAD", "SALE", "2")).expect(422);
    assert!(refused["message"].as_str().unwrap().contains("credit note"), "{refused}");
    gateway.kill();
    let gateway = shop.open();
    till.post("/api/sales/", &note("ONE", "SALE", "1")).expect(201);
    // One piece is left, and it asks for two.
    let retry = shop.command(&["queue", "retry", "BAD"]);
    assert!(retry.expect(1).err.contains("2.00 sold, 1.00 left"), "{retry:#?}");
    assert_eq!(till.state("BAD")["status"], "rejected");
    // A smaller one takes its place, is refused as well, and then goes.
    refuse();
    let smaller = note_with("BAD-2", "SALE", json!({ "qty": 1 }), json!({ "replaces": "BAD" }));
    till.post("/api/sales/?wait=20", &smaller).expect(422);
    assert_eq!(till.state("BAD")["replacedBy"], "BAD-2");
    kra.line(false);
    shop.command(&["queue", "retry", "BAD-2"]).expect(0);
    till.post("/api/sales/?wait=0", &note("TWO", "SALE", "1")).expect_field("itemList[0].qty");
    // Closed without KRA, it gives back what it took; closed as given in another way, it does not.
    shop.command(&["queue", "park", "BAD-2"]).expect(0);
    shop.command(&["queue", "settle", "BAD-2", "--as", "not-accepted", "--reason", "x"]).expect(0);
    till.post("/api/sales/?wait=0", &note("TWO", "SALE", "0.5")).expect(202);
    shop.command(&["queue", "park", "TWO"]).expect(0);
    shop.command(&["queue", "settle", "TWO", "--as", "elsewhere", "--reason", "on KRA's page"]).expect(0);
    let fault = till.post("/api/sales/?wait=0", &note("THREE", "SALE", "1")).expect_field("itemList[0].qty");
    assert!(fault["message"].as_str().unwrap().contains("0.50 left"), "{fault}");
    till.post("/api/sales/?wait=0", &note("THREE", "SALE", "0.5")).expect(202);
    gateway.stop();
    let _gateway = shop.open();
    kra.line(true);
    till.wait_status("THREE", "signed");
    kra.books().expect_in_order(&["SALE", "ONE", "THREE"]);
}

/// The sale comes to stand otherwise after its note was taken: the note goes the same way.
#[test]
fn a_note_goes_with_its_sale() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.line(false);
    for number in ["PARKED", "REFUSED", "CLOSED"] {
        till.sell_offline(number);
        let noted = format!("N-{number}");
        till.post("/api/sales/?wait=0", &note(&noted, number, "1")).expect(202);
    }
    shop.command(&["queue", "park", "PARKED"]).expect(0);
    till.wait_status("N-PARKED", "parked");
    // Set aside before its note came: that is set aside too.
    till.post("/api/sales/?wait=0", &note("N2-PARKED", "PARKED", "1")).expect(202);
    till.wait_status("N2-PARKED", "parked");
    let shown = shop.command(&["queue", "show", "N-PARKED"]);
    assert!(shown.expect(0).out.contains("goes on with it"), "{shown:#?}");
    let retry = shop.command(&["queue", "retry", "N-PARKED"]);
    assert!(retry.expect(1).err.contains("is set aside"), "{retry:#?}");
    shop.command(&["queue", "park", "CLOSED"]).expect(0);
    shop.command(&["queue", "settle", "CLOSED", "--as", "elsewhere", "--reason", "on KRA's page"]).expect(0);
    till.wait_status("N-CLOSED", "parked");
    gateway.kill();

    let gateway = shop.open();
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": SAVE,
        "args": { "code": "910", "message": "Invalid remark [<remark>]" },
    }));
    kra.line(true);
    till.wait_status("REFUSED", "rejected");
    till.wait_status("N-REFUSED", "parked");
    till.sell("BEHIND");
    // The sale that takes its place has the note from now on, and what that takes.
    let correction = sale_with("GOOD", json!({ "replaces": "REFUSED" }));
    till.post("/api/sales/?wait=0", &correction).expect(202);
    till.wait_status("N-REFUSED", "signed");
    let left = till.post("/api/sales/", &note("MORE", "GOOD", "2")).expect_field("itemList[0].qty");
    assert!(left["message"].as_str().unwrap().contains("1.00 left"), "{left}");
    // Released, it goes, and its notes behind it.
    shop.command(&["queue", "retry", "PARKED"]).expect(0);
    till.wait_status("N-PARKED", "signed");
    till.wait_status("N2-PARKED", "signed");
    assert_eq!(till.state("N-CLOSED")["status"], "parked");
    shop.command(&["queue", "settle", "N-CLOSED", "--as", "elsewhere", "--reason", "there too"]).expect(0);
    till.wait_drained();
    gateway.stop();
    let books = kra.books();
    expect_behind(&books, &[("N-REFUSED", "GOOD"), ("N-PARKED", "PARKED"), ("N2-PARKED", "PARKED")]);
    assert!(books.sale("N-CLOSED").is_none());
    let of_refused = number_of(&booked(&kra, "N-REFUSED")["orgInvcNo"]);
    assert_eq!(of_refused, number_of(&booked(&kra, "GOOD")["invcNo"]));
    shop.command(&["verify"]).expect(0);
}

/// A correction over fewer pieces than its note gives back: a person sees to the note.
#[test]
fn a_note_that_does_not_fit_the_correction_stays_aside() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    till.sell_offline("BAD");
    till.post("/api/sales/?wait=0", &note("NOTE", "BAD", "2")).expect(202);
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": SAVE,
        "args": { "code": "910", "message": "Invalid remark [<remark>]" },
    }));
    kra.line(true);
    till.wait_status("BAD", "rejected");
    till.wait_status("NOTE", "parked");
    let mut correction = sale_of("GOOD", json!({ "qty": 1 }));
    correction["replaces"] = json!("BAD");
    till.post("/api/sales/", &correction).expect(201);
    eventually("it is told why the note stays", || {
        let state = till.state("NOTE");
        state["kraMessage"].as_str().is_some_and(|text| text.contains("1.00 sold, 1.00 left")).then_some(())
    });
    assert_eq!(till.state("NOTE")["status"], "parked");
    till.post("/api/sales/", &note("NOTE-2", "GOOD", "1")).expect(201);
    shop.command(&["queue", "settle", "NOTE", "--as", "not-accepted", "--reason", "posted anew"]).expect(0);
    kra.books().expect_in_order(&["GOOD", "NOTE-2"]);
}

/// Made elsewhere: taken, and said that nobody here knows what is left of it. KRA knows, and says so when it does not have it.
#[test]
fn an_invoice_made_elsewhere_is_credited_unchecked() {
    let kra = Kra::start(Wire::Json);
    let shop =
        Shop::with(&kra).set("delivery.max_attempts", "2").set("delivery.backoff_initial", "\"100ms\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    let elsewhere = |number: &str, org: u64| {
        note_with(number, "", json!({}), json!({ "orgTrdInvcNo": null, "orgInvcNo": org }))
    };
    let state = till.post("/api/sales/?wait=0", &elsewhere("NOTE", 77)).expect(202);
    assert_eq!((&state["orgInvcNo"], &state["limitsUnchecked"]), (&json!(77), &json!(true)), "{state}");
    assert!(shop.journal().contains("not in these books"), "{}", shop.journal());
    till.sell_offline("BEHIND");
    till.wait_status("BEHIND", "signed");
    till.wait_status("NOTE", "parked");
    let state = till.state("NOTE");
    assert!(state["kraMessage"].as_str().unwrap().contains("orgInvcNo does not exist"), "{state}");
}

/// On paper it is negative, names what it undoes, and says that it is good for that alone.
#[test]
fn what_is_printed() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("BEFORE");
    let sold = till.sell("SALE");
    kra.line(false);
    till.post("/api/sales/?wait=0", &note("NOTE", "SALE", "1")).expect(202);
    let slip = print(&till, "NOTE", "width=48");
    let cu_invoice_no = format!("{}/{}", sold["sdcId"].as_str().unwrap(), sold["receiptNo"]);
    for part in ["PROVISIONAL CREDIT NOTE", "THIS IS NOT AN OFFICIAL RECEIPT", &cu_invoice_no, "-58.00"] {
        assert!(slip.contains(part), "{part} is not on\n{slip}");
    }
    kra.line(true);
    let state = till.wait_status("NOTE", "signed");
    let original = flat(&print(&till, "NOTE", "width=48"));
    let counters = format!("{}/{} NC", state["receiptNo"], state["totalReceiptNo"]);
    for part in [
        "CREDIT NOTE",
        "ORIGINAL CU INVOICE NO:",
        &cu_invoice_no,
        "approved only for the original",
        "-58.00B",
        "-8.00",
        "TOTAL TAX B-16%",
        &counters,
    ] {
        assert!(original.contains(part), "{part} is not on\n{original}");
    }
    let copy = print(&till, "NOTE", "width=48");
    assert!(copy.contains("COPY") && copy.contains(&counters.replace("NC", "CC")), "{copy}");
    let facts: Value = serde_json::from_str(&print(&till, "NOTE", "format=json")).unwrap();
    assert_eq!(facts["originalCuInvoiceNo"], cu_invoice_no.as_str(), "{facts}");
    assert_eq!((&facts["label"], &facts["totals"]["total"]), (&json!("CC"), &json!("-58.00")), "{facts}");
    let training = note_with("TRAINING", "SALE", json!({}), json!({ "salesTyCd": "T" }));
    till.post("/api/sales/", &training).expect(200);
    let practice = print(&till, "TRAINING", "width=48");
    assert!(practice.contains("THIS IS NOT AN OFFICIAL RECEIPT") && practice.contains("TC"), "{practice}");
}

/// KRA has the sale, and nobody has its proof: its number is known, and that is all that the note needs.
#[test]
fn a_sale_without_its_proof_is_credited() {
    let kra = Kra::start(Wire::Json);
    kra.set(json!({ "duplicate": "994" }));
    let shop = patient(&kra);
    kra.fault(json!({ "fault": "http_status", "function": LOOK_UP, "args": { "status": 404 } }));
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault(json!({ "fault": "lose_answer", "count": 1, "function": SAVE }));
    till.sell_offline("TAKEN");
    till.wait_status("TAKEN", "accepted_no_proof");
    till.post("/api/sales/?wait=0", &note("NOTE", "TAKEN", "1")).expect(202);
    till.wait_status("NOTE", "signed");
    assert_eq!(number_of(&booked(&kra, "NOTE")["orgInvcNo"]), 2);
    till.post("/api/sales/?wait=0", &note("MORE", "TAKEN", "2")).expect_field("itemList[0].qty");
}

/// What is left is known to a store that was read out of another.
#[test]
fn what_is_left_survives_a_salvage() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SALE");
    till.post("/api/sales/", &note("NOTE", "SALE", "1.5")).expect(201);
    kra.line(false);
    till.sell_offline("LATER");
    till.post("/api/sales/?wait=0", &note("OF-LATER", "LATER", "1")).expect(202);
    gateway.kill();
    let (from, into) = (shop.state(), shop.path("new"));
    let ended = shop.command(&["salvage", from.to_str().unwrap(), "--into", into.to_str().unwrap()]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
    shop.change("state_dir", &format!("{into:?}"));
    shop.command(&["verify"]).expect(0);
    let _gateway = shop.open();
    for (number, original, left) in [("A", "SALE", "0.50 left"), ("B", "LATER", "1.00 left")] {
        let fault = till.post("/api/sales/?wait=0", &note(number, original, "2"));
        let fault = fault.expect_field("itemList[0].qty");
        assert!(fault["message"].as_str().unwrap().contains(left), "{fault}");
    }
    kra.line(true);
    till.wait_status("OF-LATER", "signed");
    expect_behind(&kra.books(), &[("OF-LATER", "LATER"), ("NOTE", "SALE")]);
}
