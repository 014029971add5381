//! A live session as this command holds it: opened, kept from idling, and opened again if somebody closed it.

use super::path::Style;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use muster_client::{Client, LiveCommandV3, LiveSessionV3};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

/// How often a session is kept from idling while somebody thinks.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked how far a transfer is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the server answers of a session that is over.
const NOT_FOUND: u16 = 404;

/// A command failed on the endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{text} ({name}, code {code})")]
pub struct Failed {
    /// Which command.
    name: String,
    /// The published code.
    code: i64,
    /// What the endpoint says.
    text: String,
}

/// A session with its sensor in it.
pub struct Connection<'a> {
    /// The server.
    pub client: &'a Client,
    /// How the endpoint writes paths.
    pub style: Style,
    /// Where one is on the endpoint.
    pub directory: String,
    device: u32,
    wait_s: u64,
    session: LiveSessionV3,
    /// Nobody else had it open.
    is_own: bool,
}

impl<'a> Connection<'a> {
    /// Opens a session with a sensor, or joins the one that is open, and waits until the sensor is in it.
    ///
    /// # Errors
    ///
    /// If the sensor does not come in time; else whatever the server says.
    pub async fn open(client: &'a Client, sid: &str, wait_s: u64) -> anyhow::Result<Self> {
        let device = client.live_device(sid).await?;
        let (session, is_own) = enter(client, device, wait_s).await?;
        let style = Style::of(session.drives.as_deref().unwrap_or_default());
        let directory = session.current_working_directory.clone().unwrap_or_else(|| style.separator().to_string());
        Ok(Self { client, style, directory, device, wait_s, session, is_own })
    }

    /// Id of the session.
    pub fn id(&self) -> &str {
        &self.session.id
    }

    /// What a path means here.
    pub fn whole(&self, path: &str) -> String {
        self.style.join(&self.directory, path)
    }

    /// Orders a command; opens the session again if it is over, as nothing has begun then.
    async fn order(&mut self, request: &Value) -> anyhow::Result<LiveCommandV3> {
        match self.client.order_live_command(self.id(), request).await {
            Err(error) if error.status() == Some(NOT_FOUND) => {
                eprintln!("Session {} is over; another one is opened.", self.session.id);
                (self.session, self.is_own) = enter(self.client, self.device, self.wait_s).await?;
                Ok(self.client.order_live_command(self.id(), request).await?)
            }
            ordered => Ok(ordered?),
        }
    }

    /// Asks for something beside what the person does; it is not opened again for that.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn ask_aside(&self, request: &Value) -> anyhow::Result<LiveCommandV3> {
        let number = self.client.order_live_command(self.id(), request).await?.id;
        complete(self.client.live_command(self.id(), number, true).await?)
    }

    /// Orders a command and waits until it has ended, whatever came of it.
    ///
    /// # Errors
    ///
    /// If a person does not wait for it; else whatever the server says.
    pub async fn try_out(&mut self, request: &Value) -> anyhow::Result<LiveCommandV3> {
        let number = self.order(request).await?.id;
        let ended = async {
            loop {
                let command = self.client.live_command(self.id(), number, true).await?;
                if command.is_over() {
                    return anyhow::Ok(command);
                }
            }
        };
        self.unless_interrupted(number, ended).await
    }

    /// Orders a command and waits until it has done what it was to do.
    ///
    /// # Errors
    ///
    /// [`Failed`]; else as [`Connection::try_out`].
    pub async fn carry_out(&mut self, request: &Value) -> anyhow::Result<LiveCommandV3> {
        complete(self.try_out(request).await?)
    }

    /// The same for what takes long: `look` is told now and then how it stands.
    ///
    /// # Errors
    ///
    /// As [`Connection::carry_out`].
    pub async fn watch(
        &mut self,
        request: &Value,
        look: impl AsyncFn(&Self, &LiveCommandV3) -> anyhow::Result<()>,
    ) -> anyhow::Result<LiveCommandV3> {
        let number = self.order(request).await?.id;
        let connection = &*self;
        let ended = async {
            loop {
                let command = connection.client.live_command(connection.id(), number, false).await?;
                look(connection, &command).await?;
                if command.is_over() {
                    return anyhow::Ok(command);
                }
                sleep(LOOK_EVERY).await;
            }
        };
        complete(connection.unless_interrupted(number, ended).await?)
    }

    /// Waits for a command; a person may stop waiting, and then it does not begin if it has not.
    async fn unless_interrupted(
        &self,
        number: u32,
        ended: impl Future<Output = anyhow::Result<LiveCommandV3>>,
    ) -> anyhow::Result<LiveCommandV3> {
        tokio::select! {
            command = ended => command,
            _ = tokio::signal::ctrl_c() => match self.client.cancel_live_command(self.id(), number).await {
                Ok(_) => bail!("cancelled before it began"),
                Err(_) => bail!("command {number} of session {} goes on without you", self.id()),
            },
        }
    }

    /// Keeps the session from idling, until dropped.
    pub async fn keep(client: &Client, id: &str) {
        loop {
            sleep(KEEP_EVERY).await;
            // The next command tells what is wrong with it.
            let _ = client.keep_live_session(id).await;
        }
    }

    /// Leaves; a session that was opened here is closed.
    pub async fn leave(&self) {
        if self.is_own {
            // It idles out by itself.
            let _ = self.client.close_live_session(self.id()).await;
        }
    }
}

fn complete(command: LiveCommandV3) -> anyhow::Result<LiveCommandV3> {
    if command.is_complete() {
        return Ok(command);
    }
    let text = if command.result_desc.is_empty() { command.status } else { command.result_desc };
    Err(Failed { name: command.name, code: command.result_code, text }.into())
}

/// The session of a device, and whether nobody else has it open.
async fn enter(client: &Client, device: u32, wait_s: u64) -> anyhow::Result<(LiveSessionV3, bool)> {
    let is_own = client.live_sessions().await?.iter().all(|session| session.sensor_id != device);
    let mut session = client.open_live_session(device, wait_s).await?;
    while session.status == "PENDING" {
        session = client.settled_live_session(&session.id).await.map_err(|error| match error.status() {
            Some(NOT_FOUND) => anyhow::anyhow!(
                "the sensor did not come within {wait_s} s; to leave a command for it: --when-online -- COMMAND"
            ),
            _ => error.into(),
        })?;
    }
    if session.status != "ACTIVE" && session.status != "INACTIVE" {
        return Err(anyhow::anyhow!("session {} is {}", session.id, session.status)).context("somebody closed it");
    }
    Ok((session, is_own))
}

/// How far a transfer is; nothing where nobody looks.
pub fn meter(what: &str, length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {bytes}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(crate::show::safe(what))
}
