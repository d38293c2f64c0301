//! Just enough JSON to read what cargo says of the workspace.
//!
//! Source: RFC 8259. A JSON crate would double the time until the first command on a fresh machine
//! answers. cargo writes ASCII escapes only for control characters, so `\u` needs no surrogates.

use std::collections::BTreeMap;

/// A JSON value; numbers are of no interest to us and stay text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// `null`, `true`, `false` or a number, as written.
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Parses one value; `None` where the text is no JSON.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.skip_space();
        reader.rest.is_empty().then_some(value)
    }

    /// The member `key` of an object.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            Self::Bare(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The text under `key`, if there is text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.member(key)? {
            Self::Text(text) => Some(text),
            Self::Bare(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The list under `key`; empty where there is none.
    pub(crate) fn list(&self, key: &str) -> &[Self] {
        match self.member(key) {
            Some(Self::List(values)) => values,
            Some(Self::Bare(_) | Self::Text(_) | Self::Object(_)) | None => &[],
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, expected: char) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        self.skip_space();
        match self.rest.chars().next()? {
            '"' => self.string().map(Json::Text),
            '[' => self.list(),
            '{' => self.object(),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\n']).unwrap_or(self.rest.len());
                let (bare, rest) = self.rest.split_at(end);
                self.rest = rest;
                (!bare.is_empty()).then(|| Json::Bare(bare.to_string()))
            }
        }
    }

    fn list(&mut self) -> Option<Json> {
        self.take('[')?;
        let mut values = Vec::new();
        if self.take(']').is_some() {
            return Some(Json::List(values));
        }
        loop {
            values.push(self.value()?);
            if self.take(',').is_none() {
                self.take(']')?;
                return Some(Json::List(values));
            }
        }
    }

    fn object(&mut self) -> Option<Json> {
        self.take('{')?;
        let mut members = BTreeMap::new();
        if self.take('}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.take(':')?;
            members.insert(key, self.value()?);
            if self.take(',').is_none() {
                self.take('}')?;
                return Some(Json::Object(members));
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, c)| c).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    escaped => text.push(escaped),
                },
                plain => text.push(plain),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_each_kind_is_read() {
        let read = Json::parse(r#" {"a": [1, null, "x\"\u0041\n"], "b": {}, "c": []} "#).unwrap();
        assert_eq!(read.list("a")[1], Json::Bare("null".into()));
        assert_eq!(read.list("a")[2], Json::Text("x\"A\n".into()));
        assert_eq!(read.member("b"), Some(&Json::Object(BTreeMap::new())));
        assert!(read.list("c").is_empty());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for broken in ["", "{", "[1,]", "{\"a\"}", "\"open", "[] []", "{\"a\":1,}"] {
            assert_eq!(Json::parse(broken), None, "{broken}");
        }
    }
}
