//! Items: kept once answered, saved at KRA between the sales, and before a sale that names them; none holds up the shop.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{BHF_ID, Shop, TIN, eventually, on_both_wires};
use crate::kra::{Kra, Wire};
use crate::sale::{line, sale, sale_of};
use crate::till::Till;

on_both_wires! {
    keeps_an_item_and_saves_it,
    sends_what_a_sale_names_before_the_sale,
    sends_the_sale_though_its_item_is_refused,
    sends_an_item_again_whose_answer_was_lost,
    syncs_a_batch,
    fills_in_what_a_line_does_not_say,
    keeps_what_was_answered_over_a_kill,
    sells_though_kra_saves_no_items,
}

fn code(number: usize) -> String {
    format!("KE2NTNO{number:07}")
}

fn item(number: usize) -> Value {
    json!({
        "itemCd": code(number), "itemClsCd": "5059690800", "itemTyCd": "2", "itemNm": format!("Thing {number}"),
        "orgnNatCd": "KE", "pkgUnitCd": "NT", "qtyUnitCd": "NO", "taxTyCd": "B", "dftPrc": 58,
    })
}

fn with(mut item: Value, name: &str, value: Value) -> Value {
    item[name] = value;
    item
}

#[track_caller]
fn wait_kra(till: &Till, number: usize, standing: &str) -> Value {
    eventually(&format!("item {number} is {standing}"), || {
        let shown = till.get(&format!("/api/item/{}/", code(number))).expect(200);
        (shown["kra"] == standing).then_some(shown)
    })
}

/// The saving requests that KRA answered well, in their order: a function and what it saved.
fn saved(kra: &Kra) -> Vec<String> {
    kra.requests()
        .iter()
        .filter_map(|request| request["function"].as_str())
        .filter(|function| function.starts_with("save"))
        .map(str::to_owned)
        .collect()
}

fn keeps_an_item_and_saves_it(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let answer = till.post("/api/item/", &item(1)).expect(201);
    assert_eq!(answer, json!({ "itemCd": code(1), "status": "created", "kra": "queued" }));
    let shown = wait_kra(&till, 1, "saved");
    assert_eq!(
        (&shown["itemNm"], &shown["dftPrc"], &shown["useYn"]),
        (&json!("Thing 1"), &json!(58.0), &json!("Y"))
    );
    assert_eq!(shown["stale"], false);
    assert!(shown["asOf"].as_str().unwrap().len() >= 20, "{shown}");
    let again = till.post("/api/item", &item(1)).expect(200);
    assert_eq!(again, json!({ "itemCd": code(1), "status": "unchanged", "kra": "saved" }));
    let changed = till.post("/api/item/", &with(item(1), "dftPrc", json!("60.50"))).expect(200);
    assert_eq!(changed, json!({ "itemCd": code(1), "status": "updated", "kra": "queued" }));
    wait_kra(&till, 1, "saved");
    assert_eq!(kra.asked("saveItem"), 2);

    till.get("/api/item/KE2NTNO0000009/").expect_error(404, "not_found");
    till.post("/api/item/", &with(item(2), "itemCd", json!("BREAD"))).expect_field("itemCd");
    till.post("/api/item/", &with(item(2), "taxTyCd", json!("F"))).expect_field("taxTyCd");
    till.post("/api/item/", &with(item(2), "itemname", json!("F"))).expect_field("itemname");
    let missing = till.post("/api/item/", &json!({})).expect(400);
    assert_eq!(missing["errors"].as_array().unwrap().len(), 9, "{missing}");
    till.post("/api/item/", &with(item(2), "itemNm", json!("Brown bread"))).expect(201);
    let found = till.get("/api/item/?q=BROWN&limit=5").expect(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["itemCd"], code(2));
    assert_eq!(till.get("/api/item/").expect(200)["items"].as_array().unwrap().len(), 2);
    wait_kra(&till, 2, "saved");

    gateway.stop();
    let _gateway = shop.open();
    let shown = till.get(&format!("/api/item/{}/", code(1))).expect(200);
    assert_eq!((&shown["dftPrc"], &shown["kra"]), (&json!(60.5), &json!("saved")));
    let metrics = till.get("/metrics").text();
    assert!(
        metrics.contains("\netims_items 2\n") && metrics.contains("\netims_items_queued 0\n"),
        "{metrics}"
    );
}

fn sends_what_a_sale_names_before_the_sale(wire: Wire) {
    let kra = Kra::start(wire);
    kra.set(json!({ "require_items": true }));
    let shop = Shop::with(&kra).set("sales.realtime_wait", "\"0s\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    for number in [5, 6, 7, 1, 8] {
        till.post("/api/item/", &item(number)).expect(201);
    }
    till.post("/api/sales/", &sale("T-1")).expect(202);
    till.post("/api/sales/", &sale("T-2")).expect(202);
    till.post("/api/sales/", &sale_of("T-3", json!({ "itemCd": code(8) }))).expect(202);
    kra.line(true);
    till.wait_drained();
    for number in [5, 6, 7, 1, 8] {
        wait_kra(&till, number, "saved");
    }
    kra.books().expect_in_order(&["T-1", "T-2", "T-3"]);
    assert_eq!(kra.books().most_saving(), 1);
    assert_eq!(kra.asked("saveItem"), 5);
    let sale = "saveTrnsSalesOsdc";
    assert_eq!(
        saved(&kra),
        ["saveItem", sale, sale, "saveItem", sale, "saveItem", "saveItem", "saveItem"],
        "only what a sale names goes before it"
    );
}

fn sends_the_sale_though_its_item_is_refused(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": "saveItem", "args": { "code": "913", "message": "no such class" },
    }));
    till.post("/api/item/", &item(1)).expect(201);
    let shown = wait_kra(&till, 1, "refused");
    assert!(shown["kraMessage"].as_str().unwrap().contains("no such class"), "{shown}");
    till.sell("T-1");
    let status = shop.command(&["status", "--json"]).json();
    let alert = status["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|alert| alert["code"] == "items_refused")
        .unwrap_or_else(|| panic!("{status}"));
    let message = alert["message"].as_str().unwrap();
    assert!(
        message.contains(&code(1)) && message.contains("sale T-1 names"),
        "one alert names both: {message}"
    );
    assert_eq!(status["healthy"], true, "items make no shop ill");
    let listed = shop.command(&["queue", "list"]).text();
    assert!(listed.contains(&code(1)) && listed.contains("refused"), "{listed}");
    let shown = shop.command(&["queue", "show", &code(1)]).text();
    assert!(shown.contains("named by sale    T-1") && shown.contains("no such class"), "{shown}");
    kra.fault(json!({
        "fault": "result_cd", "count": 1, "function": "saveItem", "args": { "code": "910", "message": "still none" },
    }));
    shop.command(&["queue", "retry", &code(1), "--reason", "asked KRA"]).expect(0);
    eventually("it is refused again", || {
        let shown = till.get(&format!("/api/item/{}/", code(1))).expect(200);
        shown["kraMessage"].as_str().is_some_and(|words| words.contains("still none")).then_some(())
    });
    shop.command(&["queue", "park", &code(1)]).expect(1);
    // The same again is another try.
    let again = till.post("/api/item/", &item(1)).expect(200);
    assert_eq!(again, json!({ "itemCd": code(1), "status": "updated", "kra": "queued" }));
    wait_kra(&till, 1, "saved");
    let status = shop.command(&["status", "--json"]).json();
    assert!(status["alerts"].as_array().unwrap().iter().all(|it| it["code"] != "items_refused"), "{status}");
    let nothing = shop.command(&["queue", "retry", &code(1)]).expect(1).text();
    assert!(nothing.contains("KRA has saved"), "{nothing}");
    assert_eq!(shop.command(&["queue", "list"]).text().trim(), "the queue is empty");
}

fn sends_an_item_again_whose_answer_was_lost(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    // What KRA lists later would say that it has the item.
    eventually("KRA's items were asked for", || {
        (wire == Wire::Xml || kra.asked("selectItemList") > 0).then_some(())
    });
    for fault in ["lose_answer", "http_status", "html"] {
        let count = if fault == "http_status" { json!({ "status": 503 }) } else { json!({}) };
        kra.fault(json!({ "fault": fault, "count": 1, "function": "saveItem", "args": count }));
    }
    till.post("/api/item/", &item(1)).expect(201);
    wait_kra(&till, 1, "saved");
    assert_eq!(kra.asked("saveItem"), 4);
    till.sell("T-1");
    kra.books().expect_in_order(&["T-1"]);
}

fn syncs_a_batch(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let mut items: Vec<Value> = (1..=600).map(item).collect();
    items[3] = with(item(4), "dftPrc", json!(-1));
    items[500] = json!(7);
    items.push(item(2));
    items.push(with(item(700), "itemCd", json!("nonsense")));
    let answer = till.post("/api/item/sync/", &json!({ "items": items })).expect(200);
    let counts = |answer: &Value| {
        ["synced", "created", "updated", "errors"].map(|name| answer[name].as_u64().unwrap())
    };
    assert_eq!(counts(&answer), [598, 598, 0, 4], "{answer}");
    let details: BTreeSet<(String, String)> = answer["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["itemCd"].as_str().unwrap_or("-").to_owned(), it["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        (code(4), "negative"),
        ("-".to_owned(), "wrong_type"),
        (code(2), "duplicate"),
        ("nonsense".to_owned(), "bad_format"),
    ];
    let expected: BTreeSet<_> = expected.into_iter().map(|(code, word)| (code, word.to_owned())).collect();
    assert_eq!(details, expected);
    assert!(answer["stale"].is_boolean());

    let good: Vec<Value> = (1..=600).filter(|it| *it != 4 && *it != 501).map(item).collect();
    let again = till.post("/api/item/sync", &json!({ "items": good })).expect(200);
    assert_eq!(counts(&again), [598, 0, 0, 0]);
    let mut changed = good.clone();
    changed[0]["itemNm"] = json!("Another thing");
    let third = till.post("/api/item/sync/", &json!({ "items": changed })).expect(200);
    assert_eq!(counts(&third), [598, 0, 1, 0]);
    // A sale does not wait for them.
    till.sell("T-1");
    till.post("/api/item/sync/", &json!({ "items": 5 })).expect_field("items");
    till.post("/api/item/sync/", &json!({})).expect_field("items");
    till.get("/api/item/sync/").expect(405);
    eventually("all are saved", || {
        let metrics = till.get("/metrics").text();
        metrics.contains("\netims_items_queued 0\n").then_some(())
    });
    assert_eq!(kra.books().most_saving(), 1);
}

fn fills_in_what_a_line_does_not_say(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let bare = json!({ "trdInvcNo": "T-1", "itemList": [{ "itemCd": code(1), "qty": 2 }] });
    let unknown = till.post("/api/sales/", &bare).expect(400);
    assert!(
        unknown["errors"].as_array().unwrap().iter().any(|it| it["field"] == "itemList[0].prc"),
        "{unknown}"
    );
    till.post("/api/item/", &with(item(1), "bcd", json!("6161"))).expect(201);
    till.post("/api/sales/", &bare).expect(201);
    let booked = &kra.invoices("P051234567Z")[0];
    let booked_line = &booked["itemList"][0];
    for (name, value) in
        [("itemNm", "Thing 1"), ("itemClsCd", "5059690800"), ("pkgUnitCd", "NT"), ("bcd", "6161")]
    {
        assert_eq!(booked_line[name], value, "{booked}");
    }
    // The same request is the same sale, whatever the catalogue says by then.
    till.post("/api/item/", &with(item(1), "dftPrc", json!(70))).expect(200);
    let again = till.post("/api/sales/", &bare).expect(200);
    assert_eq!(again["repeat"], true, "{again}");
    let spelled_out = json!({ "trdInvcNo": "T-1", "itemList": [line()] });
    till.post("/api/sales/", &spelled_out).expect_error(409, "trdInvcNo_reused");
}

fn keeps_what_was_answered_over_a_kill(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let mut answered: usize = 0;
    for round in 0..3 {
        let gateway = shop.open_registered();
        let till = shop.till();
        // What was answered before the last kill is there.
        for number in (0..answered).step_by(37).chain(answered.checked_sub(1)) {
            till.get(&format!("/api/item/{}/", code(number))).expect(200);
        }
        let worker = {
            let till = shop.till();
            std::thread::spawn(move || {
                let mut done = answered;
                loop {
                    let items: Vec<Value> = (done..done + 120).map(item).collect();
                    let body = json!({ "items": items }).to_string();
                    match till.ask("POST", "/api/item/sync/", Some(body.as_bytes())) {
                        Ok(answer) if answer.status == 200 => done += 120,
                        _ => return done,
                    }
                }
            })
        };
        eventually("a few batches are answered", || {
            let all = till.get("/api/item/?limit=500").expect(200);
            (all["items"].as_array().unwrap().len() > 250).then_some(())
        });
        std::thread::sleep(std::time::Duration::from_millis(40 * round));
        gateway.kill();
        answered = worker.join().unwrap();
    }
    let _gateway = shop.open();
    let till = shop.till();
    let missing: Vec<usize> = (0..answered)
        .filter(|number| till.get(&format!("/api/item/{}/", code(*number))).status != 200)
        .collect();
    assert!(answered > 240 && missing.is_empty(), "of {answered}: {missing:?}");
}

fn sells_though_kra_saves_no_items(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.fault(json!({ "fault": "http_status", "function": "saveItem", "args": { "status": 404 } }));
    till.post("/api/item/", &item(1)).expect(201);
    till.post("/api/item/", &item(2)).expect(201);
    eventually("it is told", || {
        let status = shop.command(&["status", "--json"]).json();
        status["alerts"].as_array().unwrap().iter().any(|it| it["code"] == "items_held").then_some(())
    });
    // One that names no item of those, and one that does.
    let other = till.post("/api/sales/", &sale_of("T-1", json!({ "itemCd": code(9) }))).expect(201);
    assert_eq!(other["status"], "signed");
    till.sell("T-2");
    kra.clear_faults();
    wait_kra(&till, 1, "saved");
    wait_kra(&till, 2, "saved");
    kra.books().expect_in_order(&["T-1", "T-2"]);
}

/// Another till of the shop has saved items before this one knows of any.
#[test]
fn knows_what_kra_has_already() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let key = shop.command(&["device", "init", "--show-key", "--json"]).json()["cmcKey"].clone();
    let address = kra.base_url().strip_prefix("http://").unwrap().split_once('/').unwrap().0.parse().unwrap();
    let other = Till::tcp(address).header("tin", TIN).header("bhfId", BHF_ID);
    let other = other.header("cmcKey", key.as_str().unwrap());
    for number in [1, 2] {
        let mut saved = item(number);
        let rest = json!({
            "tin": TIN, "bhfId": BHF_ID, "cmcKey": key, "isrcAplcbYn": "N", "useYn": "Y",
            "regrId": "x", "regrNm": "x", "modrId": "x", "modrNm": "x",
        });
        saved.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        assert_eq!(other.post("/etims-api/saveItem", &saved).expect(200)["resultCd"], "000");
    }
    let before = kra.asked("saveItem");
    gateway.signal(Signal::HUP);
    let shown = eventually("KRA's items are known here", || {
        let answer = till.get(&format!("/api/item/{}/", code(2)));
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!((&shown["kra"], &shown["itemNm"]), (&json!("saved"), &json!("Thing 2")));
    // The same is not sent again; another price is.
    let same = till.post("/api/item/", &item(1)).expect(200);
    assert_eq!((&same["status"], &same["kra"]), (&json!("unchanged"), &json!("saved")));
    let dearer = till.post("/api/item/", &with(item(2), "dftPrc", json!(60))).expect(200);
    assert_eq!(dearer["status"], "updated");
    wait_kra(&till, 2, "saved");
    assert_eq!(kra.asked("saveItem"), before + 1);
    // It fills in what a line does not say, over a start too.
    gateway.stop();
    let _gateway = shop.open();
    let short = json!({ "trdInvcNo": "S-1", "itemList": [{ "itemCd": code(1), "qty": 1 }] });
    till.post("/api/sales/?wait=20", &short).expect(201);
    assert_eq!(kra.books().sale("S-1").unwrap()["totAmt"], "58.00");
}
