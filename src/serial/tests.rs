//! The worked examples of 1.10, for the tests of both ways.

/// A frame and its fields.
pub(super) struct Example {
    pub(super) seq: u8,
    pub(super) kind: u8,
    pub(super) data: &'static str,
    /// As the specification writes it, with its control characters.
    pub(super) bytes: &'static str,
}

/// The sale of 1.10: 154 bytes.
pub(super) const SALE: &str = "\x1E008802S{\"trdInvcNo\":\"T1-000123\",\"rcptTyCd\":\"S\",\"salesTyCd\":\"N\",\
    \"pmtTyCd\":\"01\",\"itemList\":[{\"itemCd\":\"KE2NTNO0000001\",\"qty\":2}],\"totAmt\":130.00}\x034807613F\n";

pub(super) const EXAMPLES: &[Example] = &[
    Example { seq: 0, kind: b'H', data: r#"{"proto":1}"#, bytes: "\x1E000B00H{\"proto\":1}\x03C5248464\n" },
    Example { seq: 1, kind: b'T', data: "", bytes: "\x1E000001T\x037F8B2881\n" },
    Example {
        seq: 2,
        kind: b'S',
        data: concat!(
            r#"{"trdInvcNo":"T1-000123","rcptTyCd":"S","salesTyCd":"N","pmtTyCd":"01","#,
            r#""itemList":[{"itemCd":"KE2NTNO0000001","qty":2}],"totAmt":130.00}"#
        ),
        bytes: SALE,
    },
    Example {
        seq: 2,
        kind: b's',
        data: concat!(
            r#"{"st":202,"status":"pending","trdInvcNo":"T1-000123","tempReceiptNo":"P-123","#,
            r#""position":3,"retryAfter":5}"#
        ),
        bytes: "\x1E006902s{\"st\":202,\"status\":\"pending\",\"trdInvcNo\":\"T1-000123\",\
            \"tempReceiptNo\":\"P-123\",\"position\":3,\"retryAfter\":5}\x03C85D080B\n",
    },
    Example {
        seq: 3,
        kind: b's',
        data: concat!(
            r#"{"st":200,"status":"pending","trdInvcNo":"T1-000123","tempReceiptNo":"P-123","#,
            r#""position":3,"retryAfter":5}"#
        ),
        bytes: "\x1E006903s{\"st\":200,\"status\":\"pending\",\"trdInvcNo\":\"T1-000123\",\
            \"tempReceiptNo\":\"P-123\",\"position\":3,\"retryAfter\":5}\x03DB9CE21D\n",
    },
    Example {
        seq: 4,
        kind: b'e',
        data: r#"{"st":409,"error":"conflict","message":"number used for another sale"}"#,
        bytes: "\x1E004604e{\"st\":409,\"error\":\"conflict\",\"message\":\"number used for another sale\"}\
            \x031E3B39AB\n",
    },
];
