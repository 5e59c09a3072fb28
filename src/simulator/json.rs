//! JSON to a tree and back. Numbers keep their digits; a name given twice is a fault.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{DEEPEST, MOST_NAMES, MOST_VALUES, Tree};

/// Reads a whole body. The error says in words what is wrong with it.
pub(super) fn parse(body: &str) -> Result<Tree, String> {
    let raw: &RawValue = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    read(raw, DEEPEST, &mut 0)
}

fn read(raw: &RawValue, depth: usize, values: &mut usize) -> Result<Tree, String> {
    *values += 1;
    if *values > MOST_VALUES {
        return Err(format!("more than {MOST_VALUES} values"));
    }
    if depth == 0 {
        return Err(format!("nested deeper than {DEEPEST}"));
    }
    let text = raw.get();
    let bad = |error: serde_json::Error| format!("not JSON: {error}");
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(bad)?;
            let mut read_members: Vec<(String, Tree)> = Vec::with_capacity(members.len());
            for (name, raw) in members {
                if read_members.iter().any(|(known, _)| *known == name) {
                    return Err(format!("{name} is given twice"));
                }
                let value = read(raw, depth - 1, values)?;
                read_members.push((name, value));
            }
            Ok(Tree::Object(read_members))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(bad)?;
            items
                .into_iter()
                .map(|item| read(item, depth - 1, values))
                .collect::<Result<_, _>>()
                .map(Tree::List)
        }
        Some(b'"') => serde_json::from_str(text).map(Tree::Text).map_err(bad),
        Some(b't') => Ok(Tree::Flag(true)),
        Some(b'f') => Ok(Tree::Flag(false)),
        Some(b'n') => Ok(Tree::Null),
        _ => Ok(Tree::Number(text.to_owned())),
    }
}

/// An object's members in the order and number given.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                    if members.len() > MOST_NAMES {
                        return Err(serde::de::Error::custom(format!(
                            "more than {MOST_NAMES} names in an object"
                        )));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(All).map(Members)
    }
}

/// Writes a tree as JSON.
pub(super) fn render(tree: &Tree) -> String {
    let mut out = String::new();
    write(tree, &mut out);
    out
}

fn write(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Tree::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Tree::Null => out.push_str("null"),
        Tree::Number(digits) => out.push_str(digits),
        Tree::Object(members) => {
            out.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Tree::Text(text) => write_text(text, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text can always be written as JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_survive_the_way_there_and_back() {
        let body = r#"{"a":65.00,"b":[1,{"c":"x\"\n"}],"d":null,"e":true,"f":99999999999999999999.01}"#;
        assert_eq!(render(&parse(body).unwrap()), body);
    }

    #[test]
    fn bad_bodies_are_named() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let many = format!("[{}]", vec!["0"; MOST_VALUES + 1].join(","));
        for (body, words) in [
            ("{", "not JSON"),
            ("", "not JSON"),
            ("{} x", "not JSON"),
            (r#"{"a":1,"a":2}"#, "given twice"),
            (r#"{"a":01}"#, "not JSON"),
            (deep.as_str(), "deeper"),
            (many.as_str(), "more than"),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
