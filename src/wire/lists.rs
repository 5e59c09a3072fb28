//! What KRA publishes: codes and item classes (`selectCodeList` and `selectItemClsList`; on the XML wire both in one,
//! `selectTrnsPurchaseSalesItemList`), the items that it has of this taxpayer (`selectItemList`, not on the XML wire), and
//! notices (`selectNoticeList`). Lists are long, tens of thousands of rows: an answer
//! is read as it comes, row by row, and never held whole.

use std::io::BufRead;
use std::time::Duration;

use crate::fiscal::{
    ClassFault, Code, CodeList, DeviceIdentity, ItemClass, ItemDraft, KraDateTime, ListSource,
    NewItemClasses, TaxType,
};
use crate::queue::{Busy, Verdict, Words};

use super::body::Body;
use super::envelope::{Envelope, clean};
use super::result_code::{self, Answer, Class, classify};
use super::tree::{Tree, TreeFault};
use super::{Format, FrozenRequest, Function, item, json_rows, xml_rows};

/// The most bytes of one answer that are read: KRA's item classes are about 15 MB.
pub const MOST_BYTES: u64 = 64 << 20;
/// The most classes of codes in one answer; KRA has about 20.
const MOST_LISTS: usize = 500;
/// The most codes in one answer; KRA has about 750.
const MOST_CODES: usize = 20_000;
/// The most items of one answer that are looked at: as many as a catalogue may hold.
const MOST_ITEMS: usize = 30_000;
/// The most notices of one answer that are kept.
const MOST_NOTICES: usize = 50;
/// The longest code or number of a class, in bytes.
const LONGEST_CODE: usize = 20;

/// The functions that bring codes, item classes and items on this wire.
pub const fn functions(format: Format) -> &'static [Function] {
    match format {
        Format::Json => &[Function::SelectCodeList, Function::SelectItemClsList, Function::SelectItemList],
        Format::Xml => &[Function::SelectTrnsPurchaseSalesItemList],
    }
}

/// Whether this function's answer holds item classes: then it may be long, and KRA takes its time.
pub const fn brings_classes(function: Function) -> bool {
    matches!(function, Function::SelectItemClsList | Function::SelectTrnsPurchaseSalesItemList)
}

/// Whether this function's answer holds lists of codes.
pub const fn brings_codes(function: Function) -> bool {
    matches!(function, Function::SelectCodeList | Function::SelectTrnsPurchaseSalesItemList)
}

/// What was added or changed after `since`.
pub fn encode(
    function: Function,
    format: Format,
    device: &DeviceIdentity,
    since: KraDateTime,
) -> FrozenRequest {
    Body::frozen(function, format, device, |body| body.text("lastReqDt", &since.to_string()))
}

/// A text from KRA for its taxpayers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// `noticeNo`.
    pub number: u64,
    /// `title`, shortened.
    pub title: String,
    /// `cont`, shortened.
    pub text: String,
    /// `dtlUrl`.
    pub link: Option<String>,
    /// `regDt`.
    pub published: Option<KraDateTime>,
}

/// The rows of an answer.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Lists of codes.
    pub codes: Vec<CodeList>,
    /// Item classes.
    pub classes: NewItemClasses,
    /// Items, as KRA has them.
    pub items: Vec<ItemDraft>,
    /// Notices, the newest first.
    pub notices: Vec<Notice>,
    /// Rows without a code that can be used, left out.
    pub skipped: u64,
}

/// KRA's answer to a question for a list.
#[derive(Clone, Debug)]
pub enum Told {
    /// KRA wants to be left alone.
    Busy(Busy),
    /// Nothing is known: the answer is not KRA's, breaks off, or names a trouble.
    Failed(Words),
    /// This server has no such function.
    Missing(Words),
    /// Rows, and when KRA says that it answered.
    News(Box<Listed>, Option<KraDateTime>),
    /// Nothing new (001), and when KRA says so.
    Nothing(Option<KraDateTime>),
    /// Our device or credentials are refused.
    Refused(Words),
}

/// How KRA wants to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// What the code itself asks for.
    pub at_least: Option<Duration>,
    /// What `Retry-After` asks for.
    pub asked: Option<Duration>,
    /// KRA's words.
    pub why: String,
}

impl From<Busy> for LeftAlone {
    fn from(busy: Busy) -> Self {
        Self { at_least: busy.floor, asked: busy.words.retry_after, why: busy.words.in_short() }
    }
}

/// Reads an answer that came with an HTTP status of success, as it comes. `asked_at` is when the lists are from where KRA
/// does not say.
pub fn read(body: impl BufRead, http_status: u16, asked_at: KraDateTime) -> Told {
    let mut rows = Rows { listed: Listed::default(), codes: 0 };
    let read = read_rows(body, &mut rows);
    let unreadable =
        |why: &str| Answer { http_status, retry_after: None, content_type: None, body: b"" }.unreadable(why);
    let tree = match read {
        Ok(tree) => tree,
        Err(fault) => return Told::Failed(unreadable(&fault.to_string())),
    };
    let Some(envelope) = Envelope::open(&tree) else {
        return Told::Failed(unreadable("it has no resultCd"));
    };
    let words = envelope.words(http_status);
    let (busy, device) = (Class::Busy, Class::Device);
    match envelope.code().as_deref() {
        Some("000") => rows.listed.told(envelope.answered_at, asked_at, words),
        Some("001") => Told::Nothing(envelope.answered_at),
        Some("912") => Told::Missing(words),
        Some(code) => match result_code::of_code(code).map(|row| (row.class, row.at_least)) {
            Some((class, floor)) if class == busy => Told::Busy(Busy { words, floor }),
            Some((class, _)) if class == device => Told::Refused(words),
            _ => Told::Failed(words),
        },
        None => match envelope.response_code {
            Some(401 | 403) => Told::Refused(words),
            Some(404) => Told::Missing(words),
            Some(429) => Told::Busy(Busy { words, floor: None }),
            _ => Told::Failed(words),
        },
    }
}

/// Reads an answer with another HTTP status.
pub fn read_failure(answer: &Answer<'_>) -> Told {
    match classify(answer) {
        Verdict::Busy(busy) => Told::Busy(busy),
        Verdict::Device(words) => Told::Refused(words),
        Verdict::Config(words) if answer.http_status == 404 => Told::Missing(words),
        verdict => Told::Failed(verdict.words().cloned().unwrap_or_default()),
    }
}

fn read_rows(body: impl BufRead, rows: &mut Rows) -> Result<Tree<'static>, TreeFault> {
    let mut body = body.take(MOST_BYTES);
    let first = loop {
        let ahead = body.fill_buf().map_err(|_| TreeFault::Malformed)?;
        let Some(byte) = ahead.first().copied() else {
            return Err(if body.limit() == 0 { TreeFault::TooLarge } else { TreeFault::Empty });
        };
        // Spaces, and the mark of UTF-8, whose bytes begin nothing else.
        if !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf) {
            break byte;
        }
        body.consume(1);
    };
    let is_list = |name: &str| List::named(name).is_some();
    let mut row = |name: &str, row: &Tree<'_>| match List::named(name) {
        Some(list) => rows.take(list, row),
        None => Ok(()),
    };
    let read = match first {
        b'<' => xml_rows::read(&mut body, is_list, &mut row),
        _ => json_rows::read(&mut body, is_list, &mut row),
    };
    if read.is_err() && body.limit() == 0 { Err(TreeFault::TooLarge) } else { read }
}

/// The lists that are looked for.
#[derive(Clone, Copy)]
enum List {
    Classes,
    Codes,
    Items,
    Notices,
}

impl List {
    fn named(name: &str) -> Option<Self> {
        match name {
            "clsList" => Some(Self::Codes),
            "itemClsList" => Some(Self::Classes),
            "itemList" => Some(Self::Items),
            "noticeList" => Some(Self::Notices),
            _ => None,
        }
    }
}

/// The rows so far.
struct Rows {
    listed: Listed,
    codes: usize,
}

impl Rows {
    fn take(&mut self, list: List, row: &Tree<'_>) -> Result<(), TreeFault> {
        match list {
            List::Classes => return self.take_class(row),
            List::Codes => return self.take_codes(row),
            List::Items if self.listed.items.len() < MOST_ITEMS => {
                let draft = item::read(row);
                match draft.code.is_some() {
                    true => self.listed.items.push(draft),
                    false => self.listed.skipped += 1,
                }
            }
            // What does not fit is posted, or sent again, like any other.
            List::Items => {}
            List::Notices => self.take_notice(row),
        }
        Ok(())
    }

    fn take_class(&mut self, row: &Tree<'_>) -> Result<(), TreeFault> {
        let class = ItemClass {
            code: row.text("itemClsCd").unwrap_or_default(),
            name: row.text("itemClsNm").unwrap_or_default(),
            level: row.whole("itemClsLvl").and_then(|level| u8::try_from(level).ok()),
            tax_type: row.text("taxTyCd").and_then(TaxType::from_letter),
            major: row.text("mjrTgYn").map(|word| word == "Y"),
            in_use: in_use(row),
        };
        match self.listed.classes.push(class) {
            Ok(()) => Ok(()),
            Err(ClassFault::Code) => {
                self.listed.skipped += 1;
                Ok(())
            }
            Err(ClassFault::TooMany) => Err(TreeFault::TooMany),
        }
    }

    fn take_codes(&mut self, row: &Tree<'_>) -> Result<(), TreeFault> {
        let Some(class) = row.text("cdCls").and_then(code).map(|class| format!("{class:0>2}")) else {
            self.listed.skipped += 1;
            return Ok(());
        };
        let details = row.list("dtlList").unwrap_or_default();
        self.codes += details.len();
        if self.listed.codes.len() == MOST_LISTS || self.codes > MOST_CODES {
            return Err(TreeFault::TooMany);
        }
        let codes: Vec<Code> = details.iter().filter_map(detail).collect();
        self.listed.skipped += u64::try_from(details.len() - codes.len()).unwrap_or(u64::MAX);
        let name = row.text("cdClsNm").map(|name| clean(name, 60)).unwrap_or_default();
        let mut list = CodeList::new(&class, &name, ListSource::BuiltIn, codes);
        list.in_use = in_use(row);
        self.listed.codes.push(list);
        Ok(())
    }

    fn take_notice(&mut self, row: &Tree<'_>) {
        let Some(number) = row.whole("noticeNo") else {
            self.listed.skipped += 1;
            return;
        };
        let notices = &mut self.listed.notices;
        notices.retain(|known| known.number != number);
        notices.push(Notice {
            number,
            title: row.text("title").map(|text| clean(text, 200)).unwrap_or_default(),
            text: row.text("cont").map(|text| clean(text, 1000)).unwrap_or_default(),
            link: row.text("dtlUrl").map(|text| clean(text, 200)),
            published: row.time("regDt"),
        });
        sort_newest_first(notices);
        notices.truncate(MOST_NOTICES);
    }
}

/// The newest first; of those without a date, the greatest number.
pub fn sort_newest_first(notices: &mut [Notice]) {
    notices.sort_by_key(|notice| std::cmp::Reverse((notice.published, notice.number)));
}

impl Listed {
    /// A success whose rows are mostly of no use is none: it is another service's, or damaged.
    fn told(mut self, answered_at: Option<KraDateTime>, asked_at: KraDateTime, words: Words) -> Told {
        let kept = self.classes.len()
            + self.codes.iter().map(|list| list.codes().len()).sum::<usize>()
            + self.items.len()
            + self.notices.len();
        if self.skipped > u64::try_from(kept).unwrap_or(u64::MAX) {
            let message =
                format!("most rows of the list have no code that can be used ({} of {})", self.skipped, {
                    self.skipped.saturating_add(u64::try_from(kept).unwrap_or(u64::MAX))
                });
            return Told::Failed(Words { message, ..words });
        }
        let source = ListSource::Kra(answered_at.unwrap_or(asked_at));
        self.codes.iter_mut().for_each(|list| list.source = source);
        Told::News(Box::new(self), answered_at)
    }
}

fn detail(row: &Tree<'_>) -> Option<Code> {
    let column = |name| row.text(name).map(|text| clean(text, 60));
    Some(Code {
        code: code(row.text("cd")?)?.to_owned(),
        name: row.text("cdNm").map(|name| clean(name, 200)).unwrap_or_default(),
        description: row.text("cdDesc").map(|text| clean(text, 500)),
        order: row.whole("srtOrd").and_then(|order| u32::try_from(order).ok()),
        columns: [column("userDfnCd1"), column("userDfnCd2"), column("userDfnCd3")],
        in_use: in_use(row),
    })
}

/// A code as it may stand in a field: short, printable, without spaces.
fn code(text: &str) -> Option<&str> {
    let fits = text.len() <= LONGEST_CODE && text.bytes().all(|byte| byte.is_ascii_graphic());
    Some(text).filter(|_| fits)
}

/// Only a plain N takes a row out of use.
fn in_use(row: &Tree<'_>) -> bool {
    row.text("useYn") != Some("N")
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
