//! KRA's lists: fetched in the background, served from memory, kept over restarts; their rates tax what is sold from then on.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Gateway, Shop, TIN, eventually, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{sale, sale_with};
use crate::till::Till;

on_both_wires!(
    lists_are_fetched_at_the_start_and_a_hit_never_calls_kra,
    lists_are_served_after_a_restart_with_kra_away,
    a_change_of_rates_taxes_what_is_sold_from_then_on,
    lists_that_cannot_be_meant_change_nothing,
    broken_answers_change_nothing,
    kra_is_left_alone_where_it_says_so,
    codes_out_of_use_are_taken_for_nothing_new,
    thousands_of_item_classes_come_and_stay_while_sales_go_on,
    the_newest_notices_are_shown,
    a_sale_refused_over_a_code_has_the_lists_fetched,
);

/// The function that brings codes on this wire.
fn codes_function(wire: Wire) -> &'static str {
    match wire {
        Wire::Json => "selectCodeList",
        Wire::Xml => "selectTrnsPurchaseSalesItemList",
    }
}

/// The function that brings item classes.
fn classes_function(wire: Wire) -> &'static str {
    match wire {
        Wire::Json => "selectItemClsList",
        Wire::Xml => "selectTrnsPurchaseSalesItemList",
    }
}

fn lists_asked(kra: &Kra) -> u64 {
    ["selectCodeList", "selectItemClsList", "selectTrnsPurchaseSalesItemList"]
        .map(|name| kra.asked(name))
        .iter()
        .sum()
}

fn codes(till: &Till, class: &str) -> Value {
    till.get(&format!("/api/codes/{class}/")).expect(200)
}

fn classes(till: &Till, question: &str) -> Value {
    till.get(&format!("/api/item-classes/?{question}")).expect(200)
}

/// Waits until codes, item classes and notices were fetched.
fn wait_fetched(till: &Till) {
    eventually("all lists are fetched", || {
        let fresh = [codes(till, "04"), classes(till, "limit=1"), till.get("/api/notices/").expect(200)];
        fresh.iter().all(|list| list["stale"] == false).then_some(())
    });
}

fn rate(till: &Till, letter: &str) -> String {
    let list = codes(till, "04");
    let codes = list["dtlList"].as_array().unwrap();
    codes.iter().find(|code| code["cd"] == letter).unwrap()["userDfnCd1"].as_str().unwrap().to_owned()
}

/// Has KRA asked for its lists anew.
fn ask_anew(gateway: &Gateway) {
    gateway.signal(Signal::HUP);
}

fn alerts(shop: &Shop) -> Vec<String> {
    let status = shop.command(&["status", "--json"]).json();
    let alerts = status["alerts"].as_array().unwrap_or_else(|| panic!("alerts: {status}")).iter();
    alerts.map(|alert| alert["code"].as_str().unwrap().to_owned()).collect()
}

fn wait_alert(shop: &Shop, code: &str, stands: bool) {
    eventually(&format!("the alert {code} stands: {stands}"), || {
        (alerts(shop).iter().any(|alert| alert == code) == stands).then_some(())
    });
}

fn lists_are_fetched_at_the_start_and_a_hit_never_calls_kra(wire: Wire) {
    let kra = Kra::start(wire);
    kra.line(false);
    let shop = Shop::with(&kra);
    let gateway = shop.open();
    let till = shop.till();
    let built_in = codes(&till, "04");
    assert_eq!((&built_in["stale"], &built_in["asOf"]), (&json!(true), &Value::Null), "{built_in}");
    assert_eq!(rate(&till, "B"), "16.00");
    assert_eq!(classes(&till, ""), json!({"itemClsList": [], "more": false, "stale": true, "asOf": null}));
    till.get("/api/codes/11/").expect_error(404, "not_found");
    till.get("/api/codes/04/?q=1").expect_error(400, "bad_query");

    kra.line(true);
    wait_fetched(&till);
    let taxes = codes(&till, "04");
    assert_eq!(
        (&taxes["cdCls"], &taxes["cdClsNm"], &taxes["useYn"]),
        (&json!("04"), &json!("Tax type"), &json!("Y"))
    );
    assert!(taxes["asOf"].as_str().is_some_and(|as_of| as_of.ends_with("+03:00")), "{taxes}");
    let standard = &taxes["dtlList"][1];
    assert_eq!(
        (&standard["cd"], &standard["userDfnCd1"], &standard["userDfnCd2"]),
        (&json!("B"), &json!("16"), &json!("B-16%"))
    );
    assert_eq!(codes(&till, "11")["dtlList"][1]["cdNm"], "Approved");
    let found = classes(&till, "q=5059");
    assert_eq!(found["itemClsList"][0]["itemClsNm"], "General groceries", "{found}");
    let found = classes(&till, "q=WATER%20bottled&limit=1");
    assert_eq!(
        (&found["itemClsList"][0]["itemClsCd"], &found["more"]),
        (&json!("5020230100"), &json!(false))
    );
    assert_eq!(classes(&till, "limit=3")["more"], true);
    for bad in ["limit=0", "limit=501", "limit=x", "p=1", &format!("q={}", "x".repeat(101))] {
        till.get(&format!("/api/item-classes/?{bad}")).expect_error(400, "bad_query");
    }
    assert_eq!(till.post("/api/codes/04/", &json!({})).status, 405);

    // The first question is for everything, and says who asks as every other one does.
    let first =
        kra.requests().into_iter().find(|request| request["function"] == codes_function(wire)).unwrap();
    assert!(first["body"].as_str().unwrap().contains("20180101000000"), "{first}");
    let asked = (lists_asked(&kra), kra.asked("selectNoticeList"));
    for _ in 0..20 {
        codes(&till, "07");
        classes(&till, "q=goods");
    }
    assert_eq!(lists_asked(&kra), asked.0, "a hit calls nobody");
    let metrics = till.get("/metrics").text();
    for sample in [
        "etims_list_rows{list=\"item_classes\"} 14",
        "etims_tax_rate_ratio{type=\"B\"} 0.1600",
        "etims_list_stale{list=\"codes\"} 0",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample}: {metrics}");
    }
    let status = shop.command(&["status"]);
    assert!(
        status.out.contains("B 16.00 %") && status.out.contains("14 item classes, as of"),
        "{}",
        status.out
    );
    gateway.stop();
}

fn lists_are_served_after_a_restart_with_kra_away(wire: Wire) {
    let kra = Kra::start(wire);
    kra.set(json!({ "rates": { "B": 14 } }));
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    let before = (codes(&till, "04"), codes(&till, "11"), classes(&till, "limit=500"));
    assert_eq!(rate(&till, "B"), "14");
    gateway.kill();
    kra.line(false);
    let asked = lists_asked(&kra);

    let gateway = shop.open();
    let after = (codes(&till, "04"), codes(&till, "11"), classes(&till, "limit=500"));
    assert_eq!(after, before, "all is as it was, and not stale");
    // A start, and another one, have the last known rates, and so has a reload.
    till.post("/api/sales/", &sale("OFFLINE")).expect(202);
    ask_anew(&gateway);
    gateway.stop();
    let gateway = shop.open();
    assert_eq!(rate(&till, "B"), "14");
    kra.line(true);
    till.wait_drained();
    let invoices = kra.invoices(TIN);
    assert_eq!(invoices[0]["taxRtB"].to_string(), "14", "{}", invoices[0]);
    assert_eq!(lists_asked(&kra), asked, "what KRA said just now is not asked for again because of a start");
    gateway.stop();
}

fn a_change_of_rates_taxes_what_is_sold_from_then_on(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra).set("sales.realtime_wait", "\"0s\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    // The line is busy: both wait, the first with its bytes made, the second without.
    kra.fault(
        json!({ "fault": "http_status", "function": SAVE, "args": { "status": 429, "retry_after": 2 } }),
    );
    till.post("/api/sales/", &sale("BEFORE-1")).expect(202);
    kra.wait_struck(1);
    till.post("/api/sales/", &sale("BEFORE-2")).expect(202);

    kra.set(json!({ "rates": { "B": 14 } }));
    ask_anew(&gateway);
    eventually("the new rate is there", || (rate(&till, "B") == "14").then_some(()));
    till.post("/api/sales/", &sale("AFTER")).expect(202);
    // A reload brings no old rates back.
    ask_anew(&gateway);
    till.post("/api/sales/", &sale_with("WRONG", json!({ "totTaxAmt": 16 }))).expect_field("totTaxAmt");
    kra.clear_faults();
    till.wait_drained();
    let rates: Vec<(String, String)> = kra
        .invoices(TIN)
        .iter()
        .map(|sale| (sale["trdInvcNo"].as_str().unwrap().to_owned(), sale["taxRtB"].to_string()))
        .collect();
    let expected = [("BEFORE-1", "16"), ("BEFORE-2", "16"), ("AFTER", "14")];
    assert_eq!(rates, expected.map(|(number, rate)| (number.to_owned(), rate.to_owned())));

    // A person sees it, and the log has it: what it was, what it is, since when, and KRA's time.
    wait_alert(&shop, "rates_changed", true);
    let export = shop.command(&["export"]);
    let records: Vec<Value> =
        export.expect(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let change = records
        .iter()
        .filter(|record| record["kind"] == "codes")
        .find_map(|record| Some(&record["content"]["rate_change"]).filter(|change| change.is_object()))
        .unwrap_or_else(|| panic!("the change is in the log"));
    assert_eq!((&change["from"]["B"], &change["to"]["B"]), (&json!("16.00"), &json!("14.00")), "{change}");
    for time in ["at", "kra_time"] {
        assert!(change[time].as_str().is_some_and(|time| time.len() == 14), "{time}: {change}");
    }
    assert!(shop.journal().contains("KRA changed the tax rates"), "the journal says so");
    shop.command(&["verify"]).expect(0);
    gateway.kill();
    let gateway = shop.open();
    wait_alert(&shop, "rates_changed", true);
    gateway.stop();
}

fn lists_that_cannot_be_meant_change_nothing(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    let taxes = |rate: &str| json!({ "clsList": [{ "cdCls": "04", "dtlList": [{ "cd": "B", "cdNm": "B", "userDfnCd1": rate }] }] });
    for bad in ["-5", "100.5", "sixteen", ""] {
        kra.publish(taxes(bad));
        ask_anew(&gateway);
        wait_alert(&shop, "lists_refused", true);
        assert_eq!(rate(&till, "B"), "16", "after {bad:?}");
        // Put right, it is over.
        kra.publish(taxes("16"));
        ask_anew(&gateway);
        wait_alert(&shop, "lists_refused", false);
    }
    kra.publish(json!({ "clsList": [{ "cdCls": "37", "dtlList": [{ "cd": "S", "useYn": "N" }] }] }));
    ask_anew(&gateway);
    wait_alert(&shop, "lists_refused", true);
    till.sell("STILL");
    assert_eq!(kra.invoices(TIN)[0]["taxRtB"].to_string(), "16");
    gateway.stop();
}

fn broken_answers_change_nothing(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    let before = (codes(&till, "04")["dtlList"].clone(), classes(&till, "limit=500")["itemClsList"].clone());
    kra.publish(json!({ "itemClsList": [{ "itemClsCd": "99999999", "itemClsNm": "New" }] }));
    let function = classes_function(wire);
    let broken = if wire == Wire::Json { "bad_json" } else { "bad_xml" };
    for fault in [
        json!({ "fault": broken }),
        json!({ "fault": "html" }),
        json!({ "fault": "half_body" }),
        json!({ "fault": "close_after_read" }),
        json!({ "fault": "http_status", "args": { "status": 500 } }),
        json!({ "fault": "result_cd", "args": { "code": "999" } }),
    ] {
        let mut order = fault.clone();
        order["function"] = json!(function);
        kra.fault(order);
        ask_anew(&gateway);
        kra.wait_struck(1);
        eventually("the trouble is shown", || {
            let status = shop.command(&["status", "--json"]).json();
            let lists = status["lists"]["lists"].as_array().unwrap().clone();
            lists
                .iter()
                .any(|list| list["name"] == "item_classes" && list["outcome"] == "failed")
                .then_some(())
        });
        let after =
            (codes(&till, "04")["dtlList"].clone(), classes(&till, "limit=500")["itemClsList"].clone());
        assert_eq!(after, before, "{fault}");
        kra.clear_faults();
        ask_anew(&gateway);
        eventually("it went well again", || {
            let status = shop.command(&["status", "--json"]).json();
            let lists = status["lists"]["lists"].as_array().unwrap().clone();
            lists
                .iter()
                .any(|list| list["name"] == "item_classes" && list["outcome"] != "failed")
                .then_some(())
        });
        // Each time anew: what came once does not come again.
        let found = classes(&till, "q=99999999");
        assert_eq!(found["itemClsList"][0]["itemClsNm"], "New", "{found}");
        kra.publish(
            json!({ "itemClsList": [{ "itemClsCd": "99999999", "itemClsNm": "Old", "useYn": "N" }] }),
        );
        ask_anew(&gateway);
        eventually("it is out of use", || {
            classes(&till, "q=99999999")["itemClsList"].as_array().unwrap().is_empty().then_some(())
        });
        kra.publish(json!({ "itemClsList": [{ "itemClsCd": "99999999", "itemClsNm": "New" }] }));
    }
    gateway.stop();
}

fn kra_is_left_alone_where_it_says_so(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    let function = codes_function(wire);
    kra.fault(json!({ "fault": "result_cd", "function": function, "args": { "code": "990" } }));
    ask_anew(&gateway);
    kra.wait_struck(1);
    eventually("it is shown", || shop.command(&["status"]).out.contains("busy").then_some(()));
    let asked = lists_asked(&kra);
    for number in ["A", "B", "C"] {
        let before = shop.journal().matches("the configuration was read again").count();
        ask_anew(&gateway);
        eventually("the reload is over", || {
            (shop.journal().matches("the configuration was read again").count() > before).then_some(())
        });
        till.sell(number);
    }
    assert_eq!(lists_asked(&kra), asked, "for a quarter of an hour nobody asks");
    gateway.stop();
}

fn codes_out_of_use_are_taken_for_nothing_new(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    kra.fault_on_sales("close_before_read", 1);
    till.post("/api/sales/?wait=0", &sale_with("BEFORE", json!({ "pmtTyCd": "07" }))).expect(202);
    kra.publish(json!({ "clsList": [{ "cdCls": "07", "dtlList": [
        { "cd": "07", "cdNm": "Other", "useYn": "N" }, { "cd": "08", "cdNm": "Voucher", "useYn": "Y" }] }] }));
    ask_anew(&gateway);
    eventually("the list is there", || {
        codes(&till, "07")["dtlList"].as_array().unwrap().iter().any(|code| code["cd"] == "08").then_some(())
    });
    till.post("/api/sales/", &sale_with("GONE", json!({ "pmtTyCd": "07" }))).expect_field("pmtTyCd");
    // The same again is a repeat, whatever the list says now.
    let repeat = till.post("/api/sales/", &sale_with("BEFORE", json!({ "pmtTyCd": "07" })));
    assert_eq!((repeat.status, &repeat.json()["repeat"]), (200, &json!(true)), "{repeat:?}");
    till.wait_status("BEFORE", "signed");
    let accepted = till.post("/api/sales/?wait=0", &sale_with("NEW", json!({ "pmtTyCd": "08" })));
    assert_eq!(accepted.status, 202, "{accepted:?}");
    gateway.stop();
}

fn thousands_of_item_classes_come_and_stay_while_sales_go_on(wire: Wire) {
    let kra = Kra::start(wire);
    kra.publish(json!({ "syntheticClasses": 5000 }));
    // Eight pieces, so that it takes a while.
    kra.fault(json!({ "fault": "slow_body", "function": classes_function(wire), "count": 1, "args": { "ms": 500 } }));
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    kra.wait_struck(1);
    let began = Instant::now();
    let mut sold = 0;
    while classes(&till, "limit=1")["stale"] == true {
        sold += 1;
        till.sell(&format!("WHILE-{sold}"));
        assert!(began.elapsed() < Duration::from_secs(60), "the list comes");
    }
    assert!(sold > 3, "sales go on while a list comes: {sold}");
    let found = classes(&till, "q=variety%204999");
    assert_eq!(found["itemClsList"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(classes(&till, "limit=500")["more"], true);
    wait_fetched(&till);
    gateway.kill();
    kra.line(false);
    let gateway = shop.open();
    assert_eq!(classes(&till, "q=variety%204999"), found);
    let metrics = till.get("/metrics").text();
    assert!(metrics.contains("etims_list_rows{list=\"item_classes\"} 5014\n"), "{metrics}");
    gateway.stop();
}

fn the_newest_notices_are_shown(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    kra.publish(json!({ "noticeList": [{ "noticeNo": 7, "title": "Closed on Monday", "cont": "All day",
        "dtlUrl": "http://localhost/7", "regrNm": "KRA", "regDt": "20260105080000" }] }));
    ask_anew(&gateway);
    eventually("the notice is there", || {
        shop.command(&["status"]).out.contains("Closed on Monday").then_some(())
    });
    let notices = till.get("/api/notices/").expect(200);
    assert_eq!(
        notices["noticeList"][0],
        json!({ "noticeNo": 7, "title": "Closed on Monday", "cont": "All day", "dtlUrl": "http://localhost/7", "regDt": "20260105080000" })
    );
    assert_eq!(notices["noticeList"].as_array().map(Vec::len), Some(2));
    assert!(shop.journal().contains("Closed on Monday"));
    gateway.stop();
}

fn a_sale_refused_over_a_code_has_the_lists_fetched(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    wait_fetched(&till);
    kra.publish(json!({ "clsList": [{ "cdCls": "07", "dtlList": [{ "cd": "08", "cdNm": "Voucher" }] }] }));
    till.sell("FINE");
    kra.fault(json!({ "fault": "result_cd", "function": SAVE, "count": 1, "args": { "code": "910", "message": "Invalid custNm" } }));
    till.post("/api/sales/", &sale("NAME")).expect_error(422, "kra_rejected");
    assert!(!codes(&till, "07").to_string().contains("Voucher"), "a name is no reason to ask");
    kra.fault(json!({ "fault": "result_cd", "function": SAVE, "count": 1,
        "args": { "code": "913", "message": "code value does not exist in the list [<pmtTyCd>]" } }));
    till.post("/api/sales/", &sale("CODE")).expect_error(422, "kra_rejected");
    eventually("the lists are fetched", || codes(&till, "07").to_string().contains("Voucher").then_some(()));
    gateway.stop();
}
