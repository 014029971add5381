//! `muster serve`: a server for good; and what it shares with `muster up`.

mod settings;

use crate::data_dir::DataDir;
use crate::show;
use crate::stop::StopSignals;
use crate::up::environment::{self, Environment};
use crate::up::identity;
use anyhow::{Error, anyhow, bail};
use muster_server::config::Config;
use muster_server::{Server, StartError};
use settings::Settings;
use std::path::PathBuf;

/// How a server is set up.
#[derive(clap::Args)]
pub struct ServeArgs {
    /// TOML file; docs/muster.toml describes every option. Each option NAME can also be
    /// given as the variable `MUSTER_NAME`, those of [limits] as `MUSTER_LIMITS_NAME`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the file, and print what would be used
    #[arg(long)]
    check: bool,
    /// Make a new private CA if that of this data directory is gone; every sensor must then enrol again
    #[arg(long)]
    new_authority: bool,
}

/// Runs until a signal stops it.
///
/// # Errors
///
/// Whatever is wrong with the file, or keeps the server from starting.
pub async fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let settings = Settings::read(&args.config, &|name| std::env::var(name).ok())?;
    for warning in settings.warnings() {
        eprintln!("warning: {warning}");
    }
    if args.check {
        show::line(toml::to_string(&settings)?.trim_end());
        return Ok(());
    }
    let mut signals = StopSignals::new()?;
    let data_dir = DataDir::take(&settings.data_dir)?;
    let before = Environment::read(&data_dir.path)?;
    let config = Config { new_authority: args.new_authority, ..settings.config(data_dir.path.clone()) };
    let server = Server::start(config).await.map_err(explain_start)?;
    let identity = identity::ensure(&server.app, before.as_ref()).await?;
    crate::up::environment_of(&server, &identity, &data_dir.path).write(&data_dir.path)?;
    show::line(format_args!("muster {} serves on {}", env!("CARGO_PKG_VERSION"), server.bound.tls));
    if identity.is_new {
        let path = data_dir.path.join(environment::FILE);
        show::line(format_args!("The first organization and its API key are in {}", path.display()));
    }
    let store = server.app.store.clone();
    let is_lost = tokio::select! {
        () = signals.received() => false,
        () = store.lost() => true,
    };
    drop(store);
    stop(server).await;
    if is_lost {
        bail!(
            "another server has taken over from this one, or its storage broke down amid a change; what is stored is \
             whole. Start this one again if no other is to serve"
        );
    }
    Ok(())
}

/// Says what to do about a server that did not start.
pub fn explain_start(error: StartError) -> Error {
    let advice = match &error {
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            "another program has that port: stop it, or choose another address (port 0 picks a free one)"
        }
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose a higher one"
        }
        _ => return error.into(),
    };
    anyhow!(error).context(advice)
}

/// Stops a server and closes its store, so that one tidy file is left behind.
pub async fn stop(server: Server) {
    let store = server.app.store.clone();
    server.stop().await;
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}
