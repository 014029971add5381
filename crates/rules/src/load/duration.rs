//! Durations as Go writes them: `1h30m`, `1.5h`, `10ms`.

/// Longest duration text, in bytes.
const DURATION_BYTES_MAX: usize = 64;

/// Reads a duration in milliseconds; `None` if the text is none. Signs and days do not exist.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > DURATION_BYTES_MAX {
        return None;
    }
    let (mut left, mut total_ms) = (text, 0.0_f64);
    while !left.is_empty() {
        let digits = left.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, rest) = left.split_at(digits);
        let units = rest.bytes().take_while(|byte| !byte.is_ascii_digit() && *byte != b'.').count();
        let (unit, rest) = rest.split_at(units);
        let unit_ms = match unit {
            "ns" => 1e-6,
            "us" | "µs" | "μs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return None,
        };
        total_ms += number.parse::<f64>().ok()? * unit_ms;
        left = rest;
    }
    #[expect(clippy::cast_possible_truncation, reason = "float casts saturate")]
    let rounded = total_ms.round() as i64;
    Some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, ms) in [("1h30m", 5_400_000), ("1.5h", 5_400_000), ("10ms", 10), ("1m0.5s", 60_500), ("1000µs", 1)]
        {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for text in ["", "1d", "5", "-1s", "s", "1s ", "1.2.3s", "one hour"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
