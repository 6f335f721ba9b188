//! The query string, and what it says about pages of a list.

use std::borrow::Cow;

use url::form_urlencoded;

/// The parameters of a request. Unknown ones are ignored, as the specification asks: mirrors add
/// `ns=` to everything.
#[derive(Clone, Debug)]
pub struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    #[must_use]
    pub fn new(query: &'q str) -> Self {
        Self(query)
    }

    /// The first parameter of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'q, str>> {
        self.all(name).next()
    }

    /// Every parameter of this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
        form_urlencoded::parse(self.0.as_bytes())
            .filter_map(move |(key, value)| (key == name).then_some(value))
    }
}

/// One page of a list: at most `limit` entries, those after `last` in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'q> {
    pub limit: u32,
    pub last: Option<Cow<'q, str>>,
}

/// What becomes of an `n` that is zero, or greater than the configured maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// No entries, and a shorter page; the client goes on with `Link`. So the specification wants it
    /// for tags.
    Lenient,
    /// Both are errors, as distribution answers them for the catalog.
    Strict,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    #[error("`n` must be a whole number, not negative; it is {0:?}")]
    NotANumber(String),
    #[error("`n` is 0, but a page has at least one entry")]
    Nothing,
    #[error("`n` is {asked}, but a page has at most {maximum} entries")]
    TooMany { asked: u64, maximum: u32 },
}

impl<'q> Page<'q> {
    /// Reads `n` and `last`. Without `n`, a page is as long as the maximum.
    pub fn parse(query: &Query<'q>, maximum: u32, limits: Limits) -> Result<Self, InvalidPage> {
        let limit = match query.get("n") {
            None => maximum,
            Some(text) => {
                // Digits only: `parse` would take `+1`.
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let asked: u64 = match text.parse() {
                    Ok(asked) if digits => asked,
                    _ => return Err(InvalidPage::NotANumber(shortened(&text))),
                };
                match (u32::try_from(asked), limits) {
                    (Ok(0), Limits::Strict) => return Err(InvalidPage::Nothing),
                    (Ok(asked), _) if asked <= maximum => asked,
                    (_, Limits::Lenient) => maximum,
                    (_, Limits::Strict) => return Err(InvalidPage::TooMany { asked, maximum }),
                }
            }
        };
        let last = query.get("last").filter(|last| !last.is_empty());
        Ok(Self { limit, last })
    }
}

/// The query of the page that follows the one which ended with `last`.
#[must_use]
pub fn next_page(limit: u32, last: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("last", last)
        .append_pair("n", &limit.to_string())
        .finish()
}

/// What a client sent, short enough to be repeated in a message.
pub fn shortened(text: &str) -> String {
    const LIMIT: usize = 100;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Result<(u32, Option<String>), InvalidPage> {
        Page::parse(&Query::new(query), 100, Limits::Strict)
            .map(|page| (page.limit, page.last.map(Cow::into_owned)))
    }

    #[test]
    fn parameters_are_decoded_and_may_repeat() {
        let query = Query::new("tag=a&ns=docker.io&tag=b%2Bc&digest=sha256%3A00");
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b+c"]);
        assert_eq!(query.get("digest").as_deref(), Some("sha256:00"));
        assert_eq!(query.get("mount"), None);
    }

    #[test]
    fn pages() {
        assert_eq!(page(""), Ok((100, None)));
        assert_eq!(page("n=5"), Ok((5, None)));
        assert_eq!(page("n=3&last=a"), Ok((3, Some("a".to_owned()))));
        assert_eq!(page("n=100&last="), Ok((100, None)));
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        for n in [
            "",
            "x",
            "-1",
            "1.5",
            "+1",
            "1 ",
            "%00",
            "99999999999999999999",
        ] {
            assert!(
                matches!(page(&format!("n={n}")), Err(InvalidPage::NotANumber(_))),
                "{n}"
            );
        }
    }

    #[test]
    fn a_page_above_the_maximum_is_refused_or_clamped() {
        assert_eq!(
            page("n=101"),
            Err(InvalidPage::TooMany {
                asked: 101,
                maximum: 100
            })
        );
        assert_eq!(
            page("n=18446744073709551615"),
            Err(InvalidPage::TooMany {
                asked: u64::MAX,
                maximum: 100
            })
        );
        let lenient =
            |query| Page::parse(&Query::new(query), 100, Limits::Lenient).map(|page| page.limit);
        assert_eq!(lenient("n=18446744073709551615"), Ok(100));
    }

    #[test]
    fn a_page_of_nothing_is_refused_or_empty() {
        assert_eq!(page("n=0"), Err(InvalidPage::Nothing));
        let lenient = Page::parse(&Query::new("n=0"), 100, Limits::Lenient);
        assert_eq!(lenient.map(|page| page.limit), Ok(0));
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(200)).chars().count(), 101);
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "\\PC{0,100}") {
            let _ = page(&query);
        }

        #[test]
        fn the_next_page_starts_where_this_one_ended(limit in 1..=100_u32, last in "\\PC{1,40}") {
            prop_assert_eq!(page(&next_page(limit, &last)), Ok((limit, Some(last))));
        }
    }
}
