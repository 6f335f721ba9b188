//! Two names that should be equal: where they differ, for who looks at them and sees no difference.

/// `None`: they are equal. Else what to say behind the two.
pub fn difference(one: &str, other: &str) -> Option<String> {
    if one == other {
        return None;
    }
    let hint = if one.trim() == other.trim() {
        "; they differ in white space"
    } else if one.eq_ignore_ascii_case(other) {
        "; they differ in upper and lower case"
    } else if one.trim_end_matches('/') == other.trim_end_matches('/') {
        "; they differ in a slash at the end"
    } else if without_scheme(one) == without_scheme(other) {
        "; one is a URL and the other is not, or of another scheme"
    } else if strsim::damerau_levenshtein(one, other) == 1 {
        "; they differ in one character"
    } else {
        ""
    };
    Some(hint.to_owned())
}

fn without_scheme(text: &str) -> &str {
    text.split_once("://").map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hard_to_see_is_said() {
        for (one, other, words) in [
            ("a.test", "a.test ", "white space"),
            ("a.test", "A.test", "upper and lower case"),
            ("https://a.test", "https://a.test/", "slash"),
            ("https://a.test", "a.test", "scheme"),
            ("http://a.test", "https://a.test", "scheme"),
            ("gitlab-issuer", "gitlab_issuer", "one character"),
            ("regstry", "registry", "one character"),
        ] {
            let hint = difference(one, other).unwrap();
            assert!(hint.contains(words), "{one} {other}: {hint}");
        }
        assert_eq!(difference("a", "a"), None);
        assert_eq!(difference("one", "another"), Some(String::new()));
    }
}
