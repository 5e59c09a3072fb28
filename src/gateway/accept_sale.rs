//! A register posts a sale: from the request to the answer, top to bottom.

use std::sync::Arc;
use std::time::Duration;

use super::catalogue::Catalogue;
use super::code_book::CodeBook;
use super::credit_sale::credited_by;
use super::live::Live;
use super::ports::{
    Acceptance, Clock, Device, DiskLevel, Ledger, LedgerError, Place, Registry, Sale, StoreHealth,
};
use super::progress::Progress;
use crate::fiscal::{
    Draft, Fault, FaultCode, Invoice, ItemCodeGrammar, Original, Rates, Rules, SalesType, TaxConvention,
};
use crate::queue::Status;
use crate::status::Counters;

/// So often a credit note is worked out anew because another one on its sale was quicker: each time that one was taken.
const MOST_LOOKS: u32 = 1000;

/// How sales are taken: from the configuration.
#[derive(Clone, Debug)]
pub struct TakingRules {
    /// How prices and taxable amounts relate.
    pub convention: TaxConvention,
    /// How codes of items are built.
    pub item_code: ItemCodeGrammar,
    /// How long a register is kept waiting for KRA's signature.
    pub realtime_wait: Duration,
    /// How long a known number without its own time is a repeat.
    pub repeat_window: Duration,
    /// Age of the oldest unsent sale at which new ones are refused.
    pub offline_limit: Option<Duration>,
}

/// A sale that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// As it stands now.
    pub sale: Sale,
    /// It was known before this request.
    pub repeat: bool,
}

/// Why a sale was not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request is wrong: every fault of it.
    Faults(Vec<Fault>),
    /// The ledger could not take it.
    Ledger(LedgerError),
    /// Taxpayer and branch are unknown.
    NotRegistered,
    /// The oldest unsent sale is older than the limit.
    OfflineLimit(Duration),
    /// The number is taken: by a sale with other content, or by one too long ago to be this one.
    Reused {
        /// The content is the same.
        same_content: bool,
        /// The sale that has the number.
        known: Box<Sale>,
    },
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::CannotReplace(why) => {
                Self::Faults(vec![Fault::new("replaces", FaultCode::NotAllowed, why)])
            }
            other => Self::Ledger(other),
        }
    }
}

/// What a register posted, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// What could be read.
    pub draft: Draft,
    /// What could not, and why.
    pub faults: Vec<Fault>,
}

/// Takes sales.
#[derive(Debug)]
pub struct Taking<L, C> {
    /// How they are taken.
    pub rules: Live<TakingRules>,
    /// The codes and rates in force.
    pub book: CodeBook,
    /// Where they are kept.
    pub ledger: Arc<L>,
    /// The items, which fill in what lines do not say.
    pub catalogue: Arc<Catalogue>,
    /// The drain, to nudge and to wait for.
    pub progress: Arc<Progress>,
    /// The time.
    pub clock: Arc<C>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl<L: Ledger + Registry, C: Clock> Taking<L, C> {
    /// Takes a sale, and waits for KRA's word where that is likely to come in time. `origin`: the port or socket it came
    /// by; `wait`: the register's own wish instead of `realtime_wait`.
    ///
    /// # Errors
    /// Nothing was taken; see [`Refused`].
    pub async fn accept(
        &self,
        posted: Posted,
        origin: &str,
        wait: Option<Duration>,
    ) -> Result<Taken, Refused> {
        let began = tokio::time::Instant::now();
        let readable = posted.faults.is_empty();
        let trader_ref = posted.draft.valid_trader_ref();
        let own_time = posted.draft.confirmed_at.is_some();
        let content = sha256(&posted.draft.canonical_bytes());
        let repeat_window = self.rules.now().repeat_window;
        let repeat = |known: Sale| same_sale(known, content, own_time, repeat_window);

        let accepted = match posted.draft.named_original() {
            None => self.take_sale(posted, content, origin).await,
            Some(named) => self.take_note(&posted, &named, content, origin).await,
        };
        let sale = match accepted {
            Ok(Acceptance::New(sale)) => {
                self.counters.accepted_in(began.elapsed());
                if sale.invoice.replaces.is_some() {
                    // What waits with the one that it replaces may go on with it.
                    self.progress.notes_may_rejoin();
                }
                *sale
            }
            Ok(Acceptance::Known(known)) => return repeat(*known),
            // What is known is a repeat before it is anything else: rules, limits and the disk may have changed since.
            Err(refused) => {
                let Some(trader_ref) = trader_ref.filter(|_| readable) else { return Err(refused) };
                return match self.ledger.find(trader_ref.as_str()).await {
                    Ok(Some(known)) => repeat(known),
                    Ok(None) | Err(_) => Err(refused),
                };
            }
        };
        self.nudge_and_wait(sale, wait).await
    }

    async fn take_sale(
        &self,
        posted: Posted,
        content: [u8; 32],
        origin: &str,
    ) -> Result<Acceptance, Refused> {
        let invoice = self.check(posted, None)?;
        self.within_limit()?;
        Ok(self.ledger.accept(invoice, content, origin, None).await?)
    }

    /// A credit note is worked out against its sale as that was seen, and taken if it still is like that.
    async fn take_note(
        &self,
        posted: &Posted,
        named: &Original,
        content: [u8; 32],
        origin: &str,
    ) -> Result<Acceptance, Refused> {
        for _ in 0..MOST_LOOKS {
            let found = self.ledger.creditable(named).await?;
            // Its tax is what was sold: a rate may have changed since.
            let rates = found.as_ref().map(|found| found.sale.invoice.by_tax_type.map(|part| part.rate));
            let mut note = self.check(posted.clone(), rates.map(Rates))?;
            let credit = credited_by(&mut note, named, found.as_ref())?;
            self.within_limit()?;
            match self.ledger.accept(note, content, origin, credit.as_ref()).await {
                // Another note on the same sale was quicker, or KRA answered about that.
                Err(LedgerError::OriginalChanged) => {}
                accepted => return Ok(accepted?),
            }
        }
        Err(Refused::Ledger(LedgerError::OriginalChanged))
    }

    /// Calls the drain, and waits for it where nothing else is in its way.
    async fn nudge_and_wait(&self, sale: Sale, wait: Option<Duration>) -> Result<Taken, Refused> {
        if sale.invoice.sales_type != SalesType::Normal {
            return Ok(Taken { sale, repeat: false });
        }
        let news = self.ledger.news_of(sale.seq);
        let place = self.ledger.place(sale.seq, &self.progress.aside());
        // A drain that cannot send looks at the queue by itself once it can; waking it for each sale only costs time.
        let flows = self.progress.flows();
        if flows {
            self.progress.nudge();
        }
        let patience = wait.unwrap_or_else(|| self.rules.now().realtime_wait);
        let active = matches!(self.ledger.device(), Device::Active(..));
        // No wait behind others, nor while KRA is away; one that is gone already was sent quicker than we looked.
        let hopeless = place == Place::Behind || (place == Place::First && (!flows || !active));
        if hopeless || patience.is_zero() {
            return Ok(Taken { sale, repeat: false });
        }
        if place == Place::First {
            tokio::select! {
                () = news => {}
                () = self.progress.stalled() => {}
                () = self.progress.closing() => {}
                () = tokio::time::sleep(patience) => {}
            }
        }
        // It is on disk whatever this look brings.
        let known = self.ledger.find(sale.invoice.trader_ref.as_str()).await;
        Ok(Taken { sale: known.ok().flatten().unwrap_or(sale), repeat: false })
    }

    /// The present state of a sale; with `wait`, once it is no longer pending or the time is over.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show(&self, trader_ref: &str, wait: Duration) -> Result<Option<Sale>, LedgerError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let Some(sale) = self.ledger.find(trader_ref).await? else { return Ok(None) };
            if sale.status != Status::Pending || wait.is_zero() {
                return Ok(Some(sale));
            }
            let news = self.ledger.news_of(sale.seq);
            // It may have become final between the look and the asking.
            let Some(sale) = self.ledger.find(trader_ref).await? else { return Ok(None) };
            if sale.status != Status::Pending {
                return Ok(Some(sale));
            }
            tokio::select! {
                () = news => {}
                // Nobody is kept waiting over a stop: the state as it is now.
                () = self.progress.closing() => return Ok(Some(sale)),
                () = tokio::time::sleep_until(deadline) => return Ok(Some(sale)),
            }
        }
    }

    /// What a posted sale has come to as far as the disk knows, for one whose acceptance takes longer than its register can
    /// wait: the same sale as it stands, or that another has its number. `None`: nothing yet.
    pub async fn so_far(&self, posted: &Posted) -> Option<Result<Sale, Refused>> {
        let trader_ref = posted.draft.valid_trader_ref().filter(|_| posted.faults.is_empty())?;
        let known = self.ledger.find(trader_ref.as_str()).await.ok()??;
        let content = sha256(&posted.draft.canonical_bytes());
        let own_time = posted.draft.confirmed_at.is_some();
        Some(same_sale(known, content, own_time, self.rules.now().repeat_window).map(|taken| taken.sale))
    }

    /// Everything that can be wrong with it by itself. `rates`: those that hold for it, if not the present ones.
    fn check(&self, mut posted: Posted, rates: Option<Rates>) -> Result<Invoice, Refused> {
        // Sales are taken as soon as it is known whose they are; KRA need not have answered.
        let known = self.ledger.device();
        let device = known.identity().ok_or(Refused::NotRegistered)?;
        let (taking, book) = (self.rules.now(), self.book.now());
        let rules = Rules {
            device,
            convention: taking.convention,
            rates: rates.unwrap_or(book.rates),
            codes: &book.codes,
            now: self.clock.kra_now(),
            clock_synchronised: self.clock.synchronised(),
        };
        self.catalogue.fill_in(&mut posted.draft);
        Invoice::after_reading(posted.draft, posted.faults, &rules).map_err(Refused::Faults)
    }

    fn within_limit(&self) -> Result<(), Refused> {
        self.offline_too_long().map_or(Ok(()), |oldest| Err(Refused::OfflineLimit(oldest)))
    }

    /// The age of the oldest unsent sale, where that is over the limit.
    fn offline_too_long(&self) -> Option<Duration> {
        let limit = self.rules.now().offline_limit?;
        // Parked ones are not pending, and those that wait for another say nothing about the line.
        self.ledger.oldest_beside(&self.progress.sight().aside).filter(|oldest| *oldest > limit)
    }
}

impl<L: Ledger + Registry + StoreHealth, C: Clock> Taking<L, C> {
    /// Whether a new sale would be taken at this moment, if there is nothing wrong with it.
    pub fn takes_sales(&self) -> bool {
        let store = self.ledger.store_facts();
        let room = store.works && !store.full && store.disk != DiskLevel::Low;
        room && self.ledger.device().identity().is_some() && self.offline_too_long().is_none()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn same_sale(known: Sale, content: [u8; 32], own_time: bool, window: Duration) -> Result<Taken, Refused> {
    let same_content = known.content == content;
    // Without a time of its own, yesterday's 65 shillings and today's look the same.
    if same_content && (own_time || known.age <= window) {
        return Ok(Taken { sale: known, repeat: true });
    }
    Err(Refused::Reused { same_content, known: Box::new(known) })
}
