//! The log of exchanges: every one of them, once, with the right numbers; bounded; to be followed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Shop, binary, eventually, files_below, on_both_wires};
use crate::kra::{INITIALISE, Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;

on_both_wires! { every_exchange_is_there_once }

/// The log as `log --json` prints it.
fn rows(shop: &Shop, args: &[&str]) -> Vec<Value> {
    let ended = shop.command(&[&["log", "--json"], args].concat());
    ended.expect(0);
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(row: &Value) -> u64 {
    row["n"].as_u64().unwrap()
}

#[track_caller]
fn expect_no_gap(rows: &[Value]) {
    for pair in rows.windows(2) {
        assert_eq!(number(&pair[1]), number(&pair[0]) + 1, "{} then {}", pair[0], pair[1]);
    }
}

fn every_exchange_is_there_once(wire: Wire) {
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    shop.command(&["log"]).expect(66);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    kra.fault_on_sales("lose_answer", 1);
    till.post("/api/sales/?wait=0", &sale("S-2")).expect(202);
    till.wait_status("S-2", "signed");
    kra.clear_faults();
    let refusal = json!({ "code": "910", "message": "custTin A987654321Q: Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": refusal }));
    till.post("/api/sales/?wait=20", &sale("S-3")).expect(422);
    kra.clear_faults();
    kra.line(false);
    till.sell_offline("S-4");
    eventually("the cut line is tried", || (till.get("/health/").expect(200)["kra"] == "down").then_some(()));
    kra.line(true);
    till.wait_status("S-4", "signed");

    let live = rows(&shop, &[]);
    gateway.stop();
    // The same from the files of a stopped daemon.
    let all = rows(&shop, &[]);
    assert_eq!(&all[..live.len()], &live[..]);
    assert_eq!(number(&all[0]), 1);
    expect_no_gap(&all);

    // KRA's own list of what it was asked, and ours.
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in kra.requests() {
        *asked.entry(request["function"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let mut logged: BTreeMap<String, usize> = BTreeMap::new();
    // What never reached KRA is logged too, as what it is.
    let reached = |row: &&Value| row["httpStatus"].is_number() || row["outcome"] == "in_doubt";
    for row in all.iter().filter(reached) {
        *logged.entry(row["function"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(logged, asked);
    assert!(
        all.iter().any(|row| row["outcome"] == "unreachable" || row["outcome"] == "down"),
        "the cut line"
    );

    let of = |sale: &str| rows(&shop, &["--sale", sale]);
    let first = of("S-1");
    let [row] = &first[..] else { panic!("{first:#?}") };
    assert_eq!(
        (&row["function"], &row["outcome"], &row["resultCd"]),
        (&json!(SAVE), &json!("accepted"), &json!("000"))
    );
    assert_eq!((&row["invcNo"], &row["attempt"], &row["httpStatus"]), (&json!(1), &json!(1), &json!(200)));
    let sent = kra.requests().into_iter().find(|request| request["function"] == SAVE).unwrap();
    let length = sent["headers"]["content-length"].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(row["bytesOut"], length);
    assert!(
        row["bytesIn"].as_u64().unwrap() > 100 && row["seq"].is_u64() && row["monotonicMs"].is_u64(),
        "{row:#}"
    );
    assert_eq!(row["request"]["trdInvcNo"], "S-1");
    assert_eq!(row["request"]["tin"], "****");
    assert_eq!(row["answer"]["data"]["curRcptNo"], "1");

    let lost = of("S-2");
    let steps: Vec<(&str, &str)> = lost
        .iter()
        .map(|row| (row["function"].as_str().unwrap(), row["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [(SAVE, "in_doubt"), (LOOK_UP, "found")]);
    assert!(lost.iter().all(|row| row["invcNo"] == 2 && row["seq"] == lost[0]["seq"]), "{lost:#?}");

    let refused = of("S-3");
    assert_eq!(refused.last().unwrap()["message"], "custTin ****: Invalid qty");
    let text = shop.command(&["log", "--sale", "S-3"]).expect(0).out.clone();
    assert!(text.contains("refused 910") && text.contains("Invalid qty") && text.contains("try 1"), "{text}");
    assert!(of("S-5").is_empty());

    let init: Vec<&Value> = all.iter().filter(|row| row["function"] == INITIALISE).collect();
    assert_eq!(init.len(), 1);
    assert_eq!(init[0]["answer"], json!({ "unread": "withheld: it holds the key" }));
}

/// A `log --follow` that writes into a file.
struct Follower {
    child: Child,
    shop_file: std::path::PathBuf,
}

impl Follower {
    fn start(shop: &Shop) -> Follower {
        let shop_file = shop.path("followed.ndjson");
        let child = binary()
            .args(["log", "--follow", "--json", "--config"])
            .arg(shop.config())
            .stdout(File::create(&shop_file).unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Follower { child, shop_file }
    }

    fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.shop_file).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn wait_for(&self, sale: &str) {
        eventually(&format!("{sale} is seen by who follows the log"), || {
            self.rows()
                .iter()
                .any(|row| row["trdInvcNo"] == sale && row["outcome"] == "accepted")
                .then_some(())
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn following_survives_rotation_and_restarts_and_the_bound_holds() {
    const BOUND: u64 = 64 << 10;
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("api_log.max_size", "\"64KiB\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("A-0");
    let follower = Follower::start(&shop);
    follower.wait_for("A-0");
    let expect_bound = || {
        let files = files_below(&shop.state().join("api-log"));
        // One may go while it is looked at.
        let total: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
        assert!(total <= BOUND, "{total} bytes in {files:?}");
        files
    };
    for n in 1..=60 {
        till.sell(&format!("A-{n}"));
        expect_bound();
    }
    follower.wait_for("A-60");
    gateway.stop();
    let gateway = shop.open_registered();
    till.sell("B-1");
    follower.wait_for("B-1");
    gateway.kill();
    let gateway = shop.open_registered();
    till.sell("C-1");
    follower.wait_for("C-1");

    let seen = follower.rows();
    expect_no_gap(&seen);
    let sold: Vec<&str> = seen
        .iter()
        .filter(|row| row["function"] == SAVE)
        .map(|row| row["trdInvcNo"].as_str().unwrap())
        .collect();
    let expected: Vec<String> =
        (0..=60).map(|n| format!("A-{n}")).chain(["B-1".into(), "C-1".into()]).collect();
    assert_eq!(sold, expected);
    let files = expect_bound();
    assert!(files.len() >= 2, "{files:?}");
    let kept = rows(&shop, &[]);
    assert!(number(&kept[0]) > 1, "the oldest have gone");
    expect_no_gap(&kept);
    gateway.stop();
}

#[test]
fn a_log_that_cannot_be_written_disturbs_nobody() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra);
    fs::create_dir(shop.state()).unwrap();
    fs::write(shop.state().join("api-log"), "in the way").unwrap();
    let gateway = shop.open_registered();
    let till = shop.till();
    for n in 0..5 {
        till.sell(&format!("S-{n}"));
    }
    gateway.stop();
    let journal = shop.journal();
    let said = journal.matches("exchanges with KRA cannot be logged").count();
    assert_eq!(said, 1, "said once");
}
