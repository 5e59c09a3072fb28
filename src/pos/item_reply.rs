//! Items as a till is shown them, and what became of those that it posted.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::fiscal::KraDateTime;
use crate::gateway::ports::KeptItem;
use crate::gateway::{Came, Synced};
use crate::queue::ItemStanding;

/// What became of a posted item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemKept {
    item_cd: String,
    /// `created`, `updated` or `unchanged`.
    status: &'static str,
    /// `queued` or `saved`.
    kra: &'static str,
    #[serde(skip)]
    created: bool,
}

impl ItemKept {
    /// What it came to, and how it stands now.
    pub fn new(came: Came, kept: &KeptItem) -> Self {
        let status = match came {
            Came::Created => "created",
            Came::Unchanged => "unchanged",
            Came::Updated => "updated",
        };
        let item_cd = kept.item.code.clone();
        Self { item_cd, status, kra: kept.standing.word(), created: came == Came::Created }
    }

    pub(super) const fn http_status(&self) -> u16 {
        if self.created { 201 } else { 200 }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemsSynced {
    synced: u64,
    created: u64,
    updated: u64,
    errors: u64,
    /// The codes that they were checked by are not KRA's newest.
    stale: bool,
    details: Vec<Detail>,
}

/// One that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    item_cd: Option<String>,
    code: &'static str,
    message: String,
}

impl ItemsSynced {
    /// Of all parts together.
    pub fn new(synced: Synced, stale: bool) -> Self {
        let Synced { created, updated, unchanged, errors, .. } = synced;
        let details: Vec<Detail> =
            errors.into_iter().map(|(item_cd, code, message)| Detail { item_cd, code, message }).collect();
        let errors = u64::try_from(details.len()).unwrap_or(u64::MAX);
        Self { synced: created + updated + unchanged, created, updated, errors, stale, details }
    }
}

/// An item.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemShown {
    item_cd: String,
    item_cls_cd: String,
    item_ty_cd: String,
    item_nm: String,
    item_std_nm: Option<String>,
    orgn_nat_cd: String,
    pkg_unit_cd: String,
    qty_unit_cd: String,
    tax_ty_cd: &'static str,
    btch_no: Option<String>,
    bcd: Option<String>,
    dft_prc: Box<RawValue>,
    grp_prc_l1: Option<Box<RawValue>>,
    grp_prc_l2: Option<Box<RawValue>>,
    grp_prc_l3: Option<Box<RawValue>>,
    grp_prc_l4: Option<Box<RawValue>>,
    grp_prc_l5: Option<Box<RawValue>>,
    add_info: Option<String>,
    sfty_qty: Option<Box<RawValue>>,
    isrc_aplcb_yn: &'static str,
    use_yn: &'static str,
    /// `queued`, `saved`, `refused` or `parked`.
    kra: &'static str,
    /// Why KRA does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kra_message: Option<String>,
    /// KRA does not have it as it is here.
    stale: bool,
    /// Since when it is as it is here, RFC 3339.
    as_of: String,
}

impl PartialEq for ItemShown {
    fn eq(&self, other: &Self) -> bool {
        serde_json::to_string(self).ok() == serde_json::to_string(other).ok()
    }
}

impl Eq for ItemShown {}

/// Several items, by their codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemsShown {
    items: Vec<ItemShown>,
    /// Any of them is.
    stale: bool,
    /// When they were looked at, RFC 3339.
    #[serde(rename = "asOf")]
    as_of: String,
}

impl ItemsShown {
    /// As they are at this time.
    pub fn new(items: Vec<KeptItem>, now: KraDateTime) -> Self {
        let items: Vec<ItemShown> = items.into_iter().map(ItemShown::from).collect();
        let stale = items.iter().any(|item| item.stale);
        Self { items, stale, as_of: now.rfc3339() }
    }
}

impl From<KeptItem> for ItemShown {
    fn from(kept: KeptItem) -> Self {
        let KeptItem { item, standing, changed_ms, .. } = kept;
        let [grp_prc_l1, grp_prc_l2, grp_prc_l3, grp_prc_l4, grp_prc_l5] =
            item.group_prices.map(|price| price.map(number));
        Self {
            item_cd: item.code,
            item_cls_cd: item.class,
            item_ty_cd: item.item_type,
            item_nm: item.name,
            item_std_nm: item.standard_name,
            orgn_nat_cd: item.origin,
            pkg_unit_cd: item.package_unit,
            qty_unit_cd: item.quantity_unit,
            tax_ty_cd: item.tax_type.letter(),
            btch_no: item.batch,
            bcd: item.barcode,
            dft_prc: number(item.price),
            grp_prc_l1,
            grp_prc_l2,
            grp_prc_l3,
            grp_prc_l4,
            grp_prc_l5,
            add_info: item.additional,
            sfty_qty: item.safety_quantity.map(number),
            isrc_aplcb_yn: if item.insured { "Y" } else { "N" },
            use_yn: if item.in_use { "Y" } else { "N" },
            kra: standing.word(),
            kra_message: standing.words().map(str::to_owned),
            stale: standing != ItemStanding::Saved,
            as_of: KraDateTime::from_unix(changed_ms.div_euclid(1000))
                .map(KraDateTime::rfc3339)
                .unwrap_or_default(),
        }
    }
}

fn number(value: impl std::fmt::Display) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("a plain decimal is JSON")
}
