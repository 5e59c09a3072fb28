//! KRA's books and ours, and where the walk ends.

use super::*;
use crate::fiscal::{KraDateTime, Proof};

fn proof(signature: &str) -> Proof {
    Proof {
        receipt_no: 1,
        total_receipt_no: 1,
        internal_data: "I".repeat(26),
        signature: signature.to_owned(),
        issued_at: KraDateTime::from_unix(1_700_000_000).unwrap(),
    }
}

const fn seen(status: Status, invoice_no: Option<u64>, unsure_sends: u32) -> Seen {
    Seen { status, invoice_no, attempts: 0, unsure_sends }
}

/// What was written down, and the next and last number, or why not.
type Adopted = (Vec<String>, Result<(u64, Option<u64>), String>);

/// Both books: KRA's as `trader_ref/signature` from number 1 on, ours as signatures from number 1 on, and the waiting
/// documents by `trader_ref`.
#[derive(Default)]
struct Books {
    theirs: Vec<&'static str>,
    ours: Vec<&'static str>,
    waiting: Vec<(&'static str, Seq, Seen)>,
    missing: bool,
}

impl Books {
    fn page(&self, number: u64) -> Page {
        let at = usize::try_from(number).unwrap() - 1;
        let ours = self.ours.get(at).map(|it| (*it).to_owned());
        let theirs = self.theirs.get(at).map(|it| it.split_once('/').unwrap());
        let claim = theirs.and_then(|(trader_ref, sign)| {
            let (_, document, standing) = self.waiting.iter().find(|it| it.0 == trader_ref)?;
            let equality = match sign {
                "?" => Equality::Unprovable("totAmt"),
                sign => Equality::Equal(Some(proof(sign))),
            };
            Some(Claim {
                document: *document,
                trader_ref: trader_ref.to_owned(),
                standing: *standing,
                equality,
            })
        });
        let there = |(trader_ref, signature): (&str, &str)| Theirs::There {
            trader_ref: Some(trader_ref.to_owned()),
            signature: Some(signature.to_owned()),
        };
        let theirs = if self.missing { Theirs::Missing } else { theirs.map_or(Theirs::Absent, there) };
        Page { theirs, ours, claim }
    }

    /// What was written down, number by number, and how it ended.
    fn adopt(&self, mut adoption: Adoption) -> Adopted {
        let mut written = Vec::new();
        for _ in 0..1000 {
            match adoption.step() {
                Step::Read(number) => adoption.read(self.page(number)),
                Step::Write(Finding::Foreign { number, trader_ref, .. }) => {
                    written.push(format!("{number} {}", trader_ref.unwrap()));
                }
                Step::Write(Finding::Ours { number, document, ruling, .. }) => {
                    written.push(format!("{number} document {document} {}", ruling.status.word()));
                }
                Step::Write(Finding::Released(document, ..)) => {
                    written.push(format!("document {document} released"));
                }
                Step::Finish(outcome) => {
                    return (written, Ok((outcome.next, outcome.last.map(|(number, _)| number))));
                }
                Step::Refuse(why) => return (written, Err(why)),
            }
        }
        panic!("it never ended: {written:?}");
    }

    fn walk(&self, tied: Option<Tied>) -> Adopted {
        let count = u64::try_from(self.ours.len()).unwrap();
        let last = self.ours.last().map(|sign| (count, (*sign).to_owned()));
        self.adopt(Adoption::walk(count + 1, last, tied))
    }
}

fn tied(number: u64, landed: bool) -> Tied {
    let standing = seen(Status::Pending, Some(number), 1);
    Tied { document: 9, standing, number, landed, accepted: false }
}

#[test]
fn strangers_are_written_down_and_the_series_goes_on_behind_them() {
    let books =
        Books { theirs: vec!["A/s1", "B/s2", "X/f3", "Y/f4"], ours: vec!["s1", "s2"], ..Books::default() };
    assert_eq!(books.walk(None), (vec!["3 X".to_owned(), "4 Y".to_owned()], Ok((5, Some(4)))));
}

#[test]
fn a_new_till_in_an_old_series_begins_behind_it() {
    let books = Books { theirs: vec!["X/f1", "Y/f2"], ..Books::default() };
    assert_eq!(books.walk(None), (vec!["1 X".to_owned(), "2 Y".to_owned()], Ok((3, Some(2)))));
    assert_eq!(Books::default().walk(None), (vec![], Ok((1, None))));
}

#[test]
fn our_own_are_found_again() {
    // A restored backup: the sale waits here again, and KRA has it.
    let waiting = vec![("C", 7, seen(Status::Pending, None, 0)), ("D", 8, seen(Status::Rejected, None, 0))];
    let books =
        Books { theirs: vec!["A/s1", "C/s2", "X/f3", "D/s4"], ours: vec!["s1"], waiting, ..Books::default() };
    let (written, ended) = books.walk(None);
    assert_eq!(written, ["2 document 7 signed", "3 X", "4 document 8 signed"]);
    assert_eq!(ended, Ok((5, Some(4))));
}

#[test]
fn what_cannot_be_proven_is_a_persons_to_say_first() {
    let waiting = vec![("C", 7, seen(Status::Pending, None, 0))];
    let books = Books { theirs: vec!["A/s1", "C/?"], ours: vec!["s1"], waiting, ..Books::default() };
    let (written, ended) = books.walk(None);
    assert!(written.is_empty() && ended.unwrap_err().contains("`queue settle 7`"));
}

#[test]
fn where_our_last_ones_are_gone_the_walk_begins_at_what_both_agree_on() {
    let books = Books { theirs: vec!["A/s1"], ours: vec!["s1", "s2", "s3"], ..Books::default() };
    assert_eq!(books.walk(None), (vec![], Ok((2, Some(1)))));
    let books = Books { theirs: vec!["A/s1", "X/f2"], ours: vec!["s1", "s2"], ..Books::default() };
    assert_eq!(books.walk(None), (vec!["2 X".to_owned()], Ok((3, Some(2)))));
    let books = Books { ours: vec!["s"; 300], ..Books::default() };
    assert!(books.walk(None).1.unwrap_err().contains("ask KRA"));
}

/// Found by the fault matrix: "the series goes on" was said, and it stopped at once for the same reason.
#[test]
fn what_kra_called_accepted_and_does_not_show_is_a_persons_to_say_first() {
    let books = Books { theirs: vec!["A/s1"], ours: vec!["s1"], ..Books::default() };
    let accepted = Tied { accepted: true, ..tied(2, true) };
    let (written, ended) = books.walk(Some(accepted));
    let why = ended.unwrap_err();
    assert!(
        written.is_empty() && why.contains("`queue retry 9`") && why.contains("`queue settle 9`"),
        "{why}"
    );
    assert_eq!(books.walk(Some(tied(2, true))), (vec![], Ok((2, Some(1)))));
}

#[test]
fn a_free_number_counts_only_behind_one_that_is_there() {
    // Our series begins with 5, and KRA has nothing before it.
    let books = Books { theirs: vec!["A/s1"], ..Books::default() };
    let (_, ended) = books.adopt(Adoption::walk(5, None, None));
    assert!(ended.unwrap_err().contains("neither number 5 nor number 4"));
    let books = Books { theirs: vec!["A/s1", "B/s2", "C/s3", "D/s4"], ..Books::default() };
    assert_eq!(books.adopt(Adoption::walk(5, None, None)).1, Ok((5, Some(4))));
}

#[test]
fn what_is_bound_keeps_its_number_or_loses_it_for_good() {
    let ours = vec!["s1"];
    // Its number is the next: nothing changes for it.
    let books = Books { theirs: vec!["A/s1"], ours: ours.clone(), ..Books::default() };
    assert_eq!(books.walk(Some(tied(2, false))), (vec![], Ok((2, Some(1)))));
    // It is another's.
    let books = Books { theirs: vec!["A/s1", "X/f2"], ours: ours.clone(), ..Books::default() };
    let (written, ended) = books.walk(Some(tied(2, false)));
    assert_eq!(
        (written, ended),
        (vec!["document 9 released".to_owned(), "2 X".to_owned()], Ok((3, Some(2))))
    );
    // It lies behind KRA's next: only once nothing can land any more.
    let books = Books { theirs: vec!["A/s1"], ours, ..Books::default() };
    assert!(books.walk(Some(tied(3, false))).1.unwrap_err().contains("may still arrive"));
    let (written, ended) = books.walk(Some(tied(3, true)));
    assert_eq!((written, ended), (vec!["document 9 released".to_owned()], Ok((2, Some(1)))));
}

#[test]
fn a_number_is_taken_from_a_person_where_kra_cannot_say() {
    let books = Books { theirs: vec!["A/s1", "B/s2"], ours: vec!["s1"], missing: true, ..Books::default() };
    assert!(books.walk(None).1.unwrap_err().contains("--next"));
    let last = Some((1, "s1".to_owned()));
    let named = |next, tied, blind| Adoption::named(next, last.clone(), tied, blind);
    assert_eq!(books.adopt(named(9, None, true)), (vec![], Ok((9, Some(1)))));
    assert!(books.adopt(named(9, Some(tied(2, true)), true)).1.unwrap_err().contains("settle it first"));
    let books = Books { missing: false, ..books };
    assert!(books.adopt(named(2, None, false)).1.unwrap_err().contains("sale B"));
    assert_eq!(books.adopt(named(3, None, false)).1, Ok((3, Some(1))));
}

#[test]
fn books_that_cannot_be_read_end_the_walk() {
    let mut adoption = Adoption::walk(2, Some((1, "s1".to_owned())), None);
    assert_eq!(adoption.step(), Step::Read(1));
    let theirs = Theirs::Failed(Words { message: "HTTP 500".to_owned(), ..Words::default() });
    adoption.read(Page { theirs, ours: None, claim: None });
    assert!(matches!(adoption.step(), Step::Refuse(why) if why.contains("HTTP 500")));
}
