//! Takes the snapshot that status, health and alerts are made from.

use std::sync::Arc;
use std::time::Duration;

use super::catalogue::{Catalogue, ItemCounts, MOST_NAMED};
use super::live::Live;
use super::measure::{Instruments, certificate_snapshot, exchange_snapshot, skew_snapshot};
use super::ports::{Authority, Behind, Clock, Counts, Device, Ledger, OpenRefusal, Registry, StoreHealth};
use super::progress::Progress;
use super::show_lists::lists_snapshot;
use crate::fiscal::KraDateTime;
use crate::queue::drain::Denied;
use crate::queue::{Probed, Status};
use crate::status::{
    ClockSnapshot, DeniedSale, DeviceSnapshot, ItemsSnapshot, KraSnapshot, LastSigned, QueueSnapshot,
    RefusedItem, RefusedSale, Snapshot, StoreSnapshot,
};

/// An answer of KRA older than this is not taken for its presence.
const FRESH: Duration = Duration::from_secs(30);
/// How long health waits for KRA.
const PATIENCE: Duration = Duration::from_secs(2);

/// Refused sales that a snapshot shows one by one.
const MOST_REFUSED: usize = 20;

/// What of the configuration shows in a snapshot.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `kra.environment`.
    pub environment: String,
    /// `kra.wire`.
    pub wire: String,
    /// `sales.offline_warn`.
    pub offline_warn: Duration,
    /// `sales.offline_limit`.
    pub offline_limit: Option<Duration>,
    /// `storage.max_documents`.
    pub max_documents: u64,
}

/// Watches over everything.
#[derive(Debug)]
pub struct Watch<L, A, C> {
    /// The log, the device and the disk.
    pub ledger: Arc<L>,
    /// The items.
    pub catalogue: Arc<Catalogue>,
    /// KRA.
    pub authority: Arc<A>,
    /// The time.
    pub clock: Arc<C>,
    /// The drain.
    pub progress: Arc<Progress>,
    /// What counts and measures.
    pub instruments: Instruments,
    /// From the configuration.
    pub shown: Live<Shown>,
}

impl<L: Ledger + Registry + StoreHealth, A: Authority, C: Clock> Watch<L, A, C> {
    /// Everything as it stands now. KRA is not asked.
    pub fn snapshot(&self) -> Snapshot {
        let sight = self.progress.sight();
        let shown = self.shown.now();
        let counts = self.ledger.counts();
        let store = self.ledger.store_facts();
        let contact =
            sight.last_contact_ms.and_then(|millis| KraDateTime::from_unix(millis.div_euclid(1000)));
        let oldest = self.ledger.oldest_beside(&sight.aside);
        let seen = self.instruments.lookout.now();
        let wall = Duration::from_millis(u64::try_from(self.clock.wall_ms()).unwrap_or(0));
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: shown.environment.clone(),
            wire: shown.wire.clone(),
            device: device_snapshot(&self.ledger.device(), sight.held_device, sight.held.as_deref()),
            kra: KraSnapshot {
                up: sight.line_up && sight.last_contact_ms.is_some(),
                last_contact: contact.map(KraDateTime::rfc3339),
                last_exchange: seen.last.map(|last| exchange_snapshot(last, self.clock.moment())),
                certificates: seen
                    .certificate_until
                    .and_then(|until| certificate_snapshot(until, wall))
                    .into_iter()
                    .collect(),
                held: sight.held,
                series_stopped: sight.stopped,
            },
            queue: QueueSnapshot {
                waiting: counts.waiting,
                in_doubt: counts.in_doubt,
                parked: counts.parked,
                rejected: counts.rejected,
                refused: self.ledger.open_refusals().iter().take(MOST_REFUSED).map(refused_sale).collect(),
                accepted_no_proof: counts.accepted_no_proof,
                denied: sight.denied.into_iter().map(denied_sale).collect(),
                oldest_age_seconds: oldest.map_or(0, |age| age.as_secs()),
                takes_none: takes_none(&shown, counts, oldest).map(str::to_owned),
            },
            items: self.items(),
            last_signed: None,
            waiting_webhooks: self.progress.waiting_webhooks(),
            store: StoreSnapshot {
                dir: store.dir,
                last_record: store.last_record,
                journal_bytes: store.journal_bytes,
                free_bytes: store.free_bytes,
                min_free_bytes: store.min_free_bytes,
                ahead_bytes: store.ahead_bytes,
                needed_bytes: store.needed_bytes,
                disk: store.disk.word().to_owned(),
                reserve: store.reserve,
                works: store.works,
                damage: store.damage,
                remarks: store.remarks,
            },
            serial: self.instruments.ports.iter().map(|port| port.snapshot()).collect(),
            lists: lists_snapshot(&self.instruments.book.now(), self.clock.kra_now()),
            disk: None,
            clock: ClockSnapshot {
                synchronised: self.clock.kept(),
                unsynchronised_seconds: seen
                    .unkept_since
                    .map(|since| self.clock.moment().since(since).as_secs()),
                behind: self.clock.behind().map(|behind| behind_what(behind).to_owned()),
                kra: seen.result_dt.map(skew_snapshot),
                server: seen.date.map(skew_snapshot),
                fast_registers: self.progress.fast_registers(),
            },
            process: (self.instruments.process)(),
            public_key: data_encoding::BASE64.encode(&store.public_key),
            offline_warn_seconds: shown.offline_warn.as_secs(),
        }
    }

    fn items(&self) -> ItemsSnapshot {
        let ItemCounts { total, queued, aside } = self.catalogue.counts();
        let refused = self.catalogue.set_aside(MOST_NAMED).into_iter().map(|(kept, sale)| RefusedItem {
            item_cd: kept.item.code.clone(),
            standing: kept.standing.word().to_owned(),
            kra_message: kept.standing.words().unwrap_or_default().to_owned(),
            trd_invc_no: sale,
        });
        ItemsSnapshot { total, queued, aside, refused: refused.collect(), held: self.catalogue.refused() }
    }

    /// The same, after asking KRA where its last answer is not fresh.
    pub async fn fresh_snapshot(&self) -> Snapshot {
        let contact = self.progress.sight().contact_at;
        if contact.is_none_or(|at| at.elapsed() > FRESH) {
            let answered = self.ask_kra().await;
            let mut snapshot = self.snapshot();
            snapshot.kra.up = answered;
            return snapshot;
        }
        self.snapshot()
    }

    /// The snapshot with what has to be looked for in the log.
    pub async fn full_snapshot(&self) -> Snapshot {
        let mut snapshot = self.fresh_snapshot().await;
        snapshot.disk = Some(self.disk().await);
        if let Ok((sales, _)) = self.ledger.recent(None, Some(Status::Signed), 1).await {
            snapshot.last_signed = sales.first().map(|sale| LastSigned {
                trd_invc_no: sale.invoice.trader_ref.to_string(),
                invc_no: sale.invoice_no.unwrap_or_default(),
                sdc_date_time: sale
                    .proof
                    .as_ref()
                    .map(|proof| proof.issued_at.to_string())
                    .unwrap_or_default(),
            });
        }
        snapshot
    }

    async fn ask_kra(&self) -> bool {
        let device = self.ledger.device();
        let Some(identity) = device.identity() else { return false };
        let key = self.ledger.key();
        let probe = self.authority.probe(identity, key.as_ref());
        match tokio::time::timeout(PATIENCE, probe).await {
            Ok(Probed::Up | Probed::Refused(_)) => {
                self.progress.contact(self.clock.wall_ms());
                true
            }
            Ok(Probed::Down(_)) | Err(_) => false,
        }
    }
}

fn denied_sale(denied: Denied) -> DeniedSale {
    let Denied { document, number, stranger } = denied;
    DeniedSale { id: document, invc_no: number, stranger }
}

/// The word with which new sales are refused, where the queue itself is the reason.
fn takes_none(shown: &Shown, counts: Counts, oldest: Option<Duration>) -> Option<&'static str> {
    let open = counts.waiting + counts.parked + counts.rejected + counts.accepted_no_proof;
    if open >= shown.max_documents {
        return Some("queue_full");
    }
    let limit = shown.offline_limit?;
    oldest.is_some_and(|oldest| oldest > limit).then_some("offline_limit")
}

fn refused_sale(refusal: &OpenRefusal) -> RefusedSale {
    let accepted = KraDateTime::from_unix(refusal.accepted_ms.div_euclid(1000));
    RefusedSale {
        id: refusal.seq,
        trd_invc_no: refusal.trader_ref.to_string(),
        temp_receipt_no: refusal.temporary_receipt_no.clone(),
        accepted_at: accepted.map(KraDateTime::rfc3339).unwrap_or_default(),
        tot_amt: refusal.total.to_string(),
        credit_note: refusal.credit_note,
        result_cd: refusal.words.result_cd.clone(),
        field: refusal.words.field.clone(),
        kra_message: refusal.words.message.clone(),
    }
}

const fn behind_what(behind: Behind) -> &'static str {
    match behind {
        Behind::Build => "the making of this program",
        Behind::Record => "earlier records of the log",
    }
}

fn device_snapshot(device: &Device, held: bool, why: Option<&str>) -> DeviceSnapshot {
    let (status, reason) = match device {
        Device::Active(..) if held => ("held", why.map(str::to_owned)),
        Device::Active(..) => ("active", None),
        Device::Failed(_, words) => ("failed", Some(words.in_short())),
        Device::Held { words, .. } => ("held", Some(words.in_short())),
        Device::Pending { .. } => ("pending", Some("KRA has not registered it yet".to_owned())),
        Device::Unregistered => ("unregistered", None),
    };
    let identity = device.identity();
    let registration = device.registration();
    DeviceSnapshot {
        status: status.to_owned(),
        device_id: registration.map(|it| it.device_id.clone()),
        tin: identity.map(|it| it.tin.to_string()),
        bhf_id: identity.map(|it| it.bhf_id.to_string()),
        serial_number: identity.map(|it| it.serial.to_string()),
        sdc_id: registration.map(|it| it.scu_id.clone()),
        reason,
    }
}
