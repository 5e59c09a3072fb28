//! KRA over HTTP: one call, its time-outs, and the honest answer to "did the request leave us?".

use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime};
use crate::gateway::Live;
use crate::gateway::ports::{About, Authority, Initialised};
use crate::queue::{LookedUp, Probed, Sent, Step, Unreachable, Verdict, Words};
use crate::wire::redact::Bodies;
use crate::wire::result_code::{Answer, classify};
use crate::wire::{
    Envelope, Format, FrozenRequest, Function, initialise, invoice_details, probe, tree::Tree,
};

use super::call::{Call, without_key};
use super::connection::{Connection, NoAnswer, Received};
use super::dial::Route;
use super::exchange::{Exchange, Observer};
use super::retry_after;
use super::settings::{Settings, SettingsFault};
use super::tls::Tls;

/// A connection that was idle longer is not used again: servers and routers on the way forget such ones without a word,
/// and a sale sent into one would be in doubt.
const REUSE_WITHIN: Duration = Duration::from_secs(10);
/// The longest that a probe takes for its connection, and again for its answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far back a probe asks for notices.
const NOTICES_SINCE: i64 = 24 * 3600;

/// KRA. Keeps one connection for saving requests; everything else has a fresh one.
pub struct Client {
    route: Route,
    settings: Settings,
    /// How long a connection, and a whole exchange, may take.
    limits: Live<(Duration, Duration)>,
    saving: Mutex<Option<Kept>>,
    observer: Observer,
}

/// The connection for saving requests, between two of them.
struct Kept {
    connection: Connection,
    used_at: Instant,
}

impl Client {
    /// Asks for what is in KRA's books, on a connection of its own.
    async fn ask_books(&self, call: &Call<'_>, read: impl FnOnce(&Answer<'_>) -> LookedUp) -> LookedUp {
        let began = Began::now();
        match self.ask(call, self.limits()).await {
            Ok(received) => {
                let looked_up = read(&answer(&received));
                let outcome = match looked_up {
                    LookedUp::Absent => "absent",
                    LookedUp::Busy(_) => "busy",
                    LookedUp::Refused(_) => "refused",
                    LookedUp::Failed(_) => "failed",
                    LookedUp::Found(_) => "found",
                    LookedUp::Missing(_) => "missing",
                };
                self.tell(call, began, Seen::answer(&received), outcome);
                looked_up
            }
            Err(asked) => {
                let words = asked.into_words();
                self.tell(call, began, Seen::trouble(&words.message), "failed");
                LookedUp::Failed(words)
            }
        }
    }

    /// A client that tells `observer` of every exchange. Opens nothing.
    ///
    /// # Errors
    /// The root certificates, or the host's name, cannot be used.
    pub fn new(settings: Settings, observer: Observer) -> Result<Self, SettingsFault> {
        let tls = if settings.base_url.is_tls() {
            let host = settings.base_url.host().to_owned();
            let name = ServerName::try_from(host.clone()).map_err(|_| SettingsFault::Host(host))?;
            Some(Tls::new(name, settings.ca_certificates.as_deref())?)
        } else {
            None
        };
        let route = Route { base_url: settings.base_url.clone(), proxy: settings.proxy.clone(), tls };
        let limits = Live::new((settings.connect_timeout, settings.request_timeout));
        Ok(Self { route, settings, limits, saving: Mutex::new(None), observer })
    }

    /// Other time-outs, for every exchange that begins from now on.
    pub fn set_timeouts(&self, connect: Duration, request: Duration) {
        self.limits.replace((connect, request));
    }

    /// A fresh connection, nothing sent on it.
    async fn fresh(&self, within: Duration) -> Result<Connection, Unreachable> {
        let stream = self.route.dial(within).await?;
        Connection::over(stream).await.map_err(|why| Unreachable { at: Step::Connect, why })
    }

    /// Puts a call on the line and reads its answer, within this time.
    async fn put(
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
    async fn ask(&self, call: &Call<'_>, limits: (Duration, Duration)) -> Result<Received, Asked> {
        let (connect, answer) = limits;
        let mut connection = self.fresh(connect).await.map_err(Asked::Unreachable)?;
        self.put(&mut connection, call, answer).await.map_err(|failed| match failed {
            NoAnswer::NotSent(why) => Asked::Unreachable(Unreachable { at: Step::Lost, why }),
            NoAnswer::InDoubt { why, http_status } => Asked::NoAnswer(lost(why, http_status)),
        })
    }

    fn limits(&self) -> (Duration, Duration) {
        *self.limits.now()
    }

    fn tell(&self, call: &Call<'_>, began: Began, seen: Seen<'_>, outcome: &'static str) {
        let received = seen.received;
        let body = received.map(|received| received.body.as_ref());
        let (result_cd, result_dt) = body.map(spoken).unwrap_or_default();
        (self.observer)(&Exchange {
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
        });
    }
}

/// When an exchange began.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    wall: SystemTime,
}

impl Began {
    fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }
}

/// What came of an exchange, for the observer.
#[derive(Clone, Copy, Default)]
struct Seen<'a> {
    received: Option<&'a Received>,
    trouble: Option<&'a str>,
}

impl<'a> Seen<'a> {
    const fn answer(received: &'a Received) -> Self {
        Self { received: Some(received), trouble: None }
    }

    const fn trouble(why: &'a str) -> Self {
        Self { received: None, trouble: Some(why) }
    }
}

/// Why a call on its own connection has no answer.
enum Asked {
    NoAnswer(Words),
    Unreachable(Unreachable),
}

impl Asked {
    fn into_words(self) -> Words {
        match self {
            Self::NoAnswer(words) => words,
            Self::Unreachable(unreachable) => Words { message: unreachable.why, ..Words::default() },
        }
    }
}

impl Authority for Client {
    async fn connect(&self) -> Result<(), Unreachable> {
        let mut saving = self.saving.lock().await;
        if let Some(mut kept) = saving.take()
            && kept.used_at.elapsed() < REUSE_WITHIN
            && kept.connection.stands().await
        {
            *saving = Some(kept);
            return Ok(());
        }
        let began = Began::now();
        match self.fresh(self.limits().0).await {
            Ok(connection) => {
                *saving = Some(Kept { connection, used_at: Instant::now() });
                Ok(())
            }
            Err(unreachable) => {
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
                Err(unreachable)
            }
        }
    }

    async fn stands(&self) -> bool {
        let mut saving = self.saving.lock().await;
        match saving.as_mut() {
            Some(kept) => kept.used_at.elapsed() < REUSE_WITHIN && kept.connection.stands().await,
            None => false,
        }
    }

    async fn save(
        &self,
        request: &FrozenRequest,
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> Sent {
        let call = Call::filled(request, device, key, about);
        let mut saving = self.saving.lock().await;
        // Taken out: whatever ends this early, also the caller's going away, closes the connection.
        let Some(mut kept) = saving.take() else {
            let why = "no connection stands".to_owned();
            return Sent::Not(Unreachable { at: Step::Lost, why });
        };
        let began = Began::now();
        let received = match self.put(&mut kept.connection, &call, self.limits().1).await {
            Ok(received) => received,
            Err(NoAnswer::NotSent(why)) => {
                self.tell(&call, began, Seen::trouble(&why), "not_sent");
                return Sent::Not(Unreachable { at: Step::Lost, why });
            }
            Err(NoAnswer::InDoubt { why, http_status }) => {
                self.tell(&call, began, Seen::trouble(&why), "in_doubt");
                return Sent::InDoubt(lost(why, http_status));
            }
        };
        let verdict = classify(&answer(&received));
        self.tell(&call, began, Seen::answer(&received), outcome(&verdict));
        if !matches!(verdict, Verdict::Unsure(_) | Verdict::UnsureConfig(_)) {
            kept.used_at = Instant::now();
            *saving = Some(kept);
        }
        Sent::Answered(verdict)
    }

    async fn look_up(
        &self,
        invoice_no: u64,
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> LookedUp {
        let question = invoice_details::encode(self.settings.format, device, invoice_no);
        let about = About { invoice_no: Some(invoice_no), ..about.clone() };
        let call = Call::filled(&question, device, key, &about);
        self.ask_books(&call, |answer| invoice_details::read(invoice_no, answer)).await
    }

    async fn look_up_in_list(
        &self,
        (invoice_no, since): (u64, KraDateTime),
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> LookedUp {
        let question = invoice_details::encode_list(self.settings.format, device, since);
        let about = About { invoice_no: Some(invoice_no), ..about.clone() };
        let call = Call::filled(&question, device, key, &about);
        self.ask_books(&call, |answer| invoice_details::read_list(invoice_no, answer)).await
    }

    async fn probe(&self, device: &DeviceIdentity, key: Option<&CmcKey>) -> Probed {
        let format = self.settings.format;
        let function = probe::function(format);
        let (query, body) = match function {
            Function::SelectOsdcStatus => (Some(probe::status_query(device)), Bytes::new()),
            _ => (None, Bytes::from(notices(format, device, key))),
        };
        let call = Call { function, format, query, body, device, key, about: About::default() };
        let (connect, answered) = self.limits();
        let began = Began::now();
        match self.ask(&call, (connect.min(PROBE_TIMEOUT), answered.min(PROBE_TIMEOUT))).await {
            Ok(received) => {
                let probed = match probe::read(&answer(&received)) {
                    // Without a key there is nothing to refuse yet: KRA's own code says that KRA is there.
                    Probed::Refused(words) if key.is_none() && words.result_cd.is_some() => Probed::Up,
                    probed => probed,
                };
                let outcome = match probed {
                    Probed::Down(_) => "down",
                    Probed::Refused(_) => "refused",
                    Probed::Up => "up",
                };
                self.tell(&call, began, Seen::answer(&received), outcome);
                probed
            }
            Err(asked) => {
                let trusted = !matches!(&asked, Asked::Unreachable(Unreachable { at: Step::Trust, .. }));
                let words = asked.into_words();
                let outcome = if trusted { "down" } else { "refused" };
                self.tell(&call, began, Seen::trouble(&words.message), outcome);
                if trusted { Probed::Down(words) } else { Probed::Refused(words) }
            }
        }
    }

    async fn initialise(&self, device: &DeviceIdentity) -> Initialised {
        let format = self.settings.format;
        let call = Call {
            function: Function::SelectInitOsdcInfo,
            format,
            query: None,
            body: Bytes::from(initialise::encode(format, device)),
            device,
            key: None,
            about: About::default(),
        };
        let began = Began::now();
        match self.ask(&call, self.limits()).await {
            Ok(received) => {
                self.tell(&call, began, Seen::answer(&received), "answered");
                Initialised::Answered { http_status: received.http_status, body: received.body.to_vec() }
            }
            Err(Asked::NoAnswer(words)) => {
                self.tell(&call, began, Seen::trouble(&words.message), "in_doubt");
                Initialised::InDoubt(words.message)
            }
            Err(Asked::Unreachable(unreachable)) => {
                self.tell(&call, began, Seen::trouble(&unreachable.why), "not_sent");
                Initialised::NotSent(unreachable)
            }
        }
    }
}

fn notices(format: Format, device: &DeviceIdentity, key: Option<&CmcKey>) -> Vec<u8> {
    let now = jiff::Timestamp::now().as_second();
    let since = KraDateTime::from_unix(now.saturating_sub(NOTICES_SINCE));
    // Only a clock outside the years that exist gives none.
    let since = since.or_else(|| KraDateTime::from_unix(0)).expect("1970 is a year that exists");
    let request = probe::notices(format, device, since);
    match key {
        Some(key) => request.fill(key),
        None => request.body,
    }
}

fn answer(received: &Received) -> Answer<'_> {
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

fn lost(why: String, http_status: Option<u16>) -> Words {
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

const fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::AcceptedWithoutProof(_) => "accepted_without_proof",
        Verdict::Busy { .. } => "busy",
        Verdict::Config(_) => "config",
        Verdict::Device(_) => "device",
        Verdict::Duplicate(_) => "duplicate",
        Verdict::Odd(_) => "odd",
        Verdict::OutOfSequence { .. } => "out_of_sequence",
        Verdict::Refused(_) => "refused",
        Verdict::Unsure(_) | Verdict::UnsureConfig(_) => "unsure",
        Verdict::Wait(_) => "wait",
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
