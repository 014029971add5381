//! Case folding: one letter to one letter, not only ASCII.
//!
//! Source: reference/detection-response.md section 7.1. A letter whose lower
//! case is more than one character stays as it is, so that folding both sides
//! is always a fair comparison.

/// Appends the folded form of `text` to `out`.
pub(crate) fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let from = out.len();
        out.push_str(text);
        out[from..].make_ascii_lowercase();
        return;
    }
    out.extend(text.chars().map(fold_char));
}

/// The folded form of `text`.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// The folded form of one letter.
pub(crate) fn fold_char(letter: char) -> char {
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    let mut lower = letter.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_one_letter_to_one_letter() {
        assert_eq!(folded("ÉCOLE Straße"), "école straße");
        assert_eq!(folded("İ"), "İ", "its lower case is two characters");
    }
}
