//! What a technician sees of items and orders about them.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::desk::{AdminDesk, unreadable};
use super::message::ItemRow;
use super::order::{DoneMessage, bad_request, by, read};
use crate::gateway::Retried;
use crate::gateway::ports::{Authority, Clock, Exports, ItemLog, Ledger, Registry, StoreHealth, Stories};
use crate::http::{Answer, Request};

/// Items that wait which a list names; of those set aside it names as many.
const LISTED: usize = 50;
/// Put before an item's code, so that it means no sale.
const BY_ITEM_CODE: &str = "item:";

/// An order about one item.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ItemOrderMessage {
    /// Its code.
    pub item_cd: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to `queue show` about an item.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ItemMessage {
    /// The item.
    pub item: ItemRow,
}

impl<L: Exports + ItemLog + Ledger + Registry + Stories + StoreHealth, A: Authority, C: Clock>
    AdminDesk<L, A, C>
{
    /// Those set aside, then the first that wait.
    pub(super) fn item_rows(&self) -> Vec<ItemRow> {
        let catalogue = &self.keeping.catalogue;
        let aside = catalogue.set_aside(LISTED).into_iter().map(|(kept, sale)| ItemRow::of(&kept, sale));
        let queued = catalogue.queued(LISTED).into_iter().map(|kept| ItemRow::of(&kept, None));
        aside.chain(queued).collect()
    }

    /// An item by its code.
    pub(super) fn item(&self, id: &str) -> Option<ItemMessage> {
        let code = id.strip_prefix(BY_ITEM_CODE).unwrap_or(id);
        let catalogue = &self.keeping.catalogue;
        let sale = catalogue.sale_naming(code);
        catalogue.get(code).map(|kept| ItemMessage { item: ItemRow::of(&kept, sale) })
    }

    /// `queue retry` of an item.
    pub(super) async fn retry_item(&self, request: &Request) -> Answer {
        let order = match read::<ItemOrderMessage>(request) {
            Ok(order) => order,
            Err(why) => return bad_request(&why),
        };
        let acted = match by(request, "retry-item", order.reason) {
            Ok(acted) => acted,
            Err(why) => return bad_request(&why),
        };
        match self.keeping.retry(&order.item_cd, acted).await {
            Ok(Retried::Queued) => done("the item waits for KRA anew"),
            Ok(Retried::Waits) => done("the item waits already: it is tried now, if KRA is there"),
            Ok(Retried::Saved) => Answer::refusal(
                StatusCode::CONFLICT,
                "not_allowed",
                "KRA has saved this item as it is: nothing is left to do with it",
            ),
            Ok(Retried::Unknown) => {
                Answer::refusal(StatusCode::NOT_FOUND, "not_found", "no item has this code")
            }
            Err(error) => unreadable(&error),
        }
    }
}

fn done(words: &str) -> Answer {
    Answer::json(StatusCode::OK, &DoneMessage { done: words.to_owned() })
}
