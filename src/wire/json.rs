//! JSON answers into a [`Tree`], numbers with their own digits.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::tree::{Allowance, MAX_FIELDS, Tree, TreeFault};

/// Reads one JSON value. serde_json judges the syntax (its check does not recurse); then this walks text that is
/// known to be JSON, which is the only way to see a number's digits as they were written.
pub(super) fn read(text: &str) -> Result<Tree<'_>, TreeFault> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| TreeFault::Malformed)?;
    Walk { rest: text, allowance: Allowance::new() }.value(1)
}

struct Walk<'a> {
    /// What has not been read yet.
    rest: &'a str,
    allowance: Allowance,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Result<Tree<'a>, TreeFault> {
        self.allowance.spend(depth)?;
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Tree::Text),
            _ => Ok(self.word()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Tree<'a>, TreeFault> {
        let mut fields: Vec<(Cow<'a, str>, Tree<'a>)> = Vec::new();
        self.skip();
        while self.peek() == Some(b'"') {
            let name = match self.string()? {
                Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
                Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
            };
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            match fields.iter().find(|(known, _)| *known == name) {
                None if fields.len() == MAX_FIELDS => return Err(TreeFault::TooMany),
                None => fields.push((name, value)),
                Some((_, known)) if *known == value => {}
                Some(_) => return Err(TreeFault::Ambiguous),
            }
            if self.peek() == Some(b',') {
                self.skip();
            }
        }
        self.expect(b'}')?;
        Ok(Tree::Object(fields))
    }

    fn list(&mut self, depth: usize) -> Result<Tree<'a>, TreeFault> {
        let mut values = Vec::new();
        self.skip();
        while !matches!(self.peek(), None | Some(b']')) {
            values.push(self.value(depth + 1)?);
            if self.peek() == Some(b',') {
                self.skip();
            }
        }
        self.expect(b']')?;
        Ok(Tree::List(values))
    }

    /// A string; borrowed where it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, TreeFault> {
        let mut escaped = false;
        let mut plain = true;
        let inner = self.rest.get(1..).ok_or(TreeFault::Malformed)?;
        for (at, byte) in inner.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => {
                    escaped = true;
                    plain = false;
                }
                b'"' => {
                    let quoted = &self.rest[..at + 2];
                    self.rest = &self.rest[at + 2..];
                    return if plain {
                        Ok(Cow::Borrowed(&inner[..at]))
                    } else {
                        serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| TreeFault::Malformed)
                    };
                }
                _ => {}
            }
        }
        Err(TreeFault::Malformed)
    }

    /// A number, `true`, `false` or `null`: everything up to what ends it.
    fn word(&mut self) -> Tree<'a> {
        let end = self
            .rest
            .find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace())
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word == "null" { Tree::Null } else { Tree::Text(Cow::Borrowed(word)) }
    }

    /// The next byte that is no space, left where it is.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    /// Steps over one punctuation mark that was just seen.
    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn expect(&mut self, mark: u8) -> Result<(), TreeFault> {
        if self.peek() == Some(mark) {
            self.skip();
            Ok(())
        } else {
            Err(TreeFault::Malformed)
        }
    }
}
