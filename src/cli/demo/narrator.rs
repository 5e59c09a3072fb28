//! What the story is told through: numbered steps, plain lines, and checks that say ok or what is wrong.

use std::io::{self, IsTerminal, Write};

/// Tells the story to a person, and remembers which checks failed.
pub(super) struct Narrator<W> {
    out: W,
    is_coloured: bool,
    step: u32,
    passed: u32,
    failures: Vec<String>,
}

impl Narrator<io::Stdout> {
    /// On standard output; in colours only on a terminal whose user has not asked for none (`NO_COLOR`).
    pub(super) fn on_stdout() -> Self {
        let out = io::stdout();
        let is_coloured =
            out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::new(out, is_coloured)
    }
}

impl<W: Write> Narrator<W> {
    pub(super) fn new(out: W, is_coloured: bool) -> Self {
        Self { out, is_coloured, step: 0, passed: 0, failures: Vec::new() }
    }

    /// The next numbered step.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        let title = format!("{}. {title}", self.step);
        let title = self.paint("1", &title);
        self.line(&format!("\n{title}"));
    }

    /// A line of the step.
    pub(super) fn say(&mut self, text: &str) {
        self.line(&format!("   {text}"));
    }

    /// Text as it is, without the step's indentation.
    pub(super) fn show(&mut self, text: &str) {
        self.line(text);
    }

    /// Something that must hold: `wrong` says, point by point, why it does not; nothing to say means that it does.
    pub(super) fn check(&mut self, what: &str, wrong: &[String]) {
        if wrong.is_empty() {
            self.passed += 1;
            let mark = self.paint("32", "ok");
            return self.line(&format!("   {mark}    {what}"));
        }
        let mark = self.paint("1;31", "WRONG");
        self.line(&format!("   {mark} {what}"));
        for point in wrong {
            self.line(&format!("         {point}"));
        }
        self.failures.push(what.to_owned());
    }

    /// How many checks held.
    pub(super) fn passed(&self) -> u32 {
        self.passed
    }

    /// The checks that did not hold.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Whether colours may be used.
    pub(super) fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A reader that has gone away (`demo | head`) does not change what is true: the exit code still says it.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_and_failures_remembered() {
        let mut narrator = Narrator::new(Vec::new(), false);
        narrator.step("First");
        narrator.check("one holds", &[]);
        narrator.step("Second");
        narrator.check("two holds", &["it is three".to_owned()]);
        assert_eq!(narrator.passed(), 1);
        assert_eq!(narrator.failures(), ["two holds"]);
        assert_eq!(
            String::from_utf8(narrator.out).unwrap(),
            "\n1. First\n   ok    one holds\n\n2. Second\n   WRONG two holds\n         it is three\n"
        );
    }

    #[test]
    fn colours_only_where_asked() {
        let mut narrator = Narrator::new(Vec::new(), true);
        narrator.check("it holds", &[]);
        assert!(String::from_utf8(narrator.out).unwrap().contains("\x1b[32mok\x1b[0m"));
    }
}
