use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::fiscal::{Code, ItemClass, ListSource, Rate};
use crate::gateway::ports::{Behind, KeptItem};
use crate::gateway::{CodeBook, Live, Progress, SendingRules};
use crate::queue::drain::Policy;
use crate::queue::{Dice, Moment};
use crate::wire::Format;
use crate::wire::sale::TraderTexts;

const NOW: &str = "20250115101530";

struct Machine;

impl Clock for Machine {
    fn moment(&self) -> Moment {
        Moment(0)
    }

    fn wall_ms(&self) -> i64 {
        time(NOW).unix() * 1000
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

/// A disk that takes so many commits, then none.
#[derive(Debug)]
struct Disk {
    commits: Mutex<Vec<Vec<ListPart>>>,
    room: Mutex<usize>,
}

impl Disk {
    fn kept(&self) -> Vec<ListPart> {
        self.commits.lock().unwrap().concat()
    }

    fn sizes(&self) -> Vec<usize> {
        self.commits.lock().unwrap().iter().map(Vec::len).collect()
    }
}

impl ListShelf for Disk {
    fn read_lists(&self, each: &mut dyn FnMut(ListPart)) -> Result<u64, LedgerError> {
        self.kept().into_iter().for_each(each);
        Ok(0)
    }

    async fn keep_lists(&self, parts: Vec<ListPart>) -> Result<(), LedgerError> {
        let mut room = self.room.lock().unwrap();
        *room = room.checked_sub(1).ok_or(LedgerError::DiskLow)?;
        self.commits.lock().unwrap().push(parts);
        Ok(())
    }
}

impl ItemLog for Disk {
    fn read_items(&self, _: &mut dyn FnMut(KeptItem)) -> Result<u64, LedgerError> {
        Ok(0)
    }

    async fn put_items(&self, _: &[KeptItem]) -> Result<(), LedgerError> {
        Ok(())
    }
}

fn time(text: &str) -> KraDateTime {
    KraDateTime::parse_kra(text).unwrap()
}

fn refreshing(room: usize) -> Refreshing<Disk, (), Machine> {
    let second = Duration::from_secs(1);
    let policy = Policy {
        backoff_initial: second,
        backoff_max: second,
        probe_max: second,
        max_attempts: 1,
        request_timeout: second,
    };
    let rules =
        SendingRules { policy, format: Format::Json, trader: TraderTexts::default(), time_of_sending: false };
    Refreshing {
        ledger: Arc::new(Disk { commits: Mutex::default(), room: Mutex::new(room) }),
        authority: Arc::new(()),
        clock: Arc::new(Machine),
        progress: Arc::new(Progress::default()),
        rules: Live::new(rules),
        book: CodeBook::default(),
        catalogue: Arc::default(),
        dice: || Dice(0),
    }
}

fn taxes(standard: &str) -> CodeList {
    let codes = TaxType::ALL.map(|letter| Code {
        code: letter.letter().to_owned(),
        columns: [Some(if letter == TaxType::B { standard } else { "0" }.to_owned()), None, None],
        in_use: true,
        ..Code::default()
    });
    CodeList::new("04", "Tax", ListSource::Kra(time(NOW)), codes)
}

fn listed(standard: &str, classes: usize) -> Listed {
    let mut listed = Listed { codes: vec![taxes(standard)], ..Listed::default() };
    for n in 0..classes {
        let code = n.to_string();
        let class =
            ItemClass { code: &code, name: "x", level: None, tax_type: None, major: None, in_use: true };
        listed.classes.push(class).unwrap();
    }
    listed
}

const BOTH: Function = Function::SelectTrnsPurchaseSalesItemList;

async fn take(refreshing: &Refreshing<Disk, (), Machine>, listed: Listed, at: &str) -> Result<(), String> {
    let taken = refreshing.take(BOTH, listed, Some(time(at)), true).await;
    taken.map_err(|trouble| match trouble {
        Trouble::Busy(busy) => busy.why,
        Trouble::Failed(word, _) => word.to_owned(),
    })
}

#[tokio::test]
async fn codes_come_first_the_watermark_last_and_sales_in_between() {
    let refreshing = refreshing(usize::MAX);
    take(&refreshing, listed("14", 5000), "20250115101533").await.unwrap();
    let book = refreshing.book.now();
    assert_eq!(book.rates.of(TaxType::B), Rate::parse("14").unwrap());
    assert_eq!(book.classes.len(), 5000);
    assert_eq!(book.asked[BOTH.name()].watermark, Some(time("20250115101533")));
    let sizes = refreshing.ledger.sizes();
    assert_eq!(
        (sizes.first(), sizes.last(), sizes.iter().max()),
        (Some(&1), Some(&1), Some(&BUCKETS_AT_ONCE))
    );
    let kept = refreshing.ledger.kept();
    let Some(ListPart::Codes(_, Some(change))) = kept.first() else {
        panic!("codes with their change first")
    };
    assert_eq!((change.from, change.to, change.at), (Rates::default(), book.rates, time(NOW)));
    assert!(matches!(kept.last(), Some(ListPart::Asked(_))));

    // What was kept makes the same book.
    let again = CodeBook::open(refreshing.ledger.as_ref()).now();
    assert_eq!((again.rates, &again.codes, &again.classes), (book.rates, &book.codes, &book.classes));
    assert_eq!((again.rate_change, &again.asked), (book.rate_change, &book.asked));

    // The same again writes the watermark alone.
    let before = refreshing.ledger.sizes().len();
    take(&refreshing, listed("14", 5000), "20250115101634").await.unwrap();
    assert_eq!(refreshing.ledger.sizes()[before..], [1]);
    assert_eq!(refreshing.book.now().rate_change, Some(*change), "that change is still the last one");
}

#[tokio::test]
async fn a_full_disk_lets_nothing_be_gone_by_that_is_not_kept() {
    for (room, rate, classes) in [
        (0, Rates::default().of(TaxType::B), 0),
        (1, Rate::parse("14").unwrap(), 0),
        (5, Rate::parse("14").unwrap(), 0),
    ] {
        let refreshing = refreshing(room);
        assert_eq!(take(&refreshing, listed("14", 5000), NOW).await, Err("not_kept".to_owned()));
        let book = refreshing.book.now();
        assert_eq!(
            (book.rates.of(TaxType::B), book.classes.len(), book.asked.len()),
            (rate, classes, 0),
            "room {room}"
        );
        // What was kept of it does no harm, and all is asked for again.
        let again = CodeBook::open(refreshing.ledger.as_ref()).now();
        assert_eq!((again.rates, again.asked.len()), (book.rates, 0));
        *refreshing.ledger.room.lock().unwrap() = usize::MAX;
        take(&refreshing, listed("14", 5000), NOW).await.unwrap();
        assert_eq!(refreshing.book.now().classes.len(), 5000);
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_asked_for_again() {
    let refreshing = refreshing(usize::MAX);
    take(&refreshing, listed("16", 3), "20250115101500").await.unwrap();
    take(&refreshing, listed("160", 4), "20250115101520").await.unwrap();
    let book = refreshing.book.now();
    assert_eq!(book.rates.of(TaxType::B), Rate::parse("16").unwrap());
    assert_eq!((book.classes.len(), book.refused.len()), (4, 1));
    let asked = &book.asked[BOTH.name()];
    assert_eq!((asked.watermark, asked.as_of), (Some(time("20250115101500")), time("20250115101520")));
    take(&refreshing, listed("16", 4), "20250115101525").await.unwrap();
    let book = refreshing.book.now();
    assert_eq!((book.refused.len(), book.asked[BOTH.name()].watermark), (0, Some(time("20250115101525"))));
}

#[tokio::test]
async fn a_time_of_kra_far_ahead_is_no_watermark() {
    let refreshing = refreshing(usize::MAX);
    for (at, watermark) in [
        ("20250116101530", Some("20250116101530")),
        ("20250116101531", Some("20250116101530")),
        ("20990101000000", Some("20250116101530")),
    ] {
        take(&refreshing, listed("16", 1), at).await.unwrap();
        assert_eq!(refreshing.book.now().asked[BOTH.name()].watermark, watermark.map(time), "{at}");
    }
}

#[tokio::test]
async fn the_newest_notices_stay() {
    let refreshing = refreshing(usize::MAX);
    let notice = |number: u64| Notice {
        number,
        title: format!("Notice {number}"),
        published: Some(time(&format!("2025011010{number:02}00"))),
        ..Notice::default()
    };
    for numbers in [0..15, 10..30] {
        let listed = Listed { notices: numbers.map(notice).collect(), ..Listed::default() };
        assert!(refreshing.take(Function::SelectNoticeList, listed, None, true).await.is_ok());
    }
    let book = refreshing.book.now();
    let numbers: Vec<u64> = book.notices.iter().map(|notice| notice.number).collect();
    assert_eq!(numbers, (10..30).rev().collect::<Vec<_>>());
    assert_eq!(book.notices_as_of(), Some(time(NOW)));
}
