//! Names as words to be found by: folded, so that whoever types "jose" finds José. DESIGN 2.5
//! (directory search).
//!
//! Folding: lower case, the confusable skeleton of UTS #39 (which decomposes), lower case again,
//! accents away, apostrophes away; words end at spaces and punctuation. Both sides fold, so what a
//! folded word looks like does not matter: the skeleton makes "rn" of "m". Nothing is shown folded.

use unicode_security::GeneralSecurityProfile;

use crate::ids::{RingKey, UserName};
use crate::wire::posting::{ABOUT_MAX, WORDS_MAX, prefix_of, word_key};

/// Letters of a folded word at most; the rest is cut off.
pub const WORD_CHARS_MAX: usize = 32;
/// Letters of a folded word at least: one letter finds too much.
pub const WORD_CHARS_MIN: usize = 2;
/// Longest text that is folded, in bytes. Our choice: twice the longest display name.
const TEXT_MAX: usize = 256;

/// The folded words of a text, each once, in their order; at most [`WORDS_MAX`].
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let end = text.floor_char_boundary(TEXT_MAX);
    let mut words: Vec<String> = Vec::new();
    for piece in text[..end].split(|c: char| c.is_whitespace() || is_ascii_end(c)) {
        let folded = fold(piece);
        for word in folded.split(|c| !is_letter(c)) {
            let word: String = word.chars().take(WORD_CHARS_MAX).collect();
            if word.chars().count() >= WORD_CHARS_MIN && !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.truncate(WORDS_MAX);
    words
}

/// What somebody who chose to be listed is found by: the words of the display name, then those of
/// the user name, then those of their own choice, which have their place however long the names.
#[must_use]
pub fn words_of<'a>(
    user: &UserName,
    display_name: &str,
    about: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let chosen: Vec<String> = about.into_iter().flat_map(|word| words(word).into_iter()).collect();
    let mut all: Vec<String> = Vec::new();
    let mut add = |word: String, most: usize| {
        if all.len() < most && !all.contains(&word) {
            all.push(word);
        }
    };
    let names = WORDS_MAX - chosen.len().min(ABOUT_MAX);
    for word in words(display_name).into_iter().chain(words(user.as_str())) {
        add(word, names);
    }
    chosen.into_iter().take(ABOUT_MAX).for_each(|word| add(word, WORDS_MAX));
    all
}

/// The keys of words, each followed by that of its prefix; each once.
#[must_use]
pub fn keys(words: &[String]) -> Vec<RingKey> {
    let mut keys = Vec::new();
    for word in words {
        for part in [Some(word.as_str()), prefix_of(word)].into_iter().flatten() {
            let key = word_key(part);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

fn fold(piece: &str) -> String {
    let lower = piece.to_lowercase();
    let plain: String = lower.chars().filter(|c| !is_apostrophe(*c)).collect();
    let skeleton: String = unicode_security::skeleton(&plain).collect();
    skeleton.to_lowercase().chars().filter(|c| !is_accent(*c) && !is_apostrophe(*c)).collect()
}

const fn is_ascii_end(c: char) -> bool {
    c.is_ascii_punctuation() && c != '\''
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2bc}')
}

/// The accents that Latin, Greek and Cyrillic letters are written with: the block Combining
/// Diacritical Marks. Marks of other scripts are letters to whoever reads them.
const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// A letter, a digit, or a mark that belongs to one (UTS #39 allows those in identifiers).
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && !is_joint(c) && c.identifier_allowed())
}

/// What UTS #39 allows within identifiers, but separates words: hyphens and dots.
const fn is_joint(c: char) -> bool {
    matches!(c, '\u{b7}' | '\u{58a}' | '\u{2010}' | '\u{2027}' | '\u{30a0}' | '\u{30fb}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::posting::WORD_MAX;

    #[test]
    fn spellings_of_one_name_are_one_word() {
        let same = |names: &[&str]| {
            let first = words(names[0]);
            assert!(!first.is_empty(), "{names:?}");
            for name in names {
                assert_eq!(words(name), first, "{name}");
            }
        };
        same(&["José", "jose", "JOSE", "Jose\u{301}", "ｊｏｓｅ"]);
        same(&["Ålice", "alice", "аlice"]);
        same(&["O'Brien", "O’Brien", "obrien"]);
        same(&["Anne-Marie", "anne marie", "Anne\u{2010}Marie", "(Anne) Marie!"]);
        same(&["Жуков", "жуков"]);
        same(&["김", "\u{1100}\u{1175}\u{11b7}"]);
        assert_ne!(words("Anna"), words("Hanna"));
    }

    #[test]
    fn marks_of_other_scripts_do_not_end_words() {
        assert_eq!(words("हिन्दी").len(), 1);
        assert_eq!(words("田中・太郎").len(), 2);
        assert_eq!(words("田中 太郎").len(), 2);
    }

    #[test]
    fn words_are_few_long_enough_and_said_once() {
        assert_eq!(words("a b c, alice ALICE").len(), 1);
        assert_eq!(words("").len() + words(" -. ").len(), 0);
        let many = "one two three four five six seven eight nine ten";
        assert_eq!(words(many).len(), WORDS_MAX);
        assert!(words(&"long".repeat(500))[0].chars().count() == WORD_CHARS_MAX);
    }

    #[test]
    fn a_user_is_found_by_display_name_and_user_name_and_their_prefixes() {
        let user = UserName::new("asmith").expect("a name");
        let words = words_of(&user, "Alice Smith", []);
        assert_eq!(words.len(), 3);
        let keys = keys(&words);
        assert_eq!(keys.len(), 6);
        let prefix = self::words("ali").concat();
        assert!(keys.contains(&word_key(&prefix)));
    }

    #[test]
    fn words_of_ones_own_choice_have_their_place_however_long_the_names() {
        let user = UserName::new("asmith").expect("a name");
        let long = "Anna Beata Cecilia Diana Elsa Freja Gerda Helga Inga";
        let all = words_of(&user, long, ["Helsinki", "choir"]);
        assert_eq!(all.len(), WORDS_MAX);
        assert_eq!(all[6..], [words("helsinki").concat(), words("choir").concat()]);
        assert_eq!(words_of(&user, "Alice", ["alice", "one two three four"]).len(), 4);
    }

    #[test]
    fn a_word_of_three_letters_is_its_own_prefix() {
        assert_eq!(keys(&words("bob")).len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_folds_to_words_within_their_limits(text in ".{0,300}") {
            let found = words(&text);
            prop_assert!(found.len() <= WORDS_MAX);
            for word in &found {
                prop_assert!((WORD_CHARS_MIN..=WORD_CHARS_MAX).contains(&word.chars().count()));
                prop_assert!(word.len() <= WORD_MAX);
            }
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-Zäöüéñ ]{0,40}") {
            prop_assert_eq!(words(&text), words(&text.to_uppercase()));
        }
    }
}
