//! Forms and queries: pairs split at `&`, and each at its first `=`.
//!
//! Written by hand, because the published examples put raw JSON with `=` signs
//! into a form field, and because percent signs that encode nothing must
//! survive. Source: reference/rest-api.md section 3.

use super::ApiError;
use percent_encoding::percent_decode;

/// Pairs in the order they came; names may repeat.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// Most pairs in one form: mass tagging and online queries send one per sensor.
const PAIRS_MAX: usize = 100_000;

impl Form {
    /// Reads a form body or a query string.
    ///
    /// # Errors
    ///
    /// 413 above 100,000 pairs.
    pub fn parse(text: &[u8]) -> Result<Self, ApiError> {
        let mut pairs = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(ApiError::too_large(format!("more than {PAIRS_MAX} form fields")));
            }
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            pairs.push((decode(name), decode(value)));
        }
        Ok(Self(pairs))
    }

    /// The last value of a name; later ones win, as in the published service.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A value that must be there and not empty.
    ///
    /// # Errors
    ///
    /// 400 naming the field.
    pub fn require(&self, name: &str) -> Result<&str, ApiError> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(ApiError::bad_request(format!("{name} is required"))),
        }
    }

    /// All values of a name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Values of a name that may be repeated or joined by commas; blanks trimmed, empty ones dropped.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A boolean: `true`, `True`, `1`. Absent is false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "1" | "true" | "True" | "TRUE"))
    }

    /// A whole number, if the field is there and not empty.
    ///
    /// # Errors
    ///
    /// 400 naming the field.
    pub fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => {
                let parsed = text.parse().ok();
                parsed.map(Some).ok_or_else(|| ApiError::bad_request(format!("{name} must be a whole number")))
            }
        }
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_json_in_a_field_survives() {
        let body =
            br#"oid=1&action=task&data={"selector":"plat==windows","task":"run --shell-command whoami","ttl":3600}"#;
        let form = Form::parse(body).unwrap();
        let json = r#"{"selector":"plat==windows","task":"run --shell-command whoami","ttl":3600}"#;
        assert_eq!(form.get("data"), Some(json));
    }

    #[test]
    fn names_repeat_and_percent_signs_that_encode_nothing_stay() {
        let form = Form::parse(b"tags=a%2Cb&tags=c+d&x=100%&flag=True&empty=").unwrap();
        assert_eq!(form.all("tags").collect::<Vec<_>>(), ["a,b", "c d"]);
        assert_eq!(form.list("tags").collect::<Vec<_>>(), ["a", "b", "c d"]);
        assert_eq!(form.get("x"), Some("100%"));
        assert!(form.flag("flag") && form.require("empty").is_err());
    }

    /// Goal: no body can panic the reader, and no field is invented. Method: seeded
    /// mutations of a published request line.
    #[test]
    fn mutated_bodies_are_read_and_never_panic() {
        let line = br#"oid=1&action=task&data={"task":"file_get -f /etc/passwd","selector":"plat==linux%20and+x"}&tags=a&tags=%C3%A9"#;
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap_or(0) % bound
        };
        for _ in 0..20_000 {
            let mut body = line.to_vec();
            for _ in 0..=random(6) {
                let at = random(body.len());
                body[at] = b"&=%+\xff\0a{"[random(8)];
            }
            let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
            assert_eq!(Form::parse(&body).unwrap().pairs().count(), pairs);
        }
    }
}
