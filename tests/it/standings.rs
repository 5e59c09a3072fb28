//! A shop whose store has sales in every standing, over several segments; and what must be found in it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Shop, copy_dir, eventually, within};
use crate::kra::{Kra, SAVE};
use crate::sale::{line, sale, sale_with};
use crate::till::{Till, encoded};

/// The state directory of a gateway that is not running, and what was in it.
pub(crate) struct Kept {
    pub(crate) dir: PathBuf,
    /// How each sale was shown last, by the register's number.
    pub(crate) sales: BTreeMap<String, Value>,
    /// What `verify` says of it.
    pub(crate) verified: Value,
}

/// Two of them: of a gateway that was killed, and of the same one after a clean stop.
pub(crate) struct Standings {
    pub(crate) killed: Kept,
    pub(crate) stopped: Kept,
    /// Holds both.
    _dir: TempDir,
}

/// A sale of so many lines.
fn long_sale(number: &str, lines: usize) -> Value {
    let lines: Vec<Value> = (0..lines).map(|_| line()).collect();
    json!({ "trdInvcNo": number, "itemList": lines })
}

impl Standings {
    /// Sells until the journal has so many compressed segments, then one sale for each standing. The line is cut at the end.
    pub(crate) fn make(kra: &Kra, packed: usize) -> Standings {
        let shop = Shop::with(kra).set("log.level", "\"info\"");
        let gateway = shop.open_registered();
        let till = shop.till();
        for number in 0..4 {
            till.sell(&format!("SIGNED-{number}"));
            print_original(&till, &format!("SIGNED-{number}"));
        }
        let journal = shop.state().join("journal");
        let mut long = 0;
        let of_kind = |ending: &str| named(&journal, ending).len();
        while packed > 0 && of_kind(".pack") < packed {
            if of_kind(".log") + of_kind(".pack") < packed + 3 {
                let number = format!("LONG-{long}");
                till.post("/api/sales/?wait=30", &long_sale(&number, 900)).expect(201);
                long += 1;
            } else {
                // Compressed once a checkpoint has passed it, by a round of the housekeeping.
                within(Duration::from_secs(60), "a segment is compressed", || {
                    (of_kind(".pack") >= packed).then_some(())
                });
            }
        }
        let refused = json!({ "code": "910", "message": "Invalid custNm" });
        kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": refused }));
        till.post("/api/sales/?wait=20", &sale_with("REJECTED", json!({ "custNm": "Nobody" }))).expect(422);
        till.sell("SIGNED-LAST");
        till.post("/api/sales/", &sale_with("TRAINING", json!({ "salesTyCd": "T" }))).expect(200);
        kra.fault_on_sales("lose_answer", 1);
        kra.fault(
            json!({ "fault": "http_status", "function": "selectInvoiceDetails", "args": { "status": 503 } }),
        );
        till.post("/api/sales/?wait=0", &sale("IN-DOUBT")).expect(202);
        eventually("its answer is lost", || (till.queue()["inDoubt"] == 1).then_some(()));
        kra.line(false);
        for number in 0..3 {
            till.sell_offline(&format!("PENDING-{number}"));
        }
        till.sell_offline("PARKED");
        shop.command(&["queue", "park", "PARKED", "--reason", "a test"]).expect(0);
        kra.clear_faults();
        kra.line(false);
        let numbers: Vec<String> = till.get("/api/sales/?limit=500").expect(200)["sales"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sale| sale["trdInvcNo"].as_str().unwrap().to_owned())
            .collect();
        let sales = shown(&till, &numbers);
        gateway.kill();
        let dir = tempfile::Builder::new().prefix("etims-kept-").tempdir().unwrap();
        let killed = Kept::keep(&shop, &dir.path().join("killed"), sales.clone());
        shop.open().stop();
        let stopped = Kept::keep(&shop, &dir.path().join("stopped"), sales);
        Standings { killed, stopped, _dir: dir }
    }
}

impl Kept {
    fn keep(shop: &Shop, dir: &Path, sales: BTreeMap<String, Value>) -> Kept {
        let dir = dir.to_owned();
        copy_dir(&shop.state(), &dir);
        let verified = shop.command(&["verify", dir.to_str().unwrap(), "--json"]).expect(0).json();
        Kept { dir, sales, verified }
    }

    /// A shop with this KRA and a copy of it.
    pub(crate) fn shop(&self, kra: &Kra) -> Shop {
        let shop = Shop::with(kra).set("log.level", "\"info\"");
        copy_dir(&self.dir, &shop.state());
        shop
    }
}

/// What of a sale's state must never change by itself.
pub(crate) fn lasting(state: &Value) -> Value {
    let members =
        ["trdInvcNo", "status", "invcNo", "signature", "tempReceiptNo", "localSignatureFull", "inDoubt"];
    Value::Object(members.into_iter().map(|name| (name.to_owned(), state[name].clone())).collect())
}

/// Its receipt's original is given away.
fn print_original(till: &Till, number: &str) {
    assert!(!is_copy(till, number), "{number} is printed for the first time");
}

/// Whether the next print of this sale's receipt is a copy; it is one from then on.
pub(crate) fn is_copy(till: &Till, number: &str) -> bool {
    let page = till.get(&format!("/api/sales/{number}/receipt/?format=json")).expect(200);
    page["copy"] == true
}

/// How these sales are shown.
fn shown(till: &Till, numbers: &[String]) -> BTreeMap<String, Value> {
    let state = |number: &String| {
        (number.clone(), lasting(&till.get(&format!("/api/sales/{}/", encoded(number))).expect(200)))
    };
    numbers.iter().map(state).collect()
}

/// The journal's files with this ending, oldest first.
pub(crate) fn named(journal: &Path, ending: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with('0') && name.ends_with(ending)
        })
        .collect();
    found.sort();
    found
}

/// Where a file's content ends, its last zeros left out.
pub(crate) fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
