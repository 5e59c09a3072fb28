//! The machine against a small KRA that keeps real books, loses requests and answers, and lets timed-out requests
//! land late; with restarts between any two steps.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fiscal::{KraDateTime, Proof};
use crate::queue::Equality;

const TIMEOUT: Duration = Duration::from_secs(120);

fn policy() -> Policy {
    Policy {
        backoff_initial: Duration::from_secs(1),
        backoff_max: Duration::from_secs(300),
        probe_max: Duration::from_secs(30),
        request_timeout: TIMEOUT,
    }
}

fn words(message: &str) -> Words {
    Words { message: message.to_owned(), ..Words::default() }
}

fn proof(number: u64) -> Proof {
    Proof {
        receipt_no: number,
        total_receipt_no: number,
        internal_data: "I".repeat(26),
        signature: format!("SIGN{number:012}"),
        issued_at: KraDateTime::from_unix(1_700_000_000).unwrap(),
    }
}

/// What KRA does with the next request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Answers,
    Away,
    Busy,
    DeviceRefused,
    LosesAnswer,
    LosesRequest,
    Late,
    RefusesForGood,
    RefusesForNow,
    ServerError,
    ClientError,
    TakesThenServerError,
}

const MOODS: [Mood; 12] = [
    Mood::Answers,
    Mood::Away,
    Mood::Busy,
    Mood::DeviceRefused,
    Mood::LosesAnswer,
    Mood::LosesRequest,
    Mood::Late,
    Mood::RefusesForGood,
    Mood::RefusesForNow,
    Mood::ServerError,
    Mood::ClientError,
    Mood::TakesThenServerError,
];

#[derive(Default)]
struct Kra {
    /// Document by number - 1.
    books: Vec<Seq>,
    /// Requests that timed out at our end and are still running: when they land.
    ghosts: Vec<(Moment, Seq, u64)>,
}

impl Kra {
    fn book(&mut self, document: Seq, number: u64) -> Sent {
        let taken = u64::try_from(self.books.len()).unwrap();
        if number <= taken {
            return Sent::Answered(Verdict::Duplicate(words("994")));
        }
        if number != taken + 1 {
            let words = words("Invalid invcNo sequence");
            return Sent::Answered(Verdict::OutOfSequence { expected: taken + 1, found: number, words });
        }
        self.books.push(document);
        Sent::Answered(Verdict::Accepted(proof(number)))
    }

    fn ghosts_land(&mut self, now: Moment) {
        let (landing, still) = std::mem::take(&mut self.ghosts).into_iter().partition(|(at, ..)| *at <= now);
        self.ghosts = still;
        let landing: Vec<(Moment, Seq, u64)> = landing;
        for (_, document, number) in landing {
            let _ = self.book(document, number);
        }
    }

    fn send(&mut self, now: Moment, document: Seq, number: u64, mood: Mood, luck: u64) -> Sent {
        match mood {
            Mood::Answers => self.book(document, number),
            Mood::Away => Sent::Not(Unreachable { at: Step::Lost, why: "closed".to_owned() }),
            Mood::Busy => {
                Sent::Answered(Verdict::Busy(Busy { words: words("429"), told: None, floor: None }))
            }
            Mood::DeviceRefused => Sent::Answered(Verdict::Device(words("901"))),
            Mood::LosesAnswer => {
                let _ = self.book(document, number);
                Sent::InDoubt(words("lost answer"))
            }
            Mood::LosesRequest => Sent::InDoubt(words("lost request")),
            Mood::Late => {
                let late = luck % u64::try_from(TIMEOUT.as_millis()).unwrap();
                self.ghosts.push((Moment(now.0 + late), document, number));
                Sent::InDoubt(words("timed out"))
            }
            Mood::RefusesForGood => Sent::Answered(Verdict::Refused(words("910"))),
            Mood::RefusesForNow => Sent::Answered(Verdict::Wait(words("922"))),
            Mood::ClientError => Sent::Answered(Verdict::UnsureConfig(words("899"))),
            Mood::ServerError => Sent::Answered(Verdict::Unsure(words("500"))),
            Mood::TakesThenServerError => {
                let _ = self.book(document, number);
                Sent::Answered(Verdict::Unsure(words("500")))
            }
        }
    }

    fn look_up(&self, number: u64, compared: Option<Seq>, mood: Mood) -> LookUp {
        match mood {
            Mood::Away | Mood::LosesRequest | Mood::LosesAnswer | Mood::Late => {
                LookUp::Failed(words("no line"))
            }
            Mood::ServerError | Mood::TakesThenServerError => {
                LookUp::Failed(Words { http_status: Some(500), ..words("500") })
            }
            _ => match self.books.get(usize::try_from(number).unwrap().wrapping_sub(1)) {
                None => LookUp::Absent,
                Some(document) => LookUp::Found {
                    signature: Some(proof(number).signature),
                    trader_ref: Some(document.to_string()),
                    equality: compared.map(|ours| {
                        if ours == *document {
                            Equality::Equal(Some(proof(number)))
                        } else {
                            Equality::Different("trdInvcNo")
                        }
                    }),
                },
            },
        }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    document: Seq,
    status: Status,
    bound: Option<u64>,
    answered: bool,
    accepted: bool,
    unsure_sends: u32,
    attempts: u32,
}

/// What is on disk.
#[derive(Default)]
struct Log {
    kept: Vec<Kept>,
    next_number: u64,
    last: Option<(u64, String)>,
}

impl Log {
    fn view(&self, drain: &Drain, now: Moment) -> View {
        let waiting = |kept: &Kept| Waiting {
            document: kept.document,
            bound: kept.bound,
            unsure_sends: kept.unsure_sends,
            answered: kept.answered,
            accepted: kept.accepted,
            attempts: kept.attempts,
        };
        let pending = || self.kept.iter().filter(|kept| kept.status == Status::Pending);
        let aside = drain.aside(now);
        let ready = || pending().filter(|kept| !aside.contains(&kept.document));
        let head = pending().find(|kept| kept.bound.is_some()).or_else(|| ready().next());
        let after = ready().find(|kept| head.is_some_and(|head| kept.document != head.document));
        View {
            head: head.map(waiting),
            after: after.map(waiting),
            next_number: self.next_number,
            last: self.last.clone(),
        }
    }

    fn kept(&mut self, document: Seq) -> &mut Kept {
        self.kept.iter_mut().find(|kept| kept.document == document).unwrap()
    }

    fn bind(&mut self, document: Seq, number: u64) {
        assert_eq!(number, self.next_number, "a number is bound out of its turn");
        let other =
            self.kept.iter().find(|kept| kept.bound == Some(number) && kept.status == Status::Pending);
        assert!(other.is_none_or(|other| other.document == document), "two documents bound to {number}");
        let kept = self.kept(document);
        kept.bound = Some(number);
        kept.answered = false;
        kept.accepted = false;
    }

    fn record(&mut self, document: Seq, ruling: &Ruling) {
        let kept = self.kept(document);
        assert_eq!(kept.status, Status::Pending);
        kept.status = ruling.status;
        kept.attempts = ruling.attempts;
        kept.unsure_sends = ruling.unsure_sends;
        kept.answered = true;
        kept.accepted = ruling.accepted;
        match ruling.number {
            NumberFate::Kept => {}
            NumberFate::Released => kept.bound = None,
            NumberFate::Used => {
                let number = kept.bound.expect("a used number was bound");
                self.last = Some((number, proof(number).signature));
                self.next_number = number + 1;
            }
        }
    }
}

struct World {
    kra: Kra,
    log: Log,
    drain: Drain,
    now: Moment,
}

impl World {
    fn new(documents: u64) -> Self {
        let kept = |document| Kept {
            document,
            status: Status::Pending,
            bound: None,
            answered: false,
            accepted: false,
            unsure_sends: 0,
            attempts: 0,
        };
        let log = Log { kept: (1..=documents).map(kept).collect(), next_number: 1, last: None };
        Self { kra: Kra::default(), log, drain: Drain::new(policy(), Moment(0)), now: Moment(0) }
    }

    /// One action of the machine, answered in this mood; the event that comes of it.
    fn carry_out(&mut self, action: Action, mood: Mood, luck: u64) -> Event {
        match action {
            Action::Bind(document, number) => {
                self.log.bind(document, number);
                Event::Bound
            }
            Action::Connect if matches!(mood, Mood::Away) => {
                Event::Unreachable(Unreachable { at: Step::Connect, why: "refused".to_owned() })
            }
            Action::Connect => Event::Connected,
            Action::LookUp(number, compared) => Event::LookedUp(self.kra.look_up(number, compared, mood)),
            Action::Probe => Event::Probed(match mood {
                Mood::Away => Probed::Down(words("away")),
                Mood::DeviceRefused => Probed::Refused(words("901")),
                _ => Probed::Up,
            }),
            Action::Record(document, ruling, bind) => {
                self.log.record(document, &ruling);
                match bind.filter(|_| luck.is_multiple_of(2)) {
                    Some((next, number)) => {
                        self.log.bind(next, number);
                        Event::RecordedAndBound
                    }
                    None => Event::Recorded,
                }
            }
            Action::Send(document, number) => {
                let sent = self.kra.send(self.now, document, number, mood, luck);
                if !matches!(mood, Mood::Answers | Mood::Away) {
                    self.now = self.now.after(Duration::from_millis(luck % 120_000));
                }
                Event::Sent(sent)
            }
            Action::WaitUntil(until) => {
                self.now =
                    until.map_or(self.now, |until| until.max(self.now)).after(Duration::from_millis(1));
                Event::Woken
            }
        }
    }

    /// What a clean stop does: a number under which nothing was sent is free again.
    fn free_unsent(&mut self) {
        let head = self.log.view(&self.drain, self.now).head;
        let unsent = head.filter(|head| self.drain.unsent() == Some(head.document) && head.bound.is_some());
        if let Some(head) = unsent.filter(|head| head.unsure_sends == 0) {
            let kept = self.log.kept(head.document);
            kept.bound = None;
            kept.answered = true;
        }
    }

    fn run(&mut self, script: &[(u8, u64, bool)]) {
        let mut event = Event::Woken;
        for (mood, luck, restart) in script {
            if *restart {
                // Half of the stops are clean, and what was under way then was not waited for.
                if luck.is_multiple_of(2) {
                    self.free_unsent();
                }
                self.drain = Drain::new(policy(), self.now);
                event = Event::Woken;
            }
            let view = self.log.view(&self.drain, self.now);
            let action = self.drain.step(self.now, event, &view, Dice(*luck));
            event = self.carry_out(action, MOODS[usize::from(*mood) % MOODS.len()], *luck);
            self.kra.ghosts_land(self.now);
        }
        // From here on all is well at KRA; a clean restart must empty the queue by itself.
        self.drain = Drain::new(policy(), self.now);
        event = Event::Woken;
        for _ in 0..10_000 {
            let view = self.log.view(&self.drain, self.now);
            let idle = view.head.is_none() && self.log.kept.iter().all(|kept| kept.status != Status::Pending);
            if idle {
                break;
            }
            let action = self.drain.step(self.now, event, &view, Dice(0));
            event = self.carry_out(action, Mood::Answers, 1);
            self.kra.ghosts_land(self.now);
        }
    }

    fn check(&self) {
        assert_eq!(self.drain.stopped(), None, "nobody else numbers here: the series has no reason to stop");
        let once: BTreeSet<Seq> = self.kra.books.iter().copied().collect();
        assert_eq!(
            once.len(),
            self.kra.books.len(),
            "a document is in KRA's books twice: {:?}",
            self.kra.books
        );
        for kept in &self.log.kept {
            let booked = self.kra.books.contains(&kept.document);
            match kept.status {
                Status::Signed => assert!(booked, "{kept:?} is signed and not in KRA's books"),
                Status::Rejected => assert!(!booked, "{kept:?} is rejected and in KRA's books"),
                _ => panic!("{kept:?} never ended"),
            }
        }
    }
}

fn script() -> impl Strategy<Value = Vec<(u8, u64, bool)>> {
    let step = (0_u8..12, any::<u64>(), prop::bool::weighted(0.03));
    // Half of the steps go well, or nothing would ever get far.
    let step =
        step.prop_map(|(mood, luck, restart)| (if luck % 4 < 2 { 0 } else { mood }, luck >> 2, restart));
    prop::collection::vec(step, 0..160)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_document_is_in_the_books_once_or_refused(documents in 1_u64..8, script in script()) {
        let mut world = World::new(documents);
        world.run(&script);
        world.check();
    }
}

/// Runs the machine from a start with this log and these moods until it waits or stops, and gives its actions.
fn actions(world: &mut World, moods: &[Mood]) -> Vec<Action> {
    let mut event = Event::Woken;
    let mut seen = Vec::new();
    for mood in moods {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        seen.push(action.clone());
        event = world.carry_out(action, *mood, 1);
    }
    seen
}

#[test]
fn both_ends_of_the_series_are_looked_at_before_the_first_send() {
    let mut world = World::new(1);
    world.log.next_number = 8;
    world.log.last = Some((7, proof(7).signature));
    world.kra.books = vec![90, 91, 92, 93, 94, 95, 96];
    let seen = actions(&mut world, &[Mood::Answers; 6]);
    assert_eq!(
        seen[..4],
        [Action::LookUp(8, None), Action::LookUp(7, None), Action::Connect, Action::Bind(1, 8)]
    );
    assert_eq!(seen[4], Action::Send(1, 8));
}

#[test]
fn a_series_that_somebody_else_uses_stops_before_anything_is_sent() {
    // A restored backup: KRA is further than our log.
    let mut world = World::new(1);
    world.log.next_number = 2;
    world.log.last = Some((1, proof(1).signature));
    world.kra.books = vec![90, 91, 92];
    let seen = actions(&mut world, &[Mood::Answers; 4]);
    assert!(!seen.iter().any(|action| matches!(action, Action::Send(..) | Action::Bind(..))), "{seen:?}");
    assert_eq!(world.drain.stopped().unwrap().number, 2);

    // Another log: the number before ours is not the one that we know.
    let mut world = World::new(1);
    world.log.next_number = 2;
    world.log.last = Some((1, "ANOTHERSIGNATURE".to_owned()));
    world.kra.books = vec![90];
    let seen = actions(&mut world, &[Mood::Answers; 4]);
    assert!(!seen.iter().any(|action| matches!(action, Action::Send(..) | Action::Bind(..))), "{seen:?}");
    assert_eq!(world.drain.stopped().unwrap().number, 1);
}

#[test]
fn an_outage_binds_nothing_and_uses_no_attempts() {
    let mut world = World::new(3);
    let mut event = Event::Woken;
    for step in 0..200 {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(step));
        assert!(!matches!(action, Action::Send(..) | Action::Bind(..)), "{action:?}");
        event = world.carry_out(action, Mood::Away, step);
    }
    assert!(world.log.kept.iter().all(|kept| kept.attempts == 0 && kept.bound.is_none()));
    assert!(!world.drain.flows());
}

#[test]
fn an_absence_counts_only_once_the_request_can_no_longer_land() {
    let mut world = World::new(1);
    // Asked for the number, sent, lost: the look-up at once says absent; nothing is sent before the time-out.
    let seen = actions(
        &mut world,
        &[
            Mood::Answers,
            Mood::Answers,
            Mood::Answers,
            Mood::LosesRequest,
            Mood::Answers,
            Mood::Answers,
            Mood::Answers,
        ],
    );
    let Action::WaitUntil(Some(until)) = seen[6] else { panic!("{seen:?}") };
    assert_eq!(until, Moment(TIMEOUT.as_millis().try_into().unwrap()));
    assert_eq!(
        actions(&mut world, &[Mood::Answers; 3]),
        [Action::LookUp(1, Some(1)), Action::Connect, Action::Send(1, 1)]
    );
}

/// Runs until the sale is sent, answered with this verdict; gives the world and what came after.
fn after_answer(verdict: Verdict, then: &[Event]) -> (World, Vec<Action>) {
    let mut world = World::new(1);
    let mut seen = Vec::new();
    let mut events = vec![Event::Woken, Event::LookedUp(LookUp::Absent), Event::Connected, Event::Bound];
    events.push(Event::Sent(Sent::Answered(verdict)));
    events.extend_from_slice(then);
    for event in events {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        if let Action::Bind(document, number) = action {
            world.log.bind(document, number);
        }
        if let Action::Record(document, ruling, _) = &action {
            world.log.record(*document, ruling);
        }
        if let Action::WaitUntil(Some(until)) = action {
            world.now = until.max(world.now);
        }
        seen.push(action);
    }
    (world, seen)
}

#[test]
fn what_kra_called_accepted_is_never_sent_again() {
    let accepted = || Verdict::AcceptedWithoutProof(words("four of five"));
    let missing = || Event::LookedUp(LookUp::Missing(words("404")));
    let (world, seen) =
        after_answer(accepted(), &[Event::Recorded, missing(), Event::Woken, missing(), Event::Recorded]);
    assert_eq!(world.log.kept[0].status, Status::AcceptedNoProof, "{seen:?}");
    assert_eq!(world.log.next_number, 2, "its number is used");

    let absent = || Event::LookedUp(LookUp::Absent);
    let (world, seen) =
        after_answer(accepted(), &[Event::Recorded, absent(), Event::Woken, absent(), Event::Woken]);
    assert!(world.drain.stopped().is_some(), "{seen:?}");
    assert_eq!(seen.iter().filter(|action| matches!(action, Action::Send(..))).count(), 1);
}

#[test]
fn a_wish_to_be_left_alone_is_granted_to_the_second() {
    let told = Duration::from_secs(3600);
    let busy = Verdict::Busy(Busy { words: words("429"), told: Some(told), floor: None });
    let (_, seen) = after_answer(busy, &[Event::Recorded]);
    assert_eq!(seen.last(), Some(&Action::WaitUntil(Some(Moment(0).after(told)))));
}

#[test]
fn a_refused_look_up_holds_and_a_quota_waits() {
    let mut world = World::new(1);
    let view = world.log.view(&world.drain, world.now);
    assert_eq!(world.drain.step(world.now, Event::Woken, &view, Dice(0)), Action::LookUp(1, None));
    let refused = Event::LookedUp(LookUp::Refused(words("901")));
    let action = world.drain.step(world.now, refused, &view, Dice(0));
    assert!(matches!(action, Action::WaitUntil(Some(_))), "{action:?}");
    assert!(world.drain.hold().is_some_and(|hold| hold.device));

    let mut world = World::new(1);
    world.drain.step(world.now, Event::Woken, &view, Dice(0));
    let quarter = Duration::from_secs(900);
    let busy = Busy { words: words("990"), told: None, floor: Some(quarter) };
    let action = world.drain.step(world.now, Event::LookedUp(LookUp::Busy(busy)), &view, Dice(0));
    assert_eq!(action, Action::WaitUntil(Some(Moment(0).after(quarter))));
}

#[test]
fn many_refused_alike_are_spared_until_a_canary_is_taken() {
    let mut world = World::new(8);
    let mut event = Event::Woken;
    let mut step = |world: &mut World, mood: Mood| {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, std::mem::replace(&mut event, Event::Woken), &view, Dice(0));
        event = world.carry_out(action, mood, 1);
    };
    let count =
        |world: &World, status: Status| world.log.kept.iter().filter(|kept| kept.status == status).count();
    // Two hours of refusals, a sale at a time at most.
    while world.now < Moment(2 * 3_600_000) {
        step(&mut world, Mood::RefusesForGood);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!((count(&world, Status::Rejected), count(&world, Status::Pending)), (5, 3));
    assert!(world.drain.hold().is_some_and(|hold| hold.words.message.contains("alike")));
    // What was wrong is put right at KRA: the next canary is taken, and all behind it.
    while world.now < Moment(3 * 3_600_000) && count(&world, Status::Pending) > 0 {
        step(&mut world, Mood::Answers);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!((count(&world, Status::Rejected), count(&world, Status::Signed)), (5, 3));
    assert_eq!(world.drain.hold(), None);
}
