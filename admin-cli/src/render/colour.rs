//! Colours of what tables say of a state. They are always written; the program's output takes them out where
//! nobody can see them: without a terminal, or with NO_COLOR.

/// What works.
const GOOD: &str = "\u{1b}[32m";
/// What wants a look.
const WARN: &str = "\u{1b}[33m";
/// What does not work.
const BAD: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// States as tables write them. Whole cells of one word; nobody's free text is meant to match, and where it
/// does, it is no more than a coloured word.
const STATES: &[(&str, &str)] = &[
    ("up", GOOD),
    ("admitted", GOOD),
    ("proven", GOOD),
    ("suspect", WARN),
    ("degraded", WARN),
    ("recovering", WARN),
    ("advisory_down", WARN),
    ("zone_down", WARN),
    ("drained", WARN),
    ("draining", WARN),
    ("trial", WARN),
    ("cooling", WARN),
    ("down", BAD),
    ("config_error", BAD),
    ("ejected", BAD),
];

/// A line of a table with its states coloured. Cells are at least two spaces apart.
pub fn of_states(line: &str) -> String {
    let cells = line.split("  ").map(|cell| {
        let word = cell.trim();
        let known = STATES.iter().find(|(state, _)| *state == word);
        known.map_or_else(
            || cell.to_owned(),
            |(_, colour)| cell.replacen(word, &format!("{colour}{word}{PLAIN}"), 1),
        )
    });
    cells.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_cells_are_coloured_and_nothing_moves() {
        assert_eq!(of_states("a  up    b"), format!("a  {GOOD}up{PLAIN}    b"));
        assert_eq!(of_states("a   down"), format!("a   {BAD}down{PLAIN}"));
        assert_eq!(of_states("it went down again  x"), "it went down again  x");
    }
}
