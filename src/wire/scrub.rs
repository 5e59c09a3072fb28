//! Free text without what is personal or secret in it: known values in whatever spelling, and what looks like a PIN, a
//! phone number, an e-mail address or a key. Pure.

use std::collections::BTreeSet;

/// What stands where something was taken out.
pub(super) const MASK: &str = "****";

/// A known value shorter than this is masked only where it stands as a word of its own.
const ANYWHERE: usize = 6;
/// Words of a known value shorter than this are not looked for by themselves: they are part of too much.
const LONG_WORD: usize = 4;
/// Digits of a phone number without the country's or the trunk's prefix.
const PHONE_DIGITS: usize = 9;
/// How often escapes are undone: text inside text inside text.
const LAYERS: usize = 4;
/// More known values than this, and texts are masked whole.
const MOST_VALUES: usize = 1_000;
/// A run of letters and digits as long as this, with both in it, may be a key.
const KEY_LENGTH: usize = 20;

/// Masks known values, and what looks personal or secret, in texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrubber {
    /// Lower case, letters and digits only.
    known: BTreeSet<Vec<char>>,
    /// So many values that looking for them all would take too long.
    overfull: bool,
}

impl Scrubber {
    /// From now on this value is masked in any spelling: upper or lower case, other spaces and signs in between.
    /// Its longer words, and a phone number without its prefix, are masked by themselves.
    pub(super) fn learn(&mut self, value: &str) {
        if self.overfull {
            return;
        }
        let Some(value) = plain(value) else { return };
        let whole = projected(&value);
        let digits = whole.iter().all(char::is_ascii_digit);
        if digits && whole.len() > PHONE_DIGITS {
            self.add(whole[whole.len() - PHONE_DIGITS..].to_vec());
        }
        let words = value.split(|c: char| !c.is_alphanumeric()).map(projected);
        words.filter(|word| word.len() >= LONG_WORD).for_each(|word| self.add(word));
        self.add(whole);
    }

    fn add(&mut self, value: Vec<char>) {
        // One letter is nobody's name.
        if value.len() > 1 {
            self.known.insert(value);
        }
        if self.known.len() > MOST_VALUES {
            self.overfull = true;
            self.known.clear();
        }
    }

    /// A text for people, such as a message of KRA: escapes undone, known values and suspicious patterns masked.
    pub(super) fn text(&self, text: &str) -> String {
        let Some(text) = plain(text).filter(|_| !self.overfull) else { return MASK.to_owned() };
        without_patterns(&self.without_known(&text, 0))
    }

    /// A code, number or date: as it is, unless a PIN or a known value that is no short one is in it.
    pub(super) fn code(&self, text: &str) -> String {
        let Some(plain) = plain(text).filter(|_| !self.overfull) else { return MASK.to_owned() };
        let masked = self.without_known(&plain, ANYWHERE);
        if masked != plain || words(&plain).any(|word| is_pin(&word)) { MASK.to_owned() } else { plain }
    }

    fn without_known(&self, text: &str, shortest: usize) -> String {
        let letters: Vec<Letter> = letters(text);
        let mut spans = Vec::new();
        for value in self.known.iter().filter(|value| value.len() >= shortest) {
            let mut at = 0;
            while let Some(found) = find(&letters[at..], value).map(|found| at + found) {
                let (first, last) = (found, found + value.len() - 1);
                let (before, behind) = (&text[..letters[first].start], &text[letters[last].end..]);
                let (start, end) = (
                    before.trim_end_matches(char::is_alphanumeric),
                    behind.trim_start_matches(char::is_alphanumeric),
                );
                let stands_alone = start.len() == before.len() && end.len() == behind.len();
                if value.len() >= ANYWHERE || stands_alone {
                    // The whole word that it is in: the rest of one may tell what was there.
                    spans.push((start.len(), text.len() - end.len()));
                }
                at = found + 1;
            }
        }
        masked(text, spans)
    }
}

/// A letter or digit in lower case, and where it stands in the text.
struct Letter {
    is: char,
    start: usize,
    end: usize,
}

fn letters(text: &str) -> Vec<Letter> {
    let kept = text.char_indices().filter(|(_, c)| c.is_alphanumeric());
    kept.flat_map(|(start, c)| {
        let end = start + c.len_utf8();
        c.to_lowercase().map(move |is| Letter { is, start, end })
    })
    .collect()
}

fn projected(text: &str) -> Vec<char> {
    letters(text).into_iter().map(|letter| letter.is).collect()
}

fn find(letters: &[Letter], value: &[char]) -> Option<usize> {
    letters.windows(value.len()).position(|window| window.iter().map(|it| it.is).eq(value.iter().copied()))
}

/// The text with these spans masked; spans may overlap.
fn masked(text: &str, mut spans: Vec<(usize, usize)>) -> String {
    spans.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in spans {
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(end);
    }
    out.push_str(&text[done..]);
    out
}

/// The text with every escape of JSON, XML and addresses undone and control characters as blanks; `None` where there
/// are escapes inside escapes without end.
fn plain(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..LAYERS {
        let next = unescaped(&text);
        if next == text {
            return Some(text.replace(char::is_control, " "));
        }
        text = next;
    }
    (unescaped(&text) == text).then(|| text.replace(char::is_control, " "))
}

fn unescaped(text: &str) -> String {
    if !text.contains(['\\', '&', '%']) {
        return text.to_owned();
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = match c {
            '\\' => json_escape(rest),
            '&' => entity(rest),
            '%' => percent(rest),
            _ => None,
        };
        let length = if let Some((decoded, length)) = found {
            bytes.extend_from_slice(&decoded);
            length
        } else {
            bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What an escape stands for, and its own length in bytes.
type Decoded = Option<(Vec<u8>, usize)>;

fn bytes_of(c: char) -> Vec<u8> {
    c.to_string().into_bytes()
}

fn json_escape(text: &str) -> Decoded {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let next = text[1..].chars().next()?;
    match next {
        'u' => {
            let first = unit(0)?;
            if let Some(c) = char::from_u32(first) {
                return Some((bytes_of(c), 6));
            }
            let second = unit(6).filter(|second| (0xDC00..0xE000).contains(second));
            let pair = second.filter(|_| first < 0xDC00);
            let c = pair.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00)));
            // Half a character alone stands for nothing.
            Some(c.map_or((Vec::new(), 6), |c| (bytes_of(c), 12)))
        }
        'b' | 'f' | 'n' | 'r' | 't' => Some((b" ".to_vec(), 2)),
        other => Some((bytes_of(other), 1 + other.len_utf8())),
    }
}

fn entity(text: &str) -> Decoded {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let c = match name {
        "amp" => '&',
        "apos" => '\'',
        "gt" => '>',
        "lt" => '<',
        "nbsp" => ' ',
        "quot" => '"',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((bytes_of(c), end + 1))
}

fn percent(text: &str) -> Decoded {
    let digits = text.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some((vec![u8::from_str_radix(digits, 16).ok()?], 3))
}

/// Runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Of the form of a taxpayer's PIN.
fn is_pin(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 11
        && bytes[0].is_ascii_alphabetic()
        && bytes[10].is_ascii_alphabetic()
        && bytes[1..10].iter().all(u8::is_ascii_digit)
}

/// Letters and digits mixed, and long: a key, or a token.
fn is_key(word: &str) -> bool {
    word.len() >= KEY_LENGTH && word.chars().any(char::is_numeric) && word.chars().any(char::is_alphabetic)
}

/// Digits as of a Kenyan phone number, signs between them left out.
fn is_phone(digits: &str) -> bool {
    let national = digits.strip_prefix("00254").or_else(|| digits.strip_prefix("254"));
    let national = national.or_else(|| digits.strip_prefix('0')).unwrap_or(digits);
    national.len() == PHONE_DIGITS && national.starts_with(['1', '2', '4', '5', '6', '7'])
}

fn without_patterns(text: &str) -> String {
    let mut spans = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, c.is_alphanumeric()) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let word = &text[from..at];
                if is_pin(word) || is_key(word) {
                    spans.push((from, at));
                }
                start = None;
            }
            _ => {}
        }
    }
    spans.extend(phones(text));
    let blank = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | '(' | ')' | ',' | ';');
    for part in text.split(blank).filter(|part| part.contains('@')) {
        let at = part.as_ptr() as usize - text.as_ptr() as usize;
        spans.push((at, at + part.len()));
    }
    masked(text, spans)
}

/// Where digits stand that may be a phone number; single blanks, dashes and dots may be between them.
fn phones(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        let (mut digits, mut end) = (String::new(), at);
        while at < bytes.len() {
            match bytes[at] {
                digit if digit.is_ascii_digit() => {
                    digits.push(char::from(digit));
                    end = at + 1;
                }
                b' ' | b'-' | b'.' if end == at => {}
                _ => break,
            }
            at += 1;
        }
        if is_phone(&digits) {
            spans.push((start, end));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_in_any_spelling() {
        let mut scrubber = Scrubber::default();
        for value in ["Wanjiku Kamau-Otieno", "A987654321Q", "+254 799 887766", "O'Brien & Söhne", "Al", "x"]
        {
            scrubber.learn(value);
        }
        for (text, expected) in [
            ("no such customer: Wanjiku Kamau-Otieno", "no such customer: ****"),
            ("WANJIKU  KAMAU OTIENO!", "****!"),
            ("Wanjiku unknown, Kamau too", "**** unknown, **** too"),
            ("tin a987654321q is inactive", "tin **** is inactive"),
            ("call 0799887766 or 0799 887 766 or 254799887766", "call **** or **** or ****"),
            (r"name \u0057anjiku", "name ****"),
            ("name &#87;anjiku, O&apos;Brien &amp; Söhne", "name ****, ****"),
            ("%57anjiku", "****"),
            (r#"{\"custNm\":\"Wanjiku Kamau-Otieno\"}"#, r#"{"custNm":"****"}"#),
            ("Al paid, Alice did not", "**** paid, Alice did not"),
            ("x marks the spot", "x marks the spot"),
            (
                "Invalid invcNo sequence, expected: 43 but found: 42",
                "Invalid invcNo sequence, expected: 43 but found: 42",
            ),
        ] {
            assert_eq!(scrubber.text(text), expected, "{text}");
        }
    }

    #[test]
    fn patterns_nobody_told_us_of() {
        let scrubber = Scrubber::default();
        for (text, expected) in [
            ("taxpayer P051234567Z of branch 00", "taxpayer **** of branch 00"),
            ("P051234567ZA is no PIN", "P051234567ZA is no PIN"),
            ("0712345678, +254 712 345 678, 0712-345-678", "****, +****, ****"),
            ("20250115101530 and 5059690800 and 86.21", "20250115101530 and 5059690800 and 86.21"),
            ("key 0123456789abcdef0123456789abcdef refused", "key **** refused"),
            ("mail jane@duka.example now", "mail **** now"),
            ("Expected: 86.21, But Found: 100.00", "Expected: 86.21, But Found: 100.00"),
            ("", ""),
        ] {
            assert_eq!(scrubber.text(text), expected, "{text}");
        }
    }

    #[test]
    fn codes_and_numbers() {
        let mut scrubber = Scrubber::default();
        scrubber.learn("0799887766");
        for (text, expected) in [
            ("42", "42"),
            ("799887766", "****"),
            ("712345678.00", "712345678.00"),
            ("KE2NTNO0000001", "KE2NTNO0000001"),
            ("P051234567Z", "****"),
            ("20250115101530", "20250115101530"),
        ] {
            assert_eq!(scrubber.code(text), expected, "{text}");
        }
    }

    #[test]
    fn endless_escapes_and_too_many_values_are_masked_whole() {
        let endless = format!("&{}#87;anjiku", "amp;".repeat(20));
        assert_eq!(Scrubber::default().text(&endless), MASK);
        let mut scrubber = Scrubber::default();
        (0..2_000).for_each(|n| scrubber.learn(&format!("customer{n}")));
        assert_eq!(scrubber.text("anything"), MASK);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", value in "\\PC{0,20}") {
            let mut scrubber = Scrubber::default();
            scrubber.learn(&value);
            let _ = (scrubber.text(&text), scrubber.code(&text));
        }
    }
}
