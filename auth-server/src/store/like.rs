//! Patterns of SQL's `LIKE`, made of what somebody searches for.

/// Matches whatever contains the text, whose letters are taken in lower case. To be used with
/// `ESCAPE '!'`, on a column in lower case.
pub fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_pattern_loses_it() {
        assert_eq!(containing("aB_50%!"), "%ab!_50!%!!%");
    }
}
