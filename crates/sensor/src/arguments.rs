//! The command line of `muster-sensor`. Source: reference/sensor.md section 3.
//!
//! Read with a small parser: the usual ones are a fifth of the memory that an idle
//! sensor may take.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};
use muster_sensor::platform::installation;

/// Bytes of history unless told, in MiB.
const HISTORY_MIB: u64 = 60;

/// Defaults are those of the system.
const HELP: &str = "\
The muster sensor: carries out tasks of its server on this endpoint

Usage: muster-sensor run [--key KEY] [OPTIONS]    run in the foreground until stopped
       muster-sensor status [OPTIONS]             print the status file of the sensor on the state directory
       muster-sensor ACTION [OPTIONS]

Actions:
  -i, --install KEY       Install this program as a service that enrols with KEY, and start it
  -d, --deployment KEY    Run in the foreground with KEY, as `run --key KEY` does
  -u, --upgrade           Replace the installed program by this one; the old one comes back if this does not start
  -r, --uninstall         Remove the service; the identity stays, so that a later install is the same sensor
  -c, --uninstall-clean   Remove the service and everything that it has stored
  -t, --vdi               Do not enrol within the next 24 hours (for images that are to be cloned)
  -H, --health            Print a report of how this sensor stands, as JSON
  -w, --service           Run under the service manager, with the stored identity
  -V, --version           Print the version
  -h, --help              Print this

KEY is an installation key; `-` looks it up in LC_INSTALLATION_KEY or MUSTER_INSTALL_KEY, then in
lc_installation_key.txt in the working directory. What is given on the command line is visible to everyone on the
machine while the program runs.

Options:
      --key KEY           With `run`: the installation key for the first enrolment
      --state-dir DIR     Directory for identity, journal and spool [env: LC_DATA_DIRECTORY] [default: {STATE_DIR}]
      --history-mib N     Size of the local history of events, in MiB [default: 60]
      --root DIR          With -i, -u, -r, -c: work on the system under DIR (an image), and start nothing [default: {ROOT}]
  -v, --verbose           Write more to the log [env: LC_VERBOSE]

Environment: LC_PROXY (host:port of an HTTP proxy; `!` for none), DISABLE_NETLINK (poll processes),
RUST_LOG (levels of the log, for example `info,muster_sensor=debug`).
";

/// What `--help` prints.
#[must_use]
pub fn help() -> String {
    HELP.replace("{STATE_DIR}", installation::STATE_DIR).replace("{ROOT}", installation::SYSTEM_ROOT)
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run, with this key for the first enrolment.
    Run(Option<String>),
    /// Print the status file.
    Status,
    /// Print the report.
    Health,
    /// Put enrolment off.
    Delay,
    /// Install as a service with this key.
    Install(String),
    /// Replace the installed program.
    Upgrade,
    /// Remove the service; all that it stored as well if `is_clean`.
    Uninstall { is_clean: bool },
    /// Print help.
    Help,
    /// Print the version.
    Version,
}

/// A whole command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What is asked for.
    pub action: Action,
    /// Identity, journal and spool.
    pub state_dir: PathBuf,
    /// Bytes of local history.
    pub history_bytes: u64,
    /// Where the system to install on is.
    pub root: PathBuf,
    /// Run under the service manager.
    pub is_service: bool,
    /// More in the log.
    pub is_verbose: bool,
}

/// Reads a command line (without the name of the program); `variable` gives the environment.
///
/// # Errors
///
/// A text that says what is wrong with it.
pub fn parse(
    line: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Arguments, String> {
    let mut parser = Parser::from_args(line);
    let (mut action, mut key) = (None, None);
    let is_true = |text: String| !["", "0", "f", "false", "n", "no", "off"].contains(&text.to_lowercase().as_str());
    let mut read = Arguments {
        action: Action::Help,
        state_dir: variable("LC_DATA_DIRECTORY")
            .filter(|dir| !dir.is_empty())
            .unwrap_or(installation::STATE_DIR.to_owned())
            .into(),
        history_bytes: HISTORY_MIB * 1024 * 1024,
        root: installation::SYSTEM_ROOT.into(),
        is_service: false,
        is_verbose: variable("LC_VERBOSE").is_some_and(is_true),
    };
    let words = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(words)? {
        let wanted = match argument {
            Arg::Long("key") => {
                key = Some(text(&mut parser)?);
                continue;
            }
            Arg::Long("state-dir") => {
                read.state_dir = parser.value().map_err(words)?.into();
                continue;
            }
            Arg::Long("history-mib") => {
                let mib: u64 = parser.value().and_then(|value| value.parse()).map_err(words)?;
                read.history_bytes = mib.saturating_mul(1024 * 1024);
                continue;
            }
            Arg::Long("root") => {
                read.root = parser.value().map_err(words)?.into();
                continue;
            }
            Arg::Short('v') | Arg::Long("verbose") => {
                read.is_verbose = true;
                continue;
            }
            Arg::Value(word) if word == "run" => Action::Run(None),
            Arg::Value(word) if word == "status" => Action::Status,
            Arg::Short('d') | Arg::Long("deployment") => Action::Run(Some(text(&mut parser)?)),
            Arg::Short('w') | Arg::Long("service") => {
                read.is_service = true;
                Action::Run(None)
            }
            Arg::Short('i') | Arg::Long("install") => Action::Install(text(&mut parser)?),
            Arg::Short('u') | Arg::Long("upgrade") => Action::Upgrade,
            Arg::Short('r') | Arg::Long("uninstall") => Action::Uninstall { is_clean: false },
            Arg::Short('c') | Arg::Long("uninstall-clean") => Action::Uninstall { is_clean: true },
            Arg::Short('t') | Arg::Long("vdi") => Action::Delay,
            Arg::Short('H') | Arg::Long("health") => Action::Health,
            Arg::Short('V') | Arg::Long("version") => Action::Version,
            Arg::Short('h') | Arg::Long("help") => Action::Help,
            other => return Err(format!("{} (see --help)", other.unexpected())),
        };
        if action.replace(wanted).is_some() {
            return Err("only one thing can be asked for at a time (see --help)".to_owned());
        }
    }
    read.action = match (action, key) {
        (Some(Action::Run(None)), key) => Action::Run(key),
        (Some(_), Some(_)) => return Err("--key belongs to `run` (see --help)".to_owned()),
        (Some(action), None) => action,
        (None, _) => return Err("say what to do: muster-sensor run --key KEY --state-dir DIR (see --help)".to_owned()),
    };
    Ok(read)
}

fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split(' ').map(OsString::from), |_| None)
    }

    #[test]
    fn each_form_means_what_the_published_one_does() {
        let action = |line: &str| parsed(line).unwrap().action;
        assert_eq!(action("run --key K --state-dir /s"), Action::Run(Some("K".into())));
        assert_eq!(action("-d K"), Action::Run(Some("K".into())));
        assert_eq!(action("--deployment=-"), Action::Run(Some("-".into())));
        assert_eq!(action("-i - --root /image"), Action::Install("-".into()));
        assert_eq!(action("-w --state-dir /s"), Action::Run(None));
        assert_eq!(action("-r"), Action::Uninstall { is_clean: false });
        assert_eq!(action("--uninstall-clean"), Action::Uninstall { is_clean: true });
        assert_eq!(parsed("status --state-dir /s --history-mib 2").unwrap().history_bytes, 2 << 20);
    }

    #[test]
    fn lines_that_say_nothing_or_too_much_are_refused() {
        for line in ["--state-dir /s", "-r -c", "-i", "run extra", "-u --key K", "run --history-mib x", "--unknown"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_environment_sets_directory_and_verbosity() {
        let line = || [OsString::from("-H")];
        let set = parse(line(), |name| Some(if name == "LC_VERBOSE" { "yes" } else { "/data" }.into())).unwrap();
        assert_eq!((set.state_dir.as_path(), set.is_verbose), (std::path::Path::new("/data"), true));
        let unset = parse(line(), |name| (name == "LC_VERBOSE").then(|| "0".into())).unwrap();
        assert_eq!(
            (unset.state_dir.as_path(), unset.is_verbose),
            (std::path::Path::new(installation::STATE_DIR), false)
        );
    }
}
