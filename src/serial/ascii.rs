//! JSON for a line of seven data bits: what is beyond ASCII is written as `\uXXXX` (1.2).

/// The same JSON text in ASCII. Text beyond ASCII occurs in JSON within strings only.
pub(super) fn in_ascii(json: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&json) else { return json };
    if text.is_ascii() {
        return json;
    }
    let mut ascii = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::in_ascii;

    #[test]
    fn the_text_stays_what_it_is() {
        let json = r#"{"message":"Café \"Ñandú\" \u00e9 🛒"}"#;
        let ascii = in_ascii(json.as_bytes().to_vec());
        assert!(ascii.is_ascii());
        let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&ascii), read(json.as_bytes()));
    }
}
