//! What each ask does in a session.

use super::answer;
use super::ask::{Ask, KNOWN, Known};
use super::path::Style;
use super::session::{Connection, meter};
use crate::exit::Usage;
use crate::show;
use muster_client::{LiveCommandV3, LiveFile};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Output of a program that is shown; `start` and a file of one's own take more.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A session, and how it shows what comes of it.
pub struct Carrier<'a> {
    /// The session.
    pub connection: Connection<'a>,
    /// For programs.
    pub json: bool,
}

impl Carrier<'_> {
    /// Does what is asked for; gives the exit code of a program that was run, else 0.
    ///
    /// # Errors
    ///
    /// If it failed on the endpoint; else whatever server or file system say.
    pub async fn carry_out(&mut self, ask: Ask) -> anyhow::Result<i64> {
        match ask {
            Ask::Nothing | Ask::Leave => {}
            Ask::Help => help(),
            Ask::Where => show::line(show::safe(&self.connection.directory)),
            Ask::Enter(path) => self.enter(&path).await?,
            Ask::List(path) => self.list(&path).await?,
            Ask::Get { from, to } => self.get(&from, to).await?,
            Ask::Put { from, to } => self.put(&from, to).await?,
            Ask::MakeDirectory(path) => self.one("create directory", &path).await?,
            Ask::Remove(path) => self.one("delete file", &path).await?,
            Ask::Processes => self.request(&json!({"name": "process list"})).await?,
            Ask::Kill(pid) => self.request(&json!({"name": "kill", "object": pid})).await?,
            Ask::Execute { line, is_waited: true } => return self.execute(&line).await,
            Ask::Execute { line, is_waited: false } => {
                let directory = &self.connection.directory;
                let start = json!({"name": "create process", "object": line, "working_directory": directory});
                self.request(&start).await?;
            }
            Ask::Registry(registry) => self.request(&registry.request()).await?,
            Ask::Memdump { to, pid, compress } => self.memdump(&to, pid, compress).await?,
        }
        Ok(0)
    }

    fn show(&self, command: &LiveCommandV3) {
        if self.json { show::json(command) } else { answer::show(command) }
    }

    async fn request(&mut self, request: &Value) -> anyhow::Result<()> {
        let command = self.connection.carry_out(request).await?;
        self.show(&command);
        Ok(())
    }

    async fn one(&mut self, name: &str, path: &str) -> anyhow::Result<()> {
        let path = self.connection.whole(path);
        self.request(&json!({"name": name, "object": path})).await
    }

    /// Lists a directory where the path names one, however it is written.
    async fn list(&mut self, path: &str) -> anyhow::Result<()> {
        let (style, whole) = (self.connection.style, self.connection.whole(path));
        let is_plain =
            !path.is_empty() && !path.ends_with(|char| style.is_separator(char)) && !path.contains(['*', '?']);
        let listing = |object: String| json!({"name": "directory list", "object": object});
        let within = format!("{}{}", whole.trim_end_matches(style.separator()), style.separator());
        let command = if is_plain {
            let command = self.connection.carry_out(&listing(whole)).await?;
            if is_directory(&command) { self.connection.carry_out(&listing(within)).await? } else { command }
        } else if path.contains(['*', '?']) {
            self.connection.carry_out(&listing(whole)).await?
        } else {
            self.connection.carry_out(&listing(within)).await?
        };
        self.show(&command);
        Ok(())
    }

    async fn enter(&mut self, path: &str) -> anyhow::Result<()> {
        let (style, whole) = (self.connection.style, self.connection.whole(path));
        let whole = match whole.trim_end_matches(style.separator()) {
            bare if style.name(bare).is_some() => bare.to_owned(),
            _ => whole,
        };
        // A directory holds itself; what else has a name of one letter does no harm. Links are followed so.
        let inside = style.join(&whole, "?");
        self.connection.carry_out(&json!({"name": "directory list", "object": inside})).await?;
        self.connection.directory = whole;
        Ok(())
    }

    async fn get(&mut self, from: &str, to: Option<PathBuf>) -> anyhow::Result<()> {
        let from = self.connection.whole(from);
        let name = self.connection.style.name(&from).unwrap_or("file").to_owned();
        let to = match to {
            Some(to) if to.is_dir() => to.join(local_name(&name)?),
            Some(to) => to,
            None => local_name(&name)?,
        };
        if to.exists() {
            return Err(Usage(format!("{} is there already; name another file", to.display())).into());
        }
        let (command, file) = self.fetch(&from).await?;
        let bar = meter("to this machine", Some(file.size));
        let written = self
            .connection
            .client
            .download_live_file(self.connection.id(), &file.id, &to, |bytes| bar.inc(bytes))
            .await;
        bar.finish_and_clear();
        self.forget(&file).await;
        let size = written?;
        if self.json {
            show::json(&json!({"command": command, "to": to, "bytes": size}));
        } else {
            show::line(format_args!("Wrote {} to {}.", show::bytes(size), to.display()));
        }
        Ok(())
    }

    /// Brings a file of the endpoint to the server.
    async fn fetch(&mut self, from: &str) -> anyhow::Result<(LiveCommandV3, LiveFile)> {
        let bar = meter("to the server", None);
        let request = json!({"name": "get file", "object": from});
        let fetched = self.connection.watch(&request, async |connection, command| {
            let file = connection.client.live_file(connection.id(), file_id(command)).await?;
            bar.set_position(file.size_uploaded);
            bar.tick();
            Ok(())
        });
        let fetched = fetched.await;
        bar.finish_and_clear();
        let command = fetched?;
        let file = self.connection.client.live_file(self.connection.id(), file_id(&command)).await?;
        Ok((command, file))
    }

    /// The server need not keep what is here.
    async fn forget(&self, file: &LiveFile) {
        // It goes with the session.
        let _ = self.connection.client.delete_live_file(self.connection.id(), &file.id).await;
    }

    async fn put(&mut self, from: &Path, to: Option<String>) -> anyhow::Result<()> {
        let style = self.connection.style;
        let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = match to {
            Some(to) if to.ends_with(|char| style.is_separator(char)) => self.connection.whole(&format!("{to}{name}")),
            Some(to) => self.connection.whole(&to),
            None => self.connection.whole(&name),
        };
        let length = std::fs::metadata(from).map(|metadata| metadata.len());
        let bar = meter("to the server", length.ok());
        let moving = bar.clone();
        let client = self.connection.client;
        let sent = client.upload_live_file(self.connection.id(), from, move |bytes| moving.inc(bytes)).await;
        bar.finish_and_clear();
        let file = sent?;
        let request = json!({"name": "put file", "object": to, "file_id": file.id});
        let done = self.connection.carry_out(&request).await;
        self.forget(&file).await;
        let command = done?;
        if self.json {
            show::json(&command);
        } else {
            show::line(format_args!("Wrote {} to {}.", show::bytes(file.size), show::safe(&to)));
        }
        Ok(())
    }

    /// Runs a program to its end and shows what it wrote; gives its exit code.
    async fn execute(&mut self, line: &str) -> anyhow::Result<i64> {
        let folder = match self.connection.style {
            Style::Unix => "/tmp/",
            Style::Windows => "C:\\Windows\\Temp\\",
        };
        let output_file = format!("{folder}muster-{}.tmp", muster_server::random::uuid());
        let run = json!({
            "name": "create process", "object": line, "wait": true, "output_file": output_file,
            "working_directory": self.connection.directory,
        });
        let ran = self.connection.carry_out(&run).await;
        let (command, output) = match ran {
            Ok(command) => {
                let (_, file) = self.fetch(&output_file).await?;
                let content = self.connection.client.live_content(self.connection.id(), &file.id, OUTPUT_BYTES_MAX);
                let content = content.await;
                self.forget(&file).await;
                (Ok(command), content?)
            }
            Err(error) => (Err(error), (Vec::new(), true)),
        };
        // It may not be there: the program did not start.
        let _ = self.connection.try_out(&json!({"name": "delete file", "object": output_file})).await;
        let (command, (bytes, is_all)) = (command?, output);
        if self.json {
            let text = String::from_utf8_lossy(&bytes);
            show::json(&json!({"command": command, "output": text, "is_all": is_all}));
        } else {
            answer::output(&bytes);
            if !is_all {
                eprintln!("There is more; only the first {OUTPUT_BYTES_MAX} bytes are shown.");
            }
        }
        Ok(answer::return_code(&command))
    }

    async fn memdump(&mut self, to: &str, pid: Option<u32>, compress: bool) -> anyhow::Result<()> {
        let to = self.connection.whole(to);
        let bar = indicatif::ProgressBar::new(100).with_message("memory");
        let request = json!({"name": "memdump", "object": to, "pid": pid, "compress": compress});
        let dumped = self.connection.watch(&request, async |_, command| {
            let percent = command.found.get("percentdone").and_then(Value::as_u64).unwrap_or_default();
            bar.set_position(percent);
            Ok(())
        });
        let dumped = dumped.await;
        bar.finish_and_clear();
        let command = dumped?;
        if self.json {
            show::json(&command);
        } else {
            let more = if compress { ".zip" } else { "" };
            show::line(format_args!("Memory is in {}{more} on the endpoint; `get` brings it here.", show::safe(&to)));
        }
        Ok(())
    }
}

fn help() {
    let row = |known: &Known| vec![format!("{} {}", known.name, known.takes), known.does.to_owned()];
    show::table(&["COMMAND", "WHAT IT DOES"], KNOWN.iter().map(row), "");
}

fn file_id(command: &LiveCommandV3) -> &str {
    command.found.get("file_id").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the one entry of a listing is a directory.
fn is_directory(command: &LiveCommandV3) -> bool {
    let attributes = command.found.get("files").and_then(|files| files.get(0)?.get("attributes")?.as_array());
    attributes.is_some_and(|attributes| attributes.iter().any(|attribute| attribute == "DIRECTORY"))
}

/// A name that stays in this directory: the endpoint chose it.
fn local_name(name: &str) -> anyhow::Result<PathBuf> {
    let is_plain = Path::new(name).file_name().is_some_and(|last| last == name);
    if is_plain { Ok(name.into()) } else { Err(Usage(format!("{name} is no file name here; name one")).into()) }
}
