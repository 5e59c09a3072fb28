//! What a person has to do about sales: those that KRA refused, that are set aside, that have no receipt, that wait too long.

use crate::queue::Status;
use crate::status::{About, DeniedSale, RefusedSale, Snapshot, advice};

/// The code of an alert about refused sales.
pub(super) const REJECTED: &str = "rejected";

pub(super) fn raise(snapshot: &Snapshot, raise: &mut impl FnMut(&str, String)) {
    if let Some(word) = &snapshot.queue.takes_none {
        raise("sales_refused", format!("new sales are refused: {}", why_none_is_taken(word)));
    }
    if snapshot.queue.rejected > 0 {
        raise(REJECTED, refusals(snapshot.queue.rejected, &snapshot.queue.refused));
    }
    if snapshot.queue.parked > 0 {
        let n = snapshot.queue.parked;
        raise(
            "parked",
            format!(
                "{n} document(s) are set aside and wait for a person: `etims-gateway queue list` names them, `queue show ID` says \
                 why, `queue retry ID` or `queue settle ID` decides"
            ),
        );
    }
    if snapshot.queue.accepted_no_proof > 0 {
        let n = snapshot.queue.accepted_no_proof;
        raise(
            "accepted_no_proof",
            format!(
                "{n} sale(s) are in KRA's books without a receipt, which is looked up again within the hour: see \
                 `etims-gateway queue list`"
            ),
        );
    }
    if !snapshot.queue.denied.is_empty() {
        raise("not_in_books", denials(&snapshot.queue.denied));
    }
    if snapshot.queue.oldest_age_seconds > snapshot.offline_warn_seconds {
        raise(
            "offline",
            format!(
                "the oldest unsent sale has waited for {}: see what is in its way with `etims-gateway status`, and check this \
                 till's line",
                age(snapshot.queue.oldest_age_seconds)
            ),
        );
    }
}

/// Why every new sale is refused with this word.
fn why_none_is_taken(word: &str) -> &'static str {
    match word {
        "queue_full" => {
            "the queue holds as many documents as storage.max_documents allows. See what is in the way with `etims-gateway \
             queue list`"
        }
        _ => {
            "the oldest unsent sale has waited longer than sales.offline_limit. They are taken again once it has gone out; \
             `etims-gateway queue list` shows what waits, `queue park ID` sets one aside"
        }
    }
}

/// `40 minutes`, `26 hours`.
fn age(seconds: u64) -> String {
    if seconds < 2 * 3600 { format!("{} minutes", seconds / 60) } else { format!("{} hours", seconds / 3600) }
}

/// What to do about sales that KRA called accepted, and has not.
fn denials(denied: &[DeniedSale]) -> String {
    let described = denied.iter().take(DESCRIBED).map(|sale| {
        let DeniedSale { id, invc_no, stranger } = sale;
        let holds = match stranger {
            Some(stranger) => format!(
                "where its books hold sale {stranger}: another till or product numbers in this series"
            ),
            None => "where its books hold another invoice or none".to_owned(),
        };
        format!("document {id} under invoice number {invc_no}, {holds}")
    });
    let described: Vec<_> = described.collect();
    let more = match denied.len() - described.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "KRA called a sale accepted and does not show it: {}{more}. Look for it in KRA's portal, then say what it is with \
         `etims-gateway queue settle ID --as accepted|not-accepted|elsewhere --reason TEXT`",
        described.join("; ")
    )
}

/// Sales that one alert describes; the others are counted.
const DESCRIBED: usize = 3;

/// The standing alert about sales that KRA refused after a slip was given.
pub(super) fn refusals(count: u64, oldest: &[RefusedSale]) -> String {
    let mut text = format!("KRA refused {count} sale(s) for good.");
    let described = oldest.iter().take(DESCRIBED);
    for refused in described {
        text.push(' ');
        text.push_str(&refusal(refused));
    }
    let more = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(oldest.len().min(DESCRIBED));
    if more > 0 {
        text.push_str(&format!(" And {more} more: see `etims-gateway queue list`."));
    }
    text
}

pub(super) fn refusal(refused: &RefusedSale) -> String {
    let RefusedSale { trd_invc_no, temp_receipt_no, accepted_at, tot_amt, kra_message, .. } = refused;
    let code = refused.result_cd.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
    let field = refused.field.as_ref().map(|field| format!(" (field {field})")).unwrap_or_default();
    let about = About {
        trader_ref: trd_invc_no,
        temporary_receipt_no: temp_receipt_no,
        running_number: refused.id,
        credit_note: refused.credit_note,
    };
    let what = if refused.credit_note { "Credit note" } else { "Sale" };
    let advice = advice(Status::Rejected, about).unwrap_or_default();
    format!(
        "{what} {trd_invc_no}, slip {temp_receipt_no} of {accepted_at} over {tot_amt}: {code}{kra_message}{field}. {advice}"
    )
}
