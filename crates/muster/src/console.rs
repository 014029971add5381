//! `muster console`: a link into the web console.

use crate::connection::{self, Global};
use crate::exit::Usage;
use crate::profile::Profile;
use crate::show;
use crate::up::environment::{self, Environment};
use anyhow::Context as _;
use muster_client::{Client, LinkPurpose, NewLink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Variable of `DIR/env` that holds the address of the console.
pub const URL_VARIABLE: &str = "MUSTER_CONSOLE_URL";

/// Arguments of `muster console`.
#[derive(clap::Args)]
pub struct ConsoleArgs {
    /// Data directory of a `muster up` (default: the server that other commands use)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Open it in the browser of this machine
    #[arg(long)]
    pub open: bool,
    /// Whom it signs in (default: the only user there is)
    #[arg(long, value_name = "EMAIL")]
    pub user: Option<String>,
}

/// Prints, and opens if asked to, a one-time link.
///
/// # Errors
///
/// Whatever the server says; if there are several users and none is named.
pub async fn run(args: &ConsoleArgs, global: &Global) -> anyhow::Result<()> {
    let (profile, root) = server(args, global)?;
    let client = connection::of_profile(profile)?;
    let link = match &args.user {
        Some(user) => client.console_link(Some((user, LinkPurpose::SignIn))).await?,
        None => for_only_user(&client).await?,
    };
    let url = format!("{root}{}", link.path);
    if global.json {
        let mut value = serde_json::to_value(&link)?;
        value["url"] = url.clone().into();
        show::json(&value);
    } else {
        show::line(&url);
        eprintln!("It {}, once, within 15 minutes.", what_it_does(&link));
    }
    if args.open { open(&url) } else { Ok(()) }
}

fn what_it_does(link: &NewLink) -> String {
    match link.purpose {
        LinkPurpose::NewUser => "makes a user who may do everything".to_owned(),
        LinkPurpose::Password => format!("lets {} choose a password", show::safe(&link.user)),
        LinkPurpose::SignIn => format!("signs {} in", show::safe(&link.user)),
    }
}

/// The server, and the root of its addresses.
fn server(args: &ConsoleArgs, global: &Global) -> anyhow::Result<(Profile, String)> {
    let Some(data_dir) = &args.data_dir else {
        let (profile, source) = connection::resolve(global)?;
        let named = match source {
            connection::Source::Environment => std::env::var(URL_VARIABLE).ok(),
            connection::Source::DataDir(file) => {
                Environment::read_file(&file)?.and_then(|found| found.get(URL_VARIABLE).map(str::to_owned))
            }
            _ => None,
        };
        let root = root_of(named.as_deref().unwrap_or(&profile.url));
        return Ok((profile, root));
    };
    let found = Environment::read(data_dir)?.with_context(|| {
        format!("{} is not there: is {} the data directory of a `muster up`?", environment::FILE, data_dir.display())
    })?;
    let profile = connection::of_environment(&|name| found.get(name).map(str::to_owned));
    let profile =
        profile.with_context(|| format!("{} holds no API key", data_dir.join(environment::FILE).display()))?;
    let root = root_of(found.get(URL_VARIABLE).unwrap_or(&profile.url));
    Ok((profile, root))
}

/// Scheme and host of an address.
fn root_of(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/console").unwrap_or(url).to_owned()
}

async fn for_only_user(client: &Client) -> anyhow::Result<NewLink> {
    match client.users_with_password().await?.as_slice() {
        [] => Ok(client.console_link(None).await?),
        [one] => Ok(client.console_link(Some((one, LinkPurpose::SignIn))).await?),
        several => {
            let names = show::safe(&several.join(", "));
            Err(Usage(format!("there are several users; say which one with --user: {names}")).into())
        }
    }
}

fn open(url: &str) -> anyhow::Result<()> {
    let opened =
        Command::new("xdg-open").arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => {
            Err(anyhow::anyhow!("xdg-open could not open a browser on this machine; open the link yourself"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_both_kinds_of_addresses_is_the_same() {
        assert_eq!(root_of("http://127.0.0.1:8080/console/"), "http://127.0.0.1:8080");
        assert_eq!(root_of("https://muster.example:8443"), "https://muster.example:8443");
    }
}
