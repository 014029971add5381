//! What a line of a live session asks for.

use super::path::Style;
use crate::exit::Usage;
use muster_command::split_arguments;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A command that lines may begin with.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What stands behind it.
    pub takes: &'static str,
    /// What it does.
    pub does: &'static str,
}

/// All of them, in the order in which help tells them.
pub const KNOWN: &[Known] = &[
    Known { name: "ls", takes: "[PATH | PATTERN]", does: "list a directory, or what matches" },
    Known { name: "cd", takes: "PATH", does: "go to another directory" },
    Known { name: "pwd", takes: "", does: "tell where one is" },
    Known { name: "get", takes: "PATH [LOCAL]", does: "bring a file here" },
    Known { name: "put", takes: "LOCAL [PATH]", does: "bring a file there, in place of one that is there" },
    Known { name: "mkdir", takes: "PATH", does: "make a directory" },
    Known { name: "rm", takes: "PATH", does: "remove a file or an empty directory" },
    Known { name: "ps", takes: "", does: "list processes" },
    Known { name: "kill", takes: "PID", does: "end a process" },
    Known { name: "exec", takes: "PROGRAM [ARGUMENT...]", does: "run a program and show its output; no shell" },
    Known { name: "start", takes: "PROGRAM [ARGUMENT...]", does: "start a program and leave it running" },
    Known { name: "reg", takes: "list KEY | get KEY\\NAME | create KEY | delete-key KEY", does: "the registry" },
    Known { name: "reg", takes: "set KEY\\NAME DATA [TYPE] | delete-value KEY\\NAME", does: "its values" },
    Known { name: "memdump", takes: "PATH [--pid PID] [--compress]", does: "write memory to a file on the endpoint" },
    Known { name: "help", takes: "", does: "show this" },
    Known { name: "exit", takes: "", does: "leave; a session that this command opened is closed" },
];

/// What `reg` takes first.
pub const REGISTRY: &[&str] = &["list", "get", "set", "create", "delete-key", "delete-value"];

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Nothing: the line is blank.
    Nothing,
    /// What there is.
    Help,
    /// The end.
    Leave,
    /// Where one is.
    Where,
    /// To go to another directory.
    Enter(String),
    /// A listing.
    List(String),
    /// A file of the endpoint.
    Get {
        /// There.
        from: String,
        /// Here; its name there, if nothing is said.
        to: Option<PathBuf>,
    },
    /// A file for the endpoint.
    Put {
        /// Here.
        from: PathBuf,
        /// There; its name here, if nothing is said.
        to: Option<String>,
    },
    /// A new directory.
    MakeDirectory(String),
    /// The end of a file or directory.
    Remove(String),
    /// All processes.
    Processes,
    /// The end of a process.
    Kill(u32),
    /// A program with its arguments, in one text.
    Execute {
        /// What the endpoint starts.
        line: String,
        /// Whether its end is waited for, and its output shown.
        is_waited: bool,
    },
    /// Something of the registry.
    Registry(Registry),
    /// An image of memory.
    Memdump {
        /// There.
        to: String,
        /// Of this process; else of the machine.
        pid: Option<u32>,
        /// As an archive.
        compress: bool,
    },
}

/// What is asked of the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Registry {
    /// Values and keys of a key.
    List(String),
    /// A value.
    Get(String),
    /// A new key.
    Create(String),
    /// The end of a key.
    DeleteKey(String),
    /// The end of a value.
    DeleteValue(String),
    /// A value that is set.
    Set {
        /// Key, backslash, name.
        path: String,
        /// As it was written.
        data: String,
        /// `REG_SZ` and so on.
        kind: Option<String>,
    },
}

fn usage(name: &str) -> Usage {
    let takes: Vec<&str> = KNOWN.iter().filter(|known| known.name == name).map(|known| known.takes).collect();
    Usage(format!("it is: {name} {}", takes.join(" | ")))
}

fn pid(text: &str) -> Result<u32, Usage> {
    text.parse().map_err(|_| Usage(format!("{text} is not the id of a process")))
}

impl Ask {
    /// Reads a line as it was typed; words with blanks stand in quotes.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(line: &str) -> Result<Self, Usage> {
        let words = split_arguments(line).map_err(|error| Usage(error.to_string()))?;
        let Some((name, rest)) = line.trim().split_once(char::is_whitespace) else { return Self::of(&words, None) };
        // The endpoint splits it, by rules of its own.
        Self::of(&words, matches!(name, "exec" | "start").then(|| rest.trim().to_owned()))
    }

    /// Reads words, as a shell gives them; programs of an endpoint of this style get them as they are.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn of_words(words: &[String], style: Style) -> Result<Self, Usage> {
        let line = words.iter().skip(1).map(|word| quoted(word, style)).collect::<Vec<_>>().join(" ");
        Self::of(words, Some(line))
    }

    fn of(words: &[String], line: Option<String>) -> Result<Self, Usage> {
        let Some((name, words)) = words.split_first() else { return Ok(Self::Nothing) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(match (name.as_str(), words.as_slice()) {
            ("help" | "?", _) => Self::Help,
            ("exit" | "quit", []) => Self::Leave,
            ("pwd", []) => Self::Where,
            ("cd", [path]) => Self::Enter((*path).to_owned()),
            ("ls", []) => Self::List(String::new()),
            ("ls", [path]) => Self::List((*path).to_owned()),
            ("get", [from]) => Self::Get { from: (*from).to_owned(), to: None },
            ("get", [from, to]) => Self::Get { from: (*from).to_owned(), to: Some(to.into()) },
            ("put", [from]) => Self::Put { from: from.into(), to: None },
            ("put", [from, to]) => Self::Put { from: from.into(), to: Some((*to).to_owned()) },
            ("mkdir", [path]) => Self::MakeDirectory((*path).to_owned()),
            ("rm", [path]) => Self::Remove((*path).to_owned()),
            ("ps", []) => Self::Processes,
            ("kill", [text]) => Self::Kill(pid(text)?),
            ("exec" | "start", [_, ..]) => {
                Self::Execute { line: line.unwrap_or_default(), is_waited: name.as_str() == "exec" }
            }
            ("reg", words) => Self::Registry(Registry::of(words)?),
            ("memdump", [to, options @ ..]) => memdump(to, options)?,
            (name, _) if KNOWN.iter().any(|known| known.name == name) => return Err(usage(name)),
            (name, _) => return Err(Usage(format!("there is no command {name:?} here; `help` tells what there is"))),
        })
    }
}

fn memdump(to: &str, mut options: &[&str]) -> Result<Ask, Usage> {
    let (mut of, mut compress) = (None, false);
    loop {
        options = match options {
            [] => return Ok(Ask::Memdump { to: to.to_owned(), pid: of, compress }),
            ["--pid", text, rest @ ..] => {
                of = Some(pid(text)?);
                rest
            }
            ["--compress", rest @ ..] => {
                compress = true;
                rest
            }
            _ => return Err(usage("memdump")),
        };
    }
}

impl Registry {
    fn of(words: &[&str]) -> Result<Self, Usage> {
        let text = |word: &&str| (*word).to_owned();
        Ok(match words {
            ["list", path] => Self::List(text(path)),
            ["get", path] => Self::Get(text(path)),
            ["create", path] => Self::Create(text(path)),
            ["delete-key", path] => Self::DeleteKey(text(path)),
            ["delete-value", path] => Self::DeleteValue(text(path)),
            ["set", path, data] => Self::Set { path: text(path), data: text(data), kind: None },
            ["set", path, data, kind] => Self::Set { path: text(path), data: text(data), kind: Some(text(kind)) },
            _ => return Err(usage("reg")),
        })
    }

    /// As the endpoint is asked.
    pub fn request(&self) -> Value {
        match self {
            Self::List(path) => json!({"name": "reg enum key", "object": path}),
            Self::Get(path) => json!({"name": "reg query value", "object": path}),
            Self::Create(path) => json!({"name": "reg create key", "object": path}),
            Self::DeleteKey(path) => json!({"name": "reg delete key", "object": path}),
            Self::DeleteValue(path) => json!({"name": "reg delete value", "object": path}),
            Self::Set { path, data, kind } => {
                // A list of texts is one text here.
                let data = match kind.as_deref() {
                    Some("REG_MULTI_SZ") => json!(data.split(',').collect::<Vec<_>>()),
                    _ => json!(data),
                };
                let kind = kind.as_deref().unwrap_or("REG_SZ");
                json!({"name": "reg set value", "object": path, "value_data": data, "value_type": kind,
                    "overwrite": true})
            }
        }
    }
}

/// A word that programs of an endpoint get as one, whatever is in it.
pub fn quoted(word: &str, style: Style) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_./:\\=+,@%".contains(char);
    match style {
        _ if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        Style::Unix => format!("'{}'", word.replace('\'', "'\\''")),
        Style::Windows => format!("\"{}\"", word.replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_typed_with_paths_of_both_systems() {
        let read = |line: &str| Ask::read(line).unwrap();
        assert_eq!(read("  "), Ask::Nothing);
        assert_eq!(read("ls"), Ask::List(String::new()));
        assert_eq!(read("cd 'C:\\Program Files\\'"), Ask::Enter("C:\\Program Files\\".into()));
        assert_eq!(read("cd C:\\Windows"), Ask::Enter("C:\\Windows".into()));
        let to = Some(PathBuf::from("here"));
        assert_eq!(read("get \"/tmp/a b\" here"), Ask::Get { from: "/tmp/a b".into(), to });
        let line = "cmd /c \"dir 'C:\\' > x\"".to_owned();
        assert_eq!(read(&format!(" exec  {line} ")), Ask::Execute { line, is_waited: true });
        let dump = Ask::Memdump { to: "/m".into(), pid: Some(7), compress: true };
        assert_eq!(read("memdump /m --compress --pid 7"), dump);
    }

    #[test]
    fn words_of_a_shell_reach_the_endpoint_as_the_same_words() {
        for words in [vec!["exec", "/bin/echo", "a b", "it's", ""], vec!["start", "C:\\x y\\z.exe", "\"q\"", "\\"]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let Ask::Execute { line, .. } = Ask::of_words(&words, Style::Unix).unwrap() else { panic!() };
            assert_eq!(split_arguments(&line).unwrap(), words[1..], "{line}");
        }
        assert_eq!(quoted("C:\\a b\\c.exe", Style::Windows), "\"C:\\a b\\c.exe\"");
    }

    #[test]
    fn what_is_wrong_is_told_with_how_it_is_right() {
        for (line, wanted) in [
            ("cd", "it is: cd PATH"),
            ("kill x", "x is not the id of a process"),
            ("fly", "there is no command \"fly\" here; `help` tells what there is"),
            ("memdump /x --fast", "it is: memdump PATH [--pid PID] [--compress]"),
        ] {
            assert_eq!(Ask::read(line).unwrap_err().to_string(), wanted, "{line}");
        }
        assert!(Ask::read("get 'open").is_err());
    }
}
