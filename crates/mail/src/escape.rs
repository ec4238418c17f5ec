//! Making text from outside safe to show on one line.

use std::fmt::Write as _;

/// The text with everything escaped that could end a line, move a cursor or turn the reading direction:
/// control characters, line separators, bidirectional controls and other invisible formatting. A backslash is
/// doubled, so that the result is unambiguous. Cut at `max` bytes of input on a character boundary, with `…`.
pub fn for_log(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (at, character) in text.char_indices() {
        if at + character.len_utf8() > max {
            out.push('…');
            break;
        }
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if is_unsafe(other) => {
                let _infallible = write!(out, "\\u{{{:x}}}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(for_log("a\r\nb\x1b[31m\u{202e}c\\", 100), "a\\r\\nb\\u{1b}[31m\\u{202e}c\\\\");
        assert_eq!(for_log("жжж", 3), "ж…");
        assert_eq!(for_log("plain", 5), "plain");
    }
}
