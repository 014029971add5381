//! The registry of Windows, as far as it is the same everywhere: paths, and values as numbers and texts.
//!
//! Source: reference/live-response.md sections 5.6 to 5.11; reference/commands.md section 6.9.

use muster_live::VALUE_TYPES;
use serde_json::Value as Json;

/// The roots, by both of their names.
const ROOTS: &[(Root, &str, &str)] = &[
    (Root::ClassesRoot, "HKCR", "HKEY_CLASSES_ROOT"),
    (Root::CurrentConfig, "HKCC", "HKEY_CURRENT_CONFIG"),
    (Root::CurrentUser, "HKCU", "HKEY_CURRENT_USER"),
    (Root::LocalMachine, "HKLM", "HKEY_LOCAL_MACHINE"),
    (Root::Users, "HKU", "HKEY_USERS"),
];

const SZ: u32 = 1;
const EXPAND_SZ: u32 = 2;
const DWORD: u32 = 4;
const DWORD_BIG_ENDIAN: u32 = 5;
const LINK: u32 = 6;
const MULTI_SZ: u32 = 7;
const QWORD: u32 = 11;

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Root {
    ClassesRoot,
    CurrentConfig,
    CurrentUser,
    LocalMachine,
    Users,
}

/// A key by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub root: Root,
    /// Below the root, without separators at either end.
    pub below: String,
}

impl Place {
    /// Reads a path; `None` if it begins nowhere.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (first, rest) = path.split_once('\\').unwrap_or((path, ""));
        let is_named = |name: &str| name.eq_ignore_ascii_case(first);
        let (root, ..) = ROOTS.iter().find(|(_, short, long)| is_named(short) || is_named(long))?;
        Some(Self { root: *root, below: rest.trim_matches('\\').to_owned() })
    }

    /// Reads the path of a value: what follows the last separator is its name, empty for the default value.
    #[must_use]
    pub fn parse_value(path: &str) -> Option<(Self, &str)> {
        let (key, name) = path.rsplit_once('\\')?;
        Some((Self::parse(key)?, name))
    }

    /// The path of a key below.
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        let root = ROOTS.iter().find(|(root, ..)| *root == self.root).map_or("", |(_, short, _)| short);
        [root, &self.below, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\\")
    }
}

/// A value as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// Empty for the default value.
    pub name: String,
    /// The number of its type.
    pub kind: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Value {
    /// What it is called and holds, made of what people write; `None` if the content does not fit the type.
    #[must_use]
    pub fn from_json(name: &str, kind: &str, data: &Json) -> Option<Self> {
        let number = VALUE_TYPES.iter().position(|known| *known == kind).and_then(|at| u32::try_from(at).ok())?;
        let bytes = match number {
            DWORD => u32::try_from(whole(data)?).ok()?.to_le_bytes().to_vec(),
            DWORD_BIG_ENDIAN => u32::try_from(whole(data)?).ok()?.to_be_bytes().to_vec(),
            QWORD => whole(data)?.to_le_bytes().to_vec(),
            SZ | EXPAND_SZ | LINK => wide(&text(data)?),
            MULTI_SZ => {
                let texts = data.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?;
                // An empty text would end the list.
                let texts = texts.iter().filter(|text| !text.is_empty());
                texts.flat_map(|text| wide(text)).chain([0, 0]).collect()
            }
            _ => from_hex(data.as_str()?)?,
        };
        Some(Self { name: name.to_owned(), kind: number, bytes })
    }

    /// The name of its type.
    #[must_use]
    pub fn kind_name(&self) -> String {
        let known = usize::try_from(self.kind).ok().and_then(|kind| VALUE_TYPES.get(kind));
        known.map_or_else(|| format!("REG_{}", self.kind), |name| (*name).to_owned())
    }

    /// Its content as a number, a text, a list of texts, or hexadecimal digits where it does not fit its type.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let known = match (self.kind, self.bytes.as_slice()) {
            (DWORD, bytes) => bytes.try_into().ok().map(u32::from_le_bytes).map(Json::from),
            (DWORD_BIG_ENDIAN, bytes) => bytes.try_into().ok().map(u32::from_be_bytes).map(Json::from),
            (QWORD, bytes) => bytes.try_into().ok().map(u64::from_le_bytes).map(Json::from),
            (SZ | EXPAND_SZ | LINK, bytes) => Some(narrow(bytes).trim_end_matches('\0').into()),
            (MULTI_SZ, bytes) => {
                let texts = narrow(bytes);
                let texts = texts.trim_end_matches('\0');
                Some(if texts.is_empty() { Json::Array(Vec::new()) } else { texts.split('\0').collect() })
            }
            _ => None,
        };
        known.unwrap_or_else(|| crate::atom::text(&self.bytes).into())
    }
}

fn whole(data: &Json) -> Option<u64> {
    match data {
        Json::String(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        number => number.as_u64(),
    }
}

fn text(data: &Json) -> Option<String> {
    match data {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.1.is_empty().then(|| digits.0.iter().map(byte).collect::<Option<Vec<_>>>()).flatten()
}

/// UTF-16 with a zero at its end, as the registry keeps texts.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn narrow(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_begins_at_a_root_by_either_name_in_any_case() {
        let place = |root, below: &str| Some(Place { root, below: below.to_owned() });
        assert_eq!(Place::parse(r"hklm\Software\x\"), place(Root::LocalMachine, r"Software\x"));
        assert_eq!(Place::parse("HKEY_USERS"), place(Root::Users, ""));
        assert_eq!(Place::parse(r"HKXX\a"), None);
        let (key, name) = Place::parse_value(r"HKCU\a\b\").unwrap();
        assert_eq!((key.path_of(name), name), (r"HKCU\a\b".to_owned(), ""));
        assert_eq!(Place::parse_value("HKCU"), None);
    }

    #[test]
    fn every_type_of_value_is_read_as_it_was_written() {
        for (kind, data) in [
            ("REG_DWORD", json!(7)),
            ("REG_DWORD_BIG_ENDIAN", json!(258)),
            ("REG_QWORD", json!(1_u64 << 40)),
            ("REG_SZ", json!("ä text")),
            ("REG_EXPAND_SZ", json!("%PATH%")),
            ("REG_LINK", json!("")),
            ("REG_MULTI_SZ", json!(["a", "b c"])),
            ("REG_MULTI_SZ", json!([])),
            ("REG_BINARY", json!("00ff10")),
            ("REG_NONE", json!("")),
            ("REG_RESOURCE_LIST", json!("01")),
        ] {
            let value = Value::from_json("name", kind, &data).unwrap();
            assert_eq!((value.kind_name(), value.to_json()), (kind.to_owned(), data));
        }
        let number = |data| Value::from_json("", "REG_DWORD", &data).map(|value| value.to_json());
        assert_eq!(number(json!("0x10")), Some(json!(16)));
        for (kind, data) in [
            ("REG_DWORD", json!(1_u64 << 32)),
            ("REG_DWORD", json!(-1)),
            ("REG_QWORD", json!("many")),
            ("REG_SZ", json!(["a"])),
            ("REG_MULTI_SZ", json!("a")),
            ("REG_BINARY", json!("0")),
            ("REG_BINARY", json!("zz")),
        ] {
            assert_eq!(Value::from_json("", kind, &data), None, "{kind} {data}");
        }
    }

    #[test]
    fn what_does_not_fit_its_type_is_shown_as_it_is() {
        let value = |kind, bytes: &[u8]| Value { name: String::new(), kind, bytes: bytes.to_vec() };
        assert_eq!(value(DWORD, &[1, 2]).to_json(), json!("0102"));
        assert_eq!((value(77, &[1]).kind_name(), value(77, &[1]).to_json()), ("REG_77".to_owned(), json!("01")));
    }
}
