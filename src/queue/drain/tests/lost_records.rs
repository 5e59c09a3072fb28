//! After a salvage: a document that may be in KRA's books under a number that is not known here, and a series that was set
//! back to a number that nobody can account for.

use super::{policy, proof};
use crate::queue::drain::{Action, Drain, Event, LookUp, Subject, View, Waiting};
use crate::queue::{Command, Dice, Moment, Seen, Sent, Seq, Settlement, Status, Verdict, Words};

const UNKNOWN: Seq = 7;
const LATER: Moment = Moment(600_000);

const fn waiting(document: Seq, bound: Option<u64>, unsure_sends: u32) -> Waiting {
    Waiting { document, bound, unsure_sends, answered: false, accepted: false, attempts: 0, original: None }
}

fn view(head: Waiting, after: Option<Waiting>, next_number: u64) -> View {
    View { head: Some(head), after, next_number, last: None, stranded: None }
}

fn step(drain: &mut Drain, event: Event, view: &View) -> Action {
    drain.step(LATER, event, view, Dice(0))
}

#[test]
fn where_kra_can_be_asked_its_books_decide() {
    let mut drain = Drain::new(policy(), Moment(0));
    let view = view(waiting(UNKNOWN, None, 1), None, 3);
    assert_eq!(step(&mut drain, Event::Woken, &view), Action::LookUp(3, None));
    assert_eq!(step(&mut drain, Event::LookedUp(LookUp::Absent), &view), Action::LookUp(2, None));
    let found = LookUp::Found { equality: None, trader_ref: None, signature: Some("S".to_owned()) };
    assert_eq!(step(&mut drain, Event::LookedUp(found), &view), Action::Connect);
    assert_eq!(step(&mut drain, Event::Connected, &view), Action::Bind(UNKNOWN, 3));
}

#[test]
fn where_kra_cannot_be_asked_a_person_decides() {
    let mut drain = Drain::new(policy(), Moment(0));
    let head = view(waiting(UNKNOWN, None, 1), Some(waiting(8, None, 0)), 3);
    assert_eq!(step(&mut drain, Event::Woken, &head), Action::LookUp(3, None));
    let missing = Event::LookedUp(LookUp::Missing(Words::default()));
    assert_eq!(step(&mut drain, missing, &head), Action::WaitUntil(None));
    assert_eq!(drain.stopped().unwrap().document, Some(UNKNOWN));
    let standing = Seen { status: Status::Pending, invoice_no: None, attempts: 0, unsure_sends: 1 };
    let subject = Subject { standing, words: Words::default(), original: None };
    for settlement in [Settlement::Accepted, Settlement::Elsewhere] {
        let settle = Command::Settle(UNKNOWN, standing, settlement);
        let act = drain.judge(LATER, &settle, Some(&subject)).unwrap();
        let mut settled = drain.clone();
        settled.obey(LATER, &settle, &act);
        let others = view(waiting(8, None, 0), None, 3);
        assert_eq!(step(&mut settled, Event::Woken, &others), Action::LookUp(3, None));
    }
    let parked = Seen { status: Status::Parked, ..standing };
    let retried = drain
        .judge(LATER, &Command::Retry(UNKNOWN, parked), Some(&Subject { standing: parked, ..subject }))
        .unwrap();
    assert_eq!(retried.ruling.unwrap().unsure_sends, 1, "a person's retry does not make it sure");
}

#[test]
fn only_a_number_that_the_series_stands_at_hands_on_the_next() {
    let accepted = |number, next_number| {
        let mut drain = Drain::new(policy(), Moment(0));
        let view = view(waiting(UNKNOWN, None, 0), Some(waiting(8, None, 0)), number);
        step(&mut drain, Event::Woken, &view);
        step(&mut drain, Event::LookedUp(LookUp::Absent), &view);
        let found = LookUp::Found { equality: None, trader_ref: None, signature: None };
        step(&mut drain, Event::LookedUp(found), &view);
        step(&mut drain, Event::Connected, &view);
        assert_eq!(step(&mut drain, Event::Bound, &view), Action::Send(UNKNOWN, number));
        let view = View { next_number, ..view };
        let answer = Event::Sent(Sent::Answered(Verdict::Accepted(proof("S", number))), None);
        match step(&mut drain, answer, &view) {
            Action::Record(_, _, next) => next,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(accepted(6, 6), Some((8, 7)));
    assert_eq!(accepted(6, 3), None, "numbers 3 to 5 are nobody's yet");
}
