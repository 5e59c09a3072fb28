//! KRA as the rest sees it: what is asked, over which connection, and what came of it in one word.

use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::Mutex;

use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime};
use crate::gateway::ports::{About, Authority, Initialised};
use crate::queue::{LookedUp, Probed, Sent, Step, Unreachable, Verdict};
use crate::wire::result_code::{Answer, classify};
use crate::wire::{Format, FrozenRequest, Function, initialise, invoice_details, probe};

use super::call::Call;
use super::caller::{Asked, Began, Caller, Seen, answer, lost};
use super::connection::{Connection, NoAnswer};
use super::exchange::Observer;
use super::settings::{Settings, SettingsFault};

/// A connection that was idle longer is not used again: servers and routers on the way forget such ones without a word,
/// and a sale sent into one would be in doubt.
const REUSE_WITHIN: Duration = Duration::from_secs(10);
/// The longest that a probe takes for its connection, and again for its answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far back a probe asks for notices.
const NOTICES_SINCE: i64 = 24 * 3600;

/// KRA. Keeps one connection for saving requests; everything else has a fresh one.
pub struct Client {
    pub(super) caller: Caller,
    saving: Mutex<Option<Kept>>,
}

/// The connection for saving requests, between two of them.
struct Kept {
    connection: Connection,
    used_at: Instant,
}

impl Client {
    /// A client that tells `observer` of every exchange. Opens nothing.
    ///
    /// # Errors
    /// The root certificates, or the host's name, cannot be used.
    pub fn new(settings: Settings, observer: Observer) -> Result<Self, SettingsFault> {
        Ok(Self { caller: Caller::new(settings, observer)?, saving: Mutex::new(None) })
    }

    /// Other time-outs, for every exchange that begins from now on.
    pub fn set_timeouts(&self, connect: Duration, request: Duration) {
        self.caller.limits.replace((connect, request));
    }

    /// Asks for what is in KRA's books, on a connection of its own.
    async fn ask_books(&self, call: &Call<'_>, read: impl FnOnce(&Answer<'_>) -> LookedUp) -> LookedUp {
        let began = Began::now();
        match self.caller.ask(call, self.caller.limits()).await {
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
                self.caller.tell(call, began, Seen::answer(&received), outcome);
                looked_up
            }
            Err(asked) => {
                let words = asked.into_words();
                self.caller.tell(call, began, Seen::trouble(&words.message), "failed");
                LookedUp::Failed(words)
            }
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
        match self.caller.fresh(self.caller.limits().0).await {
            Ok(connection) => {
                *saving = Some(Kept { connection, used_at: Instant::now() });
                Ok(())
            }
            Err(unreachable) => {
                self.caller.tell_unreachable(began, &unreachable);
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
        let received = match self.caller.put(&mut kept.connection, &call, self.caller.limits().1).await {
            Ok(received) => received,
            Err(NoAnswer::NotSent(why)) => {
                self.caller.tell(&call, began, Seen::trouble(&why), "not_sent");
                return Sent::Not(Unreachable { at: Step::Lost, why });
            }
            Err(NoAnswer::InDoubt { why, http_status }) => {
                self.caller.tell(&call, began, Seen::trouble(&why), "in_doubt");
                return Sent::InDoubt(lost(why, http_status));
            }
        };
        let verdict = classify(&answer(&received));
        let word = match (&verdict, request.function) {
            // There is no proof to an item.
            (Verdict::AcceptedWithoutProof(_), Function::SaveItem) => "accepted",
            (verdict, _) => outcome(verdict),
        };
        self.caller.tell(&call, began, Seen::answer(&received), word);
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
        let question = invoice_details::encode(self.caller.settings.format, device, invoice_no);
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
        let question = invoice_details::encode_list(self.caller.settings.format, device, since);
        let about = About { invoice_no: Some(invoice_no), ..about.clone() };
        let call = Call::filled(&question, device, key, &about);
        self.ask_books(&call, |answer| invoice_details::read_list(invoice_no, answer)).await
    }

    async fn probe(&self, device: &DeviceIdentity, key: Option<&CmcKey>) -> Probed {
        let format = self.caller.settings.format;
        let function = probe::function(format);
        let (query, body) = match function {
            Function::SelectOsdcStatus => (Some(probe::status_query(device)), Bytes::new()),
            _ => (None, Bytes::from(notices(format, device, key))),
        };
        let call = Call { function, format, query, body, device, key, about: About::default() };
        let (connect, answered) = self.caller.limits();
        let began = Began::now();
        match self.caller.ask(&call, (connect.min(PROBE_TIMEOUT), answered.min(PROBE_TIMEOUT))).await {
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
                self.caller.tell(&call, began, Seen::answer(&received), outcome);
                probed
            }
            Err(asked) => {
                let trusted = !matches!(&asked, Asked::Unreachable(Unreachable { at: Step::Trust, .. }));
                let words = asked.into_words();
                let outcome = if trusted { "down" } else { "refused" };
                self.caller.tell(&call, began, Seen::trouble(&words.message), outcome);
                if trusted { Probed::Down(words) } else { Probed::Refused(words) }
            }
        }
    }

    async fn initialise(&self, device: &DeviceIdentity) -> Initialised {
        let format = self.caller.settings.format;
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
        match self.caller.ask(&call, self.caller.limits()).await {
            Ok(received) => {
                self.caller.tell(&call, began, Seen::answer(&received), "answered");
                Initialised::Answered { http_status: received.http_status, body: received.body.to_vec() }
            }
            Err(Asked::NoAnswer(words)) => {
                self.caller.tell(&call, began, Seen::trouble(&words.message), "in_doubt");
                Initialised::InDoubt(words.message)
            }
            Err(Asked::Unreachable(unreachable)) => {
                self.caller.tell(&call, began, Seen::trouble(&unreachable.why), "not_sent");
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
