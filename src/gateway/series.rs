//! Both books of the series side by side, and how KRA's are taken over where it has stopped.

use tracing::warn;

use super::drain_queue::Drainer;
use super::operator::Order;
use super::ports::{About, Authority, Clock, Device, ItemLog, Ledger, LedgerError, Registry, Sale};
use crate::queue::adoption::{Adoption, Claim, Finding, Page, Step, Theirs, Tied};
use crate::queue::drain::{Drain, View};
use crate::queue::{Declined, FoundInvoice, LookedUp, SentAs, Seq, Words};

/// The series as both sides see it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesBooks {
    /// Why nothing of the series is sent any more, in words; `None`: it flows.
    pub stopped: Option<String>,
    /// The number that KRA itself said it expects, where it did.
    pub expected: Option<u64>,
    /// The number that our next document gets.
    pub next: u64,
    /// The last number that KRA accepted as far as we know, and its signature.
    pub last: Option<(u64, String)>,
    /// The document that is bound to a number and not decided.
    pub bound: Option<BoundDocument>,
    /// What KRA's books hold under our next number, looked up just now.
    pub kra_next: Theirs,
    /// What they hold under our last number; `None`: we have none.
    pub kra_last: Option<Theirs>,
    /// What to do, in words.
    pub advice: &'static str,
}

/// A document that is bound to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundDocument {
    /// Its running number.
    pub document: Seq,
    /// The register's own number.
    pub trader_ref: String,
    /// The number.
    pub number: u64,
    /// KRA may have it.
    pub in_doubt: bool,
}

impl<L: ItemLog + Ledger + Registry, A: Authority, C: Clock> Drainer<L, A, C> {
    /// Both books, KRA's looked up now.
    pub(super) async fn series_books(&self, drain: &Drain) -> Result<SeriesBooks, LedgerError> {
        let view = self.ledger.view(Vec::new()).await?;
        let bound = match view.head.and_then(|head| head.bound.map(|number| (head, number))) {
            Some((head, number)) => {
                let sale = self.ledger.unfinished(head.document).await?;
                let in_doubt = drain.unsent() != Some(head.document);
                let trader_ref = sale.invoice.trader_ref.to_string();
                Some(BoundDocument { document: head.document, trader_ref, number, in_doubt })
            }
            None => None,
        };
        let kra_next = theirs(&self.ask_books(drain, view.next_number).await);
        let kra_last = match &view.last {
            Some((number, _)) => Some(theirs(&self.ask_books(drain, *number).await)),
            None => None,
        };
        let stopped = drain.stopped();
        Ok(SeriesBooks {
            stopped: stopped.map(|stopped| stopped.why.clone()),
            expected: stopped.and_then(|stopped| stopped.expected),
            next: view.next_number,
            last: view.last,
            bound,
            advice: advice(stopped.is_some(), &kra_next, kra_last.as_ref()),
            kra_next,
            kra_last,
        })
    }

    /// Takes KRA's books over, number by number; each finding is on disk before the next is looked for.
    pub(super) async fn adopt_series(
        &self,
        drain: &mut Drain,
        order: &Order,
        named: Option<u64>,
    ) -> Result<Result<String, Declined>, LedgerError> {
        let acted = order.acted();
        let view = self.ledger.view(Vec::new()).await?;
        let tied = self.tied(drain, &view).await?;
        let last = view.last.clone();
        let mut adoption = match named {
            Some(next) => Adoption::named(next, last, tied, drain.no_look_up()),
            None => Adoption::walk(view.next_number, last, tied),
        };
        loop {
            match adoption.step() {
                Step::Read(number) => {
                    let looked_up = self.ask_books(drain, number).await;
                    let ours = self.ledger.signature_under(number).await?;
                    let claim = match &looked_up {
                        LookedUp::Found(found) => self.claim(number, found, tied).await?,
                        _ => None,
                    };
                    adoption.read(Page { theirs: theirs(&looked_up), ours, claim });
                }
                Step::Write(finding) => {
                    let bound = match &finding {
                        Finding::Ours { number, document, standing, .. }
                            if standing.invoice_no != Some(*number) =>
                        {
                            // What was sent under it is not known here: this is how this gateway would have sent it.
                            let sale = self.ledger.unfinished(*document).await?;
                            Some(self.freeze(&sale, *number).await?)
                        }
                        _ => None,
                    };
                    if !self.ledger.write_finding(&acted, &finding, bound).await? {
                        return Ok(Err(Declined::NotAllowed(
                            "a document changed meanwhile: look at the series again".to_owned(),
                        )));
                    }
                    warn!(name: "series_finding", ?finding, "found while adopting the series");
                }
                Step::Finish(outcome) => {
                    self.ledger.set_series(&acted, &outcome).await?;
                    let head = self.ledger.view(Vec::new()).await?.head;
                    let bound = head.and_then(|head| Some((head.document, head.bound?)));
                    drain.adopted(self.clock.moment(), named.is_some(), bound);
                    return Ok(Ok(format!(
                        "the series goes on with number {}: {} of others written down, {} of ours found, {} of ours missing at \
                         KRA",
                        outcome.next, outcome.strangers, outcome.adopted, outcome.missing
                    )));
                }
                Step::Refuse(why) => return Ok(Err(Declined::NotAllowed(why))),
            }
        }
    }

    async fn tied(&self, drain: &Drain, view: &View) -> Result<Option<Tied>, LedgerError> {
        let Some((head, number)) = view.head.and_then(|head| head.bound.map(|number| (head, number))) else {
            return Ok(None);
        };
        let Some(subject) = self.ledger.subject(head.document).await? else { return Ok(None) };
        let landed = drain.landed(self.clock.moment(), head.document);
        let mut standing = subject.standing;
        if drain.unsent() != Some(head.document) {
            standing.unsure_sends = standing.unsure_sends.max(1);
        }
        Ok(Some(Tied { document: head.document, standing, number, landed, accepted: head.accepted }))
    }

    /// The unfinished document of ours that KRA's invoice could be.
    async fn claim(
        &self,
        number: u64,
        found: &FoundInvoice,
        tied: Option<Tied>,
    ) -> Result<Option<Claim>, LedgerError> {
        let named = match &found.trader_ref {
            Some(trader_ref) => self.ledger.find(trader_ref).await?,
            None => None,
        };
        let named = named.filter(|sale| !sale.status.is_finished());
        let here = tied.filter(|tied| tied.number == number).map(|tied| tied.document);
        let (sale, sent_as) = match (named, here) {
            (Some(sale), here) if here != Some(sale.seq) => (sale, None),
            (_, Some(document)) => {
                let sent_as = self.ledger.bound(document).await?.sent_as;
                (self.ledger.unfinished(document).await?, Some(sent_as))
            }
            (_, None) => return Ok(None),
        };
        let sent_as = sent_as.unwrap_or_else(|| as_found(number, &sale, found));
        let equality = self.equal(&sale, &sent_as, found).await?;
        let trader_ref = sale.invoice.trader_ref.to_string();
        Ok(Some(Claim { document: sale.seq, trader_ref, standing: sale.seen(), equality }))
    }

    async fn ask_books(&self, drain: &Drain, number: u64) -> LookedUp {
        let (Device::Active(device, _), Some(key)) = (self.ledger.device(), self.ledger.key()) else {
            let message = "the device is not registered".to_owned();
            return LookedUp::Failed(Words { message, ..Words::default() });
        };
        let about = About { invoice_no: Some(number), ..About::default() };
        self.progress.begins(self.request(1));
        match self.authority.look_up(number, &device, &key, &about).await {
            // It is there, but not on each of KRA's servers.
            LookedUp::Missing(words) if drain.has_look_up() => LookedUp::Failed(words),
            looked_up => looked_up,
        }
    }
}

/// Its `trdInvcNo` is ours; when it was confirmed we cannot know.
fn as_found(number: u64, sale: &Sale, found: &FoundInvoice) -> SentAs {
    SentAs {
        invoice_no: number,
        original_invoice_no: 0,
        confirmed_at: found.confirmed_at.unwrap_or(sale.invoice.confirmed_at),
    }
}

fn theirs(looked_up: &LookedUp) -> Theirs {
    match looked_up {
        LookedUp::Absent => Theirs::Absent,
        LookedUp::Busy(busy) => Theirs::Failed(busy.words.clone()),
        LookedUp::Failed(words) | LookedUp::Refused(words) => Theirs::Failed(words.clone()),
        LookedUp::Found(found) => {
            Theirs::There { trader_ref: found.trader_ref.clone(), signature: found.signature.clone() }
        }
        LookedUp::Missing(_) => Theirs::Missing,
    }
}

fn advice(stopped: bool, next: &Theirs, last: Option<&Theirs>) -> &'static str {
    match (stopped, next, last) {
        (false, ..) => "the series flows: there is nothing to do",
        (_, Theirs::Failed(_), _) => "KRA's books cannot be read at this moment: look again later",
        (_, Theirs::Missing, _) => {
            "this KRA shows no invoices: settle the document in doubt, if one is, then `series adopt --next N --reason ...` \
             with the number that KRA expects"
        }
        (_, Theirs::There { .. }, _) => {
            "somebody else numbers in this series: find out which till or product it is and stop it, then `series adopt \
             --reason ...`"
        }
        (_, Theirs::Absent, Some(Theirs::Absent)) => {
            "KRA's books end before ours: ask KRA what became of our last invoices, then `series adopt --reason ...`"
        }
        (_, Theirs::Absent, _) => {
            "settle the document in doubt, if one is, with `queue settle`; else `series adopt --reason ...`"
        }
    }
}
