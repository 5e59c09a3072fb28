//! KRA as a test sees it: the simulator in a process of its own, its books and its levers.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{binary, eventually, listeners};
use crate::till::Till;

/// The format spoken to KRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Json,
    Xml,
}

impl Wire {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Wire::Json => "json",
            Wire::Xml => "xml",
        }
    }

    /// The function with which the gateway asks on this wire whether KRA is there.
    pub(crate) fn probe(self) -> &'static str {
        match self {
            Wire::Json => "selectNoticeList",
            Wire::Xml => "selectOsdcStatus",
        }
    }
}

/// The function that saves a sale.
pub(crate) const SAVE: &str = "saveTrnsSalesOsdc";
/// The function that looks one up.
pub(crate) const LOOK_UP: &str = "selectInvoiceDetails";
/// The function that registers a device.
pub(crate) const INITIALISE: &str = "selectInitOsdcInfo";

/// A running simulator; ended when it goes out of scope.
pub(crate) struct Kra {
    child: Child,
    address: SocketAddr,
    levers: Till,
    wire: Wire,
    dir: TempDir,
    /// It is spoken to over TLS, with the certificate in its directory.
    tls: bool,
}

impl Drop for Kra {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read(self.dir.path().join("output.txt")).unwrap_or_default();
            eprintln!("--- the simulator said: {}", String::from_utf8_lossy(&said));
            if let Ok(answer) = self.levers.ask("GET", "/_sim/faults", None) {
                eprintln!("--- the simulator's faults: {}", answer.text());
            }
            if let Ok(answer) = self.levers.ask("GET", "/_sim/requests", None) {
                let log = answer.json();
                let all = log["requests"].as_array().cloned().unwrap_or_default();
                eprintln!("--- the simulator's last requests, of {}:", all.len());
                for request in &all[all.len().saturating_sub(40)..] {
                    let function = &request["function"];
                    eprintln!(
                        "{} {} {function}: {}",
                        request["n"], request["receivedAt"], request["outcome"]
                    );
                }
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has, below those that the kernel hands out: a line that is cut and comes back must find it free,
/// and nobody who dials it meanwhile may be given it as his own.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(place % 12_000).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Kra {
    /// A KRA that works.
    pub(crate) fn start(wire: Wire) -> Kra {
        Kra::begin(wire, false)
    }

    /// A KRA that works, over TLS.
    pub(crate) fn start_tls(wire: Wire) -> Kra {
        Kra::begin(wire, true)
    }

    fn begin(wire: Wire, tls: bool) -> Kra {
        let dir = tempfile::Builder::new().prefix("etims-kra-").tempdir().unwrap();
        let address = free_address();
        let output = File::create(dir.path().join("output.txt")).unwrap();
        let mut command = binary();
        command.current_dir(dir.path()).args(["simulator", "--listen", &address.to_string()]);
        if tls {
            let made = rcgen::generate_simple_self_signed(vec![address.ip().to_string()]).unwrap();
            fs::write(dir.path().join("certificate.pem"), made.cert.pem()).unwrap();
            fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
            command.args(["--tls-certificate", "certificate.pem", "--tls-key", "key.pem"]);
        }
        let child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let mut kra = Kra { child, address, levers: Till::tcp(address), wire, dir, tls };
        // Its levers stay in reach on an address of their own while the line is cut.
        let levers = eventually("the simulator listens on both its addresses", || {
            if let Some(status) = kra.child.try_wait().unwrap() {
                panic!("the simulator ended: {status}");
            }
            let all = listeners(kra.child.id());
            let other = all.iter().copied().find(|listener| *listener != address);
            other.filter(|_| all.contains(&address))
        });
        kra.levers = Till::tcp(levers);
        kra
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    pub(crate) fn base_url(&self) -> String {
        format!("{}://{}/etims-api", if self.tls { "https" } else { "http" }, self.address)
    }

    /// What a client has to trust.
    pub(crate) fn certificate(&self) -> Option<PathBuf> {
        self.tls.then(|| self.dir.path().join("certificate.pem"))
    }

    /// Orders a fault: `{"fault":"lose_answer","count":1,"function":"saveTrnsSalesOsdc","args":{..}}`.
    #[track_caller]
    pub(crate) fn fault(&self, order: Value) {
        self.levers.post("/_sim/faults", &order).expect(200);
    }

    /// Orders a fault for the next so many sales.
    #[track_caller]
    pub(crate) fn fault_on_sales(&self, fault: &str, count: u32) {
        self.fault(json!({ "fault": fault, "count": count, "function": SAVE }));
    }

    /// Ends all faults; the line is up.
    #[track_caller]
    pub(crate) fn clear_faults(&self) {
        self.levers.ask("DELETE", "/_sim/faults", None).unwrap().expect(200);
    }

    /// How often the faults ordered since the last clearing struck, in their order.
    #[track_caller]
    pub(crate) fn struck(&self) -> Vec<u64> {
        let faults = self.levers.get("/_sim/faults").expect(200);
        faults["faults"].as_array().unwrap().iter().map(|fault| fault["fired"].as_u64().unwrap()).collect()
    }

    /// The same with their names.
    #[track_caller]
    pub(crate) fn struck_by_name(&self) -> Vec<(String, u64)> {
        let faults = self.levers.get("/_sim/faults").expect(200);
        let name = |fault: &Value| fault["fault"].as_str().unwrap().to_owned();
        let all = faults["faults"].as_array().unwrap().iter();
        all.map(|fault| (name(fault), fault["fired"].as_u64().unwrap())).collect()
    }

    /// Waits until the last fault that was ordered has struck so often.
    #[track_caller]
    pub(crate) fn wait_struck(&self, times: u64) {
        eventually(&format!("the fault strikes {times} times"), || {
            self.struck().last().is_some_and(|struck| *struck >= times).then_some(())
        });
    }

    /// Cuts the line or brings it back.
    #[track_caller]
    pub(crate) fn line(&self, up: bool) {
        self.levers.post("/_sim/line", &json!({ "up": up })).expect(200);
    }

    #[track_caller]
    pub(crate) fn set(&self, settings: Value) {
        self.levers.post("/_sim/settings", &settings).expect(200);
    }

    /// Publishes lists as of now: `clsList`, `itemClsList`, `noticeList`, `syntheticClasses`.
    #[track_caller]
    pub(crate) fn publish(&self, lists: Value) {
        self.levers.post("/_sim/lists", &lists).expect(200);
    }

    #[track_caller]
    pub(crate) fn books(&self) -> Books {
        Books(self.levers.get("/_sim/books").expect(200))
    }

    /// The invoices whole, as the look-up shows them.
    #[track_caller]
    pub(crate) fn invoices(&self, tin: &str) -> Vec<Value> {
        let raw = self.levers.get(&format!("/_sim/books/raw?tin={tin}&bhfId=00&limit=1000")).expect(200);
        raw["invoices"].as_array().unwrap().clone()
    }

    /// Waits until the books look as they must.
    #[track_caller]
    pub(crate) fn wait_books(&self, what: &str, enough: impl Fn(&Books) -> bool) -> Books {
        eventually(what, || Some(self.books()).filter(&enough))
    }

    /// The last requests, oldest first.
    #[track_caller]
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.levers.get("/_sim/requests").expect(200)["requests"].as_array().unwrap().clone()
    }

    /// How often a function was asked for.
    #[track_caller]
    pub(crate) fn asked(&self, function: &str) -> u64 {
        self.books().0["requests"][function].as_u64().unwrap_or_default()
    }

    /// Books an invoice that came from elsewhere.
    #[track_caller]
    pub(crate) fn foreign(&self, sale: Value) {
        self.levers.post("/_sim/books/foreign", &sale).expect(200);
    }

    /// Takes the device off KRA's books, as its support does on request.
    #[track_caller]
    pub(crate) fn forget_device(&self, tin: &str, bhf_id: &str) {
        let answer = self.levers.post("/_sim/devices/forget", &json!({ "tin": tin, "bhfId": bhf_id }));
        assert_eq!(answer.expect(200)["forgotten"], true);
    }
}

/// KRA's books at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Books(Value);

impl Books {
    fn branch(&self) -> &Value {
        let branches = self.0["devices"].as_array().unwrap();
        assert!(branches.len() <= 1, "one branch: {}", self.0);
        branches.first().unwrap_or(&Value::Null)
    }

    /// Whether a device is registered.
    pub(crate) fn has_device(&self) -> bool {
        self.branch()["dvcSrlNo"].is_string()
    }

    /// The invoices in the order of their numbers.
    pub(crate) fn sales(&self) -> &[Value] {
        self.branch()["sales"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The invoice of a register's number; more than one is a failure.
    #[track_caller]
    pub(crate) fn sale(&self, number: &str) -> Option<&Value> {
        let found: Vec<&Value> = self.sales().iter().filter(|sale| sale["trdInvcNo"] == number).collect();
        assert!(found.len() <= 1, "{number} is in the books {} times: {found:#?}", found.len());
        found.first().copied()
    }

    /// The registers' numbers in the order of KRA's.
    pub(crate) fn numbers(&self) -> Vec<&str> {
        self.sales().iter().map(|sale| sale["trdInvcNo"].as_str().unwrap()).collect()
    }

    pub(crate) fn refused(&self) -> &[Value] {
        self.branch()["refused"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The greatest number of saving requests that were ever under way at once.
    pub(crate) fn most_saving(&self) -> u64 {
        self.0["concurrent"].as_u64().unwrap()
    }

    /// Numbers from 1 without a gap, every sale once. How many requests KRA had in hand at once is not asked: one that was
    /// given up may still be with it.
    #[track_caller]
    pub(crate) fn expect_numbered(&self, numbers: &[impl AsRef<str>]) {
        let expected: Vec<&str> = numbers.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.numbers(), expected, "the sales in the order of KRA's numbers");
        for (sale, expected) in self.sales().iter().zip(1_u64..) {
            assert_eq!(sale["invcNo"], expected, "numbers without a gap");
        }
    }

    /// Numbers from 1 without a gap, every sale once, one request at a time.
    #[track_caller]
    pub(crate) fn expect_in_order(&self, numbers: &[impl AsRef<str>]) {
        self.expect_numbered(numbers);
        assert!(self.most_saving() <= 1, "{} saving requests at once", self.most_saving());
    }
}
