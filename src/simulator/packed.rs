//! A sale as sent, in little room: its form's values one after the other, without their names.

use super::form::{Field, Kind};
use super::tree::Tree;

/// After each value. Control characters never get past the form.
const END: char = '\u{1f}';
/// In the place of a value that was null or left out.
const NOTHING: &str = "\u{0}";

/// Packs what the form knows of a tree; the rest is dropped, as KRA drops it.
pub(super) fn pack(form: &[Field], tree: &Tree) -> Box<str> {
    let mut out = String::new();
    put(form, tree, &mut out);
    out.into_boxed_str()
}

fn put(form: &[Field], tree: &Tree, out: &mut String) {
    for field in form {
        match (field.kind, tree.at(field.name)) {
            (Kind::Object(form), value) => put(form, value.unwrap_or(&Tree::Null), out),
            (Kind::List(form), _) => {
                let items = tree.list_at(field.name);
                out.push_str(&items.len().to_string());
                out.push(END);
                items.iter().for_each(|item| put(form, item, out));
            }
            (_, Some(Tree::Text(text) | Tree::Number(text))) => {
                out.push_str(text);
                out.push(END);
            }
            _ => {
                out.push_str(NOTHING);
                out.push(END);
            }
        }
    }
}

/// The tree that was packed, in the form's order.
pub(super) fn unpack(form: &[Field], packed: &str) -> Tree {
    take(form, &mut packed.split(END))
}

fn take<'a>(form: &[Field], values: &mut impl Iterator<Item = &'a str>) -> Tree {
    let mut members = Vec::with_capacity(form.len());
    for field in form {
        let value = match field.kind {
            Kind::Object(form) => take(form, values),
            Kind::List(form) => {
                let items = values.next().and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
                Tree::List((0..items).map(|_| take(form, &mut *values)).collect())
            }
            kind => match (values.next(), kind) {
                (None | Some(NOTHING), _) => Tree::Null,
                (Some(text), Kind::Number(..)) => Tree::Number(text.to_owned()),
                (Some(text), _) => Tree::Text(text.to_owned()),
            },
        };
        members.push((field.name.to_owned(), value));
    }
    Tree::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{form, json};

    #[test]
    fn what_is_packed_comes_out_the_same() {
        let packed = pack(form::SALE, &json::parse(crate::simulator::tests::SALE).unwrap());
        let tree = unpack(form::SALE, &packed);
        assert_eq!(tree.text_at("trdInvcNo"), "TILL3-000123");
        assert_eq!(tree.at("custTin"), Some(&Tree::Null));
        assert_eq!(tree.at("receipt").unwrap().text_at("trdeNm"), "Shop");
        assert_eq!(tree.list_at("itemList")[0].at("prc"), Some(&Tree::number("58.00")));
        assert_eq!(pack(form::SALE, &tree), packed);
        assert!(packed.len() < 700, "{}", packed.len());
    }
}
