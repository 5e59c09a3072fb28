//! The journal as a log of events: which records tell somebody something, and what.

use super::alert_body::{read_alert, write_alert};
use super::bodies::{self, InitStep, OutcomeRead, RegistrationRead};
use super::ledger::JournalLedger;
use super::reading::{Reader, age, body_failed, read_failed};
use super::sale_body::read_sale;
use super::{Cursor, Effect, Kind, ReadError, Record};
use crate::gateway::ports::{AlertLog, DeviceNews, Event, EventLog, EventPage, Happened, LedgerError, Sale};
use crate::queue::{Seq, Status};
use crate::status::{AlertChange, AlertKey};

/// The kinds among which events are found.
const KINDS: &[Kind] =
    &[Kind::Admin, Kind::Event, Kind::Foreign, Kind::Init, Kind::Outcome, Kind::Registration];

impl EventLog for JournalLedger {
    fn last_record(&self) -> Seq {
        self.store().head().0
    }

    fn first_record(&self) -> Seq {
        self.store().first_seq()
    }

    fn grown_beyond(&self, record: Seq) -> impl Future<Output = ()> + Send + 'static {
        let mut head = self.store().watch_head();
        async move {
            if head.wait_for(|(seq, _)| *seq > record).await.is_err() {
                // The store is closed: nothing comes any more.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn events(&self, after: Seq, most: usize) -> Result<EventPage, LedgerError> {
        self.reading(move |reader| reader.events(after, most)).await
    }
}

impl AlertLog for JournalLedger {
    async fn record_alert(&self, change: &AlertChange, standing: &[AlertKey]) -> Result<(), LedgerError> {
        let body = write_alert(change, standing);
        self.commit(vec![self.record_of(Kind::Event, Effect::Alerts, body)]).await.map(|_| ())
    }

    async fn standing_alerts(&self) -> Result<Vec<AlertKey>, LedgerError> {
        let Some(at) = self.store().latest(Kind::Event) else { return Ok(Vec::new()) };
        self.reading(move |reader| {
            let record = reader.record(at)?;
            let (_, standing) = read_alert(&record.body).map_err(|error| body_failed(record.seq, &error))?;
            Ok(standing)
        })
        .await
    }
}

impl Reader {
    pub(super) fn events(&self, after: Seq, most: usize) -> Result<EventPage, LedgerError> {
        let mut cursor = Cursor::after(after);
        let mut page = EventPage { read_to: after, ..EventPage::default() };
        let records = match self.store.read_on(&mut cursor, Some(KINDS), most) {
            Ok(records) => records,
            Err(ReadError::Damaged(damage)) => {
                tracing::warn!(
                    name: "events_lost",
                    %damage,
                    "events are lost to damage in the journal: run `etims-gateway verify`"
                );
                let more = self.store.skip_damage(&mut cursor).map_err(|error| read_failed(&error))?;
                page.read_to = if more { cursor.read_to() } else { self.store.head().0 };
                page.lost.push((after.saturating_add(1), page.read_to));
                return Ok(page);
            }
            Err(error) => return Err(read_failed(&error)),
        };
        page.read_to = cursor.read_to();
        for record in records {
            match self.happened(&record) {
                Ok(None) => {}
                Ok(Some(what)) => {
                    page.events.push(Event { id: record.seq, at_ms: record.stamp.wall_ms, what })
                }
                Err(error) => {
                    tracing::warn!(
                        name: "events_lost",
                        record = record.seq,
                        %error,
                        "an event is lost: its sale cannot be read"
                    );
                    page.lost.push((record.seq, record.seq));
                }
            }
        }
        Ok(page)
    }

    fn happened(&self, record: &Record) -> Result<Option<Happened>, LedgerError> {
        let unreadable = |error| body_failed(record.seq, &error);
        Ok(match (record.kind, &record.effect) {
            (_, Effect::Alerts) => {
                let (change, _) = read_alert(&record.body).map_err(unreadable)?;
                Some(Happened::Alert(Box::new(change)))
            }
            (_, Effect::Moved { status: Status::Pending, .. }) => None,
            (_, Effect::Moved { document, .. }) => {
                Some(Happened::Sale(Box::new(self.sale_then(*document, record)?)))
            }
            (Kind::Registration, _) => {
                let RegistrationRead { device, registration, .. } =
                    bodies::read_registration(&record.body).map_err(unreadable)?;
                Some(Happened::Device(Box::new(DeviceNews::Active(device, registration))))
            }
            (Kind::Init, _) => {
                let init = bodies::read_init(&record.body).map_err(unreadable)?;
                let news = match init.step {
                    InitStep::Awaited => Some(DeviceNews::Pending(init.device)),
                    InitStep::Refused(words) => Some(DeviceNews::Failed(init.device, words)),
                    // How the asking goes is in the journal; the device stands as before.
                    InitStep::Intended | InitStep::Lost(_) | InitStep::NotSent(_) => None,
                };
                news.map(|news| Happened::Device(Box::new(news)))
            }
            _ => None,
        })
    }

    /// The sale as the record `moved` left it, whatever has become of it since.
    fn sale_then(&self, document: Seq, moved: &Record) -> Result<Sale, LedgerError> {
        let gone = || LedgerError::Failed(format!("sale {document} is not kept any more"));
        let record = self.sale_record(document)?.ok_or_else(gone)?;
        let (Effect::Document { key, content, .. }, Some(signature)) = (&record.effect, record.signature)
        else {
            return Err(gone());
        };
        let Effect::Moved { status, attempts, unsure_sends, .. } = moved.effect else { return Err(gone()) };
        let now = self.store.find(key).map_err(|error| read_failed(&error))?;
        let outcome = match (moved.kind, now.as_ref().and_then(|entry| entry.outcome)) {
            (Kind::Outcome, _) => Some(moved.clone()),
            // A person's act: what KRA said before it.
            (_, Some(at)) => Some(self.record(at)?).filter(|outcome| outcome.seq < moved.seq),
            (_, None) => None,
        };
        let outcome = match outcome {
            None => None,
            Some(outcome) => {
                Some(bodies::read_outcome(&outcome.body).map_err(|error| body_failed(outcome.seq, &error))?)
            }
        };
        let words = outcome.as_ref().map(|outcome| outcome.words.clone());
        let OutcomeRead { proof, acted, .. } = outcome.unwrap_or_default();
        Ok(Sale {
            seq: document,
            origin: record.origin,
            hash: record.hash,
            signature,
            accepted_ms: record.stamp.wall_ms,
            age: age(&record.stamp, &moved.stamp),
            clock_doubtful: !record.stamp.synchronised,
            time_can_be_mended: false,
            content: *content,
            credits: now.as_ref().and_then(|entry| entry.credits),
            waits_for_sale: false,
            invoice: read_sale(&record.body).map_err(|error| body_failed(document, &error))?,
            status,
            invoice_no: moved.used.or_else(|| now?.bound.map(|bound| bound.number)),
            attempts,
            unsure_sends,
            proof,
            words,
            acted,
        })
    }
}
