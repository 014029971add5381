//! What commands find. Source: reference/live-response.md section 5.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a command found; only what belongs to its kind is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// `directory list`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Entry>,
    /// `process list`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessFound>,
    /// `reg enum key`: names of keys below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sub_keys: Vec<String>,
    /// `reg enum key`, `reg query value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<RegistryValue>,
    /// `create process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// `create process`: exit code; -1 if it was not waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_code: Option<i64>,
    /// `memdump`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<Dump>,
    /// `get file`, `put file`: bytes that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// `get file`, `put file`: SHA-256 of what was moved, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One entry of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, without the directory.
    pub name: String,
    /// Short name; empty if there is none.
    pub alternate: String,
    /// Names of attributes, such as `DIRECTORY`.
    pub attributes: Vec<String>,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub accessed: i64,
    /// Unix seconds.
    pub modified: i64,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFound {
    /// Its id.
    pub pid: u32,
    /// Unix milliseconds; 0 if unknown.
    pub created_ms: i64,
    /// Program; a name in brackets where there is none.
    pub path: String,
    /// Arguments, joined.
    pub command_line: String,
    /// Security identifier.
    pub sid: String,
    /// Account.
    pub username: String,
    /// Id of its parent.
    pub parent: u32,
    /// Unix milliseconds; 0 if unknown.
    pub parent_created_ms: i64,
}

/// One value of a registry key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegistryValue {
    /// Name; empty is the default value.
    pub name: String,
    /// `REG_SZ` and so on.
    pub kind: String,
    /// Number, text, or list of texts, as its kind says.
    pub data: Value,
}

/// How far a memory dump is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// 0 once it succeeded.
    pub return_code: i64,
    /// Whether it is over.
    pub complete: bool,
    /// Whether memory is being written.
    pub dumping: bool,
    /// Whether it is being compressed.
    pub compressing: bool,
    /// 0 to 100.
    pub percent: u8,
    /// Bytes that the system did not let be read; zeros stand for them.
    #[serde(default)]
    pub unreadable: u64,
}
