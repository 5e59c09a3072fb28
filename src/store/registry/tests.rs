//! The registration over a real store, with a KRA that answers as told.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::*;
use crate::fiscal::{BhfId, DeviceSerial, Invoice, Tin};
use crate::gateway::ports::{About, Acceptance, Authority, Behind, Clock, Initialised, Ledger};
use crate::gateway::{
    Adopted, Adoption, Live, Progress, Registered as Outcome, Registering, Registrar, expect_device,
    finish_registration,
};
use crate::queue::{Dice, LookedUp, Moment, Probed, Sent, Step, Unreachable};
use crate::store::sale_body::read_sale;
use crate::store::{Options, Stamp, Terms};
use crate::wire::FrozenRequest;

const DEADLINE: Duration = Duration::from_secs(60);
const KEY: &str = "0123456789ABCDEF0123456789ABCDEF";

fn device(serial: &str) -> DeviceIdentity {
    DeviceIdentity {
        tin: Tin::new("P051234567Z").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new(serial).unwrap(),
    }
}

fn stamp() -> Stamp {
    Stamp { wall_ms: 1_700_000_000_000, boot: [7; 16], monotonic_ms: 5, synchronised: true }
}

/// A sale on this device.
fn sale(device: &DeviceIdentity, number: &str) -> Invoice {
    let body = json!({
        "device": { "tin": device.tin.as_str(), "bhf_id": "00", "serial": device.serial.as_str() },
        "trader_ref": number, "receipt_type": "S", "sales_type": "N", "payment_type": "01",
        "confirmed_at": "20250115101533", "confirmed_by": "gateway", "customer_name": "Walk-in customer",
        "lines": [], "by_tax_type": [["0", "0", "0"], ["16", "0", "0"], ["0", "0", "0"], ["0", "0", "0"], ["8", "0", "0"]],
        "total_taxable": "0", "total_tax": "0", "total": "0",
    });
    read_sale(body.to_string().as_bytes()).unwrap()
}

fn success(unit: &str) -> Vec<u8> {
    let info = json!({ "taxprNm": "Duka", "dvcId": "9", unit: "KRACU1", "mrcNo": "M1", "cmcKey": KEY });
    json!({ "resultCd": "000", "resultMsg": "ok", "data": { "info": info } }).to_string().into_bytes()
}

fn code(code: &str) -> Vec<u8> {
    json!({ "resultCd": code, "resultMsg": "Said so", "data": null }).to_string().into_bytes()
}

fn answered(body: Vec<u8>) -> Initialised {
    Initialised::Answered { http_status: 200, body }
}

struct Machine;

impl Clock for Machine {
    fn moment(&self) -> Moment {
        Moment(0)
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn synchronised(&self) -> bool {
        true
    }

    fn kept(&self) -> bool {
        true
    }

    fn behind(&self) -> Option<Behind> {
        None
    }

    fn believe(&self) {}
}

/// KRA as told; `meanwhile` happens while a request is there, which is answered once `answers` lets it.
struct Kra {
    up: Mutex<bool>,
    script: Mutex<VecDeque<Initialised>>,
    asked: Mutex<Vec<DeviceIdentity>>,
    meanwhile: Mutex<Option<Box<dyn Fn() + Send>>>,
    hold: Mutex<bool>,
    arrived: Notify,
    answers: Notify,
}

impl Authority for Kra {
    async fn stands(&self) -> bool {
        false
    }

    async fn connect(&self) -> Result<(), Unreachable> {
        unreachable!("nothing is sold")
    }

    async fn save(&self, _: &FrozenRequest, _: &DeviceIdentity, _: &CmcKey, _: &About) -> Sent {
        unreachable!("nothing is sold")
    }

    async fn look_up(&self, _: u64, _: &DeviceIdentity, _: &CmcKey, _: &About) -> LookedUp {
        unreachable!("nothing is sold")
    }

    async fn look_up_in_list(
        &self,
        _: (u64, crate::fiscal::KraDateTime),
        _: &DeviceIdentity,
        _: &CmcKey,
        _: &About,
    ) -> LookedUp {
        unreachable!("nothing is sold")
    }

    async fn probe(&self, _: &DeviceIdentity, _: Option<&CmcKey>) -> Probed {
        if *self.up.lock().unwrap() { Probed::Up } else { Probed::Down(Words::default()) }
    }

    async fn initialise(&self, device: &DeviceIdentity) -> Initialised {
        self.asked.lock().unwrap().push(device.clone());
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().as_ref() {
            meanwhile();
        }
        self.arrived.notify_one();
        if *self.hold.lock().unwrap() {
            self.answers.notified().await;
        }
        self.script.lock().unwrap().pop_front().expect("no more requests than this test tells of")
    }
}

/// A till with its store, and KRA.
struct Bench {
    dir: TempDir,
    kra: Arc<Kra>,
}

impl Bench {
    fn new(script: impl IntoIterator<Item = Initialised>) -> Self {
        let kra = Kra {
            up: Mutex::new(true),
            script: Mutex::new(script.into_iter().collect()),
            asked: Mutex::default(),
            meanwhile: Mutex::default(),
            hold: Mutex::default(),
            arrived: Notify::new(),
            answers: Notify::new(),
        };
        Self { dir: tempfile::tempdir().unwrap(), kra: Arc::new(kra) }
    }

    fn try_open(&self, environment: &str) -> Result<Arc<JournalLedger>, LedgerOpenError> {
        let options = Options { create: true, segment_size: 64 << 10, ..Options::new(stamp) };
        let (store, _) = Store::open(self.dir.path(), options, &mut |_| {}).unwrap();
        let terms = Terms { environment: environment.to_owned(), first_number: 1, max_documents: 1000 };
        JournalLedger::open(store, self.dir.path(), stamp, &terms).map(Arc::new)
    }

    fn open(&self) -> Arc<JournalLedger> {
        self.try_open("sandbox").unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("keys").join(name)
    }

    fn exists(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    fn asked(&self) -> usize {
        self.kra.asked.lock().unwrap().len()
    }

    fn registering(
        &self,
        ledger: &Arc<JournalLedger>,
        configured: Option<DeviceIdentity>,
    ) -> Registering<JournalLedger, Kra, Machine> {
        Registering {
            registry: Arc::clone(ledger),
            authority: Arc::clone(&self.kra),
            clock: Arc::new(Machine),
            progress: Arc::new(Progress::default()),
            configured,
            pause: Live::new(Duration::from_secs(36_000)),
            dice: || Dice(0),
        }
    }

    /// One adoption by hand.
    async fn adopt(&self, ledger: &Arc<JournalLedger>, adoption: Adoption) -> Adopted {
        let (registrar, asks) = Registrar::new();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(self.registering(ledger, None).run(asks, stopping));
        let adopted = tokio::time::timeout(DEADLINE, registrar.adopt(adoption)).await.unwrap().unwrap();
        stop.send(true).unwrap();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        adopted
    }

    /// One registration by hand.
    async fn ask(
        &self,
        ledger: &Arc<JournalLedger>,
        device: &DeviceIdentity,
    ) -> Result<Outcome, LedgerError> {
        let (registrar, asks) = Registrar::new();
        let (stop, stopping) = watch::channel(false);
        // Asked before the task runs, so that no try by itself comes first.
        let asking = tokio::spawn({
            let (registrar, device) = (registrar.clone(), device.clone());
            async move { registrar.register(device).await }
        });
        tokio::task::yield_now().await;
        let task = tokio::spawn(self.registering(ledger, None).run(asks, stopping));
        let told = tokio::time::timeout(DEADLINE, asking).await.unwrap().unwrap();
        stop.send(true).unwrap();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        told
    }
}

fn message(outcome: Result<Outcome, LedgerError>) -> String {
    match outcome {
        Ok(Outcome::Refused(words)) => words.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn room_stands_before_kra_is_asked() {
    let bench = Bench::new([answered(success("sdcId"))]);
    let ledger = bench.open();
    let (answer, key) = (bench.file("init.answer"), bench.file("cmc.key.new"));
    *bench.kra.meanwhile.lock().unwrap() = Some(Box::new(move || {
        assert_eq!(fs::metadata(&answer).unwrap().len(), 65_536);
        assert_eq!(fs::metadata(&key).unwrap().len(), 4096);
    }));
    let told = bench.ask(&ledger, &device("A")).await.unwrap();
    assert!(matches!(told, Outcome::Now(_, _, key) if key.reveal() == KEY));
    assert!(!bench.exists("init.answer") && !bench.exists("cmc.key.new"));
    assert_eq!(fs::read_to_string(bench.file("cmc.key")).unwrap().lines().next(), Some(KEY));
    drop(ledger);
    assert!(matches!(bench.open().device(), Device::Active(..)));
}

/// A key that finds no place: KRA's answer, the only copy, is read again until it does, and KRA is not asked again.
#[tokio::test]
async fn a_key_without_a_place_is_not_lost() {
    for restart in [false, true] {
        let bench = Bench::new([answered(success("sdcId"))]);
        let mut ledger = bench.open();
        fs::create_dir(bench.file("cmc.key")).unwrap();
        for _ in 0..3 {
            let error = bench.ask(&ledger, &device("A")).await.unwrap_err();
            assert!(matches!(error, LedgerError::Failed(_)), "{error}");
            assert!(fs::read_to_string(bench.file("init.answer")).unwrap().contains(KEY));
            assert_eq!(ledger.device(), Device::Pending { identity: device("A"), unknown: 1 });
        }
        // Nor does another identity take over meanwhile.
        expect_device(&device("B"), ledger.as_ref()).await.unwrap_err();
        if restart {
            drop(ledger);
            ledger = bench.open();
            finish_registration(ledger.as_ref()).await.unwrap_err();
        }
        fs::remove_dir(bench.file("cmc.key")).unwrap();
        if restart {
            finish_registration(ledger.as_ref()).await.unwrap();
        } else {
            // Whoever asks for another device next: the answer is the first one's.
            let told = bench.ask(&ledger, &device("B")).await.unwrap();
            assert_eq!(told, Outcome::Differs(device("A")));
        }
        assert_eq!(ledger.key().unwrap().reveal(), KEY);
        assert_eq!(ledger.device().identity(), Some(&device("A")));
        assert_eq!(bench.asked(), 1);
    }
}

/// A disk that does not take the answer: it is read from memory, and stays there until its key has a place.
#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_read_all_the_same() {
    for key_too in [false, true] {
        let bench = Bench::new([answered(success("sdcId"))]);
        let ledger = bench.open();
        let (answer, key) = (bench.file("init.answer"), bench.file("cmc.key"));
        *bench.kra.meanwhile.lock().unwrap() = Some(Box::new(move || {
            fs::remove_file(&answer).unwrap();
            fs::create_dir(&answer).unwrap();
            if key_too {
                fs::create_dir(&key).unwrap();
            }
        }));
        let mut told = bench.ask(&ledger, &device("A")).await;
        if key_too {
            told.unwrap_err();
            fs::remove_dir(bench.file("cmc.key")).unwrap();
            told = bench.ask(&ledger, &device("A")).await;
        }
        assert!(matches!(told.unwrap(), Outcome::Now(_, _, key) if key.reveal() == KEY));
        assert_eq!((ledger.key().unwrap().reveal(), bench.asked()), (KEY, 1));
    }
}

#[tokio::test]
async fn without_room_nothing_is_sent_and_nothing_is_in_doubt() {
    let bench = Bench::new([]);
    let ledger = bench.open();
    fs::create_dir(bench.file("cmc.key.new")).unwrap();
    bench.ask(&ledger, &device("A")).await.unwrap_err();
    assert_eq!(bench.asked(), 0);
    assert_eq!(ledger.device(), Device::Pending { identity: device("A"), unknown: 0 });
    drop(ledger);
    assert_eq!(bench.open().device(), Device::Pending { identity: device("A"), unknown: 0 });
}

#[tokio::test]
async fn unusable_answers_are_all_kept() {
    let html = |text: &str| answered(format!("<html>{text}</html>").into_bytes());
    let bench =
        Bench::new([html("one"), html("two"), Initialised::InDoubt("cut".to_owned()), answered(code("902"))]);
    let ledger = bench.open();
    for unknown in 1..=3 {
        let told = bench.ask(&ledger, &device("A")).await.unwrap();
        assert!(matches!(told, Outcome::Away(_)), "{told:?}");
        assert_eq!(ledger.device(), Device::Pending { identity: device("A"), unknown });
    }
    for (number, text) in [(1, "one"), (2, "two")] {
        let kept = fs::read_to_string(bench.file(&format!("init.answer.unread.{number}"))).unwrap();
        assert!(kept.contains(text), "{kept}");
    }
    assert!(!bench.exists("init.answer.unread.3"), "room is no answer");
    let text = message(bench.ask(&ledger, &device("A")).await);
    assert!(text.contains("the key is not here"), "{text}");
    assert!(matches!(ledger.device(), Device::Failed(..)));
}

/// 902, and a key is here: with its registration it is used, without it is kept and what is missing is told.
#[tokio::test]
async fn already_installed_with_a_key_in_hand() {
    let kept =
        |body| bodies::write_answer(&KeptAnswer { device: device("A"), http_status: 200, body }, "sandbox");
    for (name, content, usable) in [
        ("init.answer.unread.1", kept(success("sdcId")), true),
        ("init.answer.unread.1", kept(success("unitId")), false),
        ("cmc.key", format!("{KEY}\n").into_bytes(), false),
        ("cmc.key.new", format!("{KEY}\n").into_bytes(), false),
    ] {
        let bench = Bench::new([answered(code("902"))]);
        let ledger = bench.open();
        fs::write(bench.file(name), &content).unwrap();
        let told = bench.ask(&ledger, &device("A")).await;
        if usable {
            assert!(matches!(told.unwrap(), Outcome::Now(_, _, key) if key.reveal() == KEY), "{name}");
            continue;
        }
        let text = message(told);
        assert!(text.contains("do not remove it") && !text.contains(KEY), "{name}: {text}");
        let here =
            fs::read_dir(bench.file("")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        assert!(here.into_iter().any(|bytes| bytes == content), "{name} is as it was, under whatever name");
        // KRA sends what is missing: the key that is here is used with it.
        let adopted = bench.adopt(&ledger, adoption(None)).await;
        assert!(
            matches!(adopted, Adopted::Active(registration) if registration.scu_id == "KRACU1"),
            "{name}"
        );
        assert_eq!(ledger.key().map(|key| key.reveal().to_owned()).as_deref(), Some(KEY), "{name}");
        assert_eq!(ledger.next_number(), 41);
        drop(ledger);
        let ledger = bench.open();
        assert!(matches!(ledger.device(), Device::Active(known, _) if known == device("A")), "{name}");
        assert_eq!((ledger.next_number(), ledger.first_number()), (41, Some(41)));
    }
}

/// KRA's values of the device A, with its key or without.
fn adoption(key: Option<CmcKey>) -> Adoption {
    Adoption {
        identity: device("A"),
        key,
        scu_id: Some("KRACU1".to_owned()),
        mrc_no: Some("M1".to_owned()),
        device_id: None,
        taxpayer_name: None,
        next_number: Some(41),
        by: Acted { act: "device-adopt".to_owned(), reason: None, who: "uid 0".to_owned() },
    }
}

/// Brought in while a registration waits for KRA's answer: the answer comes first, and nothing of it is lost.
#[tokio::test]
async fn an_adoption_waits_for_the_answer_on_the_line() {
    let bench = Bench::new([answered(success("sdcId"))]);
    let ledger = bench.open();
    *bench.kra.hold.lock().unwrap() = true;
    let (registrar, asks) = Registrar::new();
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(bench.registering(&ledger, Some(device("A"))).run(asks, stopping));
    bench.kra.arrived.notified().await;
    let adopt = tokio::spawn({
        let registrar = registrar.clone();
        async move { registrar.adopt(adoption(Some(CmcKey::new("ANOTHER-KEY").unwrap()))).await.unwrap() }
    });
    bench.kra.answers.notify_one();
    let adopted = tokio::time::timeout(DEADLINE, adopt).await.unwrap().unwrap();
    // It is registered by then: where its series stands, KRA's own answer says.
    assert!(matches!(&adopted, Adopted::Refused(why) if why.contains("goes on at 1")), "{adopted:?}");
    assert_eq!(ledger.key().map(|key| key.reveal().to_owned()).as_deref(), Some(KEY));
    stop.send(true).unwrap();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

/// The status is kept with the answer: read later, it means the same.
#[tokio::test]
async fn a_kept_answer_means_what_it_meant() {
    let html = b"<html>not found</html>".to_vec();
    for (http_status, body, failed) in
        [(404, html.clone(), true), (200, html.clone(), false), (503, html, false), (200, code("901"), true)]
    {
        let bench = Bench::new([]);
        let ledger = bench.open();
        ledger.intend(&device("A")).await.unwrap();
        ledger.keep_answer(&KeptAnswer { device: device("A"), http_status, body }).await.unwrap();
        drop(ledger);
        let ledger = bench.open();
        finish_registration(ledger.as_ref()).await.unwrap();
        assert_eq!(matches!(ledger.device(), Device::Failed(..)), failed, "HTTP {http_status}");
        assert_eq!(ledger.kept_answer().await.unwrap(), None);
        assert_eq!(bench.exists("init.answer.unread.1"), !failed, "HTTP {http_status}");
        assert_eq!(bench.asked(), 0);
    }
}

#[tokio::test]
async fn unknown_tries_count_for_their_device() {
    let lost = || Initialised::InDoubt("cut".to_owned());
    let not_sent = Initialised::NotSent(Unreachable { at: Step::Connect, why: "no route".to_owned() });
    let bench = Bench::new([lost(), lost(), lost(), not_sent]);
    let ledger = bench.open();
    for serial in ["A", "B", "B"] {
        bench.ask(&ledger, &device(serial)).await.unwrap();
    }
    // Nobody there: nothing was intended, nothing is taken back.
    *bench.kra.up.lock().unwrap() = false;
    for (serial, unknown) in [("A", 1), ("B", 2), ("C", 0), ("A", 1)] {
        bench.ask(&ledger, &device(serial)).await.unwrap();
        assert_eq!(ledger.device(), Device::Pending { identity: device(serial), unknown });
    }
    drop(ledger);
    let ledger = bench.open();
    assert_eq!(ledger.device(), Device::Pending { identity: device("A"), unknown: 1 });
    expect_device(&device("B"), ledger.as_ref()).await.unwrap();
    assert_eq!(ledger.device(), Device::Pending { identity: device("B"), unknown: 2 });
    // Intended and not sent: only that one is taken back.
    *bench.kra.up.lock().unwrap() = true;
    bench.ask(&ledger, &device("B")).await.unwrap();
    assert_eq!(ledger.device(), Device::Pending { identity: device("B"), unknown: 2 });
}

#[tokio::test]
async fn sales_bind_the_store_to_their_device_and_environment() {
    let bench = Bench::new([]);
    *bench.kra.up.lock().unwrap() = false;
    let ledger = bench.open();
    expect_device(&device("A"), ledger.as_ref()).await.unwrap();
    drop(ledger);
    // Nothing sold: another KRA begins anew.
    let ledger = bench.try_open("production").unwrap();
    assert_eq!(ledger.device(), Device::Unregistered);
    drop(ledger);

    let ledger = bench.open();
    expect_device(&device("B"), ledger.as_ref()).await.unwrap();
    let taken = ledger.accept(sale(&device("A"), "S-0"), [0; 32], "test", None).await;
    assert_eq!(taken, Err(LedgerError::OtherDevice), "the device changed while the sale was checked");
    let taken = ledger.accept(sale(&device("B"), "S-1"), [0; 32], "test", None).await.unwrap();
    assert!(matches!(taken, Acceptance::New(_)));
    assert_eq!(ledger.wait_for(&device("A")).await, Err(LedgerError::OtherDevice));
    assert_eq!(ledger.intend(&device("A")).await, Err(LedgerError::OtherDevice));
    assert_eq!(bench.ask(&ledger, &device("A")).await.unwrap(), Outcome::Differs(device("B")));
    expect_device(&device("A"), ledger.as_ref()).await.unwrap();
    assert_eq!(ledger.device(), Device::Pending { identity: device("B"), unknown: 0 });
    drop(ledger);
    let refused = bench.try_open("production").unwrap_err();
    assert!(matches!(refused, LedgerOpenError::OtherEnvironment { .. }), "{refused}");
    assert_eq!(bench.open().device().identity(), Some(&device("B")));
}

/// An answer of one KRA is never taken for another's.
#[tokio::test]
async fn an_answer_of_another_environment_is_put_aside() {
    let bench = Bench::new([]);
    let ledger = bench.open();
    ledger.intend(&device("A")).await.unwrap();
    let answer = KeptAnswer { device: device("A"), http_status: 200, body: success("sdcId") };
    ledger.keep_answer(&answer).await.unwrap();
    drop(ledger);
    let ledger = bench.try_open("production").unwrap();
    finish_registration(ledger.as_ref()).await.unwrap();
    assert_eq!(ledger.device(), Device::Unregistered);
    assert!(fs::read_to_string(bench.file("init.answer.unread.1")).unwrap().contains(KEY));
    assert_eq!(ledger.left_over(&device("A")).await.unwrap(), LeftOver::default());
}

/// Neither a client that hangs up nor a stop takes a request off KRA's answer.
#[tokio::test]
async fn a_request_on_the_line_is_seen_to_its_end() {
    for stopped in [false, true] {
        let bench = Bench::new([answered(success("sdcId"))]);
        *bench.kra.hold.lock().unwrap() = true;
        let ledger = bench.open();
        let (registrar, asks) = Registrar::new();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(bench.registering(&ledger, None).run(asks, stopping));
        let client = tokio::spawn({
            let registrar = registrar.clone();
            async move { registrar.register(device("A")).await }
        });
        tokio::time::timeout(DEADLINE, bench.kra.arrived.notified()).await.unwrap();
        client.abort();
        if stopped {
            stop.send(true).unwrap();
        }
        bench.kra.answers.notify_one();
        if !stopped {
            let told = tokio::time::timeout(DEADLINE, registrar.register(device("A"))).await.unwrap();
            assert!(matches!(told, Ok(Outcome::Already(..))), "{told:?}");
            stop.send(true).unwrap();
        }
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        assert_eq!(ledger.key().unwrap().reveal(), KEY);
        assert_eq!(registrar.register(device("A")).await, Err(LedgerError::Stopping));
    }
}

/// By itself the registrar asks for the configured device, whatever was tried before; and no other by hand.
#[tokio::test]
async fn the_configured_device_comes_first() {
    let bench = Bench::new([answered(code("901")), answered(success("sdcId"))]);
    let ledger = bench.open();
    bench.ask(&ledger, &device("MISTYPED")).await.unwrap();
    assert!(matches!(ledger.device(), Device::Failed(..)));
    let (registrar, asks) = Registrar::new();
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(bench.registering(&ledger, Some(device("A"))).run(asks, stopping));
    bench.kra.arrived.notified().await;
    tokio::time::timeout(DEADLINE, bench.kra.arrived.notified()).await.unwrap();
    let told = registrar.register(device("B")).await;
    assert_eq!(told, Ok(Outcome::Differs(device("A"))));
    stop.send(true).unwrap();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    assert_eq!(ledger.device().identity(), Some(&device("A")));
    assert_eq!(*bench.kra.asked.lock().unwrap(), [device("MISTYPED"), device("A")]);
}
