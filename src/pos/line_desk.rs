//! A register on a serial line: the same calls and replies as over HTTP, one port's worth of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::console::in_words;
use super::desk::Desk;
use super::line_request::read;
use super::refusal::{Refusal, Unavailable};
use super::reply::{Hello, Reply};
use super::routes::Call;
use crate::gateway::ports::{Authority, Clock, EventLog, ItemLog, Ledger, Registry, StoreHealth};
use crate::serial::{Answer, Asked, Request};

/// Over what a register asked to wait, or is made to wait anyway: later it is told how things stand (1.8).
const PATIENCE: Duration = Duration::from_secs(10);
/// How long that look may take.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// When to ask again, in seconds.
const SOON: u64 = 2;

/// Answers the register on one port.
#[derive(Debug)]
pub struct LineDesk<L, A, C> {
    /// Answers everybody.
    pub desk: Arc<Desk<L, A, C>>,
    /// What the log says of where a sale came from.
    pub origin: String,
    /// Put before the register's own numbers, and taken off again.
    pub prefix: String,
}

impl<L: EventLog + ItemLog + Ledger + Registry + StoreHealth, A: Authority, C: Clock> LineDesk<L, A, C> {
    /// Whether a sale sent now would be taken.
    pub fn accepting(&self) -> bool {
        self.desk.taking.takes_sales()
    }

    /// One request.
    pub async fn answer(self: Arc<Self>, request: Request) -> Answer {
        if let Asked::Word(word) = request.asked {
            let body = in_words(&self.desk, word, &self.origin, &self.prefix).await;
            return Answer { status: 200, body: body.into_bytes() };
        }
        let reply = self.reply(request).await;
        Answer { status: reply.http_status(), body: reply.serial_body() }
    }

    async fn reply(self: Arc<Self>, request: Request) -> Reply {
        let stopping = request.stopping;
        if stopping && request.asked == Asked::Sale {
            return Refusal::Unavailable { why: Unavailable::Stopping, retry_after: SOON }.into();
        }
        let call = match read(request) {
            Ok(call) => call,
            Err(refusal) => return refusal.into(),
        };
        let asked_to_wait = match &call {
            Call::PostSale { .. } => self.desk.taking.rules.now().realtime_wait,
            Call::ShowSale { wait, .. } => *wait,
            _ => Duration::ZERO,
        };
        let posted = match &call {
            Call::PostSale { body, .. } => Some(body.clone()),
            _ => None,
        };
        let working = Arc::clone(&self);
        // In a task of its own: a sale that takes too long is taken all the same.
        let work =
            tokio::spawn(async move { working.desk.reply(call, &working.origin, &working.prefix).await });
        match timeout(asked_to_wait + PATIENCE, work).await {
            // As ENQ is answered, and as a sale would be.
            Ok(Ok(Reply::Hello(hello))) if stopping => Reply::Hello(Hello { accepting: false, ..hello }),
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Refusal::Internal.into(),
            Err(_) => self.as_it_stands(posted.as_deref()).await,
        }
    }

    /// The present state of a posted sale, if it is on the disk; otherwise "not now".
    async fn as_it_stands(&self, posted: Option<&[u8]>) -> Reply {
        let busy = Refusal::Unavailable { why: Unavailable::Busy, retry_after: SOON }.into();
        let Some(body) = posted else { return busy };
        let look = timeout(LAST_LOOK, self.desk.so_far(body, &self.origin, &self.prefix)).await;
        look.ok().flatten().unwrap_or(busy)
    }
}
