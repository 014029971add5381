//! muster: hold an order for every endpoint until that endpoint can carry it out.
//!
//! This is the operators' program: it runs a server (`up`, `serve`), looks after
//! one (`backup`, `doctor`), and calls one through [`muster_client`] (all else).

#![forbid(unsafe_code)]

mod backup;
mod cli;
mod confirm;
mod connection;
mod console;
mod data_dir;
mod doctor;
mod duration;
mod event;
mod exit;
mod extension;
mod file;
mod job;
mod key;
mod live;
mod organization;
mod output;
mod profile;
mod program;
mod reach;
mod reliable_task;
mod rotate_keys;
mod rule;
mod sensor;
mod serve;
mod service;
mod show;
mod simulate;
mod stop;
mod sync;
mod tag;
mod task;
mod up;
mod user;

use clap::Parser as _;
use std::process::ExitCode;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            let _ = help.print();
            return if help.use_stderr() { ExitCode::from(exit::WRONG_REQUEST) } else { ExitCode::SUCCESS };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| "warn".into());
    // What prints whole frames, and so the secrets of enrolments, is silent at any level.
    let secrets = filter_fn(|metadata| !metadata.target().contains("tungstenite"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).finish().with(secrets).init();
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster: {}", show::safe(&format!("{error:#}")));
            if let Some(advice) = exit::advice(&error) {
                eprintln!("        {advice}");
            }
            ExitCode::from(exit::code_of(&error))
        }
    }
}
