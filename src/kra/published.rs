//! KRA's lists: an answer of many megabytes goes piece by piece from its connection to a thread that reads it, and is never
//! in memory whole.

use std::io::{BufReader, Read, Result as IoResult};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::call::{Call, Masking};
use super::caller::{Began, Caller, Seen, answer, lost};
use super::client::Client;
use super::connection::{Connection, NoAnswer, Received};
use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime};
use crate::gateway::ports::{About, Publisher};
use crate::queue::Words;
use crate::wire::Function;
use crate::wire::lists::{self, Told};

/// KRA takes its time over item classes.
const CLASSES_TIMEOUT: Duration = Duration::from_secs(600);
/// Pieces between the connection and who reads it: the connection waits meanwhile.
const PIECES: usize = 4;

impl Publisher for Client {
    async fn published(
        &self,
        (function, since): (Function, KraDateTime),
        device: &DeviceIdentity,
        key: &CmcKey,
    ) -> Told {
        let question = lists::encode(function, self.caller.settings.format, device, since);
        let call = Call::filled(&question, device, key, &About::default());
        let (connect, answered) = self.caller.limits();
        let within = if lists::brings_classes(function) { answered.max(CLASSES_TIMEOUT) } else { answered };
        let began = Began::now();
        let mut connection = match self.caller.fresh(connect).await {
            Ok(connection) => connection,
            Err(unreachable) => {
                self.caller.tell_unreachable(began, &unreachable);
                return Told::Failed(Words { message: unreachable.why, ..Words::default() });
            }
        };
        let mut heard = Heard::default();
        let reading = self.caller.read_rows(&mut connection, &call, key, &mut heard);
        let told = timeout(within, reading)
            .await
            .unwrap_or_else(|_| Err(lost(format!("no whole answer within {} s", within.as_secs()), None)));
        let told = told.unwrap_or_else(Told::Failed);
        self.caller.tell_rows(&call, began, &heard, &told);
        told
    }
}

/// What came so far.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) head: Option<Received>,
    pub(super) bytes: usize,
}

impl Caller {
    async fn read_rows(
        &self,
        connection: &mut Connection,
        call: &Call<'_>,
        key: &CmcKey,
        heard: &mut Heard,
    ) -> Result<Told, Words> {
        let response = connection.begin(call.request(&self.settings)).await.map_err(no_answer)?;
        if !response.status().is_success() {
            let mut received = connection.whole(response).await.map_err(no_answer)?;
            received.body = super::call::without_key(received.body, key);
            heard.bytes = received.body.len();
            let told = lists::read_failure(&answer(&received));
            heard.head = Some(received);
            return Ok(told);
        }
        let (head, body) = response.into_parts();
        let http_status = head.status.as_u16();
        heard.head = Some(Received::head(&head));
        let now = KraDateTime::from_unix(jiff::Timestamp::now().as_second());
        let asked_at = now.or_else(|| KraDateTime::from_unix(0)).expect("1970 is a year that exists");
        let (pieces, rest) = channel(PIECES);
        let reader = BufReader::new(Pieces { rest, piece: Bytes::new() });
        let reading = tokio::task::spawn_blocking(move || lists::read(reader, http_status, asked_at));
        let poured = pour(connection, body, key, &pieces, &mut heard.bytes).await;
        drop(pieces);
        let told =
            reading.await.map_err(|error| lost(format!("reading the answer failed: {error}"), None))?;
        // What broke off may look whole.
        poured.map(|()| told).map_err(|why| lost(why, Some(http_status)))
    }

    fn tell_rows(&self, call: &Call<'_>, began: Began, heard: &Heard, told: &Told) {
        let (outcome, result_cd, at, why) = match told {
            Told::Busy(busy) => ("busy", busy.words.result_cd.clone(), None, None),
            Told::Failed(words) => ("failed", words.result_cd.clone(), None, Some(words)),
            Told::Missing(words) => ("missing", words.result_cd.clone(), None, None),
            Told::News(_, at) => ("news", Some("000".to_owned()), *at, None),
            Told::Nothing(at) => ("nothing_new", Some("001".to_owned()), *at, None),
            Told::Refused(words) => ("refused", words.result_cd.clone(), None, None),
        };
        let seen = match &heard.head {
            Some(received) => Seen::answer(received),
            None => Seen::trouble(""),
        };
        let mut exchange = self.exchange(call, began, seen, outcome);
        exchange.result_cd = result_cd;
        exchange.result_dt = at.map(KraDateTime::unix);
        exchange.received_bytes = heard.bytes;
        exchange.trouble = why.map(|words| words.message.clone());
        if heard.head.as_ref().is_some_and(|received| received.body.is_empty()) {
            exchange.bodies = exchange.bodies.too_long();
        }
        self.tell_of(&exchange);
    }
}

fn no_answer(failed: NoAnswer) -> Words {
    match failed {
        NoAnswer::NotSent(why) => lost(why, None),
        NoAnswer::InDoubt { why, http_status } => lost(why, http_status),
    }
}

/// Hands the body on piece by piece. Who reads it may stop before its end.
async fn pour(
    connection: &mut Connection,
    mut body: Incoming,
    key: &CmcKey,
    pieces: &Sender<Bytes>,
    bytes: &mut usize,
) -> Result<(), String> {
    let mut masking = Masking::of(key);
    while let Some(piece) = connection.piece(&mut body).await? {
        *bytes += piece.len();
        if pieces.send(masking.piece(&piece)).await.is_err() {
            return Ok(());
        }
    }
    let _ = pieces.send(masking.rest()).await;
    Ok(())
}

/// The pieces as one stream.
struct Pieces {
    rest: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        while self.piece.is_empty() {
            match self.rest.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(into.len());
        into[..taken].copy_from_slice(&self.piece[..taken]);
        self.piece = self.piece.slice(taken..);
        Ok(taken)
    }
}
