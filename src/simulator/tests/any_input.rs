//! Nothing a client sends may bring the simulator down or its books out of step.

use proptest::prelude::*;

use super::{Desk, SALE, SALE_XML, call, now};
use crate::simulator::functions::Function;
use crate::simulator::office::Call;
use crate::simulator::settings::Settings;
use crate::simulator::tree::Wire;

const FUNCTIONS: [Function; 6] = [
    Function::CodeList,
    Function::Initialise,
    Function::InvoiceDetails,
    Function::SaveItem,
    Function::SaveSale,
    Function::Status,
];

/// A sale's text with a few passages overwritten.
fn damaged() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let passage = (any::<prop::sample::Index>(), 0_usize..12, "[0-9.,:{}\\[\\]\"<>/&;nullé\u{0}-]{0,12}");
    (any::<bool>(), prop::collection::vec(passage, 0..4)).prop_map(|(xml, passages)| {
        let mut body = (if xml { SALE_XML } else { SALE }).as_bytes().to_vec();
        for (place, length, new) in passages {
            let from = place.index(body.len());
            let to = body.len().min(from + length);
            body.splice(from..to, new.into_bytes());
        }
        (xml, body)
    })
}

proptest! {
    #[test]
    fn any_body_gets_an_answer((xml, body) in damaged(), function in prop::sample::select(&FUNCTIONS[..])) {
        let mut desk = Desk::new(Settings { unsigned: true, ..Settings::default() });
        let key = desk.key.clone();
        let body = String::from_utf8_lossy(&body).replace("KEY", &key);
        let wire = if xml { Wire::Xml } else { Wire::Json };
        let answer = desk.office.answer(&Call { wire, ..call(function, &body, &key) }, now());
        prop_assert!(!answer.code.is_empty());
        prop_assert!(!answer.render(function, wire, now()).is_empty());
        let accepted = function == Function::SaveSale && answer.code == "000";
        prop_assert_eq!(desk.next(), 1 + u64::from(accepted));
    }

    #[test]
    fn any_number_is_read_or_refused(number in "-?[0-9]{0,40}(\\.[0-9]{0,3})?", name in "qty|prc|dcAmt|dcRt|totAmt}|taxRtB|invcNo") {
        let sale = match name.trim_end_matches('}') {
            "qty" => SALE.replace("\"qty\":2", &format!("\"qty\":{number}")),
            "prc" => SALE.replace("\"prc\":58.00", &format!("\"prc\":{number}")),
            "dcAmt" => SALE.replace("\"dcAmt\":0", &format!("\"dcAmt\":{number}")),
            "dcRt" => SALE.replace("\"dcRt\":0", &format!("\"dcRt\":{number}")),
            "taxRtB" => SALE.replace("\"taxRtB\":16", &format!("\"taxRtB\":{number}")),
            "invcNo" => SALE.replace("\"invcNo\":1,", &format!("\"invcNo\":{number},")),
            _ => SALE.replace("\"totAmt\":116.00", &format!("\"totAmt\":{number}")),
        };
        let mut desk = Desk::new(Settings::default());
        let code = desk.sell(&sale).code;
        prop_assert!(["000", "910"].contains(&code.as_str()), "{}", code);
    }
}
