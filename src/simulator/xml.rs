//! XML to a tree and back: elements only, a list is an element whose children are all called `item`.
//! Document types and entities beyond the five predefined ones are refused, whatever they would say.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::tree::{DEEPEST, MOST_NAMES, MOST_VALUES, Tree};

/// Reads a whole body: the root element's name and what is in it. The error says in words what is wrong.
pub(super) fn parse(body: &str) -> Result<(String, Tree), String> {
    let mut reader = Reader::from_str(body);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut values = 0;
    loop {
        let event = reader.read_event().map_err(|error| format!("not XML: {error}"))?;
        match event {
            Event::Start(tag) => {
                count(&mut values)?;
                if root.is_some() || open.len() >= DEEPEST {
                    return Err("not XML: a second root, or nested too deep".into());
                }
                open.push(Open::new(&tag)?);
            }
            Event::Empty(tag) => {
                count(&mut values)?;
                close(Open::new(&tag)?, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or("not XML: an end without a beginning")?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(text) => {
                add(&text.xml10_content().map_err(|error| format!("not XML: {error}"))?, &mut open)?;
            }
            Event::CData(text) => {
                add(&text.xml10_content().map_err(|error| format!("not XML: {error}"))?, &mut open)?;
            }
            Event::GeneralRef(reference) => add(&resolve(&reference)?.to_string(), &mut open)?,
            Event::DocType(_) => return Err("document types are refused".into()),
            Event::PI(_) => return Err("processing instructions are refused".into()),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if open.is_empty() => return root.ok_or_else(|| "no element in the body".into()),
            Event::Eof => return Err("not XML: the body ends before its elements do".into()),
        }
    }
}

/// An element whose end has not been seen.
struct Open {
    name: String,
    text: String,
    children: Vec<(String, Tree)>,
}

impl Open {
    fn new(tag: &BytesStart<'_>) -> Result<Open, String> {
        let name = std::str::from_utf8(tag.name().into_inner()).map_err(|_| "not UTF-8")?.to_owned();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| format!("not XML: {error}"))?;
            if !attribute.key.as_ref().starts_with(b"xml") {
                return Err(format!("attributes are refused, on {name}"));
            }
        }
        Ok(Open { name, text: String::new(), children: Vec::new() })
    }
}

fn count(values: &mut usize) -> Result<(), String> {
    *values += 1;
    if *values > MOST_VALUES { Err(format!("more than {MOST_VALUES} elements")) } else { Ok(()) }
}

fn add(text: &str, open: &mut [Open]) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("not XML: text outside the root".into()),
    }
    Ok(())
}

fn close(element: Open, open: &mut [Open], root: &mut Option<(String, Tree)>) -> Result<(), String> {
    let Open { name, text, children } = element;
    let value = if children.is_empty() {
        Tree::Text(text)
    } else if !text.trim().is_empty() {
        return Err(format!("text between the elements of {name}"));
    } else if children.iter().all(|(child, _)| child == "item") {
        Tree::List(children.into_iter().map(|(_, value)| value).collect())
    } else {
        Tree::Object(children)
    };
    match open.last_mut() {
        Some(parent) => {
            let bad = if name == "item" {
                parent.children.last().is_some_and(|(last, _)| last != "item")
            } else {
                parent.children.len() >= MOST_NAMES
                    || parent.children.iter().any(|(known, _)| *known == name || known == "item")
            };
            if bad {
                return Err(format!("{name} is given twice in {}, or too many elements there", parent.name));
            }
            parent.children.push((name, value));
        }
        None if root.is_some() => return Err("not XML: a second root".into()),
        None => *root = Some((name, value)),
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| format!("not XML: {error}"))? {
        return Ok(character);
    }
    match &**reference {
        b"amp" => Ok('&'),
        b"apos" => Ok('\''),
        b"gt" => Ok('>'),
        b"lt" => Ok('<'),
        b"quot" => Ok('"'),
        _ => Err("entities are refused".into()),
    }
}

/// Writes a tree as XML under this root. What is null is left out.
pub(super) fn render(root: &str, tree: &Tree) -> String {
    let mut out = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    write(root, tree, &mut out);
    out
}

fn write(name: &str, tree: &Tree, out: &mut String) {
    if *tree == Tree::Null {
        return;
    }
    let name = name.trim();
    out.push('<');
    out.push_str(name);
    out.push('>');
    match tree {
        Tree::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Tree::List(items) => items.iter().for_each(|item| write("item", item, out)),
        Tree::Null => {}
        Tree::Object(members) => members.iter().for_each(|(name, value)| write(name, value, out)),
        Tree::Number(text) | Tree::Text(text) => out.push_str(&escape(text.as_str())),
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_lists_and_the_five_entities() {
        let body = "<?xml version=\"1.0\"?><R xmlns='x'>\n <a>1 &lt; 2 &amp; &#x41;</a><b/>\
                    <l><item><c>1</c></item><item><c>2</c></item></l><d><![CDATA[<x>]]></d></R>";
        let (root, tree) = parse(body).unwrap();
        assert_eq!(root, "R");
        assert_eq!(tree.text_at("a"), "1 < 2 & A");
        assert_eq!(tree.text_at("d"), "<x>");
        assert_eq!(tree.at("b"), Some(&Tree::text("")));
        assert_eq!(tree.list_at("l").len(), 2);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let list = Tree::List(vec![Tree::object([("c", Tree::text("<&>\"'"))])]);
        let tree = Tree::object([("a", Tree::text("x")), ("l", list)]);
        assert_eq!(parse(&render("R", &tree)).unwrap(), ("R".to_owned(), tree));
        assert!(!render("R", &Tree::object([("n", Tree::Null)])).contains("<n>"));
    }

    #[test]
    fn bad_bodies_are_named() {
        let deep = "<a>".repeat(50) + &"</a>".repeat(50);
        let many = format!("<a>{}</a>", "<item/>".repeat(MOST_VALUES));
        for (body, words) in [
            ("", "no element"),
            ("{}", "text outside"),
            ("<a>", "ends before"),
            ("<a></b>", "not XML"),
            ("</a>", "not XML"),
            ("<a/><b/>", "second root"),
            ("<a><b/><b/></a>", "given twice"),
            ("<a>x<b/></a>", "text between"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "document types"),
            ("<a>&x;</a>", "entities"),
            ("<a b='c'/>", "attributes"),
            (deep.as_str(), "deep"),
            (many.as_str(), "more than"),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.contains(words), "{body:.60}: {error}");
        }
    }
}
