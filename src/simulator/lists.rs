//! What KRA publishes, and since when: codes, item classes, notices. Whoever asks after a moment hears what came later.

use super::clock::Moment;
use super::code_lists::{self, Rates};
use super::paperwork::{FOUNDED, notice};
use super::tree::Tree;

/// Most synthetic item classes, so that a typing error does not eat the memory.
const MOST_SYNTHETIC: u32 = 500_000;
/// Most rows that are published over the built-in ones.
const MOST_PUBLISHED: usize = 10_000;

/// What is published beside what was there from the beginning.
#[derive(Debug)]
pub(super) struct Lists {
    founded: Moment,
    /// When the rates were changed last.
    rates: Moment,
    codes: Vec<(Moment, Tree)>,
    classes: Vec<(Moment, Tree)>,
    synthetic: (Moment, u32),
    notices: Vec<(Moment, Tree)>,
}

impl Default for Lists {
    fn default() -> Lists {
        let founded = Moment::parse(FOUNDED).expect("a real date");
        let (codes, classes, notices) = (Vec::new(), Vec::new(), vec![(founded, notice())]);
        Lists { founded, rates: founded, codes, classes, synthetic: (founded, 0), notices }
    }
}

impl Lists {
    /// The rates have changed.
    pub(super) fn rates_changed(&mut self, now: Moment) {
        self.rates = now;
    }

    /// Publishes the rows of `clsList`, `itemClsList` and `noticeList`, as they are; `syntheticClasses`: so many item
    /// classes made up.
    ///
    /// # Errors
    /// Words that say what is wrong.
    pub(super) fn publish(&mut self, news: &Tree, now: Moment) -> Result<(), String> {
        let Tree::Object(members) = news else { return Err("what is published is an object".to_owned()) };
        let known = ["clsList", "itemClsList", "noticeList", "syntheticClasses"];
        if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("{name} is not published here; known are {}", known.join(", ")));
        }
        if news.at("syntheticClasses").is_some() {
            let count = news.text_at("syntheticClasses").parse().ok();
            let count = count.filter(|count| *count <= MOST_SYNTHETIC);
            let wrong = || format!("syntheticClasses is a number up to {MOST_SYNTHETIC}");
            self.synthetic = (now, count.ok_or_else(wrong)?);
        }
        let lists = [
            ("clsList", &mut self.codes),
            ("itemClsList", &mut self.classes),
            ("noticeList", &mut self.notices),
        ];
        for (name, published) in lists {
            let rows = news.list_at(name);
            if published.len() + rows.len() > MOST_PUBLISHED {
                return Err(format!("more than {MOST_PUBLISHED} rows of {name}"));
            }
            published.extend(rows.iter().map(|row| (now, row.clone())));
        }
        Ok(())
    }

    /// Lists of codes that were changed after `since`.
    pub(super) fn codes(&self, since: Moment, rates: &Rates) -> Vec<Tree> {
        let mut listed = Vec::new();
        if self.founded > since {
            listed = code_lists::classes(rates);
        } else if self.rates > since {
            listed
                .extend(code_lists::classes(rates).into_iter().filter(|list| list.text_at("cdCls") == "04"));
        }
        for (_, list) in self.codes.iter().filter(|(at, _)| *at > since) {
            match listed.iter_mut().find(|known| known.text_at("cdCls") == list.text_at("cdCls")) {
                Some(known) => *known = laid_over(known, list),
                None => listed.push(list.clone()),
            }
        }
        listed
    }

    /// Item classes that were added or changed after `since`.
    pub(super) fn classes(&self, since: Moment) -> Vec<Tree> {
        let mut listed = if self.founded > since { code_lists::item_classes() } else { Vec::new() };
        if self.synthetic.0 > since {
            listed.extend((0..self.synthetic.1).map(code_lists::synthetic_class));
        }
        listed.extend(self.classes.iter().filter(|(at, _)| *at > since).map(|(_, class)| class.clone()));
        listed
    }

    /// Notices that were published after `since`.
    pub(super) fn notices(&self, since: Moment) -> Vec<Tree> {
        self.notices.iter().filter(|(at, _)| *at > since).map(|(_, notice)| notice.clone()).collect()
    }
}

/// A list with the codes of another one laid over its own, and the other one's own members.
fn laid_over(known: &Tree, news: &Tree) -> Tree {
    let mut codes = known.list_at("dtlList").to_vec();
    for code in news.list_at("dtlList") {
        match codes.iter_mut().find(|other| other.text_at("cd") == code.text_at("cd")) {
            Some(other) => *other = code.clone(),
            None => codes.push(code.clone()),
        }
    }
    let Tree::Object(members) = news.clone() else { return known.clone() };
    let list = members.into_iter().fold(known.clone(), |list, (name, value)| list.with(&name, value));
    list.with("dtlList", Tree::List(codes))
}
