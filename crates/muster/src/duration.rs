//! Spans of time as people write them.

/// Units by their letter, in seconds.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// Reads `90`, `90s`, `30m`, `1h`, `7d`, `2w`, `1h30m` as seconds.
///
/// # Errors
///
/// Says how a span is written.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is not a span of time: write 90s, 30m, 1h, 7d, 2w, or 1h30m");
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let letter = rest[digits..].chars().next().ok_or_else(wrong)?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == letter).ok_or_else(wrong)?;
        total = number.checked_mul(*unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + letter.len_utf8()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// The two largest units of a span, such as `6d 4h`.
pub fn in_words(seconds: u64) -> String {
    let mut rest = seconds;
    let mut words = Vec::new();
    for (name, unit) in UNITS.iter().rev() {
        if rest >= *unit {
            words.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    words.truncate(2);
    if words.is_empty() { "0s".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_every_unit_and_their_sum() {
        let cases = [("90", 90), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800), ("2w", 1_209_600)];
        for (text, seconds) in cases.into_iter().chain([("1h30m", 5_400), ("0", 0)]) {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
    }

    /// The last overflows 64 bits: it must be refused, and neither panic nor wrap.
    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "h", "-1", "1x", "1h30", "1 h", "1.5h", "ü", "1ü", "99999999999999999999", "30500568904944w"]
        {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
