//! `saveItem`: an item of the catalogue as KRA takes it. Saving the same code again changes the item.

use crate::fiscal::{DeviceIdentity, Item, ItemDraft};

use super::body::Body;
use super::sale::audit;
use super::tree::Tree;
use super::{Format, FrozenRequest, Function};

const GROUP_PRICES: [&str; 5] = ["grpPrcL1", "grpPrcL2", "grpPrcL3", "grpPrcL4", "grpPrcL5"];

/// The request that saves this item, all but the key.
pub fn encode(format: Format, device: &DeviceIdentity, item: &Item) -> FrozenRequest {
    Body::frozen(Function::SaveItem, format, device, |body| {
        body.text("itemCd", &item.code);
        body.text("itemClsCd", &item.class);
        body.text("itemTyCd", &item.item_type);
        body.text("itemNm", &item.name);
        body.text_or_null("itemStdNm", item.standard_name.as_deref());
        body.text("orgnNatCd", &item.origin);
        body.text("pkgUnitCd", &item.package_unit);
        body.text("qtyUnitCd", &item.quantity_unit);
        body.text("taxTyCd", item.tax_type.letter());
        body.text_or_null("btchNo", item.batch.as_deref());
        body.text_or_null("bcd", item.barcode.as_deref());
        body.amount("dftPrc", item.price);
        for (name, price) in GROUP_PRICES.into_iter().zip(item.group_prices) {
            match price {
                Some(price) => body.amount(name, price),
                None => body.null(name),
            }
        }
        body.text_or_null("addInfo", item.additional.as_deref());
        match item.safety_quantity {
            Some(quantity) => body.quantity("sftyQty", quantity),
            None => body.null("sftyQty"),
        }
        body.text("isrcAplcbYn", yes_or_no(item.insured));
        body.text("useYn", yes_or_no(item.in_use));
        audit(body);
    })
}

/// An item as KRA lists it, unchecked.
pub(super) fn read(row: &Tree<'_>) -> ItemDraft {
    let text = |name: &str| row.text(name).map(str::to_owned);
    ItemDraft {
        code: text("itemCd"),
        class: text("itemClsCd"),
        item_type: text("itemTyCd"),
        name: text("itemNm"),
        standard_name: text("itemStdNm"),
        origin: text("orgnNatCd"),
        package_unit: text("pkgUnitCd"),
        quantity_unit: text("qtyUnitCd"),
        tax_type: text("taxTyCd"),
        batch: text("btchNo"),
        barcode: text("bcd"),
        price: row.amount("dftPrc"),
        group_prices: GROUP_PRICES.map(|name| row.amount(name)),
        additional: text("addInfo"),
        safety_quantity: row.quantity("sftyQty"),
        insured: text("isrcAplcbYn"),
        in_use: text("useYn"),
    }
}

const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "Y" } else { "N" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{Amount, BhfId, CmcKey, DeviceSerial, Quantity, TaxType, Tin};

    fn item() -> Item {
        Item {
            code: "KE2NTNO0000001".into(),
            class: "5059690800".into(),
            item_type: "2".into(),
            name: "Bread & <Butter>".into(),
            standard_name: None,
            origin: "KE".into(),
            package_unit: "NT".into(),
            quantity_unit: "NO".into(),
            tax_type: TaxType::B,
            batch: None,
            barcode: Some("6161100".into()),
            price: Amount::parse("65.5").unwrap(),
            group_prices: [None, Amount::parse("60").ok(), None, None, None],
            additional: None,
            safety_quantity: Quantity::parse("2.5").ok(),
            insured: false,
            in_use: true,
        }
    }

    fn filled(format: Format) -> String {
        let device = DeviceIdentity {
            tin: Tin::new("P051234567Z").unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new("S1").unwrap(),
        };
        let request = encode(format, &device, &item());
        assert_eq!(request.function, Function::SaveItem);
        assert_eq!(request.trader_ref(), None);
        String::from_utf8(request.fill(&CmcKey::new("KEY").unwrap())).unwrap()
    }

    #[test]
    fn what_kra_lists_is_what_was_saved() {
        for format in [Format::Json, Format::Xml] {
            let sent = filled(format);
            let read = read(&Tree::read(sent.as_bytes()).unwrap());
            let codes = crate::fiscal::Codes::built_in();
            let rules = crate::fiscal::ItemRules {
                grammar: crate::fiscal::ItemCodeGrammar::Free,
                codes: &codes,
                classes: &crate::fiscal::ItemClasses::default(),
            };
            assert_eq!(Item::check(read, Vec::new(), &rules), Ok(item()), "{sent}");
        }
    }

    #[test]
    fn every_field_in_kras_order() {
        assert_eq!(
            filled(Format::Json),
            r#"{"tin":"P051234567Z","bhfId":"00","cmcKey":"KEY","itemCd":"KE2NTNO0000001","itemClsCd":"5059690800","itemTyCd":"2","itemNm":"Bread & <Butter>","itemStdNm":null,"orgnNatCd":"KE","pkgUnitCd":"NT","qtyUnitCd":"NO","taxTyCd":"B","btchNo":null,"bcd":"6161100","dftPrc":65.50,"grpPrcL1":null,"grpPrcL2":60.00,"grpPrcL3":null,"grpPrcL4":null,"grpPrcL5":null,"addInfo":null,"sftyQty":2.50,"isrcAplcbYn":"N","useYn":"Y","regrId":"gw","regrNm":"gw","modrId":"gw","modrNm":"gw"}"#
        );
        let xml = filled(Format::Xml);
        assert!(xml.contains("<ItemSaveReq><tin>P051234567Z</tin>"), "{xml}");
        assert!(
            xml.contains("<itemNm>Bread &amp; &lt;Butter&gt;</itemNm><orgnNatCd>KE</orgnNatCd>"),
            "{xml}"
        );
        assert!(xml.ends_with("<modrNm>gw</modrNm></ItemSaveReq>"), "{xml}");
    }
}
