//! The store as the verbs see it: sales, numbers and outcomes instead of records.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::bodies::{self, InitStep};
use super::sale_body::{UnreadableBody, read_sale, write_sale};
use super::secrets::Secrets;
use super::{
    Binding, CommitError, Committed, Effect, Entry, Kind, LastAccepted, Located, NewRecord, ReadError,
    Record, Signer, Stamp, Store,
};
use crate::fiscal::{CmcKey, DeviceIdentity, Invoice, Registration, SalesType};
use crate::gateway::ports::{
    Acceptance, Bound, Counts, Device, Ledger, LedgerError, RegistrationFailure, Registry, Sale, StoreFacts,
    StoreHealth,
};
use crate::queue::drain::{NumberFate, Ruling, View, Waiting};
use crate::queue::{Seq, Status};

/// The ledger and registry over one store.
#[derive(Debug)]
pub struct JournalLedger {
    store: Store,
    stamp: fn() -> Stamp,
    secrets: Secrets,
    dir: PathBuf,
    terms: Terms,
    device: Mutex<Registered>,
}

/// On what terms sales are kept: from the configuration.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which KRA the device is registered with; kept with the registration.
    pub environment: String,
    /// Where the number series starts, at the first registration.
    pub first_number: u64,
    /// Below this much free space no sale is taken, bytes.
    pub min_free: u64,
}

/// The device as it stands, in memory.
#[derive(Debug, Default)]
struct Registered {
    device: Device,
    environment: Option<String>,
    key: Option<CmcKey>,
    unknown: u32,
}

/// Why the ledger cannot be opened over a store that is there.
#[derive(Debug, thiserror::Error)]
pub enum LedgerOpenError {
    /// Something of what the device needs is damaged or gone.
    #[error("{0}")]
    Damaged(String),
    /// The store belongs to another KRA environment.
    #[error(
        "this store's device is registered in the environment {registered:?}, and the configuration says {configured:?}: \
         set kra.environment back, or give this device a state directory of its own"
    )]
    OtherEnvironment {
        /// What the store remembers.
        registered: String,
        /// What the configuration says.
        configured: String,
    },
}

fn read_failed(error: &ReadError) -> LedgerError {
    LedgerError::Failed(error.to_string())
}

fn body_failed(seq: Seq, error: &UnreadableBody) -> LedgerError {
    LedgerError::Failed(format!("record {seq}: {error}"))
}

fn commit_failed(error: CommitError) -> LedgerError {
    match error {
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
    /// The registration or the key is damaged or gone, or belongs to another environment.
    pub fn open(
        store: Store,
        dir: &Path,
        stamp: fn() -> Stamp,
        terms: &Terms,
    ) -> Result<Self, LedgerOpenError> {
        let secrets = Secrets::new(&dir.join("keys"));
        let registered = read_device(&store, &secrets)?;
        if let Some(known) = registered.environment.as_ref().filter(|known| **known != terms.environment) {
            return Err(LedgerOpenError::OtherEnvironment {
                registered: known.clone(),
                configured: terms.environment.clone(),
            });
        }
        Ok(Self {
            store,
            stamp,
            secrets,
            dir: dir.to_owned(),
            terms: terms.clone(),
            device: Mutex::new(registered),
        })
    }

    /// The store below.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    fn registered(&self) -> std::sync::MutexGuard<'_, Registered> {
        self.device.lock().expect("nobody panics while holding it")
    }

    /// Runs a read of the store where it may block.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let reader = Reader { store: self.store.clone(), now: (self.stamp)() };
        tokio::task::spawn_blocking(move || read(&reader))
            .await
            .map_err(|error| LedgerError::Failed(format!("a read of the store ended early: {error}")))?
    }

    fn record_of(&self, kind: Kind, effect: Effect, body: Vec<u8>) -> NewRecord {
        NewRecord { kind, stamp: (self.stamp)(), origin: String::new(), effect, body, signature: None }
    }

    fn bind_record(&self, document: Seq, bound: &Bound) -> NewRecord {
        let effect = Effect::Bound { document, number: bound.sent_as.invoice_no };
        self.record_of(Kind::Bind, effect, bodies::write_bind(bound))
    }

    async fn commit(&self, records: Vec<NewRecord>) -> Result<Vec<Committed>, LedgerError> {
        self.store.commit(records).await.map_err(commit_failed)
    }
}

/// The blocking side: runs on threads that may wait for the disk.
struct Reader {
    store: Store,
    now: Stamp,
}

impl Reader {
    fn record(&self, at: Located) -> Result<Record, LedgerError> {
        self.store.read(at).map_err(|error| read_failed(&error))
    }

    fn sale(&self, entry: &Entry) -> Result<Sale, LedgerError> {
        let record = self.record(entry.at)?;
        let invoice = read_sale(&record.body).map_err(|error| body_failed(entry.seq, &error))?;
        let (proof, words) = match entry.outcome {
            None => (None, None),
            Some(at) => {
                let outcome = self.record(at)?;
                let (proof, words) =
                    bodies::read_outcome(&outcome.body).map_err(|error| body_failed(outcome.seq, &error))?;
                (proof, Some(words))
            }
        };
        Ok(Sale {
            seq: entry.seq,
            hash: record.hash,
            signature: record.signature.ok_or_else(|| {
                LedgerError::Failed(format!("record {} is a sale without our signature", entry.seq))
            })?,
            accepted_ms: entry.accepted.wall_ms,
            age: age(&entry.accepted, &self.now),
            content: entry.content,
            invoice,
            status: entry.status,
            invoice_no: entry.bound.map(|bound| bound.number),
            attempts: entry.attempts,
            unsure_sends: entry.unsure_sends,
            proof,
            words,
        })
    }

    fn find(&self, trader_ref: &str) -> Result<Option<Sale>, LedgerError> {
        let entry = self.store.find(trader_ref).map_err(|error| read_failed(&error))?;
        entry.map(|entry| self.sale(&entry)).transpose()
    }

    fn entry(&self, document: Seq) -> Result<Entry, LedgerError> {
        self.store
            .entry(document)
            .map_err(|error| read_failed(&error))?
            .ok_or_else(|| LedgerError::Failed(format!("document {document} is not among the unfinished")))
    }

    fn recent(
        &self,
        mut before: Option<Seq>,
        status: Option<Status>,
        limit: usize,
    ) -> Result<(Vec<Sale>, Option<Seq>), LedgerError> {
        let mut sales = Vec::new();
        loop {
            let records = self
                .store
                .records_before(before, Some(Kind::Sale), limit)
                .map_err(|error| read_failed(&error))?;
            let last_page = records.len() < limit;
            for record in records {
                before = Some(record.seq);
                let Effect::Document { key, .. } = &record.effect else { continue };
                let Some(entry) = self.store.find(key).map_err(|error| read_failed(&error))? else {
                    continue;
                };
                if status.is_none_or(|status| status == entry.status) {
                    sales.push(self.sale(&entry)?);
                }
                if sales.len() == limit {
                    return Ok((sales, before));
                }
            }
            if last_page {
                return Ok((sales, None));
            }
        }
    }

    fn view(&self, aside: &[Seq]) -> Result<View, LedgerError> {
        let series = self.store.series();
        let first_ready = |mut after: Option<Seq>, not: Option<Seq>| -> Result<Option<Entry>, LedgerError> {
            loop {
                let entry = self.store.first_pending(after).map_err(|error| read_failed(&error))?;
                match entry {
                    Some(entry) if aside.contains(&entry.seq) || Some(entry.seq) == not => {
                        after = Some(entry.seq)
                    }
                    found => return Ok(found),
                }
            }
        };
        // Whoever is bound keeps its turn, even if somebody before it is ready again.
        let head = match self.store.bound() {
            Some(document) => Some(self.entry(document)?),
            None => first_ready(None, None)?,
        };
        let after = match &head {
            Some(head) => first_ready(None, Some(head.seq))?,
            None => None,
        };
        Ok(View {
            head: head.as_ref().map(waiting),
            after: after.as_ref().map(waiting),
            next_number: series.next,
            last: series.last.map(|last| (last.number, last.sign)),
        })
    }
}

/// Room for anybody on the disk below `dir`, bytes.
fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn waiting(entry: &Entry) -> Waiting {
    let place = |at: Located| (at.segment, at.offset);
    let answered = match (entry.bound, entry.outcome) {
        (Some(bound), Some(outcome)) => place(outcome) > place(bound.at),
        _ => false,
    };
    Waiting {
        document: entry.seq,
        bound: entry.bound.map(|bound| bound.number),
        unsure_sends: entry.unsure_sends,
        answered,
        attempts: entry.attempts,
    }
}

/// How long ago: by the clock that does not jump where it is the same boot, otherwise by the wall clock.
fn age(then: &Stamp, now: &Stamp) -> Duration {
    let millis = if then.boot == now.boot {
        now.monotonic_ms.saturating_sub(then.monotonic_ms)
    } else {
        u64::try_from(now.wall_ms.saturating_sub(then.wall_ms)).unwrap_or(0)
    };
    Duration::from_millis(millis)
}

impl Ledger for JournalLedger {
    async fn accept(
        &self,
        invoice: Invoice,
        content: [u8; 32],
        origin: &str,
    ) -> Result<Acceptance, LedgerError> {
        if free_bytes(&self.dir).is_some_and(|free| free < self.terms.min_free) {
            return Err(LedgerError::DiskLow);
        }
        let stamp = (self.stamp)();
        let queued = invoice.sales_type == SalesType::Normal;
        let effect = Effect::Document { key: invoice.trader_ref.to_string(), content, queued };
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
        match self.commit(vec![record]).await?.into_iter().next() {
            Some(Committed::New { seq, hash, .. }) => Ok(Acceptance::New(Box::new(Sale {
                seq,
                hash,
                signature,
                accepted_ms: stamp.wall_ms,
                age: Duration::ZERO,
                content,
                invoice,
                status: if queued { Status::Pending } else { Status::NotFiscal },
                invoice_no: None,
                attempts: 0,
                unsure_sends: 0,
                proof: None,
                words: None,
            }))),
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

    async fn bind(&self, document: Seq, bound: Bound) -> Result<(), LedgerError> {
        self.commit(vec![self.bind_record(document, &bound)]).await.map(|_| ())
    }

    async fn record(
        &self,
        document: Seq,
        ruling: &Ruling,
        next: Option<(Seq, Bound)>,
    ) -> Result<(), LedgerError> {
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
        let mut records = vec![self.record_of(Kind::Outcome, effect, bodies::write_outcome(ruling))];
        if let Some((next, bound)) = &next {
            records.push(self.bind_record(*next, bound));
        }
        self.commit(records).await.map(|_| ())
    }

    fn news_of(&self, document: Seq) -> impl Future<Output = ()> + Send + 'static {
        self.store.finished().register(document)
    }

    fn counts(&self) -> Counts {
        let counts = self.store.counts();
        let now = (self.stamp)();
        Counts {
            waiting: counts.waiting,
            in_doubt: counts.in_doubt,
            parked: counts.parked,
            rejected: counts.rejected,
            oldest: counts.oldest_waiting.map(|stamp| age(&stamp, &now)),
        }
    }
}

impl StoreHealth for JournalLedger {
    fn store_facts(&self) -> StoreFacts {
        let health = self.store.health();
        let mut remarks = Vec::new();
        if let Some(why) = &health.failed {
            remarks.push(format!("the store failed: {why}"));
        }
        StoreFacts {
            dir: self.dir.display().to_string(),
            last_record: self.store.head().0,
            journal_bytes: health.journal_bytes,
            free_bytes: free_bytes(&self.dir).unwrap_or(u64::MAX),
            min_free_bytes: self.terms.min_free,
            works: health.last_sync_ok && health.failed.is_none(),
            remarks,
            public_key: self.store.public_key(),
        }
    }
}

impl Registry for JournalLedger {
    fn device(&self) -> Device {
        self.registered().device.clone()
    }

    fn key(&self) -> Option<CmcKey> {
        self.registered().key.clone()
    }

    async fn intend(&self, identity: &DeviceIdentity) -> Result<(), LedgerError> {
        let unknown = self.registered().unknown.saturating_add(1);
        self.secrets.make_room_for_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let record = self.record_of(Kind::Init, Effect::None, bodies::write_intent(identity, unknown));
        self.commit(vec![record]).await?;
        let mut registered = self.registered();
        registered.unknown = unknown;
        registered.device = Device::Pending { identity: identity.clone(), unknown };
        Ok(())
    }

    async fn keep_answer(&self, body: &[u8]) -> Result<(), LedgerError> {
        self.secrets.keep_answer(body).await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn kept_answer(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        if matches!(self.device(), Device::Active(..)) {
            self.secrets.forget_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))?;
            return Ok(None);
        }
        self.secrets.kept_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn register(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
    ) -> Result<(), LedgerError> {
        self.secrets.keep_key(key).await.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let body = bodies::write_registration(identity, registration, &self.terms.environment);
        let last: Option<LastAccepted> = None;
        let effect = Effect::Series { next: self.terms.first_number, last };
        self.commit(vec![self.record_of(Kind::Registration, effect, body)]).await?;
        {
            let mut registered = self.registered();
            registered.device = Device::Active(identity.clone(), registration.clone());
            registered.environment = Some(self.terms.environment.clone());
            registered.key = Some(key.clone());
            registered.unknown = 0;
        }
        self.secrets.forget_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn not_registered(
        &self,
        identity: &DeviceIdentity,
        failure: RegistrationFailure,
    ) -> Result<(), LedgerError> {
        let unknown = {
            let before = self.registered().unknown;
            match &failure {
                RegistrationFailure::Lost(_) => before,
                RegistrationFailure::NotSent(_) => before.saturating_sub(1),
                RegistrationFailure::Refused(_) => 0,
            }
        };
        let body = bodies::write_init_failure(identity, unknown, &failure);
        self.commit(vec![self.record_of(Kind::Init, Effect::None, body)]).await?;
        let secrets = match &failure {
            RegistrationFailure::Lost(_) => self.secrets.set_answer_apart().await,
            RegistrationFailure::NotSent(_) | RegistrationFailure::Refused(_) => {
                self.secrets.forget_answer().await
            }
        };
        secrets.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let mut registered = self.registered();
        registered.unknown = unknown;
        registered.device = match failure {
            RegistrationFailure::Refused(words) => Device::Failed(identity.clone(), words),
            _ => Device::Pending { identity: identity.clone(), unknown },
        };
        Ok(())
    }
}

fn read_device(store: &Store, secrets: &Secrets) -> Result<Registered, LedgerOpenError> {
    let damaged = |what: String| LedgerOpenError::Damaged(what);
    if let Some(at) = store.latest(Kind::Registration) {
        let record =
            store.read(at).map_err(|error| damaged(format!("the registration cannot be read: {error}")))?;
        let (identity, registration, environment) = bodies::read_registration(&record.body)
            .map_err(|error| damaged(format!("the registration, record {}: {error}", record.seq)))?;
        let key = secrets.key().map_err(|error| damaged(error.to_string()))?;
        return Ok(Registered {
            device: Device::Active(identity, registration),
            environment: Some(environment),
            key: Some(key),
            unknown: 0,
        });
    }
    let Some(at) = store.latest(Kind::Init) else { return Ok(Registered::default()) };
    let record = store
        .read(at)
        .map_err(|error| damaged(format!("the registration's intent cannot be read: {error}")))?;
    let (identity, unknown, step) = bodies::read_init(&record.body)
        .map_err(|error| damaged(format!("the registration's intent, record {}: {error}", record.seq)))?;
    let device = match step {
        InitStep::Refused(words) => Device::Failed(identity, words),
        InitStep::NotSent | InitStep::Unknown => Device::Pending { identity, unknown },
    };
    Ok(Registered { device, environment: None, key: None, unknown })
}
