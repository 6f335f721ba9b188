//! Foreign text made fit for a log line or an answer: bounded and without control characters.

use std::fmt;

/// How much of a foreign value an error repeats; enough to recognize a key id or a URL.
const SHOWN_CHARACTERS: usize = 128;

/// Text from outside that has been shortened and escaped, so that an error may show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownText(Box<str>);

impl ShownText {
    /// Keeps the first 128 characters, with control characters and quotes escaped.
    pub fn new(text: &str) -> Self {
        let mut shown = String::with_capacity(text.len().min(SHOWN_CHARACTERS));
        let mut characters = text.chars();
        for character in characters.by_ref().take(SHOWN_CHARACTERS) {
            match character {
                '"' | '\\' => shown.push('\''),
                ' '..='~' => shown.push(character),
                _ => shown.extend(character.escape_unicode()),
            }
        }
        if characters.next().is_some() {
            shown.push('…');
        }
        Self(shown.into())
    }

    /// The text as it may be shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShownText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ShownText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0)
    }
}

impl From<&str> for ShownText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_ordinary_text_as_it_is() {
        assert_eq!(
            ShownText::new("portcullis-auth").as_str(),
            "portcullis-auth"
        );
    }

    #[test]
    fn a_header_cannot_be_broken_by_what_is_shown() {
        let shown = ShownText::new("a\r\nX-Evil: \"1\"\u{202e}");
        assert_eq!(shown.as_str(), "a\\u{d}\\u{a}X-Evil: '1'\\u{202e}");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = ShownText::new(&"é".repeat(10_000));
        assert!(shown.as_str().len() < 128 * 10);
        assert!(shown.as_str().ends_with('…'));
    }
}
