//! KRA's lists on the shelf: each part under a key of its own, so that a change writes what it touches and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bodies::to_json;
use super::ledger::JournalLedger;
use crate::fiscal::{Code, CodeList, KraDateTime, ListSource, Rate, Rates, TaxType};
use crate::gateway::ports::{
    Asked, LedgerError, ListPart, ListShelf, RateChange, SHELVED_AT_ONCE, Shelf, Shelved, Shelves,
};
use crate::wire::lists::Notice;

impl ListShelf for JournalLedger {
    fn read_lists(&self, each: &mut dyn FnMut(ListPart)) -> Result<u64, LedgerError> {
        let mut unreadable = 0;
        let damaged =
            self.read_all(Shelf::Codes, &mut |Shelved { key, content }| match read(&key, &content) {
                Some(part) => each(part),
                None => {
                    tracing::warn!(key, "a part of KRA's lists cannot be read");
                    unreadable += 1;
                }
            })?;
        Ok(damaged + unreadable)
    }

    async fn keep_lists(&self, parts: Vec<ListPart>) -> Result<(), LedgerError> {
        let mut entries = parts.iter().map(write);
        loop {
            let some: Vec<Shelved> = entries.by_ref().take(SHELVED_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            self.put(Shelf::Codes, some).await?;
        }
    }
}

/// What the keys begin with.
const ASKED: &str = "asked/";
const BUCKET: &str = "item-classes/";
const CODES: &str = "codes/";
const NOTICES: &str = "notices";

#[derive(Debug, Deserialize, Serialize)]
struct AskedBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
    as_of: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct BucketBody {
    /// One line a class, as they are in memory.
    lines: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct CodesBody {
    name: String,
    in_use: bool,
    as_of: String,
    codes: Vec<CodeBody>,
    /// Of the tax types: the change of rates that came with this list or before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_change: Option<RateChangeBody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct CodeBody {
    code: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
    columns: [Option<String>; 3],
    in_use: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct RateChangeBody {
    from: BTreeMap<String, String>,
    to: BTreeMap<String, String>,
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kra_time: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct NoticesBody {
    notices: Vec<NoticeBody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct NoticeBody {
    number: u64,
    title: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<String>,
}

fn write(part: &ListPart) -> Shelved {
    let (key, content) = match part {
        ListPart::Asked(Asked { function, watermark, as_of }) => {
            let watermark = watermark.map(|at| at.to_string());
            (format!("{ASKED}{function}"), to_json(&AskedBody { watermark, as_of: as_of.to_string() }))
        }
        ListPart::Bucket(bucket, lines) => {
            (format!("{BUCKET}{bucket:02x}"), to_json(&BucketBody { lines: lines.to_string() }))
        }
        ListPart::Codes(list, change) => {
            (format!("{CODES}{}", list.class), to_json(&codes_body(list, change.as_ref())))
        }
        ListPart::Notices(notices) => {
            let notices = notices.iter().map(|notice| NoticeBody {
                number: notice.number,
                title: notice.title.clone(),
                text: notice.text.clone(),
                link: notice.link.clone(),
                published: notice.published.map(|at| at.to_string()),
            });
            (NOTICES.to_owned(), to_json(&NoticesBody { notices: notices.collect() }))
        }
    };
    Shelved { key, content }
}

fn codes_body(list: &CodeList, change: Option<&RateChange>) -> CodesBody {
    let code = |code: &Code| CodeBody {
        code: code.code.clone(),
        name: code.name.clone(),
        description: code.description.clone(),
        order: code.order,
        columns: code.columns.clone(),
        in_use: code.in_use,
    };
    CodesBody {
        name: list.name.clone(),
        in_use: list.in_use,
        as_of: match list.source {
            ListSource::Kra(at) => at.to_string(),
            ListSource::BuiltIn => String::new(),
        },
        codes: list.codes().map(code).collect(),
        rate_change: change.map(|change| RateChangeBody {
            from: rates_body(&change.from),
            to: rates_body(&change.to),
            at: change.at.to_string(),
            kra_time: change.told.map(|at| at.to_string()),
        }),
    }
}

fn rates_body(rates: &Rates) -> BTreeMap<String, String> {
    let rate = |tax_type: TaxType| (tax_type.letter().to_owned(), rates.of(tax_type).to_string());
    TaxType::ALL.map(rate).into_iter().collect()
}

fn read(key: &str, content: &[u8]) -> Option<ListPart> {
    if let Some(function) = key.strip_prefix(ASKED) {
        let body: AskedBody = serde_json::from_slice(content).ok()?;
        let watermark = match body.watermark {
            Some(text) => Some(time(&text)?),
            None => None,
        };
        return Some(ListPart::Asked(Asked {
            function: function.to_owned(),
            watermark,
            as_of: time(&body.as_of)?,
        }));
    }
    if let Some(bucket) = key.strip_prefix(BUCKET) {
        let body: BucketBody = serde_json::from_slice(content).ok()?;
        return Some(ListPart::Bucket(u8::from_str_radix(bucket, 16).ok()?, Arc::from(body.lines)));
    }
    if let Some(class) = key.strip_prefix(CODES) {
        return read_codes(class, serde_json::from_slice(content).ok()?);
    }
    if key == NOTICES {
        let body: NoticesBody = serde_json::from_slice(content).ok()?;
        let notice = |notice: NoticeBody| Notice {
            number: notice.number,
            title: notice.title,
            text: notice.text,
            link: notice.link,
            published: notice.published.as_deref().and_then(time),
        };
        return Some(ListPart::Notices(body.notices.into_iter().map(notice).collect()));
    }
    None
}

fn read_codes(class: &str, body: CodesBody) -> Option<ListPart> {
    let code = |code: CodeBody| Code {
        code: code.code,
        name: code.name,
        description: code.description,
        order: code.order,
        columns: code.columns,
        in_use: code.in_use,
    };
    let source = ListSource::Kra(time(&body.as_of)?);
    let mut list = CodeList::new(class, &body.name, source, body.codes.into_iter().map(code));
    list.in_use = body.in_use;
    let change = match body.rate_change {
        None => None,
        Some(change) => Some(RateChange {
            from: read_rates(&change.from)?,
            to: read_rates(&change.to)?,
            at: time(&change.at)?,
            told: change.kra_time.as_deref().and_then(time),
        }),
    };
    Some(ListPart::Codes(list, change))
}

fn read_rates(body: &BTreeMap<String, String>) -> Option<Rates> {
    let mut rates = Rates::default();
    for tax_type in TaxType::ALL {
        rates.0[tax_type.index()] = Rate::parse(body.get(tax_type.letter())?).ok()?;
    }
    Some(rates)
}

fn time(text: &str) -> Option<KraDateTime> {
    KraDateTime::parse_kra(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> KraDateTime {
        time("20250115101530").unwrap()
    }

    fn check(part: &ListPart, key: &str) {
        let shelved = write(part);
        assert_eq!(shelved.key, key);
        let text = std::str::from_utf8(&shelved.content).unwrap();
        assert!(!text.contains(['\n', '\r']), "exports have one record a line: {text}");
        assert_eq!(read(&shelved.key, &shelved.content).as_ref(), Some(part), "{text}");
        for cut in 0..shelved.content.len() {
            assert_eq!(read(&shelved.key, &shelved.content[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn parts_come_back_as_they_went() {
        let code = |code: &str| Code {
            code: code.to_owned(),
            name: "a \"name\"\u{e9}".to_owned(),
            description: Some("d".to_owned()),
            order: Some(3),
            columns: [Some("16".to_owned()), None, Some("x".to_owned())],
            in_use: code != "B",
        };
        let mut list = CodeList::new("04", "Tax", ListSource::Kra(at()), [code("A"), code("B")]);
        let to = Rates(TaxType::ALL.map(|_| Rate::parse("14.50").unwrap()));
        let change = RateChange { from: Rates::default(), to, at: at(), told: Some(at()) };
        check(&ListPart::Codes(list.clone(), Some(change)), "codes/04");
        list.in_use = false;
        list.class = "99".to_owned();
        check(&ListPart::Codes(list, None), "codes/99");
        check(
            &ListPart::Codes(
                CodeList::new("04", "", ListSource::Kra(at()), []),
                Some(RateChange { told: None, ..change }),
            ),
            "codes/04",
        );
        check(&ListPart::Bucket(10, Arc::from("1\tone\t\t\t\tY\n2\ttwo\t3\tB\tY\tN\n")), "item-classes/0a");
        check(&ListPart::Bucket(255, Arc::from("")), "item-classes/ff");
        let asked = |watermark| Asked { function: "selectCodeList".to_owned(), watermark, as_of: at() };
        check(&ListPart::Asked(asked(Some(at()))), "asked/selectCodeList");
        check(&ListPart::Asked(asked(None)), "asked/selectCodeList");
        let notice = |published, link: Option<&str>| Notice {
            number: 7,
            title: "T".to_owned(),
            text: "line".to_owned(),
            link: link.map(str::to_owned),
            published,
        };
        check(&ListPart::Notices(vec![notice(Some(at()), Some("http://x/")), notice(None, None)]), "notices");
    }

    #[test]
    fn what_is_no_part_is_not_taken_for_one() {
        for (key, content) in [
            ("", "{}"),
            ("other", "{}"),
            ("notices/1", r#"{"notices":[]}"#),
            ("item-classes/zz", r#"{"lines":""}"#),
            ("item-classes/100", r#"{"lines":""}"#),
            ("asked/x", r#"{"as_of":"never"}"#),
            ("asked/x", r#"{"as_of":"20250115101530","watermark":"x"}"#),
            ("codes/04", r#"{"name":"","in_use":true,"as_of":"","codes":[]}"#),
            (
                "codes/04",
                r#"{"name":"","in_use":true,"as_of":"20250115101530","codes":[],"rate_change":{"from":{},"to":{},"at":"20250115101530"}}"#,
            ),
        ] {
            assert_eq!(read(key, content.as_bytes()), None, "{key} {content}");
        }
    }
}
