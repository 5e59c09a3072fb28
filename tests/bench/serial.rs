//! Serial lines against what the fastest usual one can carry: 115200 baud are 11,520 bytes a second. Printed are the factors
//! by which receiver and conversation are quicker than that; an absolute figure would say little on a shared machine.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::float_arithmetic, reason = "ratios of times are not money")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use etims_gateway::serial::{
    Answer, Answering, Frame, Heard, Link, LinkSettings, MAX_DATA, Protocol, Receiver, Request,
};
use etims_gateway::status::SerialPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

const LINE_RATE: f64 = 11_520.0;
const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;

fn frame(length: usize) -> Vec<u8> {
    let data = format!("{{\"remark\":\"{}\"}}", "x".repeat(length - 13));
    Frame { seq: 1, kind: b'S', data: data.into_bytes() }.encode().unwrap()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes a second that the receiver takes of this, over and over; each frame in it is heard.
fn receive(bytes: &[u8], frames: usize) -> f64 {
    let mut receiver = Receiver::new(115_200);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        let heard = bytes
            .iter()
            .filter(|byte| matches!(receiver.receive(**byte, began.elapsed()), Some(Heard::Frame(..))))
            .count();
        assert_eq!(heard, frames);
        count += bytes.len();
    }
    f64::from(u32::try_from(count).unwrap()) / began.elapsed().as_secs_f64()
}

/// Bytes a second of requests, each answered before the next one, over a stream in memory.
async fn converse(request: &[u8]) -> f64 {
    let port = Arc::new(SerialPort::new("bench", ""));
    let (_stop, stop) = watch::channel(false);
    let (alive, _idle) = mpsc::channel(1);
    let answer = |_: Request| async { Answer { status: 200, body: b"{\"st\":200}".to_vec() } };
    let answering = Answering { answer, accepting: || true, stop, alive };
    let settings = LinkSettings { protocol: Protocol::Frame, baud: 115_200, seven_bit: false };
    let mut link = Link::new(settings, port, answering);
    let (mut register, ours) = tokio::io::duplex(1 << 18);
    let served = tokio::spawn(async move {
        link.run(ours).await;
    });
    // Two requests in turn, so that none is the repeat of the one before.
    let other = Frame { seq: 2, kind: b'S', data: request[8..request.len() - 10].to_vec() };
    let requests = [request.to_vec(), other.encode().unwrap()];
    let (began, mut count, mut reply) = (Instant::now(), 0, vec![0; 4096]);
    while began.elapsed() < ROUND {
        for request in &requests {
            register.write_all(request).await.unwrap();
            let mut end = false;
            while !end {
                let read = register.read(&mut reply).await.unwrap();
                end = reply[..read].ends_with(b"\n");
            }
            count += request.len();
        }
    }
    served.abort();
    f64::from(u32::try_from(count).unwrap()) / began.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn tell(what: &str, rates: Vec<f64>) {
    let rate = median(rates);
    println!("{what:<44} {:>9.0} times 115200 baud ({:.1} MB/s)", rate / LINE_RATE, rate / 1e6);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let noise = noise(1 << 20);
    for (what, bytes, frames) in [
        ("receiver, sales of 154 bytes", frame(136), 1),
        ("receiver, the longest frame", frame(MAX_DATA), 1),
        ("receiver, noise", noise, 0),
    ] {
        tell(what, (0..ROUNDS).map(|_| receive(&bytes, frames)).collect());
    }
    for (what, length) in
        [("conversation, sales of 154 bytes", 136), ("conversation, the longest frame", MAX_DATA)]
    {
        let request = frame(length);
        tell(what, (0..ROUNDS).map(|_| runtime.block_on(converse(&request))).collect());
    }
}
