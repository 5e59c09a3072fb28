//! G7, tried at random: bytes of a store are flipped, overwritten or cut off. Whatever is hit, `verify` and `run` either
//! read everything right or say what is damaged. No sale is lost in silence, no store is taken for an empty one.
//!
//! Bounded in time; `ETIMS_DAMAGE=200` tries that many places of each class of files instead, `ETIMS_SEED` repeats a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Dice, Gateway, PATIENCE, Shop, files_below};
use crate::kra::{Kra, Wire};
use crate::standings::{Kept, Standings, lasting, named, used};
use crate::till::{Till, encoded};

/// How long the campaign takes where nobody asks for a number of places.
const BUDGET: Duration = Duration::from_secs(45);
/// Cases at one time.
const WORKERS: usize = 2;
/// A start may be ended by the damaged index once; at the next it is put aside.
const STARTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    NewestSegment,
    OlderSegment,
    CompressedSegment,
    Spare,
    SledDb,
    SledSnap,
    SledConf,
    SigningKey,
    DeviceKey,
}

const CLASSES: [Class; 9] = [
    Class::NewestSegment,
    Class::OlderSegment,
    Class::CompressedSegment,
    Class::SledDb,
    Class::SledSnap,
    Class::SledConf,
    Class::SigningKey,
    Class::DeviceKey,
    Class::Spare,
];

impl Class {
    /// The class' files in a state directory.
    fn files(self, dir: &Path) -> Vec<PathBuf> {
        let segments = named(&dir.join("journal"), ".log");
        let (newest, older) = segments.split_last().unwrap();
        let beginning = |place: &str, start: &str| {
            let start = start.to_owned();
            let files = files_below(&dir.join(place)).into_iter();
            files
                .filter(move |path| path.file_name().unwrap().to_string_lossy().starts_with(&start))
                .collect()
        };
        match self {
            Class::NewestSegment => vec![newest.clone()],
            Class::OlderSegment => older.to_vec(),
            Class::CompressedSegment => named(&dir.join("journal"), ".pack"),
            Class::Spare => beginning("journal", "spare-"),
            Class::SledDb => beginning("sled", "db"),
            Class::SledSnap => beginning("sled", "snap."),
            Class::SledConf => beginning("sled", "conf"),
            Class::SigningKey => beginning("keys", "signing"),
            Class::DeviceKey => beginning("keys", "cmc"),
        }
    }
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    Cut,
    Flip,
    Gone,
    Noise,
    Zeros,
}

/// One try.
#[derive(Clone, Debug)]
struct Case {
    class: Class,
    harm: Harm,
    clean_stop: bool,
    file: String,
    place: usize,
    bit: u8,
}

impl Case {
    fn draw(class: Class, standings: &Standings, dice: &mut Dice) -> Option<Case> {
        // A snapshot of the index is written at a clean stop only.
        let clean_stop = dice.below(2) == 0 || class == Class::SledSnap;
        let kept = if clean_stop { &standings.stopped } else { &standings.killed };
        let files = class.files(&kept.dir);
        if files.is_empty() {
            return None;
        }
        let file = &files[usize::try_from(dice.below(files.len() as u64)).unwrap()];
        let bytes = fs::read(file).unwrap();
        // Nearly always where something stands.
        let range = if dice.below(10) == 0 || class == Class::Spare { bytes.len() } else { used(&bytes) };
        let harm = match dice.below(16) {
            0..8 => Harm::Flip,
            8..11 => Harm::Zeros,
            11..13 => Harm::Noise,
            13..15 => Harm::Cut,
            _ => Harm::Gone,
        };
        let place = usize::try_from(dice.below(range.max(1) as u64)).unwrap();
        let file = file.strip_prefix(&kept.dir).unwrap().to_string_lossy().into_owned();
        let bit = 1 << dice.below(8);
        Some(Case { class, harm, clean_stop, file, place, bit })
    }

    /// Whether anything is different afterwards.
    fn apply(&self, dir: &Path) -> bool {
        let path = dir.join(&self.file);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        let end = |length: usize| (self.place + length).min(before.len());
        match self.harm {
            Harm::Cut => bytes.truncate(self.place),
            Harm::Flip => bytes[self.place] ^= self.bit,
            Harm::Gone => {
                fs::remove_file(path).unwrap();
                return true;
            }
            Harm::Noise => {
                for (index, byte) in bytes[self.place..end(64)].iter_mut().enumerate() {
                    *byte = u8::try_from((index * 89 + self.place) % 251).unwrap();
                }
            }
            Harm::Zeros => bytes[self.place..end(512)].fill(0),
        }
        fs::write(path, &bytes).unwrap();
        bytes != before
    }
}

/// How a case ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// Nothing of it is to be seen.
    AllRight,
    /// The index was made anew from the journal.
    Rebuilt,
    /// The same, after its opening had ended a start: the marker saw to it that this came once.
    RebuiltAfterAbort,
    /// It runs, everything that waits is there, and the damage in what is finished is told.
    ToldAndRuns,
    /// It does not start (65), and says where the damage is.
    ToldAndStops,
    /// The last group of all was hit, which cannot be told from a cut write: it was cut off, and that is told.
    Tail,
}

impl Ending {
    const ALL: [Ending; 6] = [
        Ending::AllRight,
        Ending::Rebuilt,
        Ending::RebuiltAfterAbort,
        Ending::ToldAndRuns,
        Ending::ToldAndStops,
        Ending::Tail,
    ];
}

/// How often what ended how.
type Table = BTreeMap<(Class, Harm), BTreeMap<Ending, usize>>;

/// What the gateway told about the damage, and how each sale is shown.
struct Run {
    gateway: Option<Gateway>,
    code: Option<i32>,
    starts: usize,
}

/// Starts it as the service manager does.
fn start(shop: &Shop) -> Result<Run, String> {
    for starts in 1..=STARTS {
        let mut gateway = shop.spawn();
        if gateway.becomes_ready() {
            return Ok(Run { gateway: Some(gateway), code: None, starts });
        }
        let code = gateway.wait_end(PATIENCE).code();
        if matches!(code, Some(65 | 66 | 78)) {
            return Ok(Run { gateway: None, code, starts });
        }
    }
    Err(format!("it does not start, and is started again and again: {}", last_words(shop)))
}

fn last_words(shop: &Shop) -> String {
    let journal = shop.journal();
    let last = journal.rsplit("=== start").next().unwrap().to_owned();
    last.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect()
}

fn truth(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| (path.clone(), fs::read(&path).unwrap());
    ["journal", "keys"].iter().flat_map(|part| files_below(&dir.join(part))).map(read).collect()
}

/// Tries one place; how it ended, or why that is wrong.
fn try_case(case: &Case, standings: &Standings, kra: &Kra) -> Result<Ending, String> {
    let kept = if case.clean_stop { &standings.stopped } else { &standings.killed };
    let shop = kept.shop(kra);
    let changed = case.apply(&shop.state());
    let before = truth(&shop.state());
    let verified = shop.command(&["verify", "--json"]);
    let verify_ok = match verified.code {
        Some(0) => true,
        Some(1) if !verified.json()["message"].as_str().unwrap_or_default().is_empty() => false,
        _ => return Err(format!("verify: {verified:?}")),
    };
    let tail = verify_ok && verified.json()["unfinishedTail"] == true;
    let whole =
        |said: &Value| ["lastRecord", "chainHead", "sales"].iter().all(|it| said[*it] == kept.verified[*it]);
    // That the newest records went without a trace only the index knows: `run` says so.
    let excused = tail && hits_last_group(case, kept) || newest_is_gone(case, kept);
    if verify_ok && !whole(&verified.json()) && !excused {
        return Err(format!("verify is content with less: {}", verified.out));
    }
    let run = start(&shop)?;
    let Some(gateway) = run.gateway else {
        let words = last_words(&shop);
        if run.code != Some(65) {
            return Err(format!("it ended with {:?}: {words}", run.code));
        }
        let file = Path::new(&case.file).file_name().unwrap().to_string_lossy().into_owned();
        if !(words.contains("segment ") || words.contains(&file) || words.contains("lost: ")) {
            return Err(format!("it does not say where: {words}"));
        }
        if truth(&shop.state()) != before {
            return Err(format!("it stopped, and changed something: {words}"));
        }
        return if changed { Ok(Ending::ToldAndStops) } else { Err(format!("nothing was changed: {words}")) };
    };
    let found = look(&shop, kept, gateway, verify_ok)?;
    if case.class == Class::DeviceKey && first_line(&shop.state(), case) != first_line(&kept.dir, case) {
        return Err("it goes on with another key".to_owned());
    }
    let journal = shop.journal();
    if journal.contains("an empty store was made") || journal.contains("a new store") {
        return Err("an empty store was made".to_owned());
    }
    Ok(match found {
        Found::Damaged => Ending::ToldAndRuns,
        Found::Whole if run.starts > 1 => Ending::RebuiltAfterAbort,
        Found::Whole if journal.contains("made anew") => Ending::Rebuilt,
        Found::Whole if tail => Ending::Tail,
        Found::Whole => Ending::AllRight,
        Found::Less if hits_last_group(case, kept) && journal.contains("cut") => Ending::Tail,
        Found::Less => return Err("sales are missing".to_owned()),
    })
}

enum Found {
    Whole,
    Damaged,
    Less,
}

/// Asks the running gateway for every sale.
fn look(shop: &Shop, kept: &Kept, mut gateway: Gateway, verify_ok: bool) -> Result<Found, String> {
    let till = shop.till();
    let (mut less, mut unreadable) = (false, false);
    for (number, expected) in &kept.sales {
        let answer = ask(&till, number)?;
        match answer.0 {
            200 if lasting(&answer.1) == *expected => {}
            404 => less = true,
            status if status >= 500 => unreadable = true,
            status => return Err(format!("{number}: {status} {} instead of {expected}", answer.1)),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut alerts = String::new();
    if !verify_ok || unreadable {
        // Closed segments are read through one a second.
        loop {
            let status = shop.command(&["status", "--json"]);
            alerts.clone_from(&status.out);
            if alerts.contains("\"damage\"") {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("damage that is not told: {alerts}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    gateway.terminate();
    let code = gateway.wait_end(PATIENCE).code();
    if code != Some(0) {
        return Err(format!("it ended with {code:?}: {}", last_words(shop)));
    }
    Ok(match (less, verify_ok && !unreadable) {
        (true, _) => Found::Less,
        (false, true) => Found::Whole,
        (false, false) => Found::Damaged,
    })
}

fn ask(till: &Till, number: &str) -> Result<(u16, Value), String> {
    let answer = till.ask("GET", &format!("/api/sales/{}/", encoded(number)), None);
    let answer = answer.map_err(|error| format!("{number}: {error}"))?;
    Ok((answer.status, answer.json()))
}

fn first_line(dir: &Path, case: &Case) -> Vec<u8> {
    let bytes = fs::read(dir.join(&case.file)).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()
}

/// The newest segment, or all of it after a cut, is away as if it had never been: one that was filled with zeros ahead of
/// time says in its first group how long it is, one that was grown nowhere.
fn newest_is_gone(case: &Case, kept: &Kept) -> bool {
    let bytes = fs::read(kept.dir.join(&case.file)).unwrap();
    let grown = bytes.len() != 8 << 20;
    let second =
        (1..used(&bytes).div_ceil(4096)).map(|block| block * 4096).find(|at| begins_group(&bytes[*at..]));
    case.class == Class::NewestSegment
        && match case.harm {
            Harm::Gone => true,
            Harm::Cut => grown || second.is_none_or(|second| case.place < second),
            Harm::Flip | Harm::Noise | Harm::Zeros => false,
        }
}

fn begins_group(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, b'e', 0xfe, b'T', 0xf8, b'I', 0xc0, b'M'])
}

/// Only then less may be found than was there.
fn hits_last_group(case: &Case, kept: &Kept) -> bool {
    let path = kept.dir.join(&case.file);
    if case.class != Class::NewestSegment {
        return false;
    }
    let bytes = fs::read(path).unwrap();
    let begins = |at: &usize| begins_group(&bytes[*at..]);
    let last = (0..used(&bytes).div_ceil(4096)).map(|block| block * 4096).rfind(begins);
    last.is_some_and(|last| case.place >= last)
}

#[test]
fn damage_anywhere_is_mended_or_told() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 1);
    let places: Option<usize> =
        std::env::var("ETIMS_DAMAGE").ok().map(|places| places.parse().expect("ETIMS_DAMAGE"));
    let only = std::env::var("ETIMS_DAMAGE_CLASS").ok();
    let mut dice = Dice::new();
    let mut cases: Vec<Case> = Vec::new();
    for _ in 0..places.unwrap_or(50) {
        for class in CLASSES {
            if only.as_ref().is_none_or(|only| format!("{class:?}") == *only) {
                cases.extend(Case::draw(class, &standings, &mut dice));
            }
        }
    }
    cases.reverse();
    let deadline = Instant::now() + BUDGET;
    let cases = Mutex::new(cases);
    let table: Mutex<Table> = Mutex::default();
    let failures: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while places.is_some() || Instant::now() < deadline {
                    let Some(case) = cases.lock().unwrap().pop() else { break };
                    match try_case(&case, &standings, &kra) {
                        Ok(ending) => {
                            let mut table = table.lock().unwrap();
                            *table.entry((case.class, case.harm)).or_default().entry(ending).or_default() +=
                                1;
                        }
                        Err(why) => {
                            eprintln!("WRONG {case:?}: {why}");
                            failures.lock().unwrap().push(format!("{case:?}: {why}"));
                        }
                    }
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    eprint!("{:<24}", "");
    for ending in Ending::ALL {
        eprint!(" {:>18}", format!("{ending:?}"));
    }
    for ((class, harm), endings) in &table {
        eprint!("\n{:<24}", format!("{class:?} {harm:?}"));
        for ending in Ending::ALL {
            eprint!(" {:>18}", endings.get(&ending).copied().unwrap_or(0));
        }
    }
    let tried: usize = table.values().flat_map(BTreeMap::values).sum();
    let failures = failures.into_inner().unwrap();
    eprintln!("\n{tried} places read right or told, {} not", failures.len());
    assert!(failures.is_empty(), "{} places: {:#?}", failures.len(), failures);
    assert!(tried >= 9, "a place of each class at least: {tried}");
}
