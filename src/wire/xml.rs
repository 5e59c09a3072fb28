//! XML answers into a [`Tree`]: plain elements only, nothing that could reach outside or grow.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::tree::{Allowance, MAX_FIELDS, Tree, TreeFault};

/// The element that stands for one entry of a list.
pub(super) const LIST_ENTRY: &str = "item";

/// Reads one document; the root's name does not matter, attributes and prefixes are ignored.
pub(super) fn read(text: &str) -> Result<Tree<'_>, TreeFault> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut root = None;
    let mut allowance = Allowance::new();
    let mut first = true;
    loop {
        let event = reader.read_event().map_err(|_| TreeFault::Malformed)?;
        match event {
            Event::Decl(_) if first => {}
            Event::Decl(_) | Event::DocType(_) | Event::PI(_) => return Err(TreeFault::NotPlainXml),
            Event::Comment(_) => {}
            Event::Start(start) => {
                refuse_second_root(&open, root.as_ref())?;
                allowance.spend(open.len() + 1)?;
                open.push(Element::named(start.local_name().as_ref())?);
            }
            Event::Empty(start) => {
                refuse_second_root(&open, root.as_ref())?;
                allowance.spend(open.len() + 1)?;
                close(Element::named(start.local_name().as_ref())?, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or(TreeFault::Malformed)?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(part) => {
                let part = part.xml10_content().map_err(|_| TreeFault::NotUtf8)?;
                match open.last_mut() {
                    Some(element) => element.append(part),
                    None if part.trim_ascii().is_empty() => {}
                    None => return Err(TreeFault::Malformed),
                }
            }
            Event::CData(part) => {
                let part = part.xml10_content().map_err(|_| TreeFault::NotUtf8)?;
                open.last_mut().ok_or(TreeFault::Malformed)?.append(part);
            }
            Event::GeneralRef(reference) => {
                let c = resolve(&reference)?;
                open.last_mut().ok_or(TreeFault::Malformed)?.append(Cow::Owned(c.to_string()));
            }
            Event::Eof if open.is_empty() => return root.ok_or(TreeFault::Malformed),
            Event::Eof => return Err(TreeFault::Malformed),
        }
        first = false;
    }
}

/// An element whose end has not come yet.
pub(super) struct Element<'a> {
    pub(super) name: String,
    text: Cow<'a, str>,
    pub(super) children: Vec<(Cow<'a, str>, Tree<'a>)>,
}

impl<'a> Element<'a> {
    pub(super) fn named(name: &[u8]) -> Result<Self, TreeFault> {
        let name = std::str::from_utf8(name).map_err(|_| TreeFault::NotUtf8)?;
        Ok(Self { name: name.to_owned(), text: Cow::Borrowed(""), children: Vec::new() })
    }

    pub(super) fn append(&mut self, part: Cow<'a, str>) {
        if self.text.is_empty() {
            self.text = part;
        } else {
            self.text.to_mut().push_str(&part);
        }
    }

    /// Text between child elements is layout and is dropped.
    pub(super) fn into_tree(self) -> Result<Tree<'a>, TreeFault> {
        if self.children.is_empty() {
            let empty = self.text.trim_ascii().is_empty();
            return Ok(if empty { Tree::Null } else { Tree::Text(self.text) });
        }
        if self.children.iter().all(|(name, _)| name == LIST_ENTRY) {
            return Ok(Tree::List(self.children.into_iter().map(|(_, value)| value).collect()));
        }
        let mut fields: Vec<(Cow<'a, str>, Vec<Tree<'a>>)> = Vec::new();
        for (name, value) in self.children {
            match fields.iter().position(|(known, _)| *known == name) {
                Some(at) => fields[at].1.push(value),
                None if fields.len() == MAX_FIELDS => return Err(TreeFault::TooMany),
                None => fields.push((name, vec![value])),
            }
        }
        let single = |(name, mut values): (_, Vec<Tree<'a>>)| match values.pop() {
            Some(value) if values.is_empty() => (name, value),
            last => {
                values.extend(last);
                (name, Tree::List(values))
            }
        };
        Ok(Tree::Object(fields.into_iter().map(single).collect()))
    }
}

fn refuse_second_root(open: &[Element<'_>], root: Option<&Tree<'_>>) -> Result<(), TreeFault> {
    if open.is_empty() && root.is_some() { Err(TreeFault::Malformed) } else { Ok(()) }
}

fn close<'a>(
    mut element: Element<'a>,
    open: &mut [Element<'a>],
    root: &mut Option<Tree<'a>>,
) -> Result<(), TreeFault> {
    let name = std::mem::take(&mut element.name);
    let value = element.into_tree()?;
    match open.last_mut() {
        Some(parent) => parent.children.push((Cow::Owned(name), value)),
        None => *root = Some(value),
    }
    Ok(())
}

/// The five predefined entities and character references; no other entity exists without a DTD.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Result<char, TreeFault> {
    if let Some(c) = reference.resolve_char_ref().map_err(|_| TreeFault::Malformed)? {
        return Ok(c);
    }
    match &**reference {
        b"amp" => Ok('&'),
        b"apos" => Ok('\''),
        b"gt" => Ok('>'),
        b"lt" => Ok('<'),
        b"quot" => Ok('"'),
        _ => Err(TreeFault::NotPlainXml),
    }
}
