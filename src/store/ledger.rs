//! The store as the verbs see it: sales, numbers and outcomes instead of records.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tracing::warn;

use super::admin_body;
use super::bodies::{self, UnknownTries};
use super::device_acts::differing_hardware;
use super::hardware::Hardware;
use super::newest_sales::NewestSales;
use super::reading::{Reader, age, body_failed, read_failed};
use super::refusals::Refusals;
use super::registry::read_device;
use super::replacing::why_not;
use super::sale_body::write_sale;
use super::secrets::Secrets;
use super::wear::disk_facts;
use super::{
    Binding, CommitError, Committed, Condition, Effect, Kind, LastAccepted, NewRecord, RoomLevel, Signer,
    Stamp, Store,
};
use crate::fiscal::{CmcKey, DeviceIdentity, Invoice, Original as Named, SalesType};
use crate::gateway::ports::{
    Acceptance, Acted, Bound, Counts, Credit, Creditable, Device, DiskFacts, DiskLevel, KeptAnswer, Ledger,
    LedgerError, OpenRefusal, Original, Place, Printing, Sale, StoreFacts, StoreHealth, StoreTiming,
};
use crate::queue::adoption::{Finding, Outcome};
use crate::queue::drain::{NumberFate, Ruling, Subject, View};
use crate::queue::{Seen, Seq, Status, Words};

/// How long the drain waits before it looks again whether a full disk has room.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// The ledger and registry over one store.
#[derive(Debug)]
pub struct JournalLedger {
    pub(super) store: Store,
    pub(super) stamp: fn() -> Stamp,
    pub(super) secrets: Secrets,
    dir: PathBuf,
    pub(super) terms: Terms,
    device: Mutex<Registered>,
    pub(super) refusals: Refusals,
    /// The newest sale of each port that was asked for or sold since the start.
    pub(super) newest: NewestSales,
    /// Held by those who accept a sale for the device, and alone by who makes it another one.
    pub(super) identity: tokio::sync::RwLock<()>,
}

/// On what terms sales are kept: from the configuration.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which KRA the device belongs to; kept with the registration, and with each try.
    pub environment: String,
    /// Where the number series starts, at the first registration.
    pub first_number: u64,
    /// How many documents may be unfinished before new ones are refused: the store's own bound.
    pub max_documents: u64,
}

/// The device as it stands, in memory.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pub(super) device: Device,
    pub(super) environment: Option<String>,
    pub(super) key: Option<CmcKey>,
    pub(super) tries: UnknownTries,
    /// The device that this one was put in place of.
    pub(super) instead_of: Option<DeviceIdentity>,
    /// The number that the series was begun with.
    pub(super) first_number: Option<u64>,
    /// What differs from the hardware that the store knows.
    pub(super) moved: Vec<String>,
    /// KRA's answer, until it is read to its end.
    pub(super) answer: Option<KeptAnswer>,
}

/// Why the ledger cannot be opened over a store that is there.
#[derive(Debug, thiserror::Error)]
pub enum LedgerOpenError {
    /// Something of what the device needs is damaged or gone.
    #[error("{0}")]
    Damaged(String),
    /// The index was found wrong while what is in it was being read: the next start makes it anew.
    #[error("{0}; the next start makes the index anew from the journal, nothing is lost")]
    Index(String),
    /// The store belongs to another KRA environment.
    #[error(
        "this store's device and its sales belong to the environment {registered:?}, and the configuration says {configured:?}: \
         set kra.environment back, or give this device a state directory of its own"
    )]
    OtherEnvironment {
        /// What the store remembers.
        registered: String,
        /// What the configuration says.
        configured: String,
    },
}

pub(super) fn commit_failed(error: CommitError) -> LedgerError {
    match error {
        CommitError::CreditChanged { .. } => LedgerError::OriginalChanged,
        CommitError::DiskFull | CommitError::DiskLow { .. } => LedgerError::DiskLow,
        CommitError::QueueFull { .. } => LedgerError::Full,
        CommitError::Stopping => LedgerError::Stopping,
        CommitError::TooLarge { .. } => LedgerError::TooLarge,
        other => LedgerError::Failed(other.to_string()),
    }
}

impl JournalLedger {
    /// Reads how the device stands; `dir` is the store's.
    ///
    /// # Errors
    /// The registration or the key is damaged or gone; or the device, or sales that wait for it, belong to another
    /// environment.
    pub fn open(
        store: Store,
        dir: &Path,
        stamp: fn() -> Stamp,
        terms: &Terms,
    ) -> Result<Self, LedgerOpenError> {
        let secrets = Secrets::new(&dir.join("keys"));
        let mut registered = read_device(&store, &secrets)?;
        if let Some(known) = registered.environment.as_ref().filter(|known| **known != terms.environment) {
            if matches!(registered.device, Device::Active(..)) || store.counts().documents_total > 0 {
                return Err(LedgerOpenError::OtherEnvironment {
                    registered: known.clone(),
                    configured: terms.environment.clone(),
                });
            }
            // Nothing was sold: what one KRA was asked is nothing to another.
            registered = Registered::default();
        }
        registered.moved = differing_hardware(&store, &Hardware::of_this_machine())?;
        let refusals = Refusals::read(&Reader { store: store.clone(), now: stamp() }).map_err(|error| {
            let trouble = store.health().failed;
            trouble.map_or_else(|| LedgerOpenError::Damaged(error.to_string()), LedgerOpenError::Index)
        })?;
        Ok(Self {
            store,
            stamp,
            secrets,
            dir: dir.to_owned(),
            terms: terms.clone(),
            device: Mutex::new(registered),
            refusals,
            newest: NewestSales::default(),
            identity: tokio::sync::RwLock::default(),
        })
    }

    /// The store below.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Documents that count against the store's bound.
    fn unfinished(&self) -> u64 {
        let counts = self.store.counts();
        counts.waiting + counts.parked + counts.rejected + counts.accepted_no_proof
    }

    pub(super) fn directory(&self) -> &Path {
        &self.dir
    }

    pub(super) fn registered(&self) -> std::sync::MutexGuard<'_, Registered> {
        self.device.lock().expect("nobody panics while holding it")
    }

    /// Runs a read of the store where it may block.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let reader = Reader { store: self.store.clone(), now: (self.stamp)() };
        tokio::task::spawn_blocking(move || read(&reader))
            .await
            .map_err(|error| LedgerError::Failed(format!("a read of the store ended early: {error}")))?
    }

    pub(super) fn record_of(&self, kind: Kind, effect: Effect, body: Vec<u8>) -> NewRecord {
        NewRecord { kind, stamp: (self.stamp)(), origin: String::new(), effect, body, signature: None }
    }

    fn bind_record(&self, document: Seq, bound: &Bound) -> NewRecord {
        let effect = Effect::Bound { document, number: bound.sent_as.invoice_no };
        self.record_of(Kind::Bind, effect, bodies::write_bind(bound))
    }

    pub(super) fn outcome_record(&self, document: Seq, ruling: &Ruling, acted: Option<&Acted>) -> NewRecord {
        let binding = match ruling.number {
            NumberFate::Kept => Binding::Keep,
            NumberFate::Released => Binding::Release,
            NumberFate::Used => {
                let sign = ruling.proof.as_ref().map(|proof| proof.signature.clone()).unwrap_or_default();
                Binding::Used { sign }
            }
        };
        let effect = Effect::Moved {
            document,
            status: ruling.status,
            attempts: ruling.attempts,
            unsure_sends: ruling.unsure_sends,
            binding,
        };
        self.record_of(Kind::Outcome, effect, bodies::write_outcome(ruling, acted))
    }

    /// False: a document no longer stands as said.
    async fn commit_conditionally(
        &self,
        records: Vec<NewRecord>,
        conditions: Vec<Condition>,
    ) -> Result<bool, LedgerError> {
        match self.store.commit_if(records, conditions).await {
            Ok(_) => Ok(true),
            Err(CommitError::Changed { .. } | CommitError::NoSuchDocument { .. }) => Ok(false),
            Err(error) => Err(commit_failed(error)),
        }
    }

    pub(super) async fn commit(&self, records: Vec<NewRecord>) -> Result<Vec<Committed>, LedgerError> {
        self.store.commit(records).await.map_err(commit_failed)
    }

    /// Commits what the drain cannot go on without. On a disk that is full to the last byte it waits for room: an outcome
    /// that KRA gave is not thrown away, and nothing is sent meanwhile.
    async fn commit_in_time(&self, records: Vec<NewRecord>) -> Result<(), LedgerError> {
        let mut told = false;
        loop {
            match self.store.commit(records.clone()).await {
                Err(CommitError::DiskFull) => {
                    if !told {
                        warn!(
                            name: "disk_full",
                            "the disk is full and the reserve is used up: the drain waits for room"
                        );
                    }
                    told = true;
                    tokio::time::sleep(FULL_DISK_PAUSE).await;
                }
                other => return other.map(|_| ()).map_err(commit_failed),
            }
        }
    }
}

impl Ledger for JournalLedger {
    async fn accept(
        &self,
        invoice: Invoice,
        content: [u8; 32],
        origin: &str,
        credit: Option<&Credit>,
    ) -> Result<Acceptance, LedgerError> {
        let _same = self.identity.read().await;
        if self.registered().device.identity() != Some(&invoice.device) {
            return Err(LedgerError::OtherDevice);
        }
        let stamp = (self.stamp)();
        let queued = invoice.sales_type == SalesType::Normal;
        let credits = credit.map(|credit| credit.original);
        let effect = Effect::Document { key: invoice.trader_ref.to_string(), content, queued, credits };
        let body = write_sale(&invoice);
        // Signed here, in the worker: the committer only numbers and chains.
        let signature =
            self.store.signer().sign(&Signer::document_bytes(Kind::Sale, &stamp, origin, &effect, &body));
        let record = NewRecord {
            kind: Kind::Sale,
            stamp,
            origin: origin.to_owned(),
            effect,
            body,
            signature: Some(signature),
        };
        let mut records = vec![record];
        records.extend(credit.map(|credit| self.credit_record(credit, &invoice.trader_ref, true)));
        let mut conditions = Vec::new();
        if let Some(old) = &invoice.replaces {
            let (outcome, condition) =
                self.replacement(old, (&invoice.trader_ref, invoice.receipt_type)).await?;
            records.push(outcome);
            conditions.push(condition);
        }
        let committed = match self.store.commit_if(records, conditions).await {
            Err(CommitError::NoSuchDocument { document, .. }) if Some(document) == credits => {
                return Err(LedgerError::OriginalChanged);
            }
            Err(CommitError::Changed { .. } | CommitError::NoSuchDocument { .. }) => {
                // A technician, or another correction, was quicker.
                let old = match &invoice.replaces {
                    Some(old) => self.find(old.as_str()).await?,
                    None => None,
                };
                return Err(LedgerError::CannotReplace(why_not(old.as_ref())));
            }
            committed => committed.map_err(commit_failed)?,
        };
        match committed.into_iter().next() {
            Some(Committed::New { seq, hash, .. }) => {
                self.newest.sold(origin, seq, &invoice.trader_ref);
                Ok(Acceptance::New(Box::new(Sale {
                    seq,
                    origin: origin.to_owned(),
                    hash,
                    signature,
                    accepted_ms: stamp.wall_ms,
                    age: Duration::ZERO,
                    clock_doubtful: !stamp.synchronised,
                    time_can_be_mended: !stamp.synchronised,
                    content,
                    invoice,
                    credits,
                    waits_for_sale: self.store.waits_for_sale(seq),
                    status: if queued { Status::Pending } else { Status::NotFiscal },
                    invoice_no: None,
                    attempts: 0,
                    unsure_sends: 0,
                    proof: None,
                    words: None,
                    acted: None,
                })))
            }
            Some(Committed::Known(entry)) => {
                let sale = self.reading(move |reader| reader.sale(&entry)).await?;
                Ok(Acceptance::Known(Box::new(sale)))
            }
            None => Err(LedgerError::Failed("the store answered a commit with nothing".to_owned())),
        }
    }

    async fn find(&self, trader_ref: &str) -> Result<Option<Sale>, LedgerError> {
        let trader_ref = trader_ref.to_owned();
        self.reading(move |reader| reader.find(&trader_ref)).await
    }

    async fn creditable(&self, named: &Named) -> Result<Option<Creditable>, LedgerError> {
        let named = named.clone();
        self.reading(move |reader| reader.creditable(&named)).await
    }

    async fn original(&self, sale: Seq) -> Result<Option<Original>, LedgerError> {
        self.reading(move |reader| reader.original(sale)).await
    }

    async fn rejoin_notes(&self) -> Result<u64, LedgerError> {
        JournalLedger::rejoin_notes(self).await
    }

    async fn last_from(&self, origin: &str) -> Result<Option<Sale>, LedgerError> {
        self.newest_sale(origin).await
    }

    async fn recent(
        &self,
        before: Option<Seq>,
        status: Option<Status>,
        limit: usize,
    ) -> Result<(Vec<Sale>, Option<Seq>), LedgerError> {
        self.reading(move |reader| reader.recent(before, status, limit)).await
    }

    async fn open_sales(&self, after: Option<Seq>, limit: usize) -> Result<Vec<Sale>, LedgerError> {
        self.reading(move |reader| {
            let entries = reader.store.unfinished(after, limit).map_err(|error| read_failed(&error))?;
            entries.iter().map(|entry| reader.sale(entry)).collect()
        })
        .await
    }

    async fn ahead_of(&self, document: Seq) -> Result<u64, LedgerError> {
        self.reading(move |reader| Ok(u64::try_from(reader.store.ahead_of(document)).unwrap_or(u64::MAX)))
            .await
    }

    async fn view(&self, aside: Vec<Seq>) -> Result<View, LedgerError> {
        self.reading(move |reader| reader.view(&aside)).await
    }

    async fn unfinished(&self, document: Seq) -> Result<Sale, LedgerError> {
        self.reading(move |reader| reader.sale(&reader.entry(document)?)).await
    }

    async fn bound(&self, document: Seq) -> Result<Bound, LedgerError> {
        self.reading(move |reader| {
            let entry = reader.entry(document)?;
            let bound = entry.bound.ok_or_else(|| {
                LedgerError::Failed(format!("document {document} is not bound to a number"))
            })?;
            let record = reader.record(bound.at)?;
            bodies::read_bind(&record.body).map_err(|error| body_failed(record.seq, &error))
        })
        .await
    }

    async fn printing(&self, trader_ref: &str) -> Result<Option<Printing>, LedgerError> {
        let trader_ref = trader_ref.to_owned();
        self.reading(move |reader| reader.printing(&trader_ref)).await
    }

    async fn record_print(&self, sale: &Sale, again: bool) -> Result<bool, LedgerError> {
        let key = sale.invoice.trader_ref.to_string();
        let effect = Effect::Printed { document: sale.seq, key, again };
        let body = if again { "the original once more" } else { "the original" };
        let record = self.record_of(Kind::Event, effect, body.as_bytes().to_vec());
        self.commit_conditionally(vec![record], Vec::new()).await
    }

    async fn bind(&self, document: Seq, bound: Bound) -> Result<(), LedgerError> {
        self.commit_in_time(vec![self.bind_record(document, &bound)]).await
    }

    async fn record(
        &self,
        document: Seq,
        ruling: &Ruling,
        next: Option<(Seq, Bound)>,
    ) -> Result<(), LedgerError> {
        if ruling.status == Status::Rejected
            && let Err(error) = self.note_refusal(document, &ruling.words).await
        {
            // It is recorded all the same; the next start counts it.
            tracing::warn!(seq = document, %error, "a refused sale cannot be read back");
        }
        loop {
            let mut records = vec![self.outcome_record(document, ruling, None)];
            match self.credit_change(document, Status::Pending, ruling, None).await {
                Ok(change) => records.extend(change),
                Err(LedgerError::Stopping) => return Err(LedgerError::Stopping),
                // What KRA said is written down all the same: less is left of the sale than there is, and that is told.
                Err(error) => {
                    warn!(seq = document, %error, "what a refused credit note took cannot be given back to its sale");
                }
            }
            if let Some((next, bound)) = &next {
                records.push(self.bind_record(*next, bound));
            }
            match self.commit_in_time(records).await {
                // Another note on the same sale came just now.
                Err(LedgerError::OriginalChanged) => {}
                other => return other,
            }
        }
    }

    async fn sure_times_around(&self, document: Seq) -> Result<(Option<i64>, Option<i64>), LedgerError> {
        self.reading(move |reader| reader.sure_times_around(document)).await
    }

    async fn latest_refusals(&self) -> Result<Vec<(Seq, Words)>, LedgerError> {
        self.reading(Reader::latest_refusals).await
    }

    async fn subject(&self, document: Seq) -> Result<Option<Subject>, LedgerError> {
        self.reading(move |reader| reader.subject(document)).await
    }

    async fn parked(&self, limit: usize) -> Result<Vec<(Seq, Subject)>, LedgerError> {
        self.reading(move |reader| {
            let mut parked = Vec::new();
            for document in reader.store.parked(limit) {
                // One that is released between the two looks is no longer there.
                if let Some(subject) = reader.subject(document)? {
                    parked.push((document, subject));
                }
            }
            Ok(parked)
        })
        .await
    }

    async fn without_proof(&self, limit: usize) -> Result<Vec<(Seq, u64)>, LedgerError> {
        self.reading(move |reader| {
            let mut found = Vec::new();
            for document in reader.store.without_proof(limit) {
                let entry = reader.store.entry(document).map_err(|error| read_failed(&error))?;
                // One that got its proof between the two looks is no longer there.
                found.extend(entry.and_then(|entry| Some((document, entry.bound?.number))));
            }
            Ok(found)
        })
        .await
    }

    async fn act(
        &self,
        acted: &Acted,
        about: Option<(Seq, Seen)>,
        rulings: &[(Seq, Seen, Ruling)],
    ) -> Result<bool, LedgerError> {
        let expected = about.into_iter().chain(rulings.iter().map(|(document, seen, _)| (*document, *seen)));
        // All else about a document the drain alone changes, and it is the drain that asks.
        let conditions: Vec<Condition> =
            expected.map(|(document, seen)| Condition { document, status: seen.status }).collect();
        loop {
            let mut records =
                vec![self.record_of(Kind::Admin, Effect::None, admin_body::write_act(acted, about))];
            for (document, seen, ruling) in rulings {
                records.push(self.outcome_record(*document, ruling, Some(acted)));
                records.extend(self.credit_change(*document, seen.status, ruling, Some(acted)).await?);
            }
            match self.commit_conditionally(records, conditions.clone()).await {
                Err(LedgerError::OriginalChanged) => {}
                other => return other,
            }
        }
    }

    async fn number_signed(&self, signature: &str) -> Result<Option<u64>, LedgerError> {
        let signature = signature.to_owned();
        self.reading(move |reader| Ok(reader.number_signed(&signature))).await
    }

    async fn signature_under(&self, number: u64) -> Result<Option<String>, LedgerError> {
        self.reading(move |reader| reader.signature_under(number)).await
    }

    async fn write_finding(
        &self,
        acted: &Acted,
        finding: &Finding,
        bound: Option<Bound>,
    ) -> Result<bool, LedgerError> {
        let (records, condition) = match finding {
            Finding::Foreign { number, trader_ref, signature } => {
                let sign = signature.clone().unwrap_or_default();
                let last = LastAccepted { number: *number, sign, document: None };
                let effect = Effect::Series { next: number.saturating_add(1), last: Some(last) };
                let body = admin_body::write_foreign(acted, *number, trader_ref.as_deref());
                (vec![self.record_of(Kind::Foreign, effect, body)], None)
            }
            Finding::Ours { document, standing, ruling, .. } => {
                let bind = bound.map(|bound| self.bind_record(*document, &bound));
                let outcome = self.outcome_record(*document, ruling, Some(acted));
                (bind.into_iter().chain([outcome]).collect(), Some((*document, standing.status)))
            }
            Finding::Released(document, standing, ruling) => {
                let outcome = self.outcome_record(*document, ruling, Some(acted));
                (vec![outcome], Some((*document, standing.status)))
            }
        };
        let conditions = condition.map(|(document, status)| Condition { document, status });
        self.commit_conditionally(records, conditions.into_iter().collect()).await
    }

    async fn set_series(&self, acted: &Acted, outcome: &Outcome) -> Result<(), LedgerError> {
        let last = outcome.last.clone().map(|(number, sign)| LastAccepted { number, sign, document: None });
        let effect = Effect::Series { next: outcome.next, last };
        let body = admin_body::write_adoption(acted, outcome);
        self.commit(vec![self.record_of(Kind::Admin, effect, body)]).await.map(|_| ())
    }

    fn news_of(&self, document: Seq) -> impl Future<Output = ()> + Send + 'static {
        self.store.finished().register(document)
    }

    fn place(&self, document: Seq, aside: &[Seq]) -> Place {
        match self.store.place(document, aside) {
            None => Place::Gone,
            Some(true) => Place::First,
            Some(false) => Place::Behind,
        }
    }

    fn oldest_beside(&self, aside: &[Seq]) -> Option<Duration> {
        self.store.oldest_beside(aside).map(|stamp| age(&stamp, &(self.stamp)()))
    }

    fn counts(&self) -> Counts {
        let counts = self.store.counts();
        let now = (self.stamp)();
        Counts {
            waiting: counts.waiting,
            in_doubt: counts.in_doubt,
            parked: counts.parked,
            rejected: counts.rejected,
            accepted_no_proof: counts.accepted_no_proof,
            oldest: counts.oldest_waiting.map(|stamp| age(&stamp, &now)),
        }
    }

    fn open_refusals(&self) -> Vec<OpenRefusal> {
        self.open_refusals_now()
    }
}

impl StoreHealth for JournalLedger {
    fn timing(&self) -> StoreTiming {
        self.store.timing()
    }

    async fn disk_facts(&self) -> DiskFacts {
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || disk_facts(&dir)).await.unwrap_or_default()
    }

    fn store_facts(&self) -> StoreFacts {
        let health = self.store.health();
        let mut remarks = Vec::new();
        if let Some(why) = &health.failed {
            remarks.push(format!("the store failed: {why}"));
        }
        if health.quarantined > 0 {
            remarks.push(format!(
                "the queue's index was not to be trusted and was made anew from the journal; nothing is lost. {} old one(s) are kept \
                 as sled.bad-* in {}: if this comes again, look at the disk; removed, they are forgotten at the next start",
                health.quarantined,
                self.dir.display()
            ));
        }
        StoreFacts {
            dir: self.dir.display().to_string(),
            last_record: self.store.head().0,
            journal_bytes: health.journal_bytes,
            free_bytes: health.room.free,
            min_free_bytes: health.room.floor(),
            ahead_bytes: health.room.ahead(),
            needed_bytes: health.room.needed,
            disk: match health.room.level() {
                RoomLevel::Enough => DiskLevel::Enough,
                RoomLevel::Filling => DiskLevel::Filling,
                RoomLevel::Low => DiskLevel::Low,
            },
            reserve: health.room.reserve,
            full: self.unfinished() >= self.terms.max_documents,
            works: health.last_sync_ok && health.failed.is_none(),
            damage: health.damage.iter().map(ToString::to_string).collect(),
            remarks,
            public_key: self.store.public_key(),
        }
    }
}
