//! Items that KRA did not take, and the sales that were sent naming them.

use crate::status::{RefusedItem, Snapshot};

pub(super) fn raise(snapshot: &Snapshot, raise: &mut impl FnMut(&str, String)) {
    let items = &snapshot.items;
    if items.aside > 0 {
        let named: Vec<String> = items.refused.iter().take(SHOWN).map(named).collect();
        let more = items.aside.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        raise(
            "items_refused",
            format!(
                "KRA did not take {} item(s): {}{more}. Sales that name them are sent all the same. Correct such an item and post \
                 it again, or try it again as it is with `etims-gateway queue retry ITEMCD`",
                items.aside,
                named.join("; ")
            ),
        );
    }
    if let Some(why) = &items.held {
        raise(
            "items_held",
            format!(
                "KRA answers, and saves no items: {why}. {} wait and are tried again by themselves; sales are sent without them. \
                 Check kra.paths and what KRA has approved this device for",
                items.queued
            ),
        );
    }
}

/// Items that one alert names.
const SHOWN: usize = 3;

fn named(item: &RefusedItem) -> String {
    let sale = item.trd_invc_no.as_ref().map(|sale| format!(", which sale {sale} names")).unwrap_or_default();
    format!("{}{sale} ({}: {})", item.item_cd, item.standing, item.kra_message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ItemsSnapshot;

    fn raised(items: ItemsSnapshot) -> Vec<(String, String)> {
        let mut raised = Vec::new();
        let snapshot = Snapshot { items, ..Snapshot::default() };
        raise(&snapshot, &mut |code: &str, message| raised.push((code.to_owned(), message)));
        raised
    }

    #[test]
    fn one_alert_names_the_item_and_its_sale() {
        assert!(raised(ItemsSnapshot { total: 5, queued: 5, ..ItemsSnapshot::default() }).is_empty());
        let item = |code: &str, sale: Option<&str>| RefusedItem {
            item_cd: code.into(),
            standing: "refused".into(),
            kra_message: "910 no such class".into(),
            trd_invc_no: sale.map(str::to_owned),
        };
        let refused = ["A", "B", "C", "D"].map(|code| item(code, (code == "A").then_some("T-1")));
        let raised =
            raised(ItemsSnapshot { aside: 9, refused: refused.to_vec(), ..ItemsSnapshot::default() });
        let [(code, message)] = &raised[..] else { panic!("{raised:?}") };
        assert_eq!(code, "items_refused");
        for part in ["9 item(s): A, which sale T-1 names (refused: 910 no such class); B (", "; and 6 more."]
        {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("; D ("), "{message}");
    }

    #[test]
    fn a_server_that_saves_no_items_is_told() {
        let held = ItemsSnapshot { queued: 4, held: Some("912 method".into()), ..ItemsSnapshot::default() };
        let raised = raised(held);
        assert_eq!(raised[0].0, "items_held");
        assert!(raised[0].1.contains("912 method. 4 wait"), "{raised:?}");
    }
}
