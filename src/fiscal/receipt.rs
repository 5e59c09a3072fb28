//! KRA's proof of an accepted invoice, and what the till may print.

use data_encoding::BASE32_NOPAD;

use super::{BhfId, KraDateTime, ReceiptType, SalesType, Tin};

/// The five fields with which KRA answers for an accepted invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `curRcptNo`: the count of receipts of this kind.
    pub receipt_no: u64,
    /// `totRcptNo`: the count of all receipts.
    pub total_receipt_no: u64,
    /// `intrlData`: 26 characters.
    pub internal_data: String,
    /// `rcptSign`: 16 characters.
    pub signature: String,
    /// `sdcDateTime`: the official time of the receipt.
    pub issued_at: KraDateTime,
}

/// What stands on a receipt to say what it is: kind and type in two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// CC: a copy of a credit note.
    CreditCopy,
    /// NC: a credit note.
    CreditNormal,
    /// TC: a credit note for practice.
    CreditTraining,
    /// CS: a copy of a sale.
    SaleCopy,
    /// NS: a sale.
    SaleNormal,
    /// PS: a quotation.
    SaleProforma,
    /// TS: a sale for practice.
    SaleTraining,
}

impl Label {
    /// The label of an original; `None` for a credit note on a quotation, which does not exist.
    pub const fn original(receipt_type: ReceiptType, sales_type: SalesType) -> Option<Self> {
        match (receipt_type, sales_type) {
            (ReceiptType::Sale, SalesType::Normal) => Some(Self::SaleNormal),
            (ReceiptType::Sale, SalesType::Training) => Some(Self::SaleTraining),
            (ReceiptType::Sale, SalesType::Proforma) => Some(Self::SaleProforma),
            (ReceiptType::CreditNote, SalesType::Normal) => Some(Self::CreditNormal),
            (ReceiptType::CreditNote, SalesType::Training) => Some(Self::CreditTraining),
            (ReceiptType::CreditNote, SalesType::Proforma) => None,
        }
    }

    /// The label of a further print. What is no official receipt has no official copy.
    pub const fn copy(self) -> Self {
        match self {
            Self::SaleNormal => Self::SaleCopy,
            Self::CreditNormal => Self::CreditCopy,
            other => other,
        }
    }

    /// On a credit note.
    pub const fn is_credit(self) -> bool {
        matches!(self, Self::CreditCopy | Self::CreditNormal | Self::CreditTraining)
    }

    /// The two letters.
    pub const fn letters(self) -> &'static str {
        match self {
            Self::CreditCopy => "CC",
            Self::CreditNormal => "NC",
            Self::CreditTraining => "TC",
            Self::SaleCopy => "CS",
            Self::SaleNormal => "NS",
            Self::SaleProforma => "PS",
            Self::SaleTraining => "TS",
        }
    }
}

/// The link in a receipt's QR code: KRA's page that shows the receipt. `portal_host` is the portal's bare host name.
pub fn qr_url(portal_host: &str, tin: &Tin, bhf_id: &BhfId, receipt_signature: &str) -> String {
    let mut url =
        format!("https://{portal_host}/common/link/etims/receipt/indexEtimsReceiptData?Data={tin}{bhf_id}");
    for byte in receipt_signature.bytes() {
        // KRA's signatures are letters and digits; anything else must not break the link.
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// In groups of four with dashes between, as signatures are printed: `ABCD-EFGH-IJ`.
pub fn group_in_fours(text: &str) -> String {
    let mut grouped = String::with_capacity(text.len() + text.len() / 4);
    for (place, c) in text.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            grouped.push('-');
        }
        grouped.push(c);
    }
    grouped
}

/// The number on a provisional receipt: `P-`, the running number, and 4 base32 characters of the record's hash, so
/// that two copies of one till never print the same one.
pub fn temporary_receipt_no(running_number: u64, record_hash: &[u8; 32]) -> String {
    let hash = BASE32_NOPAD.encode(record_hash);
    format!("P-{running_number}-{}", &hash[..4])
}

/// Our signature as it is printed: its first 20 base32 characters in groups of four. The whole of it: [`base32`].
pub fn local_signature(signature: &[u8; 64]) -> String {
    group_in_fours(&base32(signature)[..20])
}

/// Our signature whole, in upper-case base32 (RFC 4648) without padding.
pub fn base32(signature: &[u8; 64]) -> String {
    BASE32_NOPAD.encode(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        use ReceiptType::{CreditNote, Sale};
        use SalesType::{Normal, Proforma, Training};
        for (receipt_type, sales_type, original, copy) in [
            (Sale, Normal, "NS", "CS"),
            (CreditNote, Normal, "NC", "CC"),
            (Sale, Training, "TS", "TS"),
            (CreditNote, Training, "TC", "TC"),
            (Sale, Proforma, "PS", "PS"),
        ] {
            let label = Label::original(receipt_type, sales_type).unwrap();
            assert_eq!([label.letters(), label.copy().letters()], [original, copy]);
        }
        assert_eq!(Label::original(CreditNote, Proforma), None);
    }

    #[test]
    fn the_link_is_pin_branch_and_signature() {
        let (tin, bhf_id) = (Tin::new("P000000000A").unwrap(), BhfId::new("00").unwrap());
        assert_eq!(
            qr_url("etims.kra.go.ke", &tin, &bhf_id, "ABCDEFGHIJKLMNOP"),
            "https://etims.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data=P000000000A00ABCDEFGHIJKLMNOP"
        );
        assert!(qr_url("h", &tin, &bhf_id, "A+ &\u{e9}").ends_with("00A%2B%20%26%C3%A9"));
    }

    #[test]
    fn groups_of_four() {
        for (text, grouped) in [
            ("", ""),
            ("ABCD", "ABCD"),
            ("ABCDE", "ABCD-E"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ"),
        ] {
            assert_eq!(group_in_fours(text), grouped);
        }
    }

    #[test]
    fn provisional_numbers_and_signatures() {
        // RFC 4648: 14 FB 9C 03 D9 7E is CT5ZYA6ZPY.
        let mut hash = [0; 32];
        hash[..6].copy_from_slice(&[0x14, 0xfb, 0x9c, 0x03, 0xd9, 0x7e]);
        assert_eq!(temporary_receipt_no(123, &hash), "P-123-CT5Z");
        let mut signature = [0; 64];
        signature[..6].copy_from_slice(&hash[..6]);
        assert_eq!(local_signature(&signature), "CT5Z-YA6Z-PYAA-AAAA-AAAA");
        let whole = base32(&signature);
        assert_eq!(whole.len(), 103);
        assert!(whole.starts_with("CT5ZYA6ZPYAA") && !whole.contains('='));
    }
}
