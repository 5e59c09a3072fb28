//! The faults, and what comes of each: for the register that waits at once, and at last.

/// What a register sees that waits: long for a fault that strikes once, a few seconds for one that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// 202, `inDoubt`: it may be in KRA's books, which are being asked.
    InDoubt,
    /// 202: it waits.
    Pending,
    /// 422: KRA refused it for good.
    Rejected,
    /// 201.
    Signed,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Refused for good; its number goes to the next.
    Rejected,
    /// Signed in its turn, by itself.
    Signed,
    /// Signed by itself, those behind it perhaps before it.
    SignedAside,
    /// Signed in its turn as soon as the fault is over; before that nothing is, and nobody is blamed.
    SignedOnceLifted,
    /// KRA wants to be left alone for long: signed in its turn, later or when a person says so.
    SignedOnceRetried,
    /// The series stands still until a person has said of the sale that KRA does not have it; its number goes to the next.
    SettledByHand,
    /// The series stands still until a person has adopted what KRA's books say; then signed in its turn.
    SignedOnceAdopted,
}

/// A fault and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// As `simulator --fault` takes it, without a count.
    pub(super) fault: &'static str,
    pub(super) at_once: Seen,
    pub(super) at_last: Last,
}

/// The fault strikes one request.
const fn once(fault: &'static str, at_once: Seen, at_last: Last) -> Row {
    Row { fault, at_once, at_last }
}

/// The fault strikes every request until it is lifted.
const fn lasting(fault: &'static str, at_once: Seen) -> Row {
    Row { fault, at_once, at_last: Last::SignedOnceLifted }
}

/// Requests are given up after 1500 ms.
pub(super) const ROWS: &[Row] = &[
    // No byte of the sale leaves.
    once("refuse:700", Seen::Pending, Last::Signed),
    lasting("refuse", Seen::Pending),
    once("bad_certificate", Seen::Pending, Last::Signed),
    lasting("bad_certificate", Seen::Pending),
    // Nobody knows whether it is in: KRA's books are asked before anything is sent again.
    once("hang", Seen::Signed, Last::Signed),
    lasting("hang", Seen::InDoubt),
    once("hang_before_read", Seen::Signed, Last::Signed),
    once("close_before_read", Seen::Signed, Last::Signed),
    once("close_after_read", Seen::Signed, Last::Signed),
    lasting("close_after_read", Seen::InDoubt),
    once("lose_answer", Seen::Signed, Last::Signed),
    // The ghost of a request lands before the same bytes are sent again, at about that time, and after it.
    once("late:300", Seen::Signed, Last::Signed),
    once("late:1500", Seen::Signed, Last::Signed),
    once("late:2500", Seen::Signed, Last::Signed),
    once("half_body", Seen::Signed, Last::Signed),
    once("half_body:false", Seen::Signed, Last::Signed),
    once("html", Seen::Signed, Last::Signed),
    once("html:true", Seen::Signed, Last::Signed),
    once("bad_json", Seen::Signed, Last::Signed),
    once("bad_json:false", Seen::Signed, Last::Signed),
    once("bad_xml", Seen::Signed, Last::Signed),
    once("bad_xml:false", Seen::Signed, Last::Signed),
    // Slow, and in time; slow, and given up.
    once("slow:200", Seen::Signed, Last::Signed),
    once("slow:3000", Seen::Signed, Last::Signed),
    once("slow_body:10", Seen::Signed, Last::Signed),
    once("slow_body:400", Seen::Signed, Last::Signed),
    // HTTP. UNSURE: with Retry-After too, for a server behind it may have taken the sale.
    once("http_status:408", Seen::Signed, Last::Signed),
    once("http_status:500", Seen::Signed, Last::Signed),
    once("http_status:502", Seen::Signed, Last::Signed),
    once("http_status:503", Seen::Signed, Last::Signed),
    once("http_status:503,1", Seen::Signed, Last::Signed),
    once("http_status:503,1,true", Seen::Signed, Last::Signed),
    lasting("http_status:500", Seen::InDoubt),
    // BUSY.
    once("http_status:429", Seen::Pending, Last::Signed),
    once("http_status:429,1", Seen::Pending, Last::Signed),
    lasting("http_status:429", Seen::Pending),
    // A try of this one sale, if it is that.
    once("http_status:400", Seen::Pending, Last::Signed),
    lasting("http_status:400", Seen::Pending),
    once("http_status:413", Seen::Pending, Last::Signed),
    // CONFIG and DEVICE.
    once("http_status:302", Seen::Pending, Last::Signed),
    once("http_status:404", Seen::Pending, Last::Signed),
    lasting("http_status:404", Seen::Pending),
    once("http_status:405", Seen::Pending, Last::Signed),
    once("http_status:415", Seen::Pending, Last::Signed),
    once("http_status:401", Seen::Pending, Last::Signed),
    once("http_status:403", Seen::Pending, Last::Signed),
    lasting("http_status:403", Seen::Pending),
    once("wrong_key", Seen::Pending, Last::Signed),
    lasting("wrong_key", Seen::Pending),
    once("result_cd:901", Seen::Pending, Last::Signed),
    once("result_cd:E04", Seen::Pending, Last::Signed),
    once("result_cd:912", Seen::Pending, Last::Signed),
    lasting("result_cd:912", Seen::Pending),
    once("result_cd:910,Invalid invcNo [<invcNo>]", Seen::Pending, Last::Signed),
    once("result_cd:910,Invalid bhfId [<bhfId>]", Seen::Pending, Last::Signed),
    once("result_cd:913,Check the code value [<receipt><trdeNm>]", Seen::Pending, Last::Signed),
    // REFUSED, by code and by words.
    once("result_cd:910", Seen::Rejected, Last::Rejected),
    once("result_cd:911", Seen::Rejected, Last::Rejected),
    once("result_cd:913", Seen::Rejected, Last::Rejected),
    once("result_cd:921", Seen::Rejected, Last::Rejected),
    once("result_cd:500,custNm cannot be null", Seen::Rejected, Last::Rejected),
    once("result_cd:910,Invalid pkg for invcNo 42. Expected: 1 but found: 2", Seen::Rejected, Last::Rejected),
    // DUPLICATE is never "it was in" by itself.
    once("result_cd:994", Seen::Signed, Last::Signed),
    once("result_cd:994,overlapped,true", Seen::Signed, Last::Signed),
    // UNSURE.
    once("result_cd:894", Seen::Signed, Last::Signed),
    once("result_cd:991", Seen::Signed, Last::Signed),
    once("result_cd:991,Column 'rcpt_sign' cannot be null", Seen::Signed, Last::Signed),
    once("result_cd:999", Seen::Signed, Last::Signed),
    once("result_cd:999,Unknown error,true", Seen::Signed, Last::Signed),
    lasting("result_cd:999", Seen::InDoubt),
    once("result_cd:987", Seen::Signed, Last::Signed),
    once("result_cd:987,what is this,true", Seen::Signed, Last::Signed),
    once("result_cd:899", Seen::InDoubt, Last::Signed),
    once("result_cd:899,Client error,true", Seen::Signed, Last::Signed),
    lasting("result_cd:899", Seen::InDoubt),
    // Accepted without its proof: in KRA's books, or else nothing is as it should be.
    once("result_cd:000,Successful,true", Seen::Signed, Last::Signed),
    once("result_cd:000,Successful", Seen::InDoubt, Last::SettledByHand),
    // BUSY for a quarter of an hour at least.
    once("result_cd:990", Seen::Pending, Last::SignedOnceRetried),
    // WAIT.
    once("result_cd:922", Seen::Pending, Last::SignedAside),
    once("result_cd:999,Item does not exist in your stock", Seen::Pending, Last::SignedAside),
    // KRA counts otherwise than we do.
    once(
        "result_cd:910,Invalid invcNo sequence: expected 7 but found 2",
        Seen::Pending,
        Last::SignedOnceAdopted,
    ),
];

impl Row {
    /// Whether it is this fault, whatever its arguments.
    pub(super) fn is(&self, fault: &str) -> bool {
        self.fault.split(':').next() == Some(fault)
    }
}
