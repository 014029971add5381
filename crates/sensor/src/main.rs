//! The `muster-sensor` program.

mod arguments;

use muster_model::causes;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Action, Arguments};
use muster_sensor::agent::RUNNING_MAX;
use muster_sensor::executor::HANGING_MAX;
use muster_sensor::platform::installation::Installation;
use muster_sensor::platform::{files, service_manager};
use muster_sensor::sensor::{self, Config, delay};
use muster_sensor::state_dir::StateDir;
use muster_sensor::{health, identity};
use muster_wire::InstallationKey;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Commands recurse nowhere; this holds their buffers.
const THREAD_STACK_BYTES: usize = 512 * 1024;
/// The tasks that run at the same time, those that hang, and some for names and files.
const BLOCKING_THREADS_MAX: usize = RUNNING_MAX + HANGING_MAX + 4;
/// One link, some pipes of commands, signals.
const IO_EVENTS_PER_TICK: usize = 64;

fn main() -> ExitCode {
    let read = arguments::parse(std::env::args_os().skip(1), |name| std::env::var(name).ok());
    match read.and_then(|arguments| act(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("muster-sensor: {text}");
            ExitCode::FAILURE
        }
    }
}

fn act(arguments: &Arguments) -> Result<(), String> {
    let installation = || Installation::new(&arguments.root, &arguments.state_dir);
    match &arguments.action {
        Action::Help => print!("{}", arguments::help()),
        Action::Version => println!("muster-sensor {}", env!("CARGO_PKG_VERSION")),
        Action::Health => println!("{:#}", health::report(&arguments.state_dir)),
        Action::Status => {
            let path = sensor::status_file(&arguments.state_dir);
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{text}");
        }
        Action::Delay => {
            let begun = StateDir::open(&arguments.state_dir).and_then(|dir| delay::begin(&dir));
            begun.map_err(|error| format!("{}: {error}", arguments.state_dir.display()))?;
        }
        Action::Install(key) => {
            let key = installation_key(Some(key), None)?
                .ok_or("there is no installation key: see --help for where it is looked up")?;
            installation().install(&key).map_err(|error| causes(&error))?;
        }
        Action::Upgrade => installation().upgrade().map_err(|error| causes(&error))?,
        Action::Uninstall { is_clean } => installation().remove(*is_clean).map_err(|error| causes(&error))?,
        Action::Run(key) if arguments.is_service => {
            let (key, arguments) = (key.clone(), arguments.clone());
            return service_manager::serve(move || run(key.as_deref(), &arguments));
        }
        Action::Run(key) => return run(key.as_deref(), arguments),
    }
    Ok(())
}

fn run(key: Option<&str>, arguments: &Arguments) -> Result<(), String> {
    start_log(arguments);
    let config = Config {
        key: installation_key(key, Some(&arguments.state_dir))?,
        state_dir: arguments.state_dir.clone(),
        backoff: backoff(),
        history_bytes: arguments.history_bytes,
        proxy: std::env::var("LC_PROXY").ok().filter(|proxy| !proxy.is_empty() && proxy != "!"),
        crash_at: test_number("MUSTER_TEST_CRASH_AT"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .max_io_events_per_tick(IO_EVENTS_PER_TICK)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| error.to_string())?;
    let ended = runtime.block_on(sensor::run(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended.map_err(|error| causes(&error))
}

/// `RUST_LOG` may give levels by module; its patterns for fields are not understood,
/// because what reads them would be a tenth of the sensor. What prints whole frames, and so
/// the secret of an enrolment, is silent at any level.
fn start_log(arguments: &Arguments) {
    let level = if arguments.is_verbose { "debug" } else { "info" };
    let given = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let targets = given.or_else(|| level.parse().ok()).unwrap_or_default();
    let writer = if arguments.is_service { service_manager::log() } else { BoxMakeWriter::new(std::io::stderr) };
    let is_seen = !arguments.is_service && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_seen);
    let secrets = filter_fn(|metadata| !metadata.target().contains("tungstenite"));
    tracing_subscriber::registry().with(targets).with(secrets).with(lines).init();
}

/// The key that was given, or is found where keys are looked up; an installed sensor has it in its state directory.
fn installation_key(given: Option<&str>, state_dir: Option<&Path>) -> Result<Option<InstallationKey>, String> {
    let text = match given {
        Some(text) if text != "-" => Some(text.to_owned()),
        _ => std::env::var("LC_INSTALLATION_KEY")
            .or_else(|_| std::env::var("MUSTER_INSTALL_KEY"))
            .ok()
            .or_else(|| key_file(Path::new("lc_installation_key.txt")))
            .or_else(|| std::fs::read_to_string(state_dir?.join(identity::KEY_FILE)).ok()),
    };
    text.map(|text| InstallationKey::from_text(&text)).transpose().map_err(|error| error.to_string())
}

/// The key in a file of the working directory, unless someone else could have put it there: whoever names the
/// server has the endpoint.
fn key_file(path: &Path) -> Option<String> {
    if path.exists() && !files::is_trusted(path) {
        eprintln!(
            "muster-sensor: {} in the working directory is not used: it must be a file of this user or root, and \
             neither it nor the directory may be writable for others",
            path.display()
        );
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// First wait before connecting again; `MUSTER_TEST_BACKOFF_MS` shortens it for tests.
fn backoff() -> Duration {
    test_number("MUSTER_TEST_BACKOFF_MS").map_or(Duration::from_secs(1), Duration::from_millis)
}

fn test_number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    std::env::var(variable).ok()?.parse().ok()
}
