//! Sigma rules, read into the parts that every engine here can be told about.
//!
//! Shorthands (`windash`, `base64offset`) are written out while reading, so that
//! each engine is given the same texts to look for.

use crate::condition::{self, Condition};
use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

/// Most texts that one shorthand may become.
const VARIANTS_MAX: usize = 64;

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in a run.
    pub title: String,
    /// Kind of event, such as `process_creation`.
    pub category: String,
    /// By name; the condition refers to them.
    pub selections: Vec<Selection>,
    /// As written.
    pub condition: String,
}

/// A named part: any of its groups, of which every item must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    pub name: String,
    pub groups: Vec<Vec<Item>>,
}

/// A test of one field against any value, or all.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub field: String,
    pub test: Test,
    pub is_all: bool,
    pub values: Vec<Scalar>,
}

/// How a value is compared; case matters in none but [`Test::Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Is,
    Contains,
    StartsWith,
    EndsWith,
    /// A regular expression, found anywhere.
    Pattern,
    Network,
}

/// A value, as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// With `*` and `?` as wildcards and backslash to escape them, but in patterns and networks.
    Text(String),
    Number(i64),
    /// The field is absent or null.
    Null,
}

/// What a value asks of a field, without wildcards.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Any,
    Absent,
    Is(String),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    /// A regular expression, and whether case matters.
    Pattern(String, bool),
    Number(i64),
    Network(String),
}

impl Rule {
    /// The condition over the names of the selections.
    pub fn condition(&self) -> anyhow::Result<Condition> {
        let names: Vec<&str> = self.selections.iter().map(|selection| selection.name.as_str()).collect();
        condition::read(&self.condition, &names)
    }
}

/// Reads a rule of a file.
pub fn read(text: &str) -> anyhow::Result<Rule> {
    let value: Value = serde_saphyr::from_str(text)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let detection = value["detection"].as_object().context("no detection")?;
    let selections = detection.iter().filter(|part| !matches!(part.0.as_str(), "condition" | "timeframe"));
    let selections: anyhow::Result<Vec<_>> = selections.map(|(name, value)| selection(name, value)).collect();
    Ok(Rule {
        title: text(&value["title"]).context("no title")?,
        category: text(&value["logsource"]["category"]).context("no category of events")?,
        selections: selections?,
        condition: text(&detection["condition"]).context("not one condition")?,
    })
}

fn selection(name: &str, value: &Value) -> anyhow::Result<Selection> {
    let groups: anyhow::Result<Vec<_>> = match value {
        Value::Object(map) => Ok(vec![group(map)?]),
        Value::Array(maps) => maps.iter().map(|map| group(map.as_object().context("keywords")?)).collect(),
        _ => bail!("keywords"),
    };
    Ok(Selection { name: name.to_owned(), groups: groups? })
}

fn group(map: &Map<String, Value>) -> anyhow::Result<Vec<Item>> {
    map.iter().map(|(key, value)| item(key, value)).collect()
}

fn item(key: &str, value: &Value) -> anyhow::Result<Item> {
    let mut parts = key.split('|');
    let field = parts.next().unwrap_or_default().to_owned();
    let (mut test, mut is_all, mut shorthand) = (Test::Is, false, None);
    for part in parts {
        match part {
            "all" => is_all = true,
            "contains" => test = Test::Contains,
            "startswith" => test = Test::StartsWith,
            "endswith" => test = Test::EndsWith,
            "re" => test = Test::Pattern,
            "cidr" => test = Test::Network,
            "windash" | "base64offset" => shorthand = Some(part),
            _ => bail!("the modifier {part}"),
        }
    }
    let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let mut values = Vec::new();
    for value in listed {
        match (scalar(value)?, shorthand) {
            (Scalar::Text(text), Some("windash")) => values.extend(dashes(&text)),
            (Scalar::Text(text), Some(_)) => values.extend(base64_offsets(&text)),
            (scalar, _) => values.push(scalar),
        }
    }
    if values.is_empty() || values.len() > VARIANTS_MAX * listed.len() || (is_all && shorthand.is_some()) {
        bail!("the values of {key}");
    }
    // Of one value, all is any; not every engine takes it.
    is_all &= values.len() > 1;
    Ok(Item { field, test, is_all, values })
}

fn scalar(value: &Value) -> anyhow::Result<Scalar> {
    Ok(match value {
        Value::String(text) if text.chars().any(char::is_control) => bail!("control characters"),
        Value::String(text) => Scalar::Text(text.clone()),
        Value::Number(number) => Scalar::Number(number.as_i64().context("not an integer")?),
        Value::Null => Scalar::Null,
        _ => bail!("a value of this kind"),
    })
}

/// A text with each usual dash before its words.
fn dashes(text: &str) -> Vec<Scalar> {
    let is_dash = |(at, letter): (usize, char)| letter == '-' && (at == 0 || text[..at].ends_with(' '));
    let at: Vec<usize> = text.char_indices().filter(|place| is_dash(*place)).map(|place| place.0).collect();
    let replaced = |dash: char| {
        let letters = text.char_indices().map(|(index, letter)| if at.contains(&index) { dash } else { letter });
        Scalar::Text(letters.collect())
    };
    if at.is_empty() { vec![Scalar::Text(text.to_owned())] } else { "-/–—―".chars().map(replaced).collect() }
}

/// What base64 makes of a text at each of three offsets, without the letters that its neighbours change.
fn base64_offsets(text: &str) -> Vec<Scalar> {
    let offset = |offset: usize| {
        let bytes: Vec<u8> = std::iter::repeat_n(b' ', offset).chain(text.bytes()).collect();
        let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        let bits: Vec<u8> = bits.collect();
        let letter = |six: &[u8]| {
            let code = six.iter().fold(0, |code, bit| code << 1 | bit);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(code)])
        };
        let letters = bits.chunks_exact(6).map(letter).skip((offset * 8).div_ceil(6));
        Scalar::Text(letters.collect())
    };
    (0..3).map(offset).collect()
}

enum Glyph {
    Letter(char),
    Many,
    One,
}

/// Reads wildcards; a backslash escapes `*`, `?` and itself, and is plain elsewhere.
fn glyphs(text: &str) -> Vec<Glyph> {
    let (mut all, mut letters) = (Vec::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        all.push(match letter {
            '*' => Glyph::Many,
            '?' => Glyph::One,
            '\\' => Glyph::Letter(letters.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\')),
            _ => Glyph::Letter(letter),
        });
    }
    all
}

impl Item {
    /// What each value asks of the field.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted> {
        self.values.iter().map(|value| match value {
            Scalar::Null => Wanted::Absent,
            Scalar::Number(number) => Wanted::Number(*number),
            Scalar::Text(text) => match self.test {
                Test::Pattern => Wanted::Pattern(text.clone(), true),
                Test::Network => Wanted::Network(text.clone()),
                _ => wanted_text(self.test, text),
            },
        })
    }
}

fn wanted_text(test: Test, text: &str) -> Wanted {
    let mut all = glyphs(text);
    let (mut is_open, mut is_open_ended) =
        (matches!(test, Test::Contains | Test::EndsWith), matches!(test, Test::Contains | Test::StartsWith));
    while matches!(all.last(), Some(Glyph::Many)) {
        all.pop();
        is_open_ended = true;
    }
    let inner = all.iter().position(|glyph| !matches!(glyph, Glyph::Many)).unwrap_or(all.len());
    if inner > 0 {
        all.drain(..inner);
        is_open = true;
    }
    if all.iter().any(|glyph| !matches!(glyph, Glyph::Letter(_))) {
        let part = |glyph: &Glyph| match glyph {
            Glyph::Letter(letter) => escaped(&letter.to_string()),
            Glyph::Many => ".*".to_owned(),
            Glyph::One => ".".to_owned(),
        };
        let body: String = all.iter().map(part).collect();
        let (start, end) = (if is_open { "" } else { "^" }, if is_open_ended { "" } else { "$" });
        return Wanted::Pattern(format!("(?s){start}{body}{end}"), false);
    }
    let plain = all.iter().filter_map(|glyph| if let Glyph::Letter(letter) = glyph { Some(*letter) } else { None });
    let plain: String = plain.collect();
    match (is_open, is_open_ended) {
        (true, _) | (_, true) if plain.is_empty() => Wanted::Any,
        (true, true) => Wanted::Contains(plain),
        (true, false) => Wanted::EndsWith(plain),
        (false, true) => Wanted::StartsWith(plain),
        (false, false) => Wanted::Is(plain),
    }
}

/// A text as a regular expression that matches it.
pub fn escaped(text: &str) -> String {
    let escape = |letter: char| {
        let is_plain = letter.is_alphanumeric() || !letter.is_ascii() || matches!(letter, ' ' | '_');
        [(!is_plain).then_some('\\'), Some(letter)]
    };
    text.chars().flat_map(escape).flatten().collect()
}
