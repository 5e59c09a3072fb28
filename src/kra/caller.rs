//! One call to KRA: put on a connection, within its time-outs, told to the observer, and the honest answer to "did the
//! request leave us?".

use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::fiscal::KraDateTime;
use crate::gateway::Live;
use crate::queue::{Step, Unreachable, Words};
use crate::wire::redact::Bodies;
use crate::wire::result_code::Answer;
use crate::wire::{Envelope, tree::Tree};

use super::call::{Call, without_key};
use super::connection::{Connection, NoAnswer, Received};
use super::dial::Route;
use super::exchange::{Exchange, Observer};
use super::retry_after;
use super::settings::{Settings, SettingsFault};
use super::tls::Tls;

/// The way to KRA, and who is told of what goes over it.
pub(super) struct Caller {
    route: Route,
    pub(super) settings: Settings,
    /// How long a connection, and a whole exchange, may take.
    pub(super) limits: Live<(Duration, Duration)>,
    observer: Observer,
}

impl Caller {
    pub(super) fn new(settings: Settings, observer: Observer) -> Result<Self, SettingsFault> {
        let tls = if settings.base_url.is_tls() {
            let host = settings.base_url.host().to_owned();
            let name = ServerName::try_from(host.clone()).map_err(|_| SettingsFault::Host(host))?;
            Some(Tls::new(name, settings.ca_certificates.as_deref())?)
        } else {
            None
        };
        let route = Route { base_url: settings.base_url.clone(), proxy: settings.proxy.clone(), tls };
        let limits = Live::new((settings.connect_timeout, settings.request_timeout));
        Ok(Self { route, settings, limits, observer })
    }

    /// A fresh connection, nothing sent on it.
    pub(super) async fn fresh(&self, within: Duration) -> Result<Connection, Unreachable> {
        let stream = self.route.dial(within).await?;
        Connection::over(stream).await.map_err(|why| Unreachable { at: Step::Connect, why })
    }

    /// Puts a call on the line and reads its answer, within this time.
    pub(super) async fn put(
        &self,
        connection: &mut Connection,
        call: &Call<'_>,
        within: Duration,
    ) -> Result<Received, NoAnswer> {
        let exchange = connection.exchange(call.request(&self.settings));
        let mut received = timeout(within, exchange).await.unwrap_or_else(|_| {
            let why = format!("no whole answer within {} s", within.as_secs());
            Err(NoAnswer::InDoubt { why, http_status: None })
        })?;
        if let Some(key) = call.key {
            received.body = without_key(received.body, key);
        }
        Ok(received)
    }

    /// A call on a connection of its own.
    pub(super) async fn ask(&self, call: &Call<'_>, limits: (Duration, Duration)) -> Result<Received, Asked> {
        let (connect, answer) = limits;
        let mut connection = self.fresh(connect).await.map_err(Asked::Unreachable)?;
        self.put(&mut connection, call, answer).await.map_err(|failed| match failed {
            NoAnswer::NotSent(why) => Asked::Unreachable(Unreachable { at: Step::Lost, why }),
            NoAnswer::InDoubt { why, http_status } => Asked::NoAnswer(lost(why, http_status)),
        })
    }

    pub(super) fn limits(&self) -> (Duration, Duration) {
        *self.limits.now()
    }

    pub(super) fn tell(&self, call: &Call<'_>, began: Began, seen: Seen<'_>, outcome: &'static str) {
        self.tell_of(&self.exchange(call, began, seen, outcome));
    }

    pub(super) fn tell_of(&self, exchange: &Exchange) {
        (self.observer)(exchange);
    }

    /// An exchange, as far as what was seen of it says.
    pub(super) fn exchange(
        &self,
        call: &Call<'_>,
        began: Began,
        seen: Seen<'_>,
        outcome: &'static str,
    ) -> Exchange {
        let received = seen.received;
        let body = received.map(|received| received.body.as_ref());
        let (result_cd, result_dt) = body.map(spoken).unwrap_or_default();
        Exchange {
            function: Some(call.function),
            trader_ref: call.about.trader_ref.clone(),
            document: call.about.document,
            invoice_no: call.about.invoice_no,
            attempt: call.about.attempt,
            started_at: began.wall,
            took: began.at.elapsed(),
            sent_bytes: call.body.len(),
            received_bytes: body.map_or(0, <[u8]>::len),
            http_status: received.map(|received| received.http_status),
            result_cd,
            outcome,
            trouble: seen.trouble.map(str::to_owned),
            date: received.and_then(Received::date).map(jiff::Timestamp::as_second),
            result_dt,
            certificate_until: self.route.tls.as_ref().and_then(Tls::certificate_until),
            bodies: call.bodies(body),
        }
    }

    /// A connection that did not come about.
    pub(super) fn tell_unreachable(&self, began: Began, unreachable: &Unreachable) {
        (self.observer)(&Exchange {
            function: None,
            trader_ref: None,
            document: None,
            invoice_no: None,
            attempt: None,
            started_at: began.wall,
            took: began.at.elapsed(),
            sent_bytes: 0,
            received_bytes: 0,
            http_status: None,
            result_cd: None,
            outcome: "unreachable",
            trouble: Some(unreachable.why.clone()),
            date: None,
            result_dt: None,
            certificate_until: None,
            bodies: Bodies::default(),
        });
    }
}

/// When an exchange began.
#[derive(Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    wall: SystemTime,
}

impl Began {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }
}

/// What came of an exchange, for the observer.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    received: Option<&'a Received>,
    trouble: Option<&'a str>,
}

impl<'a> Seen<'a> {
    pub(super) const fn answer(received: &'a Received) -> Self {
        Self { received: Some(received), trouble: None }
    }

    pub(super) const fn trouble(why: &'a str) -> Self {
        Self { received: None, trouble: Some(why) }
    }
}

/// Why a call on its own connection has no answer.
pub(super) enum Asked {
    NoAnswer(Words),
    Unreachable(Unreachable),
}

impl Asked {
    pub(super) fn into_words(self) -> Words {
        match self {
            Self::NoAnswer(words) => words,
            Self::Unreachable(unreachable) => Words { message: unreachable.why, ..Words::default() },
        }
    }
}

pub(super) fn answer(received: &Received) -> Answer<'_> {
    let retry_after = received.retry_after.as_deref();
    Answer {
        http_status: received.http_status,
        retry_after: retry_after.and_then(|text| {
            // A date is told by KRA's clock: ours may be wrong.
            retry_after::read(text, received.date().unwrap_or_else(jiff::Timestamp::now))
        }),
        content_type: received.content_type.as_deref(),
        body: &received.body,
    }
}

pub(super) fn lost(why: String, http_status: Option<u16>) -> Words {
    Words { message: why, http_status, ..Words::default() }
}

/// `resultCd` and `resultDt`, where they can be read.
fn spoken(body: &[u8]) -> (Option<String>, Option<i64>) {
    let Ok(tree) = Tree::read(body) else { return (None, None) };
    let Some(envelope) = Envelope::open(&tree) else { return (None, None) };
    (envelope.result_cd, envelope.answered_at.map(KraDateTime::unix))
}

impl Received {
    /// When it was answered, by the server's clock.
    fn date(&self) -> Option<jiff::Timestamp> {
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(self.date.as_ref()?).ok()
    }
}
