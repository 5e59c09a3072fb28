//! What people are told about a sale that has not gone the usual way: one wording for registers, alerts and technicians.

use crate::queue::{Seq, Status};

/// The sale that is spoken of.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The register's own number for it.
    pub trader_ref: &'a str,
    /// The number on the slip that the customer was given.
    pub temporary_receipt_no: &'a str,
    /// Its running number.
    pub running_number: Seq,
}

/// What a shop has to know and do about a sale that stands like this; `None` where nothing is left to be done by hand.
pub fn advice(status: Status, about: About<'_>) -> Option<String> {
    let About { trader_ref, temporary_receipt_no: slip, running_number } = about;
    match status {
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
             {slip}. It is not sent again. A technician may look: etims-gateway queue show {running_number}"
        )),
        Status::NotFiscal | Status::Pending | Status::Settled | Status::Signed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_sale_is_told_what_section_8_of_the_delivery_rules_lists() {
        let about = About { trader_ref: "A-17", temporary_receipt_no: "P-9-ABCD", running_number: 9 };
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
        for (status, command) in [(Status::Parked, true), (Status::AcceptedNoProof, true)] {
            let text = advice(status, about).unwrap();
            assert_eq!(text.contains("etims-gateway queue show 9"), command, "{text}");
        }
        for status in [Status::NotFiscal, Status::Pending, Status::Settled, Status::Signed] {
            assert_eq!(advice(status, about), None);
        }
    }
}
