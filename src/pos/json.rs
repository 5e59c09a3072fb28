//! Reads a request's JSON, object by object: each member by name, with every structural fault found at once.
//! Numbers are taken as their own digits; none passes through binary floating point.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fiscal::{DecimalFault, Fault, FaultCode};

/// Of one object, at most so many unknown keys are named.
const MOST_UNKNOWN: usize = 20;

/// A key is shown up to here, in characters.
const LONGEST_KEY: usize = 40;

/// The body is not one JSON object: nothing of it can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadJson(String);

/// The body as one JSON object, its syntax checked to the last byte. However deep it nests, no stack grows with it.
pub(super) fn read_document(body: &[u8]) -> Result<&RawValue, BadJson> {
    let text = std::str::from_utf8(body)
        .map_err(|error| BadJson(format!("the body is not UTF-8 (byte {})", error.valid_up_to() + 1)))?;
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        return Err(BadJson("the body is empty; it must be a JSON object".to_owned()));
    }
    let document: &RawValue =
        serde_json::from_str(text).map_err(|error| BadJson(format!("the body is not JSON: {error}")))?;
    match Kind::of(document) {
        Kind::Object => Ok(document),
        _ => Err(BadJson("the body must be a JSON object, such as {\"trdInvcNo\":\"1\"}".to_owned())),
    }
}

/// What JSON knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Boolean,
    Null,
    Number,
    Object,
    Text,
}

impl Kind {
    /// By the first byte, which decides it: the syntax has been checked.
    fn of(raw: &RawValue) -> Self {
        match raw.get().bytes().next() {
            Some(b'[') => Self::Array,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            Some(b'{') => Self::Object,
            Some(b'"') => Self::Text,
            _ => Self::Number,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Array => "a list",
            Self::Boolean => "true or false",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::Text => "a text",
        }
    }
}

/// One JSON object whose members are known by name.
pub(super) struct Object<'a> {
    /// What stands before a member's name in its path: nothing, or `itemList[0].`.
    prefix: String,
    known: &'static [&'static str],
    values: Vec<Option<&'a RawValue>>,
}

impl<'a> Object<'a> {
    /// Reads the members of `raw`, an object. Unknown and doubled keys go into `faults` by name.
    pub(super) fn read(
        raw: &'a RawValue,
        prefix: String,
        known: &'static [&'static str],
        faults: &mut Vec<Fault>,
    ) -> Result<Self, BadJson> {
        let mut object = Self { prefix, known, values: vec![None; known.len()] };
        let members = Members {
            object: &mut object,
            faults,
            doubled: vec![false; known.len()],
            unknown: Vec::new(),
            more: 0,
        };
        // The syntax is good: what can still fail here is a key that is no Unicode text.
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_map(members)
            .map_err(|_| BadJson("a key of the body is not Unicode: half a surrogate pair".to_owned()))?;
        Ok(object)
    }

    fn fault(&self, name: &str, code: FaultCode, words: &str) -> Fault {
        Fault::new(format!("{}{name}", self.prefix), code, words)
    }

    /// A member as it stands; `null` is absent.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let place = self.known.iter().position(|known| *known == name)?;
        self.values[place].filter(|raw| Kind::of(raw) != Kind::Null)
    }

    /// A text.
    pub(super) fn text(&self, name: &str, faults: &mut Vec<Fault>) -> Option<String> {
        let raw = self.raw(name)?;
        let kind = Kind::of(raw);
        if kind != Kind::Text {
            let words = format!("must be a text in quotes, not {}", kind.words());
            faults.push(self.fault(name, FaultCode::WrongType, &words));
            return None;
        }
        self.decoded(name, raw, faults)
    }

    fn decoded(&self, name: &str, raw: &RawValue, faults: &mut Vec<Fault>) -> Option<String> {
        let decoded = serde_json::from_str(raw.get());
        if decoded.is_err() {
            let words = "must be Unicode, but holds half a surrogate pair";
            faults.push(self.fault(name, FaultCode::NotUnicode, words));
        }
        decoded.ok()
    }

    /// The digits of a number, given as a number or as a text.
    fn digits(&self, name: &str, faults: &mut Vec<Fault>) -> Option<Cow<'a, str>> {
        let raw = self.raw(name)?;
        match Kind::of(raw) {
            Kind::Number => Some(Cow::Borrowed(raw.get())),
            Kind::Text => self.decoded(name, raw, faults).map(Cow::Owned),
            kind => {
                let words = format!("must be a number such as 65.00 or \"65.00\", not {}", kind.words());
                faults.push(self.fault(name, FaultCode::WrongType, &words));
                None
            }
        }
    }

    /// A decimal, given as a number or as a text.
    pub(super) fn decimal<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, DecimalFault>,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let digits = self.digits(name, faults)?;
        match parse(&digits) {
            Ok(value) => Some(value),
            Err(fault) => {
                let code = match fault {
                    DecimalFault::NotDecimal => FaultCode::NotDecimal,
                    DecimalFault::TooLarge => FaultCode::TooLarge,
                    DecimalFault::TooPrecise => FaultCode::TooPrecise,
                };
                faults.push(self.fault(name, code, &fault.to_string()));
                None
            }
        }
    }

    /// A whole number from 0, given as a number or as a text.
    pub(super) fn whole(&self, name: &str, faults: &mut Vec<Fault>) -> Option<u64> {
        let digits = self.digits(name, faults)?;
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (code, words) = match digits.parse::<u64>() {
            Ok(number) if all_digits(&digits) => return Some(number),
            _ if all_digits(&digits) => (FaultCode::TooLarge, "is larger than the field holds"),
            _ if digits.strip_prefix('-').is_some_and(all_digits) => {
                (FaultCode::Negative, "must not be negative")
            }
            _ => (FaultCode::NotDecimal, "must be a whole number"),
        };
        faults.push(self.fault(name, code, words));
        None
    }

    /// The objects of a list, at most `most` of them; an entry that is no object is `None`, and its fault is told.
    pub(super) fn objects(
        &self,
        name: &str,
        most: usize,
        faults: &mut Vec<Fault>,
    ) -> Vec<Option<&'a RawValue>> {
        let Some(raw) = self.raw(name) else { return Vec::new() };
        let kind = Kind::of(raw);
        if kind != Kind::Array {
            let words = format!("must be a list of objects, not {}", kind.words());
            faults.push(self.fault(name, FaultCode::WrongType, &words));
            return Vec::new();
        }
        let (entries, count) = serde_json::Deserializer::from_str(raw.get())
            .deserialize_seq(Entries { most })
            .expect("a list whose syntax is good can be walked");
        if count > most {
            let words = format!("must have at most {most} entries, but has {count}");
            faults.push(self.fault(name, FaultCode::TooMany, &words));
        }
        let mut objects = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let kind = Kind::of(entry);
            if kind != Kind::Object {
                let words = format!("must be an object, not {}", kind.words());
                faults.push(self.fault(&format!("{name}[{index}]"), FaultCode::WrongType, &words));
            }
            objects.push((kind == Kind::Object).then_some(entry));
        }
        objects
    }
}

/// Walks an object's members into an [`Object`].
struct Members<'o, 'a> {
    object: &'o mut Object<'a>,
    faults: &'o mut Vec<Fault>,
    /// The known keys that were found twice and named.
    doubled: Vec<bool>,
    /// The unknown keys that were named already.
    unknown: Vec<String>,
    /// How many unknown keys were not named.
    more: usize,
}

/// A key, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            match self.object.known.iter().position(|known| *known == key) {
                Some(place) if self.object.values[place].is_none() => self.object.values[place] = Some(value),
                Some(place) => self.double(place),
                None => self.unknown(&key),
            }
        }
        if self.more > 0 {
            let words = format!("stands for {} more unknown fields", self.more);
            self.faults.push(self.object.fault("*", FaultCode::UnknownField, &words));
        }
        Ok(())
    }
}

impl Members<'_, '_> {
    fn double(&mut self, place: usize) {
        if !std::mem::replace(&mut self.doubled[place], true) {
            let name = self.object.known[place];
            self.faults.push(self.object.fault(name, FaultCode::DuplicateKey, "is given more than once"));
        }
    }

    fn unknown(&mut self, key: &str) {
        let shown = shown(key);
        if self.unknown.contains(&shown) {
            return;
        }
        if self.unknown.len() == MOST_UNKNOWN {
            self.more += 1;
            return;
        }
        let words = match nearest(key, self.object.known) {
            Some(known) => format!("is not a known field; did you mean {known}?"),
            None => "is not a known field".to_owned(),
        };
        self.faults.push(self.object.fault(&shown, FaultCode::UnknownField, &words));
        self.unknown.push(shown);
    }
}

/// A key as it may be shown: cut, without control characters, never empty.
fn shown(key: &str) -> String {
    if key.is_empty() {
        return "\"\"".to_owned();
    }
    let mut shown: String =
        key.chars().take(LONGEST_KEY).map(|c| if c.is_control() { '?' } else { c }).collect();
    if key.chars().nth(LONGEST_KEY).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

/// The known name that was probably meant: the same but for case, or at most two slips away.
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    if key.len() > LONGEST_KEY {
        return None;
    }
    let key = key.to_ascii_lowercase();
    known
        .iter()
        .map(|name| (slips(&key, &name.to_ascii_lowercase()), *name))
        .filter(|(slips, name)| *slips <= 2 && *slips < name.len().min(key.len()))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// The least number of letters left out, put in or changed that makes one text the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Walks a list: its first entries, and how many there are.
struct Entries {
    most: usize,
}

impl<'a> Visitor<'a> for Entries {
    type Value = (Vec<&'a RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut entries, mut count) = (Vec::new(), 0);
        while let Some(entry) = list.next_element::<&'a RawValue>()? {
            count += 1;
            if count <= self.most {
                entries.push(entry);
            }
        }
        Ok((entries, count))
    }
}
