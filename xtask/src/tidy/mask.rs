//! Which characters of a Rust file are code.

/// The text with comments, and the insides of strings and character literals, turned into spaces.
/// Lines keep their numbers, so that a finding can say where it is.
pub(crate) fn code_only(text: &str) -> String {
    let mut mask = Mask { rest: text, code: String::with_capacity(text.len()) };
    while !mask.rest.is_empty() {
        mask.step();
    }
    mask.code
}

struct Mask<'a> {
    rest: &'a str,
    code: String,
}

impl Mask<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.hide(end);
        } else if self.rest.starts_with("/*") {
            self.hide(block_comment(self.rest));
        } else if let Some(length) = string(self.rest).or_else(|| character(self.rest)) {
            self.hide(length);
        } else {
            let word = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let first = self.rest.chars().next().map_or(0, char::len_utf8);
            self.show(word.max(first));
        }
    }

    fn show(&mut self, length: usize) {
        let (code, rest) = self.rest.split_at(length);
        self.code.push_str(code);
        self.rest = rest;
    }

    fn hide(&mut self, length: usize) {
        let (hidden, rest) = self.rest.split_at(length);
        self.code.extend(hidden.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a block comment, nested ones within it.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string literal at the start of `text`: plain, byte, C, or raw.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(['"', '#']).filter(|end| *end <= 2)?;
    let raw = match &text[..prefix] {
        "" | "b" | "c" => false,
        "r" | "br" | "cr" => true,
        _ => return None,
    };
    if raw {
        let hashes = text[prefix..].bytes().take_while(|byte| *byte == b'#').count();
        let body = text[prefix + hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&close).map_or(body.len(), |end| end + close.len());
        return Some(prefix + hashes + 1 + end);
    }
    let body = text[prefix..].strip_prefix('"')?;
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of a character or byte literal at the start of `text`; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let prefix = usize::from(text.starts_with("b'"));
    let body = text[prefix..].strip_prefix('\'')?;
    let first = body.chars().next()?;
    let end = if first == '\\' { 2 + body.get(2..)?.find('\'')? } else { first.len_utf8() };
    body[end..].starts_with('\'').then_some(prefix + 1 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        let text = r##"let a = "std::fs"; // std::fs
/* std::fs /* nested */ std::fs */ let b = r#"std::"fs"#;
let c: &'static str = b"x\"y"; let d = '"'; let e = '\''; std::fs::read(x)"##;
        let code = code_only(text);
        assert_eq!(code.matches("std").count(), 1);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(code.contains("&'static str"));
        assert!(code.contains("std::fs::read(x)"));
    }

    #[test]
    fn an_unfinished_literal_hides_the_rest_and_ends() {
        for text in ["\"open", "r#\"open\"", "/* open", "'", "b'"] {
            assert_eq!(code_only(text).len(), text.len(), "{text}");
        }
    }
}
