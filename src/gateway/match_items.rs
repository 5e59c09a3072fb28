//! The items that KRA has, against those of the catalogue: what is there as it is here need not be sent, and what is there
//! only is taken over, so that a new till knows what the shop sells.

use tracing::info;

use super::catalogue::{Catalogue, Compared, MOST_ITEMS};
use super::ports::{ItemLog, KeptItem, LedgerError, SHELVED_AT_ONCE};
use crate::fiscal::{Codes, Item, ItemClasses, ItemCodeGrammar, ItemDraft, ItemRules};
use crate::queue::ItemStanding;

/// Takes over what KRA lists. What differs stays as it was posted here, and goes its way to KRA; what could not be posted
/// here either is left out.
///
/// # Errors
/// The store could not take it: a part of it may be taken over.
pub(super) async fn match_items(
    ledger: &impl ItemLog,
    catalogue: &Catalogue,
    drafts: Vec<ItemDraft>,
    codes: &Codes,
    now_ms: i64,
) -> Result<(), LedgerError> {
    // KRA took its code and class as they are.
    let rules = ItemRules { grammar: ItemCodeGrammar::Free, codes, classes: &ItemClasses::default() };
    let (mut new, mut same, mut unusable) = (0_u64, 0_u64, 0_u64);
    let mut drafts = drafts.into_iter();
    loop {
        let _alone = catalogue.writing.lock().await;
        let total = usize::try_from(catalogue.counts().total).unwrap_or(usize::MAX);
        let mut room = MOST_ITEMS.saturating_sub(total);
        let mut part: Vec<KeptItem> = Vec::new();
        let mut over = false;
        while part.len() < SHELVED_AT_ONCE {
            let Some(draft) = drafts.next() else {
                over = true;
                break;
            };
            let Ok(item) = Item::check(draft, Vec::new(), &rules) else {
                unusable += 1;
                continue;
            };
            if part.iter().any(|kept| kept.item.code == item.code) {
                continue;
            }
            match catalogue.compare(&item) {
                Compared::New if room > 0 => {
                    room -= 1;
                    new += 1;
                }
                Compared::Same(ItemStanding::Queued) | Compared::SetAside { .. } => same += 1,
                Compared::Different { .. } | Compared::New | Compared::Same(_) => continue,
            }
            part.push(KeptItem { item, standing: ItemStanding::Saved, known: true, changed_ms: now_ms });
        }
        if !part.is_empty() {
            ledger.put_items(&part).await?;
            catalogue.show(part);
        }
        if over {
            break;
        }
    }
    if new + same > 0 {
        info!(new, same, unusable, "KRA's items were compared with the catalogue");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::fiscal::Amount;

    #[derive(Default)]
    struct Disk(Mutex<Vec<usize>>);

    impl ItemLog for Disk {
        fn read_items(&self, _: &mut dyn FnMut(KeptItem)) -> Result<u64, LedgerError> {
            Ok(0)
        }

        async fn put_items(&self, items: &[KeptItem]) -> Result<(), LedgerError> {
            self.0.lock().unwrap().push(items.len());
            Ok(())
        }
    }

    fn draft(number: usize, price: i64) -> ItemDraft {
        let some = |text: &str| Some(text.to_owned());
        ItemDraft {
            code: Some(format!("KE2NTNO{number:07}")),
            class: some("5059690800"),
            item_type: some("2"),
            name: some("Bread"),
            origin: some("KE"),
            package_unit: some("NT"),
            quantity_unit: some("NO"),
            tax_type: some("B"),
            price: Amount::from_hundredths(price),
            ..ItemDraft::default()
        }
    }

    fn kept(number: usize, standing: ItemStanding) -> KeptItem {
        let codes = Codes::built_in();
        let rules =
            ItemRules { grammar: ItemCodeGrammar::Free, codes: &codes, classes: &ItemClasses::default() };
        let item = Item::check(draft(number, 100), Vec::new(), &rules).unwrap();
        KeptItem { item, standing, known: false, changed_ms: 1 }
    }

    #[tokio::test]
    async fn what_kra_has_is_not_sent_and_what_differs_is() {
        let (disk, catalogue, codes) = (Disk::default(), Catalogue::default(), Codes::built_in());
        catalogue.show([
            kept(1, ItemStanding::Queued),
            kept(2, ItemStanding::Queued),
            kept(3, ItemStanding::Refused("910".into())),
            kept(4, ItemStanding::Saved),
        ]);
        let nameless = ItemDraft { name: None, ..draft(6, 100) };
        let listed = vec![
            draft(1, 100),
            draft(2, 200),
            draft(3, 100),
            draft(4, 100),
            draft(5, 100),
            draft(5, 100),
            nameless,
        ];
        match_items(&disk, &catalogue, listed, &codes, 9).await.unwrap();
        let standing = |number: usize| catalogue.get(&format!("KE2NTNO{number:07}")).map(|it| it.standing);
        assert_eq!(standing(2), Some(ItemStanding::Queued), "ours is the newer");
        for number in [1, 3, 4, 5] {
            assert_eq!(standing(number), Some(ItemStanding::Saved), "{number}");
        }
        assert_eq!((standing(6), catalogue.counts().total, catalogue.counts().queued), (None, 5, 1));
        assert_eq!(*disk.0.lock().unwrap(), [3]);
        // A second time nothing is new, and nothing is written.
        match_items(&disk, &catalogue, vec![draft(1, 100), draft(5, 100)], &codes, 9).await.unwrap();
        let many: Vec<ItemDraft> = (10..700).map(|number| draft(number, 1)).collect();
        match_items(&disk, &catalogue, many, &codes, 9).await.unwrap();
        assert_eq!(*disk.0.lock().unwrap(), [3, 256, 256, 178], "in parts, so that sales come between");
    }
}
