//! Where technicians hand their commands to the drain, and how it carries them out between its actions.

use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::drain_queue::Drainer;
use super::ports::{Acted, Authority, Clock, ItemLog, Ledger, LedgerError, Registry};
use super::series::SeriesBooks;
use crate::queue::drain::Drain;
use crate::queue::{Command, Declined};

/// How many commands may wait for their turn.
const WAITING: usize = 16;

/// The longest reason, bytes.
const REASON_MAX: usize = 1000;

/// Parked documents that are released in one commit.
const RELEASED_AT_ONCE: usize = 100;

/// A command, and who gave it why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is asked for.
    pub command: Command,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Who: as the administration socket knows the caller, e.g. `uid 1000`.
    pub who: String,
}

impl Order {
    /// As it is recorded.
    pub(super) fn acted(&self) -> Acted {
        let Self { command, reason, who } = self;
        Acted { act: command.word().to_owned(), reason: reason.clone(), who: who.clone() }
    }
}

/// Where technicians give their orders.
#[derive(Clone, Debug)]
pub struct Operator(mpsc::Sender<Asked>);

/// What they asked for: the drain's end.
#[derive(Debug)]
pub struct Orders {
    orders: mpsc::Receiver<Asked>,
    /// Came in while something else was under way.
    next: Option<Asked>,
}

/// What is asked for, and who waits for the answer.
#[derive(Debug)]
pub(super) enum Asked {
    Order(Order, oneshot::Sender<Result<String, Declined>>),
    Series(oneshot::Sender<Result<SeriesBooks, Declined>>),
}

impl Operator {
    /// The operator's counter, and what the drain reads.
    pub fn new() -> (Self, Orders) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Orders { orders: receiver, next: None })
    }

    /// Gives an order and waits until it is carried out and recorded: what was done, in words. It is carried out even if
    /// this future is dropped.
    ///
    /// # Errors
    /// Why it was declined; nothing was changed then.
    pub async fn ask(&self, order: Order) -> Result<String, Declined> {
        if order.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX) {
            return Err(Declined::NotAllowed(format!("the reason is longer than {REASON_MAX} bytes")));
        }
        if order.command.needs_reason() && order.reason.as_ref().is_none_or(|reason| reason.trim().is_empty())
        {
            return Err(Declined::NotAllowed("say why, with --reason: it is recorded".to_owned()));
        }
        let (told, answer) = oneshot::channel();
        self.0.send(Asked::Order(order, told)).await.map_err(|_| Declined::Stopping)?;
        answer.await.unwrap_or(Err(Declined::Stopping))
    }

    /// Both books of the series side by side, KRA's looked up now.
    ///
    /// # Errors
    /// The gateway is stopping, or its store failed.
    pub async fn series(&self) -> Result<SeriesBooks, Declined> {
        let (told, answer) = oneshot::channel();
        self.0.send(Asked::Series(told)).await.map_err(|_| Declined::Stopping)?;
        answer.await.unwrap_or(Err(Declined::Stopping))
    }
}

impl Orders {
    /// Resolves once an order is there. It stays there until it is [taken](Self::take).
    pub(super) async fn arrived(&mut self) {
        if self.next.is_some() {
            return;
        }
        match self.orders.recv().await {
            Some(asked) => self.next = Some(asked),
            // Nobody can ask any more.
            None => std::future::pending().await,
        }
    }

    /// The next order, if one is there.
    pub(super) fn take(&mut self) -> Option<Asked> {
        self.next.take().or_else(|| self.orders.try_recv().ok())
    }
}

impl<L: ItemLog + Ledger + Registry, A: Authority, C: Clock> Drainer<L, A, C> {
    /// Carries out one order and answers it.
    pub(super) async fn obey(&self, drain: &mut Drain, asked: Asked) -> Result<(), LedgerError> {
        let (order, told) = match asked {
            Asked::Order(order, told) => (order, told),
            Asked::Series(told) => {
                let books = self.series_books(drain).await?;
                // Whoever asked may have gone.
                let _ = told.send(Ok(books));
                return Ok(());
            }
        };
        let answer = match self.carry_out_order(drain, &order).await {
            Ok(answer) => answer,
            Err(LedgerError::Stopping) => Err(Declined::Stopping),
            Err(error @ (LedgerError::TooLarge | LedgerError::DiskLow | LedgerError::Full)) => {
                Err(Declined::NotRecorded(error.to_string()))
            }
            Err(error) => {
                let _ = told.send(Err(Declined::NotRecorded(error.to_string())));
                return Err(error);
            }
        };
        let said = answer.as_ref().map_or_else(ToString::to_string, Clone::clone);
        let (act, who) = (order.command.word(), order.who.as_str());
        let seq = order.command.document().map_or(0, |(document, _)| document);
        let reason = order.reason.as_deref().unwrap_or("");
        info!(
            name: "order_given",
            seq,
            act,
            who,
            reason,
            done = answer.is_ok(),
            said,
            "a person gave an order"
        );
        // Whoever asked may have gone.
        let _ = told.send(answer);
        Ok(())
    }

    async fn carry_out_order(
        &self,
        drain: &mut Drain,
        order: &Order,
    ) -> Result<Result<String, Declined>, LedgerError> {
        let command = &order.command;
        let now = self.clock.moment();
        let document = command.document().map(|(document, _)| document);
        let subject = match document {
            Some(document) => self.ledger.subject(document).await?,
            None => None,
        };
        let act = match drain.judge(now, command, subject.as_ref()) {
            Ok(act) => act,
            Err(declined) => return Ok(Err(declined)),
        };
        if let Command::AdoptSeries(named) = command {
            let adopted = self.adopt_series(drain, order, *named).await?;
            // Whatever came of it, documents may have been found in KRA's books.
            self.recall_without_proof(drain).await?;
            return Ok(adopted);
        }
        let moved = document.zip(subject.as_ref().map(|subject| subject.standing));
        let rulings: Vec<_> = moved
            .zip(act.ruling.as_ref())
            .map(|((document, standing), ruling)| (document, standing, ruling.clone()))
            .into_iter()
            .collect();
        let acted = match self.ledger.act(&order.acted(), moved, &rulings).await {
            Err(LedgerError::NotLeft(why)) => return Ok(Err(Declined::NotAllowed(why))),
            acted => acted?,
        };
        // Whatever became of a sale, its notes go with it.
        self.progress.notes_may_rejoin();
        if !acted {
            // Somebody was quicker: a correction was posted for it, perhaps.
            let changed = match document {
                Some(document) => self.ledger.subject(document).await?,
                None => None,
            };
            return Ok(Err(changed.map_or(Declined::Unknown, |subject| Declined::Changed(subject.standing))));
        }
        drain.obey(now, command, &act);
        if !matches!(command, Command::RetryAll) {
            return Ok(Ok(act.said.to_owned()));
        }
        let released = self.release_parked(order).await?;
        Ok(Ok(format!("{}; parked documents released: {released}", act.said)))
    }

    async fn release_parked(&self, order: &Order) -> Result<u64, LedgerError> {
        let mut released = 0;
        loop {
            let parked = self.ledger.parked(RELEASED_AT_ONCE).await?;
            let rulings: Vec<_> = parked
                .into_iter()
                .map(|(document, it)| (document, it.standing, Drain::release(it)))
                .collect();
            if rulings.is_empty() {
                return Ok(released);
            }
            if self.ledger.act(&order.acted(), None, &rulings).await? {
                released += u64::try_from(rulings.len()).unwrap_or(u64::MAX);
            }
        }
    }
}
