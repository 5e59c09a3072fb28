//! The rows of a receipt, and how they are fitted to a width; blind to what printer it is for.

/// The narrowest paper, in characters.
pub const NARROWEST: usize = 32;

/// How big a row is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Twice as wide and twice as high: what must be seen at a glance.
    Double,
    /// Like everything else.
    Plain,
}

/// One row, before it is fitted to a width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// In the middle.
    Centred(String, Size),
    /// From the left.
    Left(String),
    /// A name on the left, a value on the right.
    Pair(String, String),
    /// A line across.
    Rule,
    /// Columns of a table: the first from the left, the others to the right, each as wide as the paper allows.
    Columns(Vec<String>),
    /// A QR code of this text.
    Qr(String),
}

/// Text cut into lines of at most so many characters, between words where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut long = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        let gap = usize::from(long > 0);
        if long + gap + letters.len() > width && long > 0 {
            lines.push(std::mem::take(&mut line));
            long = 0;
        }
        if long > 0 {
            line.push(' ');
            long += 1;
        }
        for piece in letters.chunks(width) {
            if long + piece.len() > width {
                lines.push(std::mem::take(&mut line));
                long = 0;
            }
            line.extend(piece);
            long += piece.len();
        }
    }
    if long > 0 {
        lines.push(line);
    }
    lines
}

/// In the middle of so many characters; nothing behind it.
pub(super) fn centred(line: &str, width: usize) -> String {
    let room = width.saturating_sub(line.chars().count());
    format!("{}{line}", " ".repeat(room / 2))
}

/// Name and value on one line where there is room for both, else the value on a line of its own, to the right.
pub(super) fn pair(name: &str, value: &str, width: usize) -> Vec<String> {
    let (left, right) = (name.chars().count(), value.chars().count());
    if left + 1 + right <= width {
        return vec![format!("{name}{}{value}", " ".repeat(width - left - right))];
    }
    let mut lines = wrap(name, width);
    for line in wrap(value, width) {
        lines.push(format!("{line:>width$}"));
    }
    lines
}

/// The columns of a table; a line for the first and one for the rest where they do not fit beside each other.
pub(super) fn columns(cells: &[String], width: usize) -> Vec<String> {
    let Some((first, rest)) = cells.split_first() else { return Vec::new() };
    let share = width / (rest.len() + 1);
    let fits = |room: usize| rest.iter().all(|cell| cell.chars().count() < room);
    let to_the_right = |room: usize| rest.iter().map(|cell| format!("{cell:>room$}")).collect::<String>();
    if fits(share) && first.chars().count() <= width - share * rest.len() {
        let left = width - share * rest.len();
        return vec![format!("{first:<left$}{}", to_the_right(share))];
    }
    let share = width / rest.len().max(1);
    if fits(share) {
        return vec![first.clone(), format!("{:>width$}", to_the_right(share))];
    }
    let mut lines = vec![first.clone()];
    lines.extend(rest.iter().flat_map(|cell| wrap(cell, width)).map(|cell| format!("{cell:>width$}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_words_and_long_words_anywhere() {
        for (text, width, lines) in [
            ("", 4, &[][..]),
            ("one", 4, &["one"]),
            ("one two three", 7, &["one two", "three"]),
            ("  one   two ", 32, &["one two"]),
            ("abcdefghij", 4, &["abcd", "efgh", "ij"]),
            ("ab abcdefghij k", 4, &["ab", "abcd", "efgh", "ij k"]),
            ("ääää öö", 4, &["ääää", "öö"]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text:?}");
        }
    }

    #[test]
    fn a_pair_stands_on_one_line_where_there_is_room() {
        assert_eq!(pair("TOTAL", "1.00", 12), ["TOTAL   1.00"]);
        assert_eq!(pair("TOTAL", "1.00", 10), ["TOTAL 1.00"]);
        assert_eq!(pair("TOTAL", "1.00", 9), ["TOTAL", "     1.00"]);
        assert_eq!(pair("A LONG NAME", "1,000.00B", 8), ["A LONG", "NAME", "1,000.00", "       B"]);
    }

    #[test]
    fn columns_are_put_below_each_other_where_they_are_too_wide() {
        let cells = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        assert_eq!(columns(&cells(&["B", "100.00", "16.00"]), 24), ["B         100.00   16.00"]);
        assert_eq!(columns(&cells(&["B", "100,000.00", "16,000.00"]), 24), ["B", "  100,000.00   16,000.00"]);
        assert_eq!(
            columns(&cells(&["B", "100,000,000.00", "16,000.00"]), 24),
            ["B", "          100,000,000.00", "               16,000.00"]
        );
    }
}
