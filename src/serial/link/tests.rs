//! Whole conversations, by a clock that goes as the tests say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::DuplexStream;

use super::*;
use crate::serial::frame::Frame;
use crate::serial::tests::SALE;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What answers: after `work`, with what was asked.
struct Desk {
    asked: Mutex<Vec<Request>>,
    work: Mutex<Duration>,
    accepting: AtomicBool,
}

/// A register, and the port's other end.
struct Register {
    stream: DuplexStream,
    desk: Arc<Desk>,
    port: Arc<SerialPort>,
    stop: watch::Sender<bool>,
    idle: mpsc::Receiver<Infallible>,
    task: tokio::task::JoinHandle<()>,
    /// Streams for the link, one after the other.
    plug: mpsc::Sender<DuplexStream>,
}

impl Register {
    fn new(protocol: Protocol) -> Self {
        let desk = Arc::new(Desk {
            asked: Mutex::default(),
            work: Mutex::new(Duration::ZERO),
            accepting: AtomicBool::new(true),
        });
        let port = Arc::new(SerialPort::new("test", ""));
        let (stop, stopping) = watch::channel(false);
        let (alive, idle) = mpsc::channel(1);
        let (answering, ready) = (Arc::clone(&desk), Arc::clone(&desk));
        let answer = move |request: Request| {
            let work = *answering.work.lock().unwrap();
            answering.asked.lock().unwrap().push(request.clone());
            let count = answering.asked.lock().unwrap().len();
            async move {
                sleep(work).await;
                let body = format!("{{\"st\":201,\"count\":{count},\"bytes\":{}}}", request.data.len());
                Answer { status: if request.stopping { 503 } else { 201 }, body: body.into_bytes() }
            }
        };
        let accepting = move || ready.accepting.load(Ordering::SeqCst);
        let answering = Answering { answer, accepting, stop: stopping, alive };
        let settings = LinkSettings { protocol, baud: 115_200, seven_bit: false };
        let mut link = Link::new(settings, Arc::clone(&port), answering);
        let (stream, ours) = tokio::io::duplex(1 << 20);
        let (plug, mut plugged) = mpsc::channel::<DuplexStream>(1);
        plug.try_send(ours).unwrap();
        let task = tokio::spawn(async move {
            loop {
                match plugged.try_recv() {
                    Ok(stream) => drop(link.run(stream).await),
                    Err(mpsc::error::TryRecvError::Empty) => link.rest(ms(100)).await,
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                }
            }
        });
        Self { stream, desk, port, stop, idle, task, plug }
    }

    fn works_for(&self, time: Duration) {
        *self.desk.work.lock().unwrap() = time;
    }

    fn asked(&self) -> usize {
        self.desk.asked.lock().unwrap().len()
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All that comes within this time, each piece with its moment.
    async fn pieces(&mut self, time: Duration) -> Vec<(Duration, Vec<u8>)> {
        let began = Instant::now();
        let mut pieces = Vec::new();
        let mut chunk = [0; 1 << 17];
        while let Ok(read) = tokio::time::timeout_at(began + time, self.stream.read(&mut chunk)).await {
            pieces.push((began.elapsed(), chunk[..read.unwrap()].to_vec()));
        }
        pieces
    }

    async fn hears(&mut self, time: Duration) -> Vec<u8> {
        self.pieces(time).await.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    fn unplug(&mut self) {
        self.stream = tokio::io::duplex(1).0;
    }

    fn plug_in(&mut self) {
        let (stream, ours) = tokio::io::duplex(1 << 20);
        self.stream = stream;
        self.plug.try_send(ours).unwrap();
    }
}

fn frame(seq: u8, kind: u8, data: &str) -> Vec<u8> {
    Frame { seq, kind, data: data.as_bytes().to_vec() }.encode().unwrap()
}

fn reply(seq: u8, kind: u8, count: usize, bytes: usize) -> Vec<u8> {
    frame(seq, kind, &format!("{{\"st\":201,\"count\":{count},\"bytes\":{bytes}}}"))
}

#[tokio::test(start_paused = true)]
async fn the_whole_exchange_with_a_slow_disk() {
    let mut register = Register::new(Protocol::Frame);
    register.send([0x05]).await;
    assert_eq!(register.hears(ms(150)).await, [0x06]);
    register.works_for(ms(600));
    register.send(SALE).await;
    let heard = register.pieces(ms(1000)).await;
    let expected = [(ms(180), vec![0x16]), (ms(430), vec![0x16]), (ms(600), reply(2, b's', 1, 136))];
    assert_eq!(heard, expected);
    assert_eq!(register.desk.asked.lock().unwrap()[0].asked, Asked::Sale);
}

#[tokio::test(start_paused = true)]
async fn an_enquiry_is_answered_by_how_things_are() {
    let mut register = Register::new(Protocol::Frame);
    register.works_for(ms(100));
    register.send(SALE).await;
    register.send([0x05]).await;
    assert_eq!(register.hears(ms(50)).await, [0x16]);
    register.hears(ms(200)).await;
    register.desk.accepting.store(false, Ordering::SeqCst);
    register.send([0x05]).await;
    assert_eq!(register.hears(ms(50)).await, [0x18]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_frame_is_told_and_the_same_bytes_are_taken() {
    let mut register = Register::new(Protocol::Frame);
    register.send(SALE.replace("130.00", "103.00")).await;
    assert_eq!(register.hears(ms(10)).await, [0x15]);
    register.send(SALE).await;
    assert_eq!(register.hears(ms(10)).await, reply(2, b's', 1, 136));
    assert_eq!(register.port.counted(LineEvent::Damaged), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_same_bytes_and_hello_forgets_them() {
    let mut register = Register::new(Protocol::Frame);
    let mut first = Vec::new();
    for _ in 0..3 {
        register.send(SALE).await;
        let heard = register.hears(ms(200)).await;
        first = if first.is_empty() { heard.clone() } else { first };
        assert_eq!(heard, first);
    }
    assert_eq!((register.asked(), register.port.counted(LineEvent::Repeat)), (1, 2));
    register.send(frame(0, b'H', r#"{"proto":1}"#)).await;
    assert_eq!(register.hears(ms(10)).await, reply(0, b'h', 2, 11));
    register.send(SALE).await;
    assert_eq!(register.hears(ms(10)).await, reply(2, b's', 3, 136));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_there_is_work_is_not_worked_on() {
    let mut register = Register::new(Protocol::Frame);
    register.works_for(ms(900));
    register.send(SALE).await;
    register.hears(ms(300)).await;
    register.send(SALE).await;
    register.send(frame(3, b'T', "")).await;
    let heard = register.hears(ms(2000)).await;
    assert_eq!(heard.iter().filter(|byte| **byte == 0x16).count(), 2, "430 and 680 ms");
    assert!(heard.ends_with(&reply(2, b's', 1, 136)), "{heard:?}");
    assert_eq!((register.asked(), register.port.counted(LineEvent::Overrun)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_loses_no_work() {
    let mut register = Register::new(Protocol::Frame);
    register.works_for(ms(700));
    register.send(SALE).await;
    register.hears(ms(100)).await;
    register.unplug();
    sleep(ms(2000)).await;
    register.plug_in();
    assert_eq!(register.hears(ms(1000)).await, b"", "nobody asked since");
    register.send(SALE).await;
    assert_eq!(register.hears(ms(1000)).await, reply(2, b's', 1, 136));
    assert_eq!(register.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_does_not_outlive_its_cable() {
    let mut register = Register::new(Protocol::Frame);
    register.send(&SALE[..100]).await;
    sleep(ms(10)).await;
    register.unplug();
    sleep(ms(200)).await;
    register.plug_in();
    register.send(&SALE[100..]).await;
    assert_eq!(register.hears(ms(2000)).await, b"");
    assert_eq!(register.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answer_and_not_for_the_port() {
    let mut register = Register::new(Protocol::Frame);
    register.works_for(ms(500));
    register.send(SALE).await;
    register.hears(ms(100)).await;
    register.stop.send(true).unwrap();
    let began = Instant::now();
    assert!(register.idle.recv().await.is_none());
    assert_eq!(began.elapsed(), ms(400));
    assert!(register.hears(ms(10)).await.ends_with(&reply(2, b's', 1, 136)));
    // As long as the process lives, it says how it is.
    register.send([0x05]).await;
    assert_eq!(register.hears(ms(10)).await, [0x18]);
    register.works_for(ms(0));
    register.send(frame(3, b'S', "{}")).await;
    assert_eq!(register.hears(ms(10)).await, frame(3, b'e', "{\"st\":201,\"count\":2,\"bytes\":2}"));
    assert!(!register.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn words_are_answered_with_text_and_not_in_the_midst_of_work() {
    let mut register = Register::new(Protocol::Frame);
    register.send("status\n").await;
    assert_eq!(register.hears(ms(200)).await, b"{\"st\":201,\"count\":1,\"bytes\":0}");
    assert_eq!(register.desk.asked.lock().unwrap()[0].asked, Asked::Word(crate::serial::Word::Status));
    register.works_for(ms(1000));
    register.send(SALE).await;
    register.hears(ms(150)).await;
    register.send("status\n").await;
    register.hears(ms(2000)).await;
    assert_eq!(register.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_word_typed_on_a_cable_that_is_gone_is_not_answered_on_the_next() {
    let mut register = Register::new(Protocol::Frame);
    register.works_for(ms(1000));
    register.send("status\n").await;
    sleep(ms(200)).await;
    register.unplug();
    sleep(ms(500)).await;
    register.plug_in();
    assert_eq!(register.hears(ms(2000)).await, b"");
    register.works_for(ms(0));
    register.send("status\n").await;
    assert_eq!(register.hears(ms(200)).await, b"{\"st\":201,\"count\":2,\"bytes\":0}");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_takes_nothing_stops_nothing() {
    let mut register = Register::new(Protocol::Frame);
    register.unplug();
    sleep(ms(200)).await;
    // Its other end takes four bytes, and no more.
    let (stream, ours) = tokio::io::duplex(4);
    register.plug.try_send(ours).unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    writer.write_all(SALE.as_bytes()).await.unwrap();
    sleep(ms(6000)).await;
    assert_eq!(register.port.counted(LineEvent::Unsent), 1);
    let mut chunk = [0; 64];
    assert_eq!(reader.read(&mut chunk).await.unwrap(), 4, "the beginning of what was left out");
    writer.write_all(&[0x05]).await.unwrap();
    assert_eq!((reader.read(&mut chunk).await.unwrap(), chunk[0]), (1, 0x06));
}

#[tokio::test(start_paused = true)]
async fn lines_are_answered_one_by_one_in_order() {
    let mut register = Register::new(Protocol::Lines);
    register.works_for(ms(300));
    register.send("{\"op\":\"status\",\"seq\":1}\r\n{\"op\":\"sale\",\"data\":{},\"seq\":2}\nlast\n").await;
    let heard = register.pieces(ms(5000)).await;
    let expected = [
        (ms(300), b"{\"st\":201,\"count\":1,\"bytes\":0,\"seq\":1}\n".to_vec()),
        (ms(600), b"{\"st\":201,\"count\":2,\"bytes\":2,\"seq\":2}\n".to_vec()),
        (ms(900), b"{\"st\":201,\"count\":3,\"bytes\":0}".to_vec()),
    ];
    assert_eq!(heard, expected);
    assert_eq!(register.port.counted(LineEvent::Unchecked), 1);
}
