//! KRA's lists as a till is shown them, in KRA's own names; each says how fresh it is.

use serde::Serialize;

use crate::fiscal::{Code, CodeList, ItemClass, KraDateTime, TaxType};
use crate::gateway::{Book, is_stale};
use crate::wire::lists::Notice;

/// How fresh a list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Freshness {
    /// Not confirmed by KRA for 48 hours, or never.
    stale: bool,
    /// When KRA last confirmed it, RFC 3339; `null`: never.
    as_of: Option<String>,
}

impl Freshness {
    fn of(as_of: Option<KraDateTime>, now: KraDateTime) -> Self {
        Self { stale: is_stale(as_of, now), as_of: as_of.map(KraDateTime::rfc3339) }
    }
}

/// One class of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodesShown {
    cd_cls: String,
    cd_cls_nm: String,
    use_yn: &'static str,
    #[serde(flatten)]
    freshness: Freshness,
    dtl_list: Vec<CodeShown>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CodeShown {
    cd: String,
    cd_nm: String,
    cd_desc: Option<String>,
    use_yn: &'static str,
    srt_ord: Option<u32>,
    user_dfn_cd1: Option<String>,
    user_dfn_cd2: Option<String>,
    user_dfn_cd3: Option<String>,
}

impl CodesShown {
    /// The class of this number; `None`: there is none.
    pub fn of(book: &Book, class: &str, now: KraDateTime) -> Option<Self> {
        let list = book.codes.list(class)?;
        let CodeList { class, name, in_use, .. } = list;
        let mut codes: Vec<&Code> = list.codes().collect();
        codes.sort_by_key(|code| code.order.unwrap_or(u32::MAX));
        Some(Self {
            cd_cls: class.clone(),
            cd_cls_nm: name.clone(),
            use_yn: yes_no(*in_use),
            freshness: Freshness::of(book.list_as_of(class), now),
            dtl_list: codes.into_iter().map(code).collect(),
        })
    }
}

fn code(code: &Code) -> CodeShown {
    let [first, second, third] = code.columns.clone();
    CodeShown {
        cd: code.code.clone(),
        cd_nm: code.name.clone(),
        cd_desc: code.description.clone(),
        use_yn: yes_no(code.in_use),
        srt_ord: code.order,
        user_dfn_cd1: first,
        user_dfn_cd2: second,
        user_dfn_cd3: third,
    }
}

/// Item classes that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemClassesShown {
    item_cls_list: Vec<ItemClassShown>,
    /// There are others.
    more: bool,
    #[serde(flatten)]
    freshness: Freshness,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemClassShown {
    item_cls_cd: String,
    item_cls_nm: String,
    item_cls_lvl: Option<u8>,
    tax_ty_cd: Option<&'static str>,
    mjr_tg_yn: Option<&'static str>,
    use_yn: &'static str,
}

impl ItemClassesShown {
    /// The classes that `question` finds, at most `limit`.
    pub fn of(book: &Book, question: &str, limit: usize, now: KraDateTime) -> Self {
        let (found, more) = book.classes.search(question, limit);
        Self {
            item_cls_list: found.into_iter().map(item_class).collect(),
            more,
            freshness: Freshness::of(book.classes_as_of(), now),
        }
    }
}

fn item_class(class: ItemClass<'_>) -> ItemClassShown {
    ItemClassShown {
        item_cls_cd: class.code.to_owned(),
        item_cls_nm: class.name.to_owned(),
        item_cls_lvl: class.level,
        tax_ty_cd: class.tax_type.map(TaxType::letter),
        mjr_tg_yn: class.major.map(yes_no),
        use_yn: yes_no(class.in_use),
    }
}

/// KRA's notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticesShown {
    notice_list: Vec<NoticeShown>,
    #[serde(flatten)]
    freshness: Freshness,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NoticeShown {
    notice_no: u64,
    title: String,
    cont: String,
    dtl_url: Option<String>,
    reg_dt: Option<String>,
}

impl NoticesShown {
    /// The newest notices, the newest first.
    pub fn of(book: &Book, now: KraDateTime) -> Self {
        let notice = |notice: &Notice| NoticeShown {
            notice_no: notice.number,
            title: notice.title.clone(),
            cont: notice.text.clone(),
            dtl_url: notice.link.clone(),
            reg_dt: notice.published.map(|at| at.to_string()),
        };
        Self {
            notice_list: book.notices.iter().map(notice).collect(),
            freshness: Freshness::of(book.notices_as_of(), now),
        }
    }
}

const fn yes_no(yes: bool) -> &'static str {
    if yes { "Y" } else { "N" }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> KraDateTime {
        KraDateTime::parse_kra("20250115101530").unwrap()
    }

    fn shown(shown: &impl Serialize) -> Value {
        serde_json::to_value(shown).unwrap()
    }

    #[test]
    fn before_any_fetch_the_built_in_lists_are_shown_as_stale() {
        let book = Book::default();
        let taxes = shown(&CodesShown::of(&book, "04", now()).unwrap());
        assert_eq!(
            (&taxes["cdCls"], &taxes["stale"], &taxes["asOf"]),
            (&json!("04"), &json!(true), &Value::Null)
        );
        assert_eq!(
            taxes["dtlList"][1],
            json!({"cd": "B", "cdNm": "VAT 16%", "cdDesc": null, "useYn": "Y", "srtOrd": null,
                "userDfnCd1": "16.00", "userDfnCd2": null, "userDfnCd3": null})
        );
        assert_eq!(CodesShown::of(&book, "99", now()), None);
        let classes = shown(&ItemClassesShown::of(&book, "", 10, now()));
        assert_eq!(classes, json!({"itemClsList": [], "more": false, "stale": true, "asOf": null}));
        let notices = shown(&NoticesShown::of(&book, now()));
        assert_eq!(notices, json!({"noticeList": [], "stale": true, "asOf": null}));
    }
}
