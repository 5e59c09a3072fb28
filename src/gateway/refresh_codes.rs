//! KRA's lists are fetched beside everything else: at the start, then daily, and when somebody wants them now. Nothing waits
//! for it; what is fetched is on disk before anybody goes by it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, warn};

use super::catalogue::Catalogue;
use super::code_book::{Book, CodeBook, age};
use super::drain_queue::SendingRules;
use super::live::Live;
use super::ports::{Clock, Device, ItemLog, ListShelf, Publisher, Registry};
use super::progress::Progress;
use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime};
use crate::queue::{Dice, ListPace, Moment, Words};
use crate::wire::Function;
use crate::wire::lists::{self, Told};

/// How many may wait for a refresh.
const WAITING: usize = 16;
/// How often it is looked whether KRA can be asked at all.
const LOOK: Duration = Duration::from_millis(250);
/// A timer does not count while the machine is asleep; the clock that the pace goes by does.
const LONGEST_NAP: Duration = Duration::from_secs(600);
/// The shortest time between two refusals that have KRA asked for its lists.
const DOUBTED_AGAIN: Duration = Duration::from_secs(600);
/// KRA's first question is for all since then.
const BEGINNING: &str = "20180101000000";

/// Where a refresh is asked for.
#[derive(Clone, Debug)]
pub struct Refresher(mpsc::Sender<Ask>);

/// What was asked for.
#[derive(Debug)]
pub struct RefreshAsks(mpsc::Receiver<Ask>);

#[derive(Debug)]
enum Ask {
    Now(oneshot::Sender<Refreshed>),
    Soon,
}

/// What came of a refresh that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The lists are as KRA has them.
    Fresh,
    /// They are as they were before: why.
    AsTheyWere(String),
}

impl Refresher {
    /// The counter, and what the task reads.
    pub fn new() -> (Self, RefreshAsks) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), RefreshAsks(receiver))
    }

    /// Asks KRA for codes and item classes now, and waits for it so long at most; it goes on after that. Where KRA is away,
    /// or wants to be left alone, the answer comes at once.
    pub async fn refresh_now(&self, patience: Duration) -> Refreshed {
        let (told, answer) = oneshot::channel();
        if self.0.try_send(Ask::Now(told)).is_err() {
            return Refreshed::AsTheyWere("too many ask for it, or the gateway is stopping".to_owned());
        }
        let late = || Refreshed::AsTheyWere(format!("KRA did not answer within {} s", patience.as_secs()));
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(refreshed)) => refreshed,
            Ok(Err(_)) => Refreshed::AsTheyWere("the gateway is stopping".to_owned()),
            Err(_) => late(),
        }
    }

    /// Asks for a refresh without waiting for it.
    pub fn refresh_soon(&self) {
        // Where the counter is full, one is coming anyway.
        let _ = self.0.try_send(Ask::Soon);
    }
}

/// Everything that fetching lists needs of the world.
#[derive(Debug)]
pub struct Refreshing<L, A, C> {
    /// The device and its key, and where lists are kept.
    pub ledger: Arc<L>,
    /// KRA.
    pub authority: Arc<A>,
    /// The time.
    pub clock: Arc<C>,
    /// The drain, which knows whether KRA is there.
    pub progress: Arc<Progress>,
    /// How KRA is spoken to.
    pub rules: Live<SendingRules>,
    /// The lists that everybody goes by.
    pub book: CodeBook,
    /// The items, which KRA may have already.
    pub catalogue: Arc<Catalogue>,
    /// Throws the dice.
    pub dice: fn() -> Dice,
}

/// Why a function brought nothing.
pub(super) enum Trouble {
    Busy(lists::LeftAlone),
    Failed(&'static str, String),
}

impl<L: ItemLog + ListShelf + Registry, A: Publisher, C: Clock> Refreshing<L, A, C> {
    /// Fetches until told to stop. May be dropped at any time.
    pub async fn run(self, asks: RefreshAsks, stopping: watch::Receiver<bool>) {
        let mut stopping = stopping;
        tokio::select! {
            biased;
            // A sender that is gone means the same.
            _ = stopping.wait_for(|stop| *stop) => {}
            () = self.rounds(asks) => {}
        }
    }

    async fn rounds(&self, mut asks: RefreshAsks) {
        let mut paces = self.paces();
        let mut doubted: Option<Moment> = None;
        loop {
            let now = self.clock.moment();
            let due = paces.iter().map(|(_, pace)| pace.due()).min().unwrap_or(now);
            let pause = due.since(now).max(if self.way().is_err() { LOOK } else { Duration::ZERO });
            let mut waiting = Vec::new();
            tokio::select! {
                biased;
                Some(ask) = asks.0.recv() => self.hear(ask, &mut waiting, &mut paces),
                () = self.progress.lists_doubted() => {
                    let now = self.clock.moment();
                    // Not every refusal of a day asks anew.
                    if doubted.is_none_or(|at| now.since(at) >= DOUBTED_AGAIN) {
                        doubted = Some(now);
                        paces.iter_mut().for_each(|(_, pace)| pace.wanted(now));
                    }
                }
                () = tokio::time::sleep(pause.min(LONGEST_NAP)) => {}
            }
            while let Ok(ask) = asks.0.try_recv() {
                self.hear(ask, &mut waiting, &mut paces);
            }
            let came = self.round(&mut paces, !waiting.is_empty()).await;
            for told in waiting {
                let _ = told.send(came.clone());
            }
        }
    }

    fn hear(
        &self,
        ask: Ask,
        waiting: &mut Vec<oneshot::Sender<Refreshed>>,
        paces: &mut [(Function, ListPace)],
    ) {
        match ask {
            Ask::Now(told) => waiting.push(told),
            Ask::Soon => paces.iter_mut().for_each(|(_, pace)| pace.wanted(self.clock.moment())),
        }
    }

    fn paces(&self) -> Vec<(Function, ListPace)> {
        let rules = self.rules.now();
        let book = self.book.now();
        let functions = lists::functions(rules.format).iter().chain([&Function::SelectNoticeList]);
        let pace = |function: &Function| {
            let asked = book.asked.get(function.name()).filter(|asked| asked.watermark.is_some());
            let age = asked.map(|asked| age(asked.as_of, self.clock.kra_now()));
            let pace = ListPace::at_start(self.clock.moment(), age, rules.policy.probe_max, (self.dice)());
            (*function, pace)
        };
        functions.map(pace).collect()
    }

    /// Whom to ask as what, or why nobody can be asked.
    fn way(&self) -> Result<(DeviceIdentity, CmcKey), &'static str> {
        let Device::Active(identity, _) = self.ledger.device() else {
            return Err("the device is not active");
        };
        let key = self.ledger.key().ok_or("the device has no key")?;
        if self.progress.sight().line_up { Ok((identity, key)) } else { Err("KRA cannot be reached") }
    }

    /// Asks for whatever is due; `by_hand`: for codes and item classes in any case, for somebody who waits.
    async fn round(&self, paces: &mut [(Function, ListPace)], by_hand: bool) -> Refreshed {
        let (identity, key) = match self.way() {
            Ok(way) => way,
            Err(why) => return Refreshed::AsTheyWere(why.to_owned()),
        };
        let mut came = Refreshed::Fresh;
        for at in 0..paces.len() {
            let (function, pace) = paces[at];
            let now = self.clock.moment();
            let wanted = by_hand && function != Function::SelectNoticeList;
            if pace.closed(now) {
                if wanted {
                    came =
                        Refreshed::AsTheyWere("KRA wants to be left alone with its lists for now".to_owned());
                }
                continue;
            }
            if !wanted && pace.due() > now {
                continue;
            }
            let trouble = self.refresh(function, &identity, &key).await.err();
            let now = self.clock.moment();
            match trouble {
                None => paces[at].1.went_well(now, (self.dice)()),
                Some(Trouble::Failed(_, why)) => {
                    paces[at].1.failed(now, (self.dice)());
                    if wanted {
                        came = Refreshed::AsTheyWere(why);
                    }
                }
                Some(Trouble::Busy(busy)) => {
                    // The quota is one for all of them.
                    for (_, pace) in paces.iter_mut() {
                        pace.left_alone(now, busy.at_least, busy.asked);
                    }
                    return Refreshed::AsTheyWere(busy.why);
                }
            }
        }
        came
    }

    /// Asks for one function's list, and takes over what comes.
    async fn refresh(
        &self,
        function: Function,
        identity: &DeviceIdentity,
        key: &CmcKey,
    ) -> Result<(), Trouble> {
        let known = self.book.now().asked.get(function.name()).and_then(|asked| asked.watermark);
        let beginning = || KraDateTime::parse_kra(BEGINNING).expect("a real date");
        let told = self.authority.published((function, known.unwrap_or_else(beginning)), identity, key).await;
        let came = match told {
            Told::Busy(busy) => Err(Trouble::Busy(busy.into())),
            Told::Failed(words) => Err(Trouble::Failed("failed", words.in_short())),
            Told::Missing(words) => {
                // Not every server has notices; asked again with the next round.
                debug!(function = function.name(), kra = words.in_short(), "KRA has no such list");
                self.remember(function, "missing", words.in_short());
                return Ok(());
            }
            Told::News(listed, at) => {
                self.take(function, *listed, at, known.is_none()).await.map(|()| "news")
            }
            Told::Nothing(at) => {
                if lists::brings_codes(function) && !self.book.now().refused.is_empty() {
                    self.book.replace(Book { refused: Vec::new(), ..Book::clone(&self.book.now()) });
                }
                self.confirm(function, at, true).await.map(|()| "nothing_new")
            }
            Told::Refused(words) => Err(Trouble::Failed("refused", words.in_short())),
        };
        match &came {
            Ok(word) => self.remember(function, word, String::new()),
            Err(Trouble::Busy(busy)) => self.remember(function, "busy", busy.why.clone()),
            Err(Trouble::Failed(word, why)) => self.remember(function, word, why.clone()),
        }
        came.map(|_| ())
    }

    /// Says each trouble once, until another one comes.
    fn remember(&self, function: Function, word: &'static str, why: String) {
        let mut book = Book::clone(&self.book.now());
        let outcome = (word, why);
        if book.outcomes.get(function.name()) == Some(&outcome) {
            return;
        }
        if !outcome.1.is_empty() && word != "missing" {
            warn!(
                name: "list_not_taken",
                function = function.name(),
                why = outcome.1,
                "KRA's list was not fetched: it is tried again, the known one holds on"
            );
        }
        book.outcomes.insert(function.name(), outcome);
        self.book.replace(book);
    }
}

/// Whether KRA's refusal of a sale may be due to a rate or a list of codes that has changed.
pub(super) fn doubts_lists(words: &Words) -> bool {
    let field = words.field.as_deref().unwrap_or_default();
    let field = field.rsplit('.').next().unwrap_or_default();
    words.result_cd.as_deref() == Some("913")
        || field.starts_with("tax")
        || field.ends_with("Cd") && field != "itemCd"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_cast_a_doubt_on_the_lists() {
        for (result_cd, field, doubts) in [
            (Some("913"), None, true),
            (Some("913"), Some("itemList.pkgUnitCd"), true),
            (Some("910"), Some("taxRtB"), true),
            (Some("910"), Some("itemList.taxTyCd"), true),
            (Some("910"), Some("pmtTyCd"), true),
            (None, Some("taxblAmtB"), true),
            (Some("910"), Some("itemList.itemCd"), false),
            (Some("910"), Some("custNm"), false),
            (Some("910"), None, false),
            (None, None, false),
        ] {
            let words = Words {
                result_cd: result_cd.map(str::to_owned),
                field: field.map(str::to_owned),
                ..Words::default()
            };
            assert_eq!(doubts_lists(&words), doubts, "{result_cd:?} {field:?}");
        }
    }
}
