//! What a technician decides about documents: done, recorded with who and why, and refused where it would do harm.

use serde_json::{Value, json};

use crate::harness::{Shop, eventually};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{running_number, sale, sale_with};

/// `queue ...` of one document; the process' code and both outputs.
macro_rules! queue {
    ($shop:expr, $code:expr, $($word:expr),+ $(,)?) => {{
        let ended = $shop.command(&["queue", $($word),+]);
        ended.expect($code).text()
    }};
}

/// The document as `queue show --json` tells it.
fn show(shop: &Shop, id: &str) -> Value {
    shop.command(&["queue", "show", id, "--json"]).expect(0).json()
}

fn story(document: &Value) -> String {
    let story = document["story"].as_array().unwrap();
    story.iter().map(|line| format!("{}\n", line["text"].as_str().unwrap())).collect()
}

#[test]
fn parked_retried_and_settled() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.line(false);
    let id = running_number(&till.sell_offline("PARKED")).to_string();
    for number in ["BEHIND", "GIVEN", "NEVER", "THERE"] {
        till.sell_offline(number);
    }
    let said = queue!(shop, 0, "park", "PARKED", "--reason", "the customer took it back");
    assert!(!said.trim().is_empty());
    queue!(shop, 1, "park", &id);
    let parked = till.state("PARKED");
    assert_eq!(parked["status"], "parked", "{parked}");
    assert!(parked["advice"].as_str().unwrap().contains("technician"), "{parked}");
    for number in ["GIVEN", "NEVER", "THERE"] {
        queue!(shop, 0, "park", number);
    }
    queue!(shop, 64, "settle", "GIVEN", "--as", "elsewhere");
    queue!(shop, 64, "settle", "GIVEN", "--as", "gone", "--reason", "x");
    queue!(shop, 1, "settle", "NOBODY", "--as", "elsewhere", "--reason", "x");
    queue!(shop, 1, "settle", "FIRST", "--as", "elsewhere", "--reason", "signed already");
    queue!(shop, 0, "settle", "GIVEN", "--as", "elsewhere", "--reason", "entered on KRA's page");
    queue!(shop, 0, "settle", "NEVER", "--as", "not-accepted", "--reason", "never handed over");
    gateway.kill();

    let gateway = shop.open();
    assert_eq!(till.state("PARKED")["status"], "parked");
    let given = till.state("GIVEN");
    assert_eq!((&given["status"], &given["settledAs"]), (&json!("settled"), &json!("elsewhere")), "{given}");
    assert!(till.state("NEVER")["advice"].as_str().unwrap().contains("not valid"));
    // Its own register is told the same when it posts it again, and nothing is sold anew.
    let again = till.post("/api/sales/?wait=0", &sale("GIVEN")).expect(200);
    assert_eq!((&again["repeat"], &again["status"]), (&json!(true), &json!("settled")), "{again}");
    assert_eq!(till.queue()["parked"], 2);
    kra.line(true);
    till.wait_status("BEHIND", "signed");
    eventually("only the parked ones are to be seen to", || {
        (till.get("/health/").expect(200)["status"] == "degraded" && till.queue()["waiting"] == 0)
            .then_some(())
    });
    queue!(shop, 0, "retry", &id, "--reason", "it was sold after all", "--json");
    till.wait_status("PARKED", "signed");
    queue!(shop, 0, "retry", "--all");
    till.wait_status("THERE", "signed");
    queue!(shop, 1, "retry", "PARKED");
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy");
    kra.books().expect_in_order(&["FIRST", "BEHIND", "PARKED", "THERE"]);

    let told = story(&show(&shop, "PARKED"));
    for part in [
        "accepted from a register (unix)",
        "ordered \"park\", because: the customer took it back",
        "ordered \"retry\", because: it was sold after all",
        "invoice number 3",
        "signed by KRA, receipt number 3",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("uid "), "{told}");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

/// A refused sale may be sent again once the cause at KRA is put right, and is gone from nobody's list before.
#[test]
fn refused_sales_are_retried_one_by_one() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let args = json!({ "code": "910", "message": "Invalid custNm [Wanjiru Kamau]" });
    kra.fault(json!({ "fault": "result_cd", "count": 3, "function": SAVE, "args": args }));
    for number in ["BAD-1", "BAD-2", "BAD-3"] {
        till.post("/api/sales/?wait=20", &sale_with(number, json!({ "custNm": "Wanjiru Kamau" })))
            .expect(422);
    }
    queue!(shop, 0, "retry", "--all");
    assert_eq!(till.queue()["rejected"], 3, "what KRA refused stays refused");
    queue!(shop, 0, "retry", "BAD-2");
    assert_eq!(till.wait_status("BAD-2", "signed")["invcNo"], 1);
    queue!(shop, 0, "settle", "BAD-1", "--as", "not-accepted", "--reason", "sold again as another");
    let late =
        till.post("/api/sales/", &sale_with("LATE", json!({ "replaces": "BAD-1" }))).expect_field("replaces");
    assert!(late["message"].as_str().unwrap().contains("technician"), "{late}");
    queue!(shop, 1, "retry", "BAD-1");
    gateway.kill();
    let _gateway = shop.open();
    assert_eq!(till.queue()["rejected"], 1);
    let shown = queue!(shop, 0, "show", "BAD-3");
    for part in ["910 Invalid custNm", "replaces", "queue retry", "queue settle"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("Wanjiru"), "the customer is not shown: {shown}");
    kra.books().expect_in_order(&["BAD-2"]);
}

/// With nothing but the journal and `--help` a technician can tell what happened to a parked sale, and what to do.
#[test]
fn journal_and_help_are_enough() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("log.level", "\"info\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.line(false);
    let id = running_number(&till.sell_offline("T1-000124"));
    queue!(shop, 0, "park", "T1-000124", "--reason", "wrong item code, waiting for head office");
    let journal = eventually("the alert is in the journal", || {
        let journal = shop.journal();
        journal.contains("alert=\"parked\"").then_some(journal)
    });
    // What happened, to which sale, by whom and why, and where to go on.
    let of_the_sale: Vec<&str> = journal.lines().filter(|line| line.contains(&format!("seq={id}"))).collect();
    let told = of_the_sale.join("\n");
    for part in
        ["trd_invc_no=T1-000124", "act=\"park\"", "wrong item code, waiting for head office", "who=\"uid "]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(journal.contains("etims-gateway queue list") && journal.contains("queue show ID"), "{journal}");
    // From there on the program itself says how.
    let help = shop.command(&["queue", "--help"]).expect(0).out.clone();
    for command in ["list", "show", "retry", "park", "settle"] {
        assert!(help.contains(command), "{command}: {help}");
    }
    let shown = queue!(shop, 0, "show", &id.to_string());
    for part in
        ["parked", "what happened", "what can be done", "queue retry", "--as not-accepted", "--as elsewhere"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Nothing is offered that would be declined: KRA cannot have it from here.
    assert!(!shown.contains("--as accepted"), "{shown}");
    for (command, part) in [("retry", "waits for KRA anew"), ("settle", "it was given to KRA in another way")]
    {
        let help = shop.command(&["queue", command, "--help"]).expect(0).out.to_lowercase();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&part.to_lowercase()), "{part}: {help}");
    }
    kra.line(true);
    queue!(shop, 0, "retry", &id.to_string());
    till.wait_status("T1-000124", "signed");
}

/// A register's number may be another sale's running number: nobody settles the wrong sale by it.
#[test]
fn a_number_that_may_mean_two_sales_is_asked_back() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    let meant = running_number(&till.sell_offline("MEANT")).to_string();
    let other = running_number(&till.sell_offline(&meant));
    for word in ["show", "park", "retry"] {
        let said = queue!(shop, 1, word, &meant);
        for part in ["MEANT", &format!("seq:{meant}"), &format!("seq:{other}")] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    assert_eq!(till.queue()["parked"], 0);
    queue!(shop, 0, "park", &format!("seq:{meant}"));
    assert_eq!(till.state("MEANT")["status"], "parked");
    assert_eq!(till.state(&meant)["status"], "pending");
    queue!(shop, 0, "park", &format!("trd:{meant}"));
    assert_eq!(till.state(&meant)["status"], "parked");
    queue!(shop, 0, "show", "MEANT");
    for word in ["show", "park", "retry"] {
        queue!(shop, 64, word, "");
    }
}
