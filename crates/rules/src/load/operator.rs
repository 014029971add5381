//! Loads each operator with its own keys.
//!
//! Source: reference/detection-response.md sections 7, 8 and 9.

use super::cursor::Cursor;
use super::error::UNKNOWN_LOOKUP;
use super::node::Setting;
use super::tree::Kind;
use super::{LoadError, Loader};
use crate::ast::{
    AddressClass, Comparison, Family, Labels, Leaf, Lookup, Op, Operand, Predicate, Scalar, Test, Transform,
};
use crate::fold::folded;
use crate::number::Number;
use crate::path::{PATH_PARTS_MAX, Path};
use crate::pattern::Pattern;
use core::net::IpAddr;
use ipnet::IpNet;
use muster_model::Platform;
use std::sync::Arc;

/// Longest text that `string distance` compares, in characters: the cost is the product of both lengths.
pub(crate) const DISTANCE_CHARS_MAX: usize = 1024;
/// Most values in the list of `string distance`.
const DISTANCE_VALUES_MAX: usize = 1000;

impl Loader<'_> {
    pub(super) fn operator(&mut self, at: &Cursor<'_>, operator: &str, setting: Setting) -> Result<Op, LoadError> {
        match operator {
            "and" => Ok(Op::All(self.children(at, setting)?)),
            "or" => Ok(Op::Any(self.children(at, setting)?)),
            "scope" => {
                let path = path(at)?;
                let rule = at.need("rule", "scope takes one node")?;
                Ok(Op::Scope { path, rule: Box::new(self.node(&rule, setting.stateless())?) })
            }
            "external" => self.external(at, setting),
            "lookup" => self.lookup(at, setting),
            "yara" | "ask ai" => Ok(Op::Unanswerable),
            "pivot" => path(at).map(|_| Op::Unanswerable),
            _ => {
                let (path, transform, test) = self.test(at, operator)?;
                Ok(Op::Test(Leaf { predicate: Arc::new(Predicate { path, transform, test }), id: None }))
            }
        }
    }

    fn test(&mut self, at: &Cursor<'_>, operator: &str) -> Result<(Path, Transform, Test), LoadError> {
        if let Some(test) = sensor_test(at, operator)? {
            return Ok((Path::new("routing").unwrap_or_else(|| unreachable!("one part")), Transform::default(), test));
        }
        let path = path(at)?;
        let test = match operator {
            "exists" => Test::Exists { is_truthy: at.flag("truthy", false)? },
            "matches" => self.matches(at)?,
            "string distance" => distance(at)?,
            "is older than" => Test::OlderThan { seconds: at.need("seconds", "give an age in seconds")?.integer()? },
            "cidr" => Test::Network(network(at)?),
            _ => match address_class(operator) {
                Some(class) => Test::Address(class),
                None => self.comparison(at, operator)?,
            },
        };
        let has_transform =
            matches!(operator, "is" | "contains" | "starts with" | "ends with" | "matches" | "string distance");
        Ok((path, if has_transform { transform(at)? } else { Transform::default() }, test))
    }

    fn comparison(&mut self, at: &Cursor<'_>, operator: &str) -> Result<Test, LoadError> {
        let is_case_sensitive = at.flag("case sensitive", true)?;
        let comparison = match operator {
            "is" => Comparison::Is { is_case_sensitive },
            "contains" => Comparison::Contains { is_case_sensitive, count: substring_count(at)? },
            "starts with" => Comparison::StartsWith { is_case_sensitive },
            "ends with" => Comparison::EndsWith { is_case_sensitive },
            "is greater than" => Comparison::Greater { is_length: at.flag("length of", false)? },
            _ => Comparison::Lower { is_length: at.flag("length of", false)? },
        };
        let value = at.need("value", "give the value to compare with")?;
        let operand = self.operand(&value, comparison)?;
        Ok(Test::Compare(comparison, operand))
    }

    fn operand(&mut self, at: &Cursor<'_>, comparison: Comparison) -> Result<Operand, LoadError> {
        let is_textual =
            !matches!(comparison, Comparison::Is { .. } | Comparison::Greater { .. } | Comparison::Lower { .. });
        let scalar = match &at.tree.kind {
            Kind::Text(text) => return self.text_operand(at, text, comparison),
            Kind::Number(number) if is_textual => Scalar::Text(number.to_string()),
            Kind::Bool(flag) if is_textual => Scalar::Text(flag.to_string()),
            Kind::Number(number) => Scalar::Number(number_of(number)),
            Kind::Bool(flag) => Scalar::Bool(*flag),
            Kind::Null if !is_textual => Scalar::Null,
            Kind::Null => return Err(at.error("rule/missing-key", "value is empty", "give a text")),
            Kind::List(_) | Kind::Map(_) => {
                let help = "compare with several values by or; only string distance takes a list";
                return Err(at.error("rule/wrong-type", "value must be a single text, number or boolean", help));
            }
        };
        Ok(Operand::Literal(scalar))
    }

    fn text_operand(&mut self, at: &Cursor<'_>, text: &str, comparison: Comparison) -> Result<Operand, LoadError> {
        let inside =
            |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close).filter(|inner| !inner.is_empty());
        if let Some(inner) = inside("<<", ">>") {
            return Ok(Operand::Lookback(path_from(at, inner)?));
        }
        if let Some(name) = inside("[[", "]]") {
            return Ok(Operand::Variable(name.into()));
        }
        if text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}")) {
            // Published rules look for text such as "{{0}{1}}" literally: what is no template is text.
            match self.template(at, text) {
                Ok(template) => return Ok(Operand::Template(template)),
                Err(cause) => {
                    self.warn("rule/literal-braces", format!("taken literally: {}", cause.message), at.place.clone())
                }
            }
        }
        if matches!(comparison, Comparison::Greater { .. } | Comparison::Lower { .. }) {
            return Ok(Operand::Literal(match Number::from_text(text) {
                Some(number) => Scalar::Number(number),
                None => Scalar::Text(text.to_owned()),
            }));
        }
        let text = if comparison.is_case_sensitive() { text.to_owned() } else { folded(text) };
        Ok(Operand::Literal(Scalar::Text(text)))
    }

    fn matches(&self, at: &Cursor<'_>) -> Result<Test, LoadError> {
        let re = at.need("re", "matches takes its pattern in the key re")?;
        let make = if self.is_tested { Pattern::tested } else { Pattern::new };
        let pattern = make(&re.label()?, at.flag("case sensitive", false)?).map_err(|cause| {
            re.error("rule/bad-pattern", format!("re is not a valid pattern: {cause}"), "the dialect is RE2, as in Go")
        })?;
        Ok(Test::Matches(pattern))
    }

    fn lookup(&mut self, at: &Cursor<'_>, setting: Setting) -> Result<Op, LoadError> {
        let path = path(at)?;
        let resource = at.need("resource", "name a lookup, such as hive://lookup/NAME")?;
        let reference = resource.text()?;
        let name =
            ["hive://lookup/", "lcr://lookup/", "lookup/"].iter().find_map(|prefix| reference.strip_prefix(prefix));
        let name = name.unwrap_or(reference);
        if !self.resources.has_lookup(name) {
            let help = if name.starts_with("lcr://api/") {
                "remote services are not asked; name a stored lookup"
            } else if name.starts_with("lcr://service/") {
                "have the service registered and running; it must publish content of this name"
            } else {
                "store it in the hive lookup, or mend the name"
            };
            let message = format!("lookup {name:?} is not available");
            let missing = resource.error(UNKNOWN_LOOKUP, message, help);
            self.warn(missing.code, format!("{}: {}", missing.message, missing.help), resource.place.clone());
            self.missing_lookup.get_or_insert(missing);
        }
        self.lookups.push(name.into());
        let metadata = at.get("metadata_rules").map(|rules| self.node(&rules, setting.stateless())).transpose()?;
        Ok(Op::Lookup(Box::new(Lookup {
            path,
            transform: transform(at)?,
            is_case_sensitive: at.flag("case sensitive", true)?,
            resource: name.into(),
            metadata,
        })))
    }
}

fn number_of(number: &serde_json::Number) -> Number {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
        .map_or_else(|| Number::Float(number.as_f64().unwrap_or_default()), Number::Int)
}

pub(super) fn path(at: &Cursor<'_>) -> Result<Path, LoadError> {
    let path = at.need("path", "give the path of the values, such as event/FILE_PATH")?;
    path_from(&path, &path.label()?)
}

pub(super) fn path_from(at: &Cursor<'_>, text: &str) -> Result<Path, LoadError> {
    Path::new(text).ok_or_else(|| {
        at.error("rule/too-large", format!("the path has more than {PATH_PARTS_MAX} parts"), "shorten the path")
    })
}

fn substring_count(at: &Cursor<'_>) -> Result<u32, LoadError> {
    let is_stateful = at.get("within").is_some();
    let Some(count) = at.get("count").filter(|_| !is_stateful) else { return Ok(1) };
    u32::try_from(count.integer()?)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| count.error("rule/out-of-range", "count is out of range", "count must be at least 1"))
}

fn transform(at: &Cursor<'_>) -> Result<Transform, LoadError> {
    let labels =
        match at.get("sub domain") {
            None => None,
            Some(slice) => {
                let text = slice.label()?;
                let help = "write a slice such as 0:2, -2:, -1 or :";
                Some(labels(&text).ok_or_else(|| {
                    slice.error("rule/bad-slice", format!("sub domain {text:?} is not a slice"), help)
                })?)
            }
        };
    Ok(Transform { is_file_name: at.flag("file name", false)?, labels })
}

fn labels(text: &str) -> Option<Labels> {
    let text = text.trim();
    let bound = |text: &str| if text.is_empty() { Some(None) } else { text.trim().parse().ok().map(Some) };
    match text.split_once(':') {
        None => text.parse().ok().map(Labels::Index),
        Some(("", "")) => Some(Labels::Each),
        Some((from, to)) => Some(Labels::Range(bound(from)?, bound(to)?)),
    }
}

fn distance(at: &Cursor<'_>) -> Result<Test, LoadError> {
    let value = at.need("value", "give a text or a list of texts")?;
    let max = at.need("max", "give the largest distance that still matches")?.integer()?;
    let is_case_sensitive = at.flag("case sensitive", true)?;
    let texts = match &value.tree.kind {
        Kind::List(_) => value.items()?.iter().map(Cursor::label).collect::<Result<Vec<_>, _>>()?,
        _ => vec![value.label()?],
    };
    let is_long = texts.iter().any(|text| text.chars().count() > DISTANCE_CHARS_MAX);
    if texts.is_empty() || texts.len() > DISTANCE_VALUES_MAX || is_long {
        let help = format!("give 1 to {DISTANCE_VALUES_MAX} texts of at most {DISTANCE_CHARS_MAX} characters");
        return Err(value.error("rule/out-of-range", "value has no, too many or too long texts", help));
    }
    let max = usize::try_from(max)
        .map_err(|_| at.error("rule/out-of-range", format!("max is {max}"), "max must not be negative"))?;
    let fold = |text: String| if is_case_sensitive { text } else { folded(&text) };
    Ok(Test::Distance { values: texts.into_iter().map(fold).collect(), max, is_case_sensitive })
}

fn network(at: &Cursor<'_>) -> Result<IpNet, LoadError> {
    let cidr = at.need("cidr", "give a network such as 10.0.0.0/8")?;
    let text = cidr.label()?;
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network| network.trunc()).ok_or_else(|| {
        cidr.error("rule/bad-network", format!("cidr {text:?} is not a network"), "write 10.0.0.0/8 or fd00::/8")
    })
}

fn address_class(operator: &str) -> Option<AddressClass> {
    let (is_public, family) = match operator {
        "is private address" => (false, None),
        "is private ipv4 address" => (false, Some(Family::V4)),
        "is private ipv6 address" => (false, Some(Family::V6)),
        "is public address" => (true, None),
        "is public ipv4 address" => (true, Some(Family::V4)),
        "is public ipv6 address" => (true, Some(Family::V6)),
        _ => return None,
    };
    Some(AddressClass { is_public, family })
}

/// Operators without a path, which look at the sensor's own fields (section 8.7).
fn sensor_test(at: &Cursor<'_>, operator: &str) -> Result<Option<Test>, LoadError> {
    let code = |name: &str| Platform::from_name(name).map(|platform| i64::from(platform.0));
    let name = match operator {
        "is windows" | "is linux" | "is chrome" | "is text" | "is json" | "is gcp" | "is carbon_black" => {
            &operator[3..]
        }
        "is mac" => "macos",
        "is net" => "vpn",
        "is platform" => &at.need("name", "give a platform such as windows")?.label()?,
        "is 32 bit" => return Ok(Some(Test::Architecture(&[1]))),
        "is 64 bit" => return Ok(Some(Test::Architecture(&[2, 5]))),
        "is arm" => return Ok(Some(Test::Architecture(&[3, 4, 8]))),
        "is tagged" => {
            let tag = at.need("tag", "give the tag")?.label()?;
            return Ok(Some(Test::Tagged(tag.into())));
        }
        _ => return Ok(None),
    };
    Ok(Some(Test::Platform(code(name))))
}
