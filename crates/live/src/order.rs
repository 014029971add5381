//! Commands as they are asked for. Source: reference/live-response.md sections 4.2, 4.3 and 5.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// The fifteen commands, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Name {
    PutFile,
    GetFile,
    Memdump,
    CreateDirectory,
    DeleteFile,
    DirectoryList,
    RegEnumKey,
    RegQueryValue,
    RegCreateKey,
    RegDeleteKey,
    RegDeleteValue,
    RegSetValue,
    ProcessList,
    Kill,
    CreateProcess,
}

const NAMES: [(Name, &str); 15] = [
    (Name::PutFile, "put file"),
    (Name::GetFile, "get file"),
    (Name::Memdump, "memdump"),
    (Name::CreateDirectory, "create directory"),
    (Name::DeleteFile, "delete file"),
    (Name::DirectoryList, "directory list"),
    (Name::RegEnumKey, "reg enum key"),
    (Name::RegQueryValue, "reg query value"),
    (Name::RegCreateKey, "reg create key"),
    (Name::RegDeleteKey, "reg delete key"),
    (Name::RegDeleteValue, "reg delete value"),
    (Name::RegSetValue, "reg set value"),
    (Name::ProcessList, "process list"),
    (Name::Kill, "kill"),
    (Name::CreateProcess, "create process"),
];

impl Name {
    /// All of them, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// As requests write it.
    #[must_use]
    pub fn text(self) -> &'static str {
        NAMES.iter().find(|(name, _)| *name == self).map_or("", |(_, text)| text)
    }

    /// Reads it, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        NAMES.iter().find(|(_, have)| *have == text).map(|(name, _)| *name)
    }
}

/// A command that was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Writes a stored file to the endpoint.
    PutFile {
        /// Where to.
        path: String,
        /// Id of the stored file.
        file_id: String,
    },
    /// Reads a file of the endpoint into the store.
    GetFile {
        /// Where it is.
        path: String,
        /// First byte.
        offset: u64,
        /// Number of bytes; 0 is all.
        count: u64,
    },
    /// Writes an image of the memory to a file on the endpoint.
    Memdump {
        /// Where to; compressed, `.zip` is appended.
        path: String,
        /// Of this process; else of the machine. The published form has no such field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// Whether to compress it.
        compress: bool,
    },
    /// Makes one directory.
    CreateDirectory {
        /// Which.
        path: String,
    },
    /// Removes a file or an empty directory.
    DeleteFile {
        /// Which.
        path: String,
    },
    /// Lists a directory, what matches a pattern, or one entry.
    DirectoryList {
        /// Path or pattern.
        path: String,
    },
    /// Lists values and keys of a registry key.
    RegEnumKey {
        /// Which.
        path: String,
    },
    /// Reads a value of the registry.
    RegQueryValue {
        /// Key, backslash, name of the value.
        path: String,
    },
    /// Makes a key of the registry.
    RegCreateKey {
        /// Which.
        path: String,
    },
    /// Removes a key of the registry that has none below.
    RegDeleteKey {
        /// Which.
        path: String,
    },
    /// Removes a value of the registry.
    RegDeleteValue {
        /// Key, backslash, name of the value.
        path: String,
    },
    /// Sets a value of the registry.
    RegSetValue {
        /// Key, backslash, name of the value.
        path: String,
        /// `REG_SZ` and so on.
        kind: String,
        /// What the kind takes.
        data: Value,
        /// Whether an existing value is replaced.
        overwrite: bool,
    },
    /// Lists processes.
    ProcessList,
    /// Ends a process.
    Kill {
        /// Which.
        pid: u32,
    },
    /// Starts a process.
    CreateProcess {
        /// Program and arguments in one text.
        line: String,
        /// Whether its end is waited for.
        wait: bool,
        /// Where it begins; empty is the session's own.
        working_directory: String,
        /// Receives its output; empty is nowhere.
        output_file: String,
    },
}

/// Why a request is no order; the text says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// No `name`, or no text.
    #[error("name is required: the name of a command, such as \"process list\"")]
    NoName,
    /// Not one of the fifteen.
    #[error("unknown command {0:?}")]
    UnknownName(String),
    /// A field that the command needs.
    #[error("{1} is required by {0:?}")]
    Missing(&'static str, &'static str),
    /// A field with something else in it.
    #[error("{0} must be {1}")]
    Type(&'static str, &'static str),
    /// A type of registry values that there is not.
    #[error("unknown value_type {0:?}")]
    ValueType(String),
}

/// Types of registry values, by their numbers in Windows. Source: reference/live-response.md section 5.6.
pub const VALUE_TYPES: &[&str] = &[
    "REG_NONE",
    "REG_SZ",
    "REG_EXPAND_SZ",
    "REG_BINARY",
    "REG_DWORD",
    "REG_DWORD_BIG_ENDIAN",
    "REG_LINK",
    "REG_MULTI_SZ",
    "REG_RESOURCE_LIST",
    "REG_FULL_RESOURCE_DESCRIPTOR",
    "REG_RESOURCE_REQUIREMENTS_LIST",
    "REG_QWORD",
];

impl Order {
    /// Reads a request. Fields that it does not know are left alone: clients send some with every command.
    ///
    /// # Errors
    ///
    /// [`OrderError`].
    pub fn parse(request: &Map<String, Value>) -> Result<Self, OrderError> {
        let text = request.get("name").and_then(Value::as_str).ok_or(OrderError::NoName)?;
        let name = Name::parse(text).ok_or_else(|| OrderError::UnknownName(text.to_owned()))?;
        let fields = Fields { name, request };
        let path = || fields.operand();
        Ok(match name {
            Name::PutFile => Self::PutFile { path: path()?, file_id: fields.id("file_id")? },
            Name::GetFile => {
                let (offset, count) = (fields.number("offset")?, fields.number("get_count")?);
                Self::GetFile { path: path()?, offset, count }
            }
            Name::Memdump => Self::Memdump {
                path: path()?,
                pid: fields.get("pid").map(|value| pid("pid", value)).transpose()?,
                compress: fields.flag("compress")?,
            },
            Name::CreateDirectory => Self::CreateDirectory { path: path()? },
            Name::DeleteFile => Self::DeleteFile { path: path()? },
            Name::DirectoryList => Self::DirectoryList { path: path()? },
            Name::RegEnumKey => Self::RegEnumKey { path: path()? },
            Name::RegQueryValue => Self::RegQueryValue { path: path()? },
            Name::RegCreateKey => Self::RegCreateKey { path: path()? },
            Name::RegDeleteKey => Self::RegDeleteKey { path: path()? },
            Name::RegDeleteValue => Self::RegDeleteValue { path: path()? },
            Name::RegSetValue => fields.set_value()?,
            Name::ProcessList => Self::ProcessList,
            Name::Kill => Self::Kill { pid: fields.pid()? },
            Name::CreateProcess => Self::CreateProcess {
                line: path()?,
                wait: fields.flag("wait")?,
                working_directory: fields.text("working_directory")?.to_owned(),
                output_file: fields.text("output_file")?.to_owned(),
            },
        })
    }

    /// Which command it is.
    #[must_use]
    pub const fn name(&self) -> Name {
        match self {
            Self::PutFile { .. } => Name::PutFile,
            Self::GetFile { .. } => Name::GetFile,
            Self::Memdump { .. } => Name::Memdump,
            Self::CreateDirectory { .. } => Name::CreateDirectory,
            Self::DeleteFile { .. } => Name::DeleteFile,
            Self::DirectoryList { .. } => Name::DirectoryList,
            Self::RegEnumKey { .. } => Name::RegEnumKey,
            Self::RegQueryValue { .. } => Name::RegQueryValue,
            Self::RegCreateKey { .. } => Name::RegCreateKey,
            Self::RegDeleteKey { .. } => Name::RegDeleteKey,
            Self::RegDeleteValue { .. } => Name::RegDeleteValue,
            Self::RegSetValue { .. } => Name::RegSetValue,
            Self::ProcessList => Name::ProcessList,
            Self::Kill { .. } => Name::Kill,
            Self::CreateProcess { .. } => Name::CreateProcess,
        }
    }

    /// Whether later commands do not wait for its end. Source: reference/live-response.md section 4.6.
    #[must_use]
    pub const fn is_background(&self) -> bool {
        matches!(self, Self::Memdump { .. } | Self::CreateProcess { wait: true, .. })
    }

    /// How long it may take where nobody says so. Source: reference/live-response.md section 4.6.
    #[must_use]
    pub const fn time_max(&self) -> Duration {
        match self {
            Self::Memdump { .. }
            | Self::GetFile { .. }
            | Self::PutFile { .. }
            | Self::CreateProcess { wait: true, .. } => Duration::from_secs(3_600),
            _ => Duration::from_secs(120),
        }
    }
}

/// Fields of a request, read as leniently as clients write them.
struct Fields<'a> {
    name: Name,
    request: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.request.get(field).filter(|value| !value.is_null())
    }

    fn operand(&self) -> Result<String, OrderError> {
        match self.get("object").or_else(|| self.get("path")) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            None | Some(Value::String(_)) => Err(OrderError::Missing(self.name.text(), "object")),
            Some(_) => Err(OrderError::Type("object", "text")),
        }
    }

    fn text(&self, field: &'static str) -> Result<&str, OrderError> {
        match self.get(field) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(OrderError::Type(field, "text")),
        }
    }

    fn id(&self, field: &'static str) -> Result<String, OrderError> {
        match self.get(field) {
            None => Err(OrderError::Missing(self.name.text(), field)),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(OrderError::Type(field, "the id of a stored file")),
        }
    }

    fn number(&self, field: &'static str) -> Result<u64, OrderError> {
        let wrong = OrderError::Type(field, "a whole number from 0");
        match self.get(field) {
            None => Ok(0),
            Some(Value::String(text)) => text.parse().map_err(|_| wrong),
            Some(value) => value.as_u64().ok_or(wrong),
        }
    }

    fn flag(&self, field: &'static str) -> Result<bool, OrderError> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(OrderError::Type(field, "true or false")),
        }
    }

    fn pid(&self) -> Result<u32, OrderError> {
        let value = self.get("object").or_else(|| self.get("pid"));
        pid("object", value.ok_or(OrderError::Missing(self.name.text(), "object"))?)
    }

    fn set_value(&self) -> Result<Order, OrderError> {
        let data = self.get("value_data").ok_or(OrderError::Missing(self.name.text(), "value_data"))?.clone();
        let kind = match (self.text("value_type")?, &data) {
            ("", Value::Number(_)) => "REG_DWORD",
            ("", Value::Array(_)) => "REG_MULTI_SZ",
            ("", _) => "REG_SZ",
            (kind, _) => kind,
        };
        if !VALUE_TYPES.contains(&kind) {
            return Err(OrderError::ValueType(kind.to_owned()));
        }
        let (path, overwrite) = (self.operand()?, self.flag("overwrite")?);
        Ok(Order::RegSetValue { path, kind: kind.to_owned(), data, overwrite })
    }
}

/// The id of a process, as a number or as text.
fn pid(field: &'static str, value: &Value) -> Result<u32, OrderError> {
    let pid = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|pid| u32::try_from(pid).ok()),
    };
    let is_possible = |pid: &u32| (1..=i32::MAX.unsigned_abs()).contains(pid);
    pid.filter(is_possible).ok_or(OrderError::Type(field, "the id of a process, a whole number from 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(request: &Value) -> Result<Order, OrderError> {
        Order::parse(request.as_object().unwrap())
    }

    #[test]
    fn flags_and_numbers_may_be_quoted_as_clients_write_them() {
        let quoted = json!({"name": "create process", "object": "/bin/ls", "wait": "True", "output_file": null});
        let plain = json!({"name": "create process", "path": "/bin/ls", "wait": true});
        assert_eq!(parse(&quoted), parse(&plain));
        assert_eq!(parse(&json!({"name": "kill", "object": "12"})), Ok(Order::Kill { pid: 12 }));
        assert_eq!(parse(&json!({"name": "kill", "pid": 12})), Ok(Order::Kill { pid: 12 }));
        let get = json!({"name": "get file", "object": "/x", "offset": "3", "get_count": 4});
        assert_eq!(parse(&get), Ok(Order::GetFile { path: "/x".into(), offset: 3, count: 4 }));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (request, wanted) in [
            (json!({}), "name is required: the name of a command, such as \"process list\""),
            (json!({"name": "Kill"}), "unknown command \"Kill\""),
            (json!({"name": "kill"}), "object is required by \"kill\""),
            (json!({"name": "kill", "object": 0}), "object must be the id of a process, a whole number from 1"),
            (json!({"name": "kill", "object": -4}), "object must be the id of a process, a whole number from 1"),
            (json!({"name": "get file", "object": ""}), "object is required by \"get file\""),
            (json!({"name": "get file", "object": "/x", "offset": -1}), "offset must be a whole number from 0"),
            (json!({"name": "put file", "object": "/x"}), "file_id is required by \"put file\""),
            (json!({"name": "memdump", "object": "/x", "compress": 1}), "compress must be true or false"),
            (
                json!({"name": "memdump", "object": "/x", "pid": "all"}),
                "pid must be the id of a process, a whole number from 1",
            ),
            (
                json!({"name": "reg set value", "object": "HKLM\\x", "value_data": 1, "value_type": "REG_X"}),
                "unknown value_type \"REG_X\"",
            ),
        ] {
            assert_eq!(parse(&request).unwrap_err().to_string(), wanted, "{request}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written_and_orders_survive_the_wire() {
        for name in Name::all() {
            assert_eq!(Name::parse(name.text()), Some(name));
            let request = json!({"name": name.text(), "object": "7", "file_id": "f", "value_data": ["a"]});
            let order = parse(&request).unwrap();
            assert_eq!(order.name(), name);
            assert_eq!(serde_json::from_slice::<Order>(&serde_json::to_vec(&order).unwrap()).unwrap(), order);
        }
        assert_eq!(Name::all().count(), 15);
    }
}
