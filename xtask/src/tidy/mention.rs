//! Every path that a Rust file mentions: `use` trees spelled out, `self` and `super` resolved.
//!
//! Not a parser: words and punctuation are enough for `use` trees, `a::b::c`, `name!` and `mod`
//! blocks. What hides behind a renaming import is for clippy to see (`clippy.toml` of proto).

/// A path, where it stands, and whether only tests see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    /// `crate::wire::Frame`, `std::fs::read`, `todo!`, `#[ignore]`.
    pub(crate) path: String,
    pub(crate) in_test: bool,
}

/// All mentions in `code` (see [`super::mask`]) of a file that is the module `module`.
pub(crate) fn mentions(code: &str, module: &[&str], in_test: bool) -> Vec<Mention> {
    let mut walk = Walk {
        tokens: tokens(code),
        at: 0,
        module: module.iter().map(ToString::to_string).collect(),
        scopes: vec![Scope { named: false, test: in_test }],
        opening: None,
        test_item: false,
        found: Vec::new(),
    };
    while walk.at < walk.tokens.len() {
        walk.step();
    }
    walk.found
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Mark(char),
}

/// A pair of braces.
struct Scope {
    /// Whether they belong to `mod name { … }`.
    named: bool,
    test: bool,
}

struct Walk {
    tokens: Vec<(usize, Token)>,
    at: usize,
    module: Vec<String>,
    scopes: Vec<Scope>,
    /// The name of a module whose `{` is the next token.
    opening: Option<String>,
    /// An attribute `#[cfg(test)]` was seen, and its item has not yet begun.
    test_item: bool,
    found: Vec<Mention>,
}

impl Walk {
    fn step(&mut self) {
        match self.token(0).cloned() {
            Some(Token::Word(word)) if word == "mod" => {
                self.opening = self.word(1);
                self.at += 2;
            }
            Some(Token::Word(word)) if word == "use" && !self.is_mark(1, '<') => {
                self.at += 1;
                self.use_tree(&[]);
            }
            Some(Token::Word(_)) => self.path(),
            Some(Token::Mark('#')) => self.attribute(),
            Some(Token::Mark('{')) => {
                let test = self.test_item || self.in_test();
                self.test_item = false;
                let named = self.opening.is_some();
                self.module.extend(self.opening.take());
                self.scopes.push(Scope { named, test });
                self.at += 1;
            }
            Some(Token::Mark('}')) => {
                if self.scopes.len() > 1 && self.scopes.pop().is_some_and(|scope| scope.named) {
                    self.module.pop();
                }
                self.at += 1;
            }
            Some(Token::Mark(';')) => {
                (self.test_item, self.opening) = (false, None);
                self.at += 1;
            }
            Some(Token::Mark(_) | Token::Colons) | None => self.at += 1,
        }
    }

    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn word(&self, ahead: usize) -> Option<String> {
        match self.token(ahead) {
            Some(Token::Word(word)) => Some(word.clone()),
            Some(Token::Colons | Token::Mark(_)) | None => None,
        }
    }

    fn is_mark(&self, ahead: usize, mark: char) -> bool {
        self.token(ahead) == Some(&Token::Mark(mark))
    }

    fn in_test(&self) -> bool {
        self.test_item || self.scopes.last().is_some_and(|scope| scope.test)
    }

    /// `#[cfg(test)]` marks the item after it, and `#[ignore]` is a mention.
    fn attribute(&mut self) {
        let name = if self.is_mark(1, '[') { self.word(2) } else { None };
        match name.as_deref() {
            Some("cfg") => {
                let end = (3..12).find(|ahead| self.is_mark(*ahead, ']')).unwrap_or(3);
                let words: Vec<_> = (3..end).filter_map(|ahead| self.word(ahead)).collect();
                let has = |word: &str| words.iter().any(|found| found == word);
                self.test_item |= has("test") && !has("not");
                self.at += end;
            }
            Some("ignore") => {
                self.note(self.at, vec!["#[ignore]".into()]);
                self.at += 3;
            }
            Some(_) | None => self.at += 1,
        }
    }

    fn path(&mut self) {
        let start = self.at;
        let mut path: Vec<String> = self.word(0).into_iter().collect();
        self.at += 1;
        if self.is_mark(0, '!') && !self.is_mark(1, '=') {
            self.note(start, vec![format!("{}!", path[0])]);
        }
        while self.token(0) == Some(&Token::Colons) {
            let Some(word) = self.word(1) else { break };
            path.push(word);
            self.at += 2;
        }
        if path.len() > 1 {
            self.note(start, path);
        }
    }

    /// One tree after `use`: a path, perhaps with branches in braces.
    fn use_tree(&mut self, prefix: &[String]) {
        let start = self.at;
        let mut path = prefix.to_vec();
        loop {
            match self.token(0).cloned() {
                Some(Token::Word(word)) if word == "as" => self.at += 2,
                Some(Token::Word(word)) => {
                    path.push(word);
                    self.at += 1;
                }
                Some(Token::Colons) => self.at += 1,
                Some(Token::Mark('*')) => {
                    path.push("*".into());
                    self.at += 1;
                }
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    while self.token(0).is_some() && !self.is_mark(0, '}') {
                        self.use_tree(&path);
                        self.at += usize::from(self.is_mark(0, ','));
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Mark(_)) | None => break,
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        self.note(start, path);
        // A mark that ends no tree would hold us here for ever.
        self.at += usize::from(self.at == start);
    }

    fn note(&mut self, at: usize, path: Vec<String>) {
        let mut found = Vec::new();
        let Some(first) = path.first() else { return };
        let mut words = path.iter().peekable();
        if matches!(first.as_str(), "self" | "super") {
            let mut module = self.module.clone();
            while let Some(step) = words.next_if(|word| matches!(word.as_str(), "self" | "super")) {
                if step == "super" {
                    module.pop();
                }
            }
            found.push("crate".to_string());
            found.extend(module);
        }
        found.extend(words.cloned());
        let line = self.tokens[at].0;
        self.found.push(Mention { line, path: found.join("::"), in_test: self.in_test() });
    }
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let (token, length) = if is_word(first) {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].into()), end)
            } else if rest.starts_with("::") {
                (Token::Colons, 2)
            } else {
                (Token::Mark(first), first.len_utf8())
            };
            tokens.push((index + 1, token));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str, module: &[&str]) -> Vec<String> {
        mentions(code, module, false).into_iter().map(|mention| mention.path).collect()
    }

    #[test]
    fn a_use_tree_is_spelled_out() {
        let code = "use std::{fs, net::{self, TcpStream as T}, io::*};\nuse a;";
        let expected = ["std::fs", "std::net", "std::net::TcpStream", "std::io::*", "a"];
        assert_eq!(paths(code, &[]), expected);
    }

    #[test]
    fn self_and_super_are_resolved_through_modules() {
        let code = "use super::b; mod inner { use super::super::c; self::d() } use self::e;";
        let expected = ["crate::b", "crate::c", "crate::a::inner::d", "crate::a::e"];
        assert_eq!(paths(code, &["a"]), expected);
    }

    #[test]
    fn paths_macros_and_ignored_tests_are_seen_in_code() {
        let code = "#[ignore = x] fn f() -> ::std::fs::File { if a != b { todo!() } x::<y>() }";
        assert_eq!(paths(code, &[]), ["#[ignore]", "std::fs::File", "todo!"]);
    }

    #[test]
    fn what_only_tests_see_is_marked() {
        let code = "a::b(); #[cfg(test)] use c::d; #[cfg(test)] mod t { e::f() } g::h();";
        let seen: Vec<_> =
            mentions(code, &[], false).into_iter().map(|m| (m.path, m.in_test)).collect();
        let expected = [("a::b", false), ("c::d", true), ("e::f", true), ("g::h", false)];
        assert_eq!(seen, expected.map(|(path, test)| (path.to_string(), test)));
    }

    #[test]
    fn broken_code_ends_the_walk_too() {
        for code in ["use {", "use a::{b", "}", "mod", "#[cfg(", "use ]", "a::"] {
            mentions(code, &[], false);
        }
    }
}
