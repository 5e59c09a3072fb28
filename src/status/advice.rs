//! What people are told about a sale that has not gone the usual way: one wording for registers, alerts and technicians.

use crate::queue::{Seq, Settlement, Status};

/// The sale that is spoken of.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The register's own number for it.
    pub trader_ref: &'a str,
    /// The number on the slip that the customer was given.
    pub temporary_receipt_no: &'a str,
    /// Its running number.
    pub running_number: Seq,
    /// It is a credit note.
    pub credit_note: bool,
}

/// What a shop has to know and do about a sale that stands like this; `None` where nothing is left to be done by hand.
pub fn advice(status: Status, about: About<'_>) -> Option<String> {
    let About { trader_ref, temporary_receipt_no: slip, running_number, credit_note } = about;
    match status {
        Status::Rejected if credit_note => Some(format!(
            "KRA has not taken this credit note: the slip {slip} is not valid, and the sale stands as it was. Post the corrected \
             credit note under a new trdInvcNo with \"replaces\":\"{trader_ref}\"."
        )),
        Status::Parked if credit_note => Some(format!(
            "This credit note is set aside and not sent to KRA: the slip {slip} is not a fiscal credit note yet. Do not post it \
             again under another number. Where its sale is set aside or refused, it goes on with that; a technician decides what \
             becomes of it: etims-gateway queue show {running_number}"
        )),
        Status::Rejected => Some(format!(
            "KRA has no invoice for this sale: the slip {slip} is not valid, and the tax is due all the same. Post the corrected \
             sale under a new trdInvcNo with \"replaces\":\"{trader_ref}\". Post no credit note: there is no invoice to credit."
        )),
        Status::Parked => Some(format!(
            "This sale is set aside and not sent to KRA: the slip {slip} is not a tax invoice yet. Do not post it again under \
             another number. A technician decides what becomes of it: etims-gateway queue show {running_number}"
        )),
        Status::AcceptedNoProof => Some(format!(
            "KRA has this sale, and what belongs on its receipt could not be had: no fiscal receipt can be printed for the slip \
             {slip}. It is not sent again; KRA's books are asked for it again and again. A technician may look: etims-gateway queue \
             show {running_number}"
        )),
        Status::NotFiscal | Status::Pending | Status::Settled | Status::Signed => None,
    }
}

/// What a technician can do about a document that stands like this: commands, each with what it does.
pub fn commands(status: Status, in_doubt: bool, id: Seq) -> Vec<String> {
    let line = |command: &str, does: &str| format!("etims-gateway queue {command}  # {does}");
    let retry = |does: &str| line(&format!("retry {id}"), does);
    let settle = |word: &str, does: &str| line(&format!("settle {id} --as {word} --reason TEXT"), does);
    let park = || line(&format!("park {id} --reason TEXT"), "sets it aside; those behind it go on");
    let elsewhere = || settle("elsewhere", "closes it: it was given to KRA in another way");
    let not_accepted = || settle("not-accepted", "closes it: it is not in KRA's books and is not to be sent");
    let accepted =
        || settle("accepted", "closes it: KRA's portal shows it under the number it was sent with");
    match (status, in_doubt) {
        (Status::AcceptedNoProof, _) => {
            vec![retry("asks KRA's books for its receipt now"), accepted()]
        }
        (Status::Parked, _) => {
            vec![retry("sends it again, once the cause is put right"), not_accepted(), elsewhere()]
        }
        (Status::Pending, true) => vec![
            retry("asks KRA's books about it now"),
            settle(
                "accepted",
                "only where KRA's books cannot be asked, or cannot prove that it is the same sale",
            ),
            settle("not-accepted", "the same"),
        ],
        (Status::Pending, false) => vec![line("retry --all", "ends every pause and hold: tries now"), park()],
        (Status::Rejected, _) => vec![
            retry("sends it again, where the cause was at KRA and is put right"),
            not_accepted(),
            elsewhere(),
        ],
        (Status::NotFiscal | Status::Settled | Status::Signed, _) => Vec::new(),
    }
}

/// What a shop has to know of a sale that a person, or a correction, has closed.
pub fn closed(settled_as: Option<Settlement>, replaced_by: Option<&str>) -> Option<String> {
    if let Some(new) = replaced_by {
        return Some(format!("The sale {new} was posted in its place: the slip of this one is not valid."));
    }
    let words = match settled_as? {
        Settlement::Accepted => "A technician closed it: KRA has this sale, by what its books show.",
        Settlement::Elsewhere => {
            "A technician closed it: it was given to KRA in another way. Its slip is not a tax invoice."
        }
        Settlement::NotAccepted => {
            "A technician closed it: KRA does not have it, and it is not sent. Its slip is not valid."
        }
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_says_how() {
        assert_eq!(closed(None, None), None);
        assert!(closed(None, Some("B-1")).unwrap().contains("The sale B-1 was posted in its place"));
        for settlement in Settlement::ALL {
            assert!(closed(Some(settlement), None).unwrap().starts_with("A technician closed it: "));
        }
    }

    #[test]
    fn a_refused_sale_is_told_what_section_8_of_the_delivery_rules_lists() {
        let about = About {
            trader_ref: "A-17",
            temporary_receipt_no: "P-9-ABCD",
            running_number: 9,
            credit_note: false,
        };
        let text = advice(Status::Rejected, about).unwrap();
        for part in [
            "KRA has no invoice for this sale",
            "the slip P-9-ABCD is not valid",
            "the tax is due",
            "under a new trdInvcNo with \"replaces\":\"A-17\"",
            "Post no credit note",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let note = About { credit_note: true, ..about };
        let text = advice(Status::Rejected, note).unwrap();
        for part in ["the slip P-9-ABCD is not valid", "the sale stands", "with \"replaces\":\"A-17\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("the tax is due"), "{text}");
        assert!(advice(Status::Parked, note).unwrap().contains("This credit note is set aside"));
        for (status, command) in [(Status::Parked, true), (Status::AcceptedNoProof, true)] {
            let text = advice(status, about).unwrap();
            assert_eq!(text.contains("etims-gateway queue show 9"), command, "{text}");
        }
        for status in [Status::NotFiscal, Status::Pending, Status::Settled, Status::Signed] {
            assert_eq!(advice(status, about), None);
        }
    }
}
