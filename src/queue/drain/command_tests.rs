//! What a person may ask for, state by state.

use super::*;
use crate::queue::Dice;
use crate::queue::doubt::{Afterwards, Doubt};
use crate::queue::drain::{Event, Function, LookUp, Policy, Stopped, View, Waiting};

const DOCUMENT: Seq = 7;
const MINUTE: Duration = Duration::from_secs(60);

fn drain() -> Drain {
    let policy = Policy {
        backoff_initial: Duration::from_secs(1),
        backoff_max: MINUTE,
        probe_max: MINUTE,
        max_attempts: 12,
        request_timeout: Duration::from_secs(120),
    };
    Drain::new(policy, Moment(0))
}

fn seen(status: Status, invoice_no: Option<u64>, unsure_sends: u32) -> Seen {
    Seen { status, invoice_no, attempts: 3, unsure_sends }
}

fn judged(drain: &Drain, now: Moment, command: &Command) -> Result<Act, Declined> {
    let standing = command.document().map(|(_, seen)| seen).unwrap();
    drain.judge(now, command, Some(&Subject { standing, words: Words::default(), original: None }))
}

/// `-`: not allowed; else the status it gets and what becomes of its number, or `machine` alone.
fn said(judged: Result<Act, Declined>) -> String {
    match judged {
        Ok(Act { ruling: Some(ruling), .. }) => format!("{} {:?}", ruling.status.word(), ruling.number),
        Ok(Act { ruling: None, .. }) => "machine".to_owned(),
        Err(Declined::NotAllowed(_)) => "-".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn what_is_allowed_where_nothing_is_in_doubt() {
    use Settlement::{Accepted, Elsewhere, NotAccepted};
    let machine = drain();
    let rows = [
        (Status::Pending, None, ["parked Released", "machine", "-", "settled Released", "settled Released"]),
        (Status::Parked, None, ["-", "pending Released", "-", "settled Released", "settled Released"]),
        (Status::Rejected, None, ["-", "pending Released", "-", "settled Released", "settled Released"]),
        (Status::AcceptedNoProof, Some(4), ["-", "machine", "settled Kept", "-", "-"]),
        (Status::Signed, Some(4), ["Unknown"; 5]),
        (Status::Settled, None, ["Unknown"; 5]),
        (Status::NotFiscal, None, ["Unknown"; 5]),
    ];
    for (status, number, expected) in rows {
        let seen = seen(status, number, 0);
        let commands = [
            Command::Park(DOCUMENT, seen),
            Command::Retry(DOCUMENT, seen),
            Command::Settle(DOCUMENT, seen, Accepted),
            Command::Settle(DOCUMENT, seen, Elsewhere),
            Command::Settle(DOCUMENT, seen, NotAccepted),
        ];
        let found = commands.map(|command| said(judged(&machine, Moment(0), &command)));
        assert_eq!(found, expected, "{status:?}");
    }
}

#[test]
fn what_is_retried_begins_anew() {
    let retried = judged(&drain(), Moment(0), &Command::Retry(DOCUMENT, seen(Status::Parked, None, 0)));
    let ruling = retried.unwrap().ruling.unwrap();
    assert_eq!((ruling.attempts, ruling.unsure_sends), (0, 0));
    let parked = judged(&drain(), Moment(0), &Command::Park(DOCUMENT, seen(Status::Pending, None, 0)));
    assert_eq!(parked.unwrap().ruling.unwrap().attempts, 3, "what was tried is not forgotten");
}

#[test]
fn a_command_says_what_was_seen() {
    let machine = drain();
    let command = Command::Park(DOCUMENT, seen(Status::Pending, None, 0));
    assert_eq!(machine.judge(Moment(0), &command, None), Err(Declined::Unknown));
    let standing = seen(Status::Rejected, None, 0);
    let subject = Subject { standing, words: Words::default(), original: None };
    assert_eq!(machine.judge(Moment(0), &command, Some(&subject)), Err(Declined::Changed(standing)));
}

#[test]
fn nothing_is_done_to_a_request_on_the_line() {
    let mut machine = drain();
    let waiting = Waiting {
        document: DOCUMENT,
        bound: Some(4),
        unsure_sends: 0,
        answered: false,
        accepted: false,
        attempts: 3,
        original: None,
    };
    machine.doing = Doing::Sending(waiting, 4);
    let standing = seen(Status::Pending, Some(4), 0);
    for command in [
        Command::Park(DOCUMENT, standing),
        Command::Retry(DOCUMENT, standing),
        Command::Settle(DOCUMENT, standing, Settlement::Elsewhere),
    ] {
        assert_eq!(judged(&machine, Moment(0), &command), Err(Declined::OnTheLine));
    }
    // Another one may be parked meanwhile.
    let other = Command::Park(9, seen(Status::Pending, None, 0));
    assert_eq!(said(judged(&machine, Moment(0), &other)), "parked Released");
    // Before its first byte leaves it can be put off, and is nobody's doubt.
    machine.put_off(&Action::Send(DOCUMENT, 4));
    assert_eq!(said(judged(&machine, Moment(0), &Command::Park(DOCUMENT, standing))), "parked Released");
}

#[test]
fn a_doubt_is_a_persons_to_settle_only_where_kras_books_cannot() {
    use Settlement::{Accepted, Elsewhere, NotAccepted};
    let standing = seen(Status::Pending, Some(4), 1);
    let doubt = Doubt::new(DOCUMENT, 4, Moment(0), Moment(0));
    let after = |minutes: u32| Moment(0).after(MINUTE * minutes);
    type Change = fn(&mut Drain);
    let rows: [(&str, Change, Moment, [&str; 3]); 7] = [
        ("it is being looked up", |_| {}, after(10), ["-"; 3]),
        ("failed for a quarter of an hour", |_| {}, after(15), ["settled Used", "settled Released", "-"]),
        (
            "no look-up, a request may still land",
            |it| it.look_up = Function::Missing,
            after(3),
            ["settled Used", "-", "-"],
        ),
        (
            "no look-up",
            |it| it.look_up = Function::Missing,
            after(4),
            ["settled Used", "settled Released", "-"],
        ),
        (
            "unprovable",
            |it| it.stop(4, "no proof".to_owned()),
            after(4),
            ["settled Used", "settled Released", "-"],
        ),
        (
            "stopped, and absent too early",
            |it| {
                it.stop(4, "no proof".to_owned());
                it.doubt.as_mut().unwrap().absent_at = Some(Moment(0).after(MINUTE * 3));
            },
            after(5),
            ["settled Used", "settled Released", "-"],
        ),
        (
            "stopped, and absent",
            |it| {
                it.stop(4, "no proof".to_owned());
                it.doubt.as_mut().unwrap().absent_at = Some(Moment(0).after(MINUTE * 4));
            },
            after(5),
            ["settled Used", "settled Released", "settled Released"],
        ),
    ];
    for (what, change, now, expected) in rows {
        let mut machine = drain();
        machine.doubt = Some(doubt.clone());
        change(&mut machine);
        let found = [Accepted, Elsewhere, NotAccepted]
            .map(|it| said(judged(&machine, now, &Command::Settle(DOCUMENT, standing, it))));
        assert_eq!(found, expected, "{what}");
        assert_eq!(said(judged(&machine, now, &Command::Park(DOCUMENT, standing))), "-", "{what}");
        assert_eq!(said(judged(&machine, now, &Command::Retry(DOCUMENT, standing))), "machine", "{what}");
    }
    // Found bound at a start: nobody knows yet whether a byte left.
    let bound = seen(Status::Pending, Some(4), 0);
    assert_eq!(said(judged(&drain(), Moment(0), &Command::Park(DOCUMENT, bound))), "-");
}

#[test]
fn a_settled_doubt_lets_the_series_go_on_after_a_look_at_kras_books() {
    let mut machine = drain();
    machine.doubt = Some(Doubt::new(DOCUMENT, 4, Moment(0), Moment(0)));
    machine.series = Series::Proven;
    machine.stopped =
        Some(Stopped { number: 4, document: Some(DOCUMENT), expected: None, why: "no proof".to_owned() });
    let command = Command::Settle(DOCUMENT, seen(Status::Pending, Some(4), 1), Settlement::Accepted);
    let act = judged(&machine, Moment(0).after(MINUTE), &command).unwrap();
    machine.obey(Moment(0).after(MINUTE), &command, &act);
    assert_eq!((machine.stopped(), machine.doubt()), (None, None));
    let next = Waiting {
        document: 8,
        bound: None,
        unsure_sends: 0,
        answered: false,
        accepted: false,
        attempts: 0,
        original: None,
    };
    let view = View { head: Some(next), after: None, next_number: 5, last: None, stranded: None };
    let action = machine.step(Moment(0).after(MINUTE), Event::Woken, &view, Dice(0));
    assert_eq!(action, Action::LookUp(5, None));
}

/// Found by the fault matrix: "KRA's books are asked about it now" was said, and nobody asked.
#[test]
fn a_doubt_that_stopped_the_series_is_looked_up_when_it_is_retried() {
    let mut machine = drain();
    let now = Moment(0).after(MINUTE * 10);
    machine.doubt = Some(Doubt { accepted: true, ..Doubt::new(DOCUMENT, 4, Moment(0), Moment(0)) });
    machine.stopped =
        Some(Stopped { number: 4, document: Some(DOCUMENT), expected: None, why: "not shown".to_owned() });
    let head = Waiting {
        document: DOCUMENT,
        bound: Some(4),
        unsure_sends: 1,
        answered: true,
        accepted: true,
        attempts: 0,
        original: None,
    };
    let view = View { head: Some(head), after: None, next_number: 4, last: None, stranded: None };
    let standing = seen(Status::Pending, Some(4), 1);
    let settle = Command::Settle(DOCUMENT, standing, Settlement::NotAccepted);
    assert_eq!(said(judged(&machine, now, &settle)), "-", "KRA's books were last asked too early");
    let retry = Command::Retry(DOCUMENT, standing);
    let act = judged(&machine, now, &retry).unwrap();
    machine.obey(now, &retry, &act);
    assert_eq!(machine.step(now, Event::Woken, &view, Dice(0)), Action::LookUp(4, Some(DOCUMENT)));
    machine.step(now, Event::LookedUp(LookUp::Absent), &view, Dice(0));
    assert!(machine.stopped().is_some(), "and it still stands still");
    assert_eq!(said(judged(&machine, now, &settle)), "settled Released");
}

#[test]
fn everything_retried_ends_holds_and_pauses() {
    let mut machine = drain();
    let now = Moment(0).after(MINUTE);
    machine.hold_for(now, false, Words::default(), Dice(u64::MAX));
    machine.aside.insert(DOCUMENT, now.after(MINUTE));
    machine.not_before = Some(now.after(MINUTE));
    let act = machine.judge(now, &Command::RetryAll, None).unwrap();
    machine.obey(now, &Command::RetryAll, &act);
    assert_eq!((machine.not_before, machine.aside.len()), (None, 0));
    let view = View { next_number: 1, ..View::default() };
    assert_eq!(machine.step(now, Event::Woken, &view, Dice(0)), Action::Probe);
}

/// Found by a reader: after a person adopted the series, a request that could still land counted as sent at the start.
#[test]
fn what_is_still_bound_after_an_adoption_is_in_doubt_as_before() {
    let timeout = Duration::from_secs(120);
    let sent = Moment(0).after(MINUTE * 10);
    let refused = Words { message: "910".to_owned(), ..Words::default() };
    let head = Waiting {
        document: DOCUMENT,
        bound: Some(4),
        unsure_sends: 1,
        answered: true,
        accepted: false,
        attempts: 0,
        original: None,
    };
    let view = View { head: Some(head), after: None, next_number: 4, last: None, stranded: None };
    for (bound, sure_from) in [(Some((DOCUMENT, 4)), Some(sent.after(timeout * 2))), (None, None)] {
        let mut machine = drain();
        let afterwards = Afterwards::Reject(refused.clone());
        machine.doubt = Some(Doubt { afterwards, ..Doubt::new(DOCUMENT, 4, sent, sent) });
        machine.stop(4, "no proof".to_owned());
        let now = sent.after(MINUTE);
        machine.adopted(now, false, bound);
        assert_eq!(machine.doubt().is_some(), sure_from.is_some());
        let Some(sure_from) = sure_from else { continue };
        assert_eq!(machine.step(now, Event::Woken, &view, Dice(0)), Action::LookUp(4, Some(DOCUMENT)));
        let absent = || Event::LookedUp(LookUp::Absent);
        let action = machine.step(now, absent(), &view, Dice(0));
        assert_eq!(action, Action::WaitUntil(Some(sure_from)), "it may still land");
        machine.step(sure_from, Event::Woken, &view, Dice(0));
        let action = machine.step(sure_from, absent(), &view, Dice(0));
        let Action::Record(DOCUMENT, ruling, None) = action else { panic!("{action:?}") };
        assert_eq!((ruling.status, ruling.number), (Status::Rejected, NumberFate::Released));
    }
}
