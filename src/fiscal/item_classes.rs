//! KRA's item classes: tens of thousands, kept as text and searched where they lie. One string per bucket instead of
//! several per class: what is in memory is what is on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::TaxType;

/// One class of goods or services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemClass<'a> {
    /// `itemClsCd`: at most 10 characters.
    pub code: &'a str,
    /// `itemClsNm`: at most 200 characters.
    pub name: &'a str,
    /// `itemClsLvl`.
    pub level: Option<u8>,
    /// `taxTyCd`: a hint, not a rule.
    pub tax_type: Option<TaxType>,
    /// `mjrTgYn`.
    pub major: Option<bool>,
    /// `useYn`.
    pub in_use: bool,
}

/// The longest code of a class, in bytes.
const LONGEST_CODE: usize = 10;
/// The longest name that is kept, in characters.
const LONGEST_NAME: usize = 200;
/// The most classes that are kept: KRA's list has tens of thousands.
pub const MOST_CLASSES: usize = 200_000;

/// Why a class is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassFault {
    /// No code, or one that is longer than 10 characters or not letters and digits.
    #[error("an item class without a code that can be used")]
    Code,
    /// More than [`MOST_CLASSES`].
    #[error("more than {MOST_CLASSES} item classes")]
    TooMany,
}

/// All classes, by bucket. A clone shares the text.
#[derive(Clone, PartialEq, Eq)]
pub struct ItemClasses {
    /// Lines by code, each `code TAB name TAB level TAB tax type TAB major TAB in use NEWLINE`.
    buckets: Vec<Arc<str>>,
    count: usize,
}

/// Not all of them.
impl fmt::Debug for ItemClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemClasses({})", self.count)
    }
}

impl Default for ItemClasses {
    fn default() -> Self {
        Self { buckets: vec![Arc::from(""); Self::BUCKETS], count: 0 }
    }
}

impl ItemClasses {
    /// How many buckets there are: a class's is told by its code alone, for ever.
    pub const BUCKETS: usize = 256;

    /// How many classes.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// None.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The class of this code, in use or not.
    pub fn find(&self, code: &str) -> Option<ItemClass<'_>> {
        let lines = self.buckets[bucket_of(code)].lines();
        lines.filter_map(read_line).find(|class| class.code == code)
    }

    /// The classes in use that `question` finds, in the order of their codes, at most `most`; and whether there are
    /// others. It finds a class whose code begins with it, or whose name has all its words in whatever case.
    pub fn search(&self, question: &str, most: usize) -> (Vec<ItemClass<'_>>, bool) {
        let question = question.trim();
        let words: Vec<&str> = question.split_whitespace().collect();
        let mut found = BTreeMap::new();
        let mut more = false;
        for class in self.buckets.iter().flat_map(|bucket| bucket.lines()).filter_map(read_line) {
            let fits = class.code.starts_with(question) || words.iter().all(|word| holds(class.name, word));
            if !class.in_use || !fits {
                continue;
            }
            found.insert(class.code, class);
            if found.len() > most {
                found.pop_last();
                more = true;
            }
        }
        (found.into_values().collect(), more)
    }

    /// A bucket's lines, as they are to be kept.
    pub fn bucket(&self, bucket: u8) -> &Arc<str> {
        &self.buckets[usize::from(bucket)]
    }

    /// These with a bucket as it was kept. A line that cannot be read is left out.
    pub fn restore(&mut self, bucket: u8, lines: &str) {
        let at = usize::from(bucket);
        let mut news = NewItemClasses::default();
        for class in lines.lines().filter_map(read_line).filter(|class| bucket_of(class.code) == at) {
            // A class that was kept was within the bounds.
            let _ = news.push(class);
        }
        let text = news.written(at, "");
        self.count = self.count - count(&self.buckets[at]) + count(&text);
        self.buckets[at] = Arc::from(text);
    }

    /// Lays the news of one bucket over it, or puts them in its place where the news are `whole`. False: it stays as it was.
    pub fn merge(&mut self, bucket: u8, news: &NewItemClasses, whole: bool) -> bool {
        let at = usize::from(bucket);
        let known = &self.buckets[at];
        if news.buckets[at].is_empty() && !whole {
            return false;
        }
        let text = news.written(at, if whole { "" } else { known });
        if text == **known {
            return false;
        }
        self.count = self.count - count(known) + count(&text);
        self.buckets[at] = Arc::from(text);
        true
    }

    /// These with all news merged, and the buckets that differ.
    #[cfg(test)]
    pub(crate) fn merged(&self, news: &NewItemClasses, whole: bool) -> (Self, Vec<u8>) {
        let mut merged = self.clone();
        let changed = (0..=u8::MAX).filter(|bucket| merged.merge(*bucket, news, whole)).collect();
        (merged, changed)
    }
}

/// Classes as they come from KRA, in any order.
#[derive(Clone)]
pub struct NewItemClasses {
    buckets: Vec<String>,
    count: usize,
}

/// Not all of them.
impl fmt::Debug for NewItemClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewItemClasses({})", self.count)
    }
}

impl Default for NewItemClasses {
    fn default() -> Self {
        Self { buckets: vec![String::new(); ItemClasses::BUCKETS], count: 0 }
    }
}

impl NewItemClasses {
    /// One more. Its name is kept without control characters and cut to 200 characters.
    ///
    /// # Errors
    /// It has no code that can be used, or there are too many.
    pub fn push(&mut self, class: ItemClass<'_>) -> Result<(), ClassFault> {
        let ItemClass { code, name, level, tax_type, major, in_use } = class;
        if code.is_empty() || code.len() > LONGEST_CODE || !code.bytes().all(|it| it.is_ascii_alphanumeric())
        {
            return Err(ClassFault::Code);
        }
        if self.count == MOST_CLASSES {
            return Err(ClassFault::TooMany);
        }
        self.count += 1;
        let line = &mut self.buckets[bucket_of(code)];
        line.push_str(code);
        line.push('\t');
        let shown = |c: &char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        line.extend(name.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(shown).take(LONGEST_NAME));
        line.push('\t');
        if let Some(level) = level {
            line.push_str(&level.to_string());
        }
        line.push('\t');
        line.push_str(tax_type.map_or("", TaxType::letter));
        line.push('\t');
        line.push_str(major.map_or("", yes_no));
        line.push('\t');
        line.push_str(yes_no(in_use));
        line.push('\n');
        Ok(())
    }

    /// How many came; the same twice counts twice.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// None.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A bucket's lines over the known ones, by code; of two with one code the later holds.
    fn written(&self, bucket: usize, known: &str) -> String {
        let lines = known.lines().chain(self.buckets[bucket].lines());
        let by_code: BTreeMap<&str, &str> =
            lines.filter_map(|line| Some((line.split_once('\t')?.0, line))).collect();
        let mut text = String::with_capacity(by_code.values().map(|line| line.len() + 1).sum());
        for line in by_code.values() {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn read_line(line: &str) -> Option<ItemClass<'_>> {
    let mut parts = line.split('\t');
    let mut next = || parts.next();
    let (code, name, level, tax_type) = (next()?, next()?, next()?, next()?);
    let (major, in_use) = (next()?, next()?);
    Some(ItemClass {
        code,
        name,
        level: level.parse().ok(),
        tax_type: TaxType::from_letter(tax_type),
        major: Some(major).filter(|word| !word.is_empty()).map(|word| word == "Y"),
        in_use: in_use == "Y",
    })
}

const fn yes_no(yes: bool) -> &'static str {
    if yes { "Y" } else { "N" }
}

fn count(lines: &str) -> usize {
    lines.bytes().filter(|byte| *byte == b'\n').count()
}

/// A class's bucket, by the FNV-1a of its code: even, whatever the codes have in common.
fn bucket_of(code: &str) -> usize {
    let hash =
        code.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    usize::from(hash.to_be_bytes()[3])
}

/// Whether `text` has `word` in it, in whatever case of ASCII letters.
fn holds(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class<'a>(code: &'a str, name: &'a str) -> ItemClass<'a> {
        ItemClass { code, name, level: Some(3), tax_type: Some(TaxType::B), major: None, in_use: true }
    }

    fn news(classes: &[ItemClass<'_>]) -> NewItemClasses {
        let mut news = NewItemClasses::default();
        for class in classes {
            news.push(*class).unwrap();
        }
        news
    }

    #[test]
    fn a_class_comes_back_as_it_went() {
        let major = ItemClass { level: None, tax_type: None, major: Some(true), ..class("10101501", "Cats") };
        let gone = ItemClass { major: Some(false), in_use: false, ..class("1010150200", "Dogs & \"pups\"") };
        let (classes, changed) = ItemClasses::default().merged(&news(&[major, gone]), true);
        assert_eq!((classes.len(), changed.len()), (2, 2));
        assert_eq!(classes.find("10101501"), Some(major));
        assert_eq!(classes.find("1010150200"), Some(gone));
        assert_eq!(classes.find("101015"), None);
        let mut restored = ItemClasses::default();
        for bucket in changed {
            restored.restore(bucket, classes.bucket(bucket));
        }
        assert_eq!(restored, classes);
    }

    #[test]
    fn names_are_made_fit_to_be_kept() {
        for (name, kept) in [
            ("plain", "plain".to_owned()),
            ("a\tb\nc\u{7}\u{2028}d", "a bcd".to_owned()),
            ("", String::new()),
            (&"é".repeat(300), "é".repeat(200)),
        ] {
            let (classes, _) = ItemClasses::default().merged(&news(&[class("1", name)]), true);
            assert_eq!(classes.find("1").unwrap().name, kept, "{name:?}");
        }
    }

    #[test]
    fn codes_that_cannot_be_used() {
        for code in ["", "12345678901", "1010 15", "10\t15", "10é", "../x"] {
            let refused = NewItemClasses::default().push(class(code, "x"));
            assert_eq!(refused, Err(ClassFault::Code), "{code:?}");
        }
    }

    #[test]
    fn a_change_touches_its_bucket_alone_and_the_later_of_two_holds() {
        let codes: Vec<String> = (0..5000).map(|n| format!("{}", 10_000_000 + n)).collect();
        let all: Vec<_> = codes.iter().map(|code| class(code, "old")).collect();
        let (classes, changed) = ItemClasses::default().merged(&news(&all), true);
        assert_eq!((classes.len(), changed.len()), (5000, ItemClasses::BUCKETS));
        let longest = (0..=255).map(|n| count(classes.bucket(n))).max();
        assert!(longest.is_some_and(|lines| lines < 60), "the buckets are uneven: {longest:?}");

        let (same, changed) = classes.merged(&news(&all), false);
        assert_eq!((same, changed), (classes.clone(), vec![]));

        let delta = [class("10000007", "newer"), class("10000007", "newest"), class("99999999", "added")];
        let (newer, changed) = classes.merged(&news(&delta), false);
        assert!(changed.len() <= 2, "{changed:?}");
        assert_eq!(newer.len(), 5001);
        assert_eq!(newer.find("10000007").unwrap().name, "newest");
        assert_eq!(newer.find("10000008").unwrap().name, "old");

        let (whole, _) = newer.merged(&news(&delta), true);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole.find("10000008"), None);
    }

    #[test]
    fn search_by_code_and_by_words() {
        let unused = ItemClass { in_use: false, ..class("5020230900", "Bottled water, old") };
        let all = [
            class("5020230100", "Bottled Water"),
            class("5020230200", "Water, sparkling, bottled"),
            class("43211500", "Computers"),
            class("50", "Food and drink"),
            unused,
        ];
        let (classes, _) = ItemClasses::default().merged(&news(&all), true);
        for (question, most, expected, more) in [
            ("502023", 10, &["5020230100", "5020230200"][..], false),
            ("50", 2, &["50", "5020230100"], true),
            (" water BOTTLED ", 10, &["5020230100", "5020230200"], false),
            ("bottle wine", 10, &[], false),
            ("comp", 10, &["43211500"], false),
            ("", 2, &["43211500", "50"], true),
            ("", 0, &[], true),
            ("é", 10, &[], false),
        ] {
            let (found, others) = classes.search(question, most);
            let codes: Vec<_> = found.iter().map(|class| class.code).collect();
            assert_eq!((codes.as_slice(), others), (expected, more), "{question:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_was_kept_is_read_without_a_panic(bucket: u8, lines in "[\\t\\n0-9A-Zé]{0,200}") {
            let mut classes = ItemClasses::default();
            classes.restore(bucket, &lines);
            let counted: usize = (0..=255).map(|n| count(classes.bucket(n))).sum();
            proptest::prop_assert_eq!(classes.len(), counted);
        }
    }
}
