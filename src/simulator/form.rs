//! KRA's request forms: which field, of what kind and length, required or not, from which code list; and the
//! check of one request against its form. The first thing wrong is the answer, as with KRA.

use std::time::Duration;

use super::clock::{self, Moment};
use super::code_lists::Codes;
use super::hundredths::Hundredths;
use super::tree::{Tree, Wire};

/// Why KRA does not take a request: its result code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Refusal {
        Refusal { code: code.to_owned(), message: message.into() }
    }

    /// 910: a field is wrong.
    pub(super) fn parameter(message: impl Into<String>) -> Refusal {
        Refusal::new("910", message)
    }
}

/// One field of a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    required: bool,
    codes: Option<Codes>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `yyyyMMdd`.
    Date,
    /// `yyyyMMddHHmmss`.
    DateTime,
    /// A list of at least one entry of this form.
    List(&'static [Field]),
    /// A number of so many digits, so many of them after the point; never below nothing.
    Number(usize, usize),
    /// An object of this form.
    Object(&'static [Field]),
    /// A text of at most so many characters.
    Text(usize),
    /// A date-time that may lie ahead: how far back a list is asked for.
    Watermark,
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Field {
        Field { name, kind, required: false, codes: None }
    }

    pub(super) const fn text(name: &'static str, longest: usize) -> Field {
        Field::new(name, Kind::Text(longest))
    }

    pub(super) const fn code(name: &'static str, codes: Codes) -> Field {
        let longest = match codes {
            Codes::ItemClass => 10,
            Codes::YesNo => 1,
            _ => 5,
        };
        Field { codes: Some(codes), ..Field::new(name, Kind::Text(longest)) }
    }

    pub(super) const fn number(name: &'static str, digits: usize, decimals: usize) -> Field {
        Field::new(name, Kind::Number(digits, decimals))
    }

    pub(super) const fn amount(name: &'static str) -> Field {
        Field::number(name, 18, 2)
    }

    pub(super) const fn of(name: &'static str, kind: Kind) -> Field {
        Field::new(name, kind)
    }

    pub(super) const fn required(self) -> Field {
        Field { required: true, ..self }
    }
}

/// Checks a request against its form.
pub(super) fn check(
    form: &[Field],
    tree: &Tree,
    wire: Wire,
    ordered: bool,
    now: Moment,
) -> Result<(), Refusal> {
    Sheet { wire, ordered: ordered && wire == Wire::Xml, now, place: Vec::new() }.object(form, tree)
}

/// The check's way through one request.
struct Sheet {
    wire: Wire,
    ordered: bool,
    now: Moment,
    place: Vec<&'static str>,
}

impl Sheet {
    fn object(&mut self, form: &[Field], tree: &Tree) -> Result<(), Refusal> {
        let Tree::Object(members) = tree else { return Err(self.wrong("is not an object")) };
        if self.ordered {
            let mut last = 0;
            for (name, _) in members {
                let Some(place) = form.iter().position(|field| field.name == name) else { continue };
                if place < last {
                    return Err(
                        self.wrong(&format!("{name} comes after {}: elements out of order", form[last].name))
                    );
                }
                last = place;
            }
        }
        for field in form {
            self.place.push(field.name);
            self.field(field, tree.at(field.name))?;
            self.place.pop();
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: Option<&Tree>) -> Result<(), Refusal> {
        let value = match value {
            None | Some(Tree::Null) if field.required => return Err(self.wrong("cannot be Null")),
            None | Some(Tree::Null) => return Ok(()),
            Some(value) => value,
        };
        match field.kind {
            Kind::Object(form) => self.object(form, value),
            Kind::List(form) => match value {
                Tree::List(items) if !items.is_empty() => {
                    items.iter().try_for_each(|item| self.object(form, item))
                }
                Tree::List(_) => Err(self.wrong("is empty")),
                _ => Err(self.wrong("is not a list")),
            },
            Kind::Number(digits, decimals) => match (self.wire, value) {
                (Wire::Json, Tree::Number(text)) | (Wire::Xml, Tree::Text(text)) => {
                    self.number(text, digits, decimals)
                }
                _ => Err(self.wrong("is not a number")),
            },
            kind => match value {
                Tree::Text(text) => self.words(field, kind, text),
                _ => Err(self.wrong("is not a text")),
            },
        }
    }

    fn words(&self, field: &Field, kind: Kind, text: &str) -> Result<(), Refusal> {
        if text.is_empty() && field.required {
            return Err(self.wrong("cannot be empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.wrong("has control characters"));
        }
        let latest = self.now.after(Duration::from_secs(60));
        match kind {
            Kind::Text(longest) if text.chars().count() > longest => {
                return Err(self.wrong(&format!("is longer than {longest}")));
            }
            Kind::Date if !clock::is_date(text) => return Err(self.wrong("is not a date yyyyMMdd")),
            Kind::Date if *text > *latest.date() => return Err(self.wrong("lies in the future")),
            Kind::DateTime | Kind::Watermark => match Moment::parse(text) {
                None => return Err(self.wrong("is not a time yyyyMMddHHmmss")),
                Some(moment) if moment > latest && matches!(kind, Kind::DateTime) => {
                    return Err(self.wrong("lies in the future"));
                }
                Some(_) => {}
            },
            _ => {}
        }
        match field.codes {
            Some(codes) if !text.is_empty() && !codes.has(text) => {
                Err(Refusal::new("913", format!("Code value not in list: {}", self.path())))
            }
            _ => Ok(()),
        }
    }

    fn number(&self, text: &str, digits: usize, decimals: usize) -> Result<(), Refusal> {
        let whole = text.split('.').next().unwrap_or_default().trim_start_matches('-');
        match Hundredths::parse(text) {
            _ if decimals == 0 && text.contains('.') => Err(self.wrong("is not a whole number")),
            // Longer than any amount, as a number of an invoice may be.
            None if decimals == 0 && whole.len() > 28 && whole.len() <= digits => Ok(()),
            None => Err(self.wrong("is not a number with at most 2 decimals")),
            Some(value) if value.is_negative() => Err(self.wrong("is negative")),
            Some(_) if whole.len() > digits - decimals => {
                Err(self.wrong(&format!("has more than {digits} digits")))
            }
            Some(_) => Ok(()),
        }
    }

    fn wrong(&self, words: &str) -> Refusal {
        let place = self.path();
        Refusal::parameter(format!(
            "Parameter error: {place}{}{words}",
            if place.is_empty() { "" } else { " " }
        ))
    }

    /// `[<itemList><pkgUnitCd>]`.
    fn path(&self) -> String {
        let names: String = self.place.iter().map(|name| format!("<{name}>")).collect();
        if names.is_empty() { names } else { format!("[{names}]") }
    }
}

const TIN: Field = Field::text("tin", 11).required();
const BHF_ID: Field = Field::text("bhfId", 2).required();
const CMC_KEY: Field = Field::text("cmcKey", 255).required();
const REGR_ID: Field = Field::text("regrId", 20).required();
const REGR_NM: Field = Field::text("regrNm", 60).required();
const MODR_ID: Field = Field::text("modrId", 20).required();
const MODR_NM: Field = Field::text("modrNm", 60).required();

/// selectInitOsdcInfo.
pub(super) const INITIALISE: &[Field] = &[TIN, BHF_ID, Field::text("dvcSrlNo", 100).required()];

/// The lists.
pub(super) const LIST: &[Field] = &[TIN, BHF_ID, CMC_KEY, Field::of("lastReqDt", Kind::Watermark).required()];

/// selectInvoiceDetails.
pub(super) const INVOICE_DETAILS: &[Field] =
    &[TIN, BHF_ID, CMC_KEY, Field::number("invcNo", 38, 0).required()];

/// saveItem.
pub(super) const ITEM: &[Field] = &[
    TIN,
    BHF_ID,
    CMC_KEY,
    Field::text("itemCd", 20).required(),
    Field::code("itemClsCd", Codes::ItemClass).required(),
    Field::code("itemTyCd", Codes::ProductType).required(),
    Field::text("itemNm", 200).required(),
    Field::text("itemStdNm", 200),
    Field::code("orgnNatCd", Codes::Country).required(),
    Field::code("pkgUnitCd", Codes::Packaging).required(),
    Field::code("qtyUnitCd", Codes::QuantityUnit).required(),
    Field::code("taxTyCd", Codes::TaxType).required(),
    Field::text("btchNo", 10),
    Field::text("bcd", 20),
    Field::amount("dftPrc").required(),
    Field::amount("grpPrcL1"),
    Field::amount("grpPrcL2"),
    Field::amount("grpPrcL3"),
    Field::amount("grpPrcL4"),
    Field::amount("grpPrcL5"),
    Field::text("addInfo", 7),
    Field::number("sftyQty", 13, 2),
    Field::code("isrcAplcbYn", Codes::YesNo).required(),
    Field::code("useYn", Codes::YesNo).required(),
    REGR_ID,
    REGR_NM,
    MODR_ID,
    MODR_NM,
];

/// saveTrnsSalesOsdc.
pub(super) const SALE: &[Field] = &[
    TIN,
    BHF_ID,
    CMC_KEY,
    Field::text("trdInvcNo", 50).required(),
    Field::number("invcNo", 38, 0).required(),
    Field::number("orgInvcNo", 38, 0).required(),
    Field::text("custTin", 11),
    Field::text("custNm", 60),
    Field::code("salesTyCd", Codes::Transaction),
    Field::code("rcptTyCd", Codes::ReceiptType).required(),
    Field::code("pmtTyCd", Codes::Payment),
    Field::code("salesSttsCd", Codes::SalesStatus).required(),
    Field::of("cfmDt", Kind::DateTime).required(),
    Field::of("salesDt", Kind::Date).required(),
    Field::of("stockRlsDt", Kind::DateTime),
    Field::of("cnclReqDt", Kind::DateTime),
    Field::of("cnclDt", Kind::DateTime),
    Field::of("rfdDt", Kind::DateTime),
    Field::code("rfdRsnCd", Codes::CreditReason),
    Field::number("totItemCnt", 10, 0).required(),
    Field::amount("taxblAmtA").required(),
    Field::amount("taxblAmtB").required(),
    Field::amount("taxblAmtC").required(),
    Field::amount("taxblAmtD").required(),
    Field::amount("taxblAmtE").required(),
    Field::number("taxRtA", 7, 2).required(),
    Field::number("taxRtB", 7, 2).required(),
    Field::number("taxRtC", 7, 2).required(),
    Field::number("taxRtD", 7, 2).required(),
    Field::number("taxRtE", 7, 2).required(),
    Field::amount("taxAmtA").required(),
    Field::amount("taxAmtB").required(),
    Field::amount("taxAmtC").required(),
    Field::amount("taxAmtD").required(),
    Field::amount("taxAmtE").required(),
    Field::amount("totTaxblAmt").required(),
    Field::amount("totTaxAmt").required(),
    Field::amount("totAmt").required(),
    Field::code("prchrAcptcYn", Codes::YesNo).required(),
    Field::text("remark", 400),
    REGR_ID,
    REGR_NM,
    MODR_ID,
    MODR_NM,
    Field::of("receipt", Kind::Object(RECEIPT)).required(),
    Field::of("itemList", Kind::List(LINE)).required(),
];

const RECEIPT: &[Field] = &[
    Field::text("custTin", 11),
    Field::text("custMblNo", 20),
    Field::of("rcptPbctDt", Kind::DateTime).required(),
    Field::text("trdeNm", 20),
    Field::text("adrs", 200),
    Field::text("topMsg", 20),
    Field::text("btmMsg", 20),
    Field::code("prchrAcptcYn", Codes::YesNo).required(),
];

const LINE: &[Field] = &[
    Field::number("itemSeq", 3, 0).required(),
    Field::text("itemCd", 20).required(),
    Field::code("itemClsCd", Codes::ItemClass),
    Field::text("itemNm", 200).required(),
    Field::text("bcd", 20),
    Field::code("pkgUnitCd", Codes::Packaging).required(),
    Field::number("pkg", 13, 2).required(),
    Field::code("qtyUnitCd", Codes::QuantityUnit).required(),
    Field::number("qty", 13, 2).required(),
    Field::amount("prc").required(),
    Field::amount("splyAmt").required(),
    Field::number("dcRt", 5, 2).required(),
    Field::amount("dcAmt").required(),
    Field::text("isrccCd", 10),
    Field::text("isrccNm", 100),
    Field::number("isrcRt", 3, 0),
    Field::amount("isrcAmt"),
    Field::code("taxTyCd", Codes::TaxType).required(),
    Field::amount("taxblAmt").required(),
    Field::amount("taxAmt").required(),
    Field::amount("totAmt").required(),
];
