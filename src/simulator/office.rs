//! KRA's side of one call: bytes and headers in, the books perhaps changed, an answer out. Knows no sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use ring::hmac;

use super::books::{Books, Branch, Device, Seal};
use super::clock::Moment;
use super::dice::Dice;
use super::form::{self, Field, Refusal};
use super::functions::Function;
use super::lists::Lists;
use super::paperwork::{foreign_sale, taxpayer};
use super::settings::Settings;
use super::tree::{Tree, Wire};
use super::{checks, json, xml};

/// Most branches that may register, so that a runaway script cannot eat the memory.
const BRANCHES: usize = 10_000;
/// Most invoices in one answer of the sales list.
const LISTED: usize = 500;

/// How far a till's clock may be ahead.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// The state behind all the simulator's doors.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) books: Books,
    pub(super) settings: Settings,
    pub(super) requests: BTreeMap<&'static str, u64>,
    registered: usize,
    pub(super) lists: Lists,
    /// The settings before the rates were changed last, and when that was.
    before: Option<(Moment, Settings)>,
    dice: Dice,
}

/// One call, read but not understood.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) wire: Wire,
    pub(super) header: Identity,
    pub(super) signature: Option<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Who calls, by the headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) tin: Option<String>,
    pub(super) bhf_id: Option<String>,
    pub(super) key: Option<String>,
}

/// What KRA answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) data: Tree,
}

impl Answer {
    fn success(data: Tree) -> Answer {
        Answer { code: "000".to_owned(), message: "Success".to_owned(), data }
    }

    fn nothing_found() -> Answer {
        Answer { code: "001".to_owned(), message: "Nothing found".to_owned(), data: Tree::Null }
    }

    /// The answer's bytes on a wire.
    pub(super) fn render(&self, function: Function, wire: Wire, now: Moment) -> String {
        let tree = Tree::object([
            ("resultCd", Tree::text(&*self.code)),
            ("resultMsg", Tree::text(&*self.message)),
            ("resultDt", Tree::text(now.stamp())),
            ("data", self.data.clone()),
        ]);
        match wire {
            Wire::Json => json::render(&tree),
            Wire::Xml => xml::render(&function.answer_root(), &tree),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        Answer { code: refusal.code, message: refusal.message, data: Tree::Null }
    }
}

impl Office {
    pub(super) fn new(settings: Settings) -> Office {
        Office {
            books: Books::default(),
            settings,
            requests: BTreeMap::new(),
            registered: 0,
            lists: Lists::default(),
            before: None,
            dice: Dice::new(),
        }
    }

    /// Takes new settings; new rates are news to the code lists.
    pub(super) fn set(&mut self, settings: Settings, now: Moment) {
        if settings.rates != self.settings.rates {
            self.lists.rates_changed(now);
            self.before = Some((now, self.settings.clone()));
        }
        self.settings = settings;
    }

    /// Processes one call.
    pub(super) fn answer(&mut self, call: &Call, now: Moment) -> Answer {
        let answer = match call.function {
            Function::Status => self.status(call),
            Function::Initialise => self.initialise(call, now),
            _ => self.serve(call, now),
        };
        let mut answer = answer.unwrap_or_else(Answer::from);
        if self.settings.sloppy && call.wire == Wire::Json {
            answer.data = sloppy(answer.data);
        }
        answer
    }

    fn status(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let given = |name: &str| {
            let value = call.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                Refusal::parameter(format!("Parameter error: [<{name}>] is missing in the query"))
            })
        };
        let (tin, bhf_id, serial) = (given("tin")?, given("bhfId")?, given("dvcSrlNo")?);
        let device = self.books.branch(tin, bhf_id).and_then(|branch| branch.device.as_ref());
        device.filter(|device| device.serial == serial).ok_or_else(unknown_device)?;
        Ok(Answer::success(Tree::object([
            ("tin", Tree::text(tin)),
            ("bhfId", Tree::text(bhf_id)),
            ("dvcSrlNo", Tree::text(serial)),
        ])))
    }

    fn initialise(&mut self, call: &Call, now: Moment) -> Result<Answer, Refusal> {
        let body = read(call)?;
        form::check(form::INITIALISE, &body, call.wire, !self.settings.any_order, now)?;
        let (tin, bhf_id) = (body.text_at("tin"), body.text_at("bhfId"));
        if !is_pin(tin) {
            return Err(Refusal::parameter("Parameter error: [<tin>] is not a taxpayer PIN"));
        }
        if bhf_id.len() != 2 || !bhf_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Refusal::parameter("Parameter error: [<bhfId>] is not a branch"));
        }
        let differs =
            |header: &Option<String>, own: &str| header.as_ref().is_some_and(|header| header != own);
        if differs(&call.header.tin, tin) || differs(&call.header.bhf_id, bhf_id) {
            return Err(Refusal::new("901", "Not a valid device: header and body differ"));
        }
        if self.books.branch(tin, bhf_id).is_some_and(|branch| branch.device.is_some()) {
            return Err(Refusal::new("902", "Device already installed"));
        }
        if self.books.count() >= BRANCHES {
            return Err(Refusal::new("991", "Registration error: too many branches"));
        }
        self.registered += 1;
        let number = self.registered;
        let device = Device {
            serial: body.text_at("dvcSrlNo").to_owned(),
            key: self.dice.key(),
            scu_id: format!("KRACU{number:010}"),
            device_id: format!(
                "{:0>15}",
                format!("{tin}{bhf_id}").replace(|c: char| !c.is_ascii_digit(), "")
            ),
            mrc_no: format!("SIM{number:08}"),
        };
        let data = taxpayer(tin, bhf_id, &device);
        let branch = self.books.open(tin, bhf_id);
        branch.device = Some(device);
        Ok(Answer::success(data))
    }

    /// Everything that needs a registered device.
    fn serve(&mut self, call: &Call, now: Moment) -> Result<Answer, Refusal> {
        let body = read(call)?;
        let Office { books, settings, lists, before, dice, .. } = self;
        let branch = identify(books, call, &body)?;
        if call.wire == Wire::Xml && !settings.unsigned || call.signature.is_some() {
            verify(branch, call)?;
        }
        let form: &[Field] = match call.function {
            Function::InvoiceDetails => form::INVOICE_DETAILS,
            Function::SaveItem => form::ITEM,
            Function::SaveSale => form::SALE,
            _ => form::LIST,
        };
        let right = form::check(form, &body, call.wire, !settings.any_order, now);
        if call.function == Function::SaveSale {
            let checked = right.and_then(|()| match checks::check(&body, branch, settings) {
                Err(refusal) if before.as_ref().is_some_and(|(changed, _)| sold_before(&body, *changed)) => {
                    let rates = before.as_ref().map(|(_, old)| old.rates.clone()).unwrap_or_default();
                    checks::check(&body, branch, &Settings { rates, ..settings.clone() }).or(Err(refusal))
                }
                checked => checked,
            });
            let seal = Seal { now, dice, offset: settings.receipt_offset, foreign: false };
            return match checked {
                Ok(number) => Ok(Answer::success(branch.book(&body, number, seal).data())),
                Err(refusal) => {
                    branch.refuse(&body, &refusal);
                    Err(refusal)
                }
            };
        }
        right?;
        let since = Moment::parse(body.text_at("lastReqDt"));
        let codes =
            || ("clsList", since.map(|since| lists.codes(since, &settings.rates)).unwrap_or_default());
        let classes = || ("itemClsList", since.map(|since| lists.classes(since)).unwrap_or_default());
        Ok(match call.function {
            Function::CodeList => found_in([codes()]),
            Function::ItemClasses => found_in([classes()]),
            Function::PurchaseSalesItems => found_in([classes(), codes()]),
            Function::Notices => {
                found("noticeList", since.map(|since| lists.notices(since)).unwrap_or_default())
            }
            Function::InvoiceDetails => {
                let number = body.text_at("invcNo").parse().ok();
                found("salesList", number.and_then(|number| branch.details(number)).into_iter().collect())
            }
            Function::ItemList => {
                found("itemList", since.map(|since| branch.items_since(since)).unwrap_or_default())
            }
            Function::SalesList => {
                let numbers = since.map(|since| branch.received_after(since, LISTED)).unwrap_or_default();
                found("salesList", numbers.into_iter().filter_map(|number| branch.details(number)).collect())
            }
            Function::SaveItem => {
                branch.save_item(&body, now);
                Answer::success(Tree::Null)
            }
            _ => Answer::nothing_found(),
        })
    }

    /// Books an invoice that came from elsewhere: from a cloned till, another product, the portal. The number may
    /// leave a gap behind the last one, but is never one already used.
    ///
    /// # Errors
    /// Words that say what is wrong.
    pub(super) fn book_foreign(&mut self, change: &Tree, now: Moment) -> Result<Tree, String> {
        let (tin, bhf_id) = (change.text_at("tin").to_owned(), change.text_at("bhfId").to_owned());
        if !is_pin(&tin) || bhf_id.len() != 2 {
            return Err("tin and bhfId name the branch".to_owned());
        }
        let Tree::Object(changes) = change.clone() else { return Err("a sale is an object".to_owned()) };
        let next = self.books.branch(&tin, &bhf_id).map_or(1, |branch| branch.next());
        let template = foreign_sale(next, now);
        let sale = changes.into_iter().fold(template, |sale, (name, value)| sale.with(&name, value));
        form::check(form::SALE, &sale, Wire::Json, false, now).map_err(|refusal| refusal.message)?;
        let number: u64 = sale.text_at("invcNo").parse().map_err(|_| "invcNo is too long".to_owned())?;
        if number < next {
            return Err(format!("invcNo {number} is behind the series, which goes on at {next}"));
        }
        let seal = Seal { now, dice: &self.dice, offset: self.settings.receipt_offset, foreign: true };
        let proof = self.books.open(&tin, &bhf_id).book(&sale, number, seal);
        Ok(proof.data().with("invcNo", Tree::number(number)))
    }
}

/// The body as a tree: 911 if there is none, 910 if it cannot be read or is another request's.
fn read(call: &Call) -> Result<Tree, Refusal> {
    let body =
        std::str::from_utf8(&call.body).map_err(|_| Refusal::parameter("Parameter error: not UTF-8"))?;
    if body.trim().is_empty() {
        return Err(Refusal::new("911", "Empty body"));
    }
    let bad = |error: String| Refusal::parameter(format!("Parameter error: {error}"));
    match call.wire {
        Wire::Json => json::parse(body).map_err(bad),
        Wire::Xml => {
            let (root, tree) = xml::parse(body).map_err(bad)?;
            let expected = call.function.request_root();
            if root == expected {
                Ok(tree)
            } else {
                Err(bad(format!("root element {root}, expected {expected}")))
            }
        }
    }
}

/// The caller's branch, if headers and body name the same registered device and know its key.
fn identify<'a>(books: &'a mut Books, call: &Call, body: &Tree) -> Result<&'a mut Branch, Refusal> {
    let header = &call.header;
    let named = [("tin", &header.tin), ("bhfId", &header.bhf_id), ("cmcKey", &header.key)];
    for (name, value) in named {
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
            return Err(Refusal::new("900", format!("No header information: {name}")));
        };
        match body.text_at(name) {
            "" => return Err(Refusal::new("900", format!("{name} cannot be Null in the body"))),
            own if own != value => {
                return Err(Refusal::new(
                    "901",
                    format!("Not a valid device: {name} differs in header and body"),
                ));
            }
            _ => {}
        }
    }
    let branch = books.branch(body.text_at("tin"), body.text_at("bhfId")).ok_or_else(unknown_device)?;
    let known = branch.device.as_ref().is_some_and(|device| device.key == body.text_at("cmcKey"));
    if known { Ok(branch) } else { Err(unknown_device()) }
}

fn unknown_device() -> Refusal {
    Refusal::new("901", "Not a valid device")
}

/// `X-Signature: hmac-sha256=BASE64`, keyed with the device key's text, over the body's bytes.
fn verify(branch: &Branch, call: &Call) -> Result<(), Refusal> {
    let wrong = |words: &str| Refusal::new("901", format!("Not a valid device: signature {words}"));
    let header = call.signature.as_deref().ok_or_else(|| wrong("missing"))?;
    let encoded = header.strip_prefix("hmac-sha256=").ok_or_else(|| wrong("is not hmac-sha256=..."))?;
    let tag = BASE64.decode(encoded.as_bytes()).map_err(|_| wrong("is not base64"))?;
    let key = branch.device.as_ref().map_or("", |device| &device.key);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::verify(&key, &call.body, &tag).map_err(|_| wrong("wrong"))
}

/// A letter, nine digits, a letter.
fn is_pin(tin: &str) -> bool {
    let bytes = tin.as_bytes();
    bytes.len() == 11
        && bytes[0].is_ascii_uppercase()
        && bytes[1..10].iter().all(u8::is_ascii_digit)
        && bytes[10].is_ascii_uppercase()
}

fn found(name: &str, rows: Vec<Tree>) -> Answer {
    found_in([(name, rows)])
}

/// The lists that hold anything.
fn found_in<const N: usize>(lists: [(&str, Vec<Tree>); N]) -> Answer {
    let found = lists.into_iter().filter(|(_, rows)| !rows.is_empty());
    let data: Vec<_> = found.map(|(name, rows)| (name.to_owned(), Tree::List(rows))).collect();
    if data.is_empty() { Answer::nothing_found() } else { Answer::success(Tree::Object(data)) }
}

/// Whether a sale was made before the rates were changed, so that it may have the old ones; clocks differ by seconds.
fn sold_before(sale: &Tree, changed: Moment) -> bool {
    Moment::parse(sale.text_at("cfmDt")).is_some_and(|sold| sold <= changed.after(CLOCKS_DIFFER))
}

/// As careless as the real answers: a space behind one key, numbers as texts.
fn sloppy(data: Tree) -> Tree {
    match data {
        Tree::List(items) => Tree::List(items.into_iter().map(sloppy).collect()),
        Tree::Number(digits) => Tree::Text(digits),
        Tree::Object(members) => Tree::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    (if name == "curRcptNo" { "curRcptNo ".to_owned() } else { name }, sloppy(value))
                })
                .collect(),
        ),
        other => other,
    }
}
