//! JSON answers that hold long lists, read as they come: each row is handed on and forgotten.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{MAX_FIELDS, Tree, TreeFault};

/// What an answer has around its lists: read whole, in this order of looking.
const AROUND: [&str; 6] =
    ["resultCd", "resultMsg", "resultDt", "responseCode", "debugMessage", "customerMessage"];
/// Objects on the way to the lists.
const WAY: [&str; 5] = ["responseHeader", "header", "responseBody", "body", "data"];
/// How deep the way goes.
const WAY_DEPTH: usize = 4;
/// The longest that a field around the lists, or one row of a list, may be, in bytes.
const LONGEST_ROW: usize = 4 << 20;

/// Reads one value. Each row of a list in `data` that `is_list` knows by its name goes to `row`; what comes back is the
/// answer without these rows, and without what nobody looks at.
pub(super) fn read<R: Read>(
    body: R,
    is_list: impl Fn(&str) -> bool,
    row: impl FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
) -> Result<Tree<'static>, TreeFault> {
    let mut reading = Reading { is_list, row, fault: None };
    let mut json = serde_json::Deserializer::from_reader(body);
    let read = Level { reading: &mut reading, depth: 0, in_data: false }.deserialize(&mut json);
    let read = read.and_then(|tree| json.end().map(|()| tree));
    read.map_err(|_| reading.fault.unwrap_or(TreeFault::Malformed))
}

/// What is known of the rows, and the fault behind serde's error.
struct Reading<I, R> {
    is_list: I,
    row: R,
    fault: Option<TreeFault>,
}

impl<I: Fn(&str) -> bool, R: FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>> Reading<I, R> {
    fn fail<E: Error>(&mut self, fault: TreeFault) -> E {
        self.fault = Some(fault);
        E::custom("a bound was passed")
    }

    fn hand_on<E: Error>(&mut self, list: &str, json: &str) -> Result<(), E> {
        if json.len() > LONGEST_ROW {
            return Err(self.fail(TreeFault::TooLarge));
        }
        let tree = Tree::read(json.as_bytes());
        let handed = tree.and_then(|tree| match tree {
            // Not every list is without holes.
            Tree::Null => Ok(()),
            row => (self.row)(list, &row),
        });
        handed.map_err(|fault| self.fail(fault))
    }
}

/// An object on the way to the lists.
struct Level<'r, I, R> {
    reading: &'r mut Reading<I, R>,
    depth: usize,
    in_data: bool,
}

impl<'de, I, R> DeserializeSeed<'de> for Level<'_, I, R>
where
    I: Fn(&str) -> bool,
    R: FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
{
    type Value = Tree<'static>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, I, R> Visitor<'de> for Level<'_, I, R>
where
    I: Fn(&str) -> bool,
    R: FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
{
    type Value = Tree<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields: Vec<(Cow<'static, str>, Tree<'static>)> = Vec::new();
        let mut count = 0;
        while let Some(name) = map.next_key::<String>()? {
            count += 1;
            if count > MAX_FIELDS {
                return Err(self.reading.fail(TreeFault::TooMany));
            }
            let name = name.trim();
            let value = if self.in_data && (self.reading.is_list)(name) {
                map.next_value_seed(Rows { reading: self.reading, list: name })?;
                continue;
            } else if self.depth < WAY_DEPTH && WAY.contains(&name) {
                map.next_value_seed(Level {
                    reading: self.reading,
                    depth: self.depth + 1,
                    in_data: name == "data",
                })?
            } else if AROUND.contains(&name) {
                let raw: Box<RawValue> = map.next_value()?;
                word(raw.get())
            } else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            match fields.iter().find(|(known, _)| known == name) {
                None => fields.push((Cow::Owned(name.to_owned()), value)),
                Some((_, known)) if *known == value => {}
                Some(_) => return Err(self.reading.fail(TreeFault::Ambiguous)),
            }
        }
        Ok(Tree::Object(fields))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Tree::List(Vec::new()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }
}

/// A text, or a number's own digits; anything else is as good as nothing here.
fn word(json: &str) -> Tree<'static> {
    match Tree::read(json.as_bytes()) {
        Ok(Tree::Text(text)) => Tree::Text(Cow::Owned(text.into_owned())),
        _ => Tree::Null,
    }
}

/// A list: its rows go on one by one. A lone object is a list of one, null or a text an empty one.
struct Rows<'r, I, R> {
    reading: &'r mut Reading<I, R>,
    list: &'r str,
}

impl<'de, I, R> DeserializeSeed<'de> for Rows<'_, I, R>
where
    I: Fn(&str) -> bool,
    R: FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, I, R> Visitor<'de> for Rows<'_, I, R>
where
    I: Fn(&str) -> bool,
    R: FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(raw) = seq.next_element::<Box<RawValue>>()? {
            self.reading.hand_on(self.list, raw.get())?;
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut row = String::from("{");
        while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
            if row.len() > 1 {
                row.push(',');
            }
            row.push_str(&serde_json::to_string(&name).map_err(M::Error::custom)?);
            row.push(':');
            row.push_str(raw.get());
            if row.len() > LONGEST_ROW {
                return Err(self.reading.fail(TreeFault::TooLarge));
            }
        }
        row.push('}');
        self.reading.hand_on(self.list, &row)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.trim().is_empty() { Ok(()) } else { Err(self.reading.fail(TreeFault::Malformed)) }
    }
}
