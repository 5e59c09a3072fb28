//! What both wires carry, once the wrapping is off: names, texts, numbers and lists.

/// The format of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Json,
    Xml,
}

/// Most values in one body; a sale of 999 lines has about 25,000.
pub(super) const MOST_VALUES: usize = 100_000;
/// Most names in one object.
pub(super) const MOST_NAMES: usize = 256;
/// Deepest nesting.
pub(super) const DEEPEST: usize = 16;

/// One value of a body. A number keeps its own digits. XML knows texts, lists and objects only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Flag(bool),
    List(Vec<Tree>),
    Null,
    Number(String),
    Object(Vec<(String, Tree)>),
    Text(String),
}

impl Tree {
    /// The value under `name`; none if this is no object or has no such name.
    pub(super) fn at(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The characters of the text or number under `name`; empty if there is none.
    pub(super) fn text_at(&self, name: &str) -> &str {
        match self.at(name) {
            Some(Tree::Text(text) | Tree::Number(text)) => text,
            _ => "",
        }
    }

    /// The list under `name`; empty if there is none.
    pub(super) fn list_at(&self, name: &str) -> &[Tree] {
        match self.at(name) {
            Some(Tree::List(items)) => items,
            _ => &[],
        }
    }

    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Tree {
        Tree::Text(text.into())
    }

    /// A number, from anything that prints as a plain decimal.
    pub(super) fn number(number: impl ToString) -> Tree {
        Tree::Number(number.to_string())
    }

    /// An object, in this order.
    pub(super) fn object<const N: usize>(members: [(&str, Tree); N]) -> Tree {
        Tree::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// This object with one more member, or a member replaced; anything but an object stays as it is.
    pub(super) fn with(mut self, name: &str, value: Tree) -> Tree {
        if let Tree::Object(members) = &mut self {
            match members.iter_mut().find(|(known, _)| known == name) {
                Some(member) => member.1 = value,
                None => members.push((name.to_owned(), value)),
            }
        }
        self
    }
}
