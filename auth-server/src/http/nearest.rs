//! What somebody who wrote an unknown word may have meant.

/// How alike two words must be for one to be a guess at the other; as in the configuration.
const LIKENESS: f64 = 0.75;

/// "unknown parameter `limt`; did you mean `limit`?", or what is known, if nothing is near.
pub fn unknown<'k>(
    what: &str,
    written: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> String {
    let shown = registry_token::ShownText::new(written);
    let nearest = known
        .clone()
        .map(|known| (known, strsim::jaro_winkler(written, known)))
        .filter(|(_, likeness)| *likeness >= LIKENESS)
        .max_by(|(_, one), (_, two)| one.total_cmp(two));
    if let Some((nearest, _)) = nearest {
        return format!("unknown {what} `{shown}`; did you mean `{nearest}`?");
    }
    let known: Vec<_> = known.map(|known| format!("`{known}`")).collect();
    format!("unknown {what} `{shown}`; known are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn a_slip_is_answered_with_the_word_that_was_meant() {
        let known = ["email", "admin", "disabled"];
        let guess = |written| unknown("field", written, known.into_iter());
        assert_eq!(
            guess("emial"),
            "unknown field `emial`; did you mean `email`?"
        );
        assert_eq!(
            guess("xyz"),
            "unknown field `xyz`; known are `email`, `admin`, `disabled`"
        );
    }
}
