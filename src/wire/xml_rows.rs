//! XML answers that hold long lists, read as they come: each row is handed on and forgotten.

use std::borrow::Cow;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::tree::{Allowance, Tree, TreeFault};
use super::xml::{Element, LIST_ENTRY, resolve};

/// Where lists stand in an answer.
const DATA: &str = "data";

/// Reads one document. Each row of a list in `data` that `is_list` knows by its name goes to `row`; what comes back is the
/// answer without these rows.
pub(super) fn read<R: BufRead>(
    body: R,
    is_list: impl Fn(&str) -> bool,
    mut row: impl FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
) -> Result<Tree<'static>, TreeFault> {
    let mut reader = Reader::from_reader(body);
    let mut buffer = Vec::new();
    let mut reading = Reading { open: Vec::new(), root: None, allowance: Allowance::new() };
    let mut first = true;
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(|_| TreeFault::Malformed)?;
        match event {
            Event::Decl(_) if first => {}
            Event::Decl(_) | Event::DocType(_) | Event::PI(_) => return Err(TreeFault::NotPlainXml),
            Event::Comment(_) => {}
            Event::Start(start) => reading.begin(start.local_name().as_ref())?,
            Event::Empty(start) => {
                reading.begin(start.local_name().as_ref())?;
                reading.end(&is_list, &mut row)?;
            }
            Event::End(_) => reading.end(&is_list, &mut row)?,
            Event::Text(part) => {
                let part = part.xml10_content().map_err(|_| TreeFault::NotUtf8)?;
                match reading.open.last_mut() {
                    Some(element) => element.append(Cow::Owned(part.into_owned())),
                    None if part.trim_ascii().is_empty() => {}
                    None => return Err(TreeFault::Malformed),
                }
            }
            Event::CData(part) => {
                let part = part.xml10_content().map_err(|_| TreeFault::NotUtf8)?.into_owned();
                reading.open.last_mut().ok_or(TreeFault::Malformed)?.append(Cow::Owned(part));
            }
            Event::GeneralRef(reference) => {
                let c = resolve(&reference)?;
                reading.open.last_mut().ok_or(TreeFault::Malformed)?.append(Cow::Owned(c.to_string()));
            }
            Event::Eof if reading.open.is_empty() => return reading.root.ok_or(TreeFault::Malformed),
            Event::Eof => return Err(TreeFault::Malformed),
        }
        first = false;
    }
}

/// The elements whose ends have not come yet.
struct Reading {
    open: Vec<Element<'static>>,
    root: Option<Tree<'static>>,
    allowance: Allowance,
}

impl Reading {
    fn begin(&mut self, name: &[u8]) -> Result<(), TreeFault> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(TreeFault::Malformed);
        }
        self.allowance.spend(self.open.len() + 1)?;
        self.open.push(Element::named(name)?);
        Ok(())
    }

    fn end(
        &mut self,
        is_list: &impl Fn(&str) -> bool,
        row: &mut impl FnMut(&str, &Tree<'_>) -> Result<(), TreeFault>,
    ) -> Result<(), TreeFault> {
        let mut element = self.open.pop().ok_or(TreeFault::Malformed)?;
        let name = std::mem::take(&mut element.name);
        let value = element.into_tree()?;
        let list = match self.open.as_slice() {
            [.., data, list] if data.name == DATA && name == LIST_ENTRY => Some(list.name.clone()),
            // A lone row without an element of its own, or a list that was written as a repeated element.
            [.., data] if data.name == DATA && matches!(value, Tree::Object(_)) => Some(name.clone()),
            _ => None,
        };
        if let Some(list) = list.filter(|list| is_list(list)) {
            row(&list, &value)?;
            self.allowance = Allowance::new();
            return Ok(());
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push((Cow::Owned(name), value)),
            None => self.root = Some(value),
        }
        Ok(())
    }
}
