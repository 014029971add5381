//! The command line: what there is, and where each part is carried out.

use crate::connection::{self, Global};
use crate::duration::parse_seconds;
use crate::{
    backup, console, doctor, event, exit, extension, file, job, key, live, organization, output, profile,
    reliable_task, rotate_keys, rule, sensor, serve, service, sync, tag, task, up, user,
};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;

/// Hold an order for every endpoint until that endpoint can carry it out.
///
/// Start everything on this machine:
///
///   muster up
///
/// Then, from another shell in the same directory:
///
///   muster sensors
///   muster task SID 'os_version'
///   muster reliable-task create 'os_version' --selector 'plat==linux' --watch
///   muster events --follow
#[derive(Parser)]
#[command(name = "muster", version, verbatim_doc_comment, after_help = exit::HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Start everything on this machine: server, keys, one local sensor
    ///
    /// On a new directory it tells by an example what it does, then stays up until Ctrl-C.
    /// Later it resumes with the same organization, keys and sensors. DIR/env is a file that
    /// a shell can source; clients of the published API then work without further settings.
    ///
    ///   muster up
    ///   muster up --data-dir /srv/muster --listen 0.0.0.0:8443 --no-sensor
    ///   muster up --listen 127.0.0.1:0 --http 127.0.0.1:0     # any free ports; DIR/env tells which
    #[command(verbatim_doc_comment)]
    Up(up::UpArgs),
    /// Run a server for good, set up by a file
    ///
    ///   muster serve --config /etc/muster/muster.toml
    #[command(verbatim_doc_comment)]
    Serve(serve::ServeArgs),
    /// Copy a data directory, while its server runs or not
    ///
    /// The copy is a data directory itself, but for its keys: to restore, put sealing.key into it and start a server on it.
    ///
    ///   muster backup /backup/muster-2026-01-31
    ///   install -m 600 /safe/place/sealing.key /backup/muster-2026-01-31/
    ///   muster up --data-dir /backup/muster-2026-01-31
    #[command(verbatim_doc_comment)]
    Backup(backup::BackupArgs),
    /// Make new keys for tokens and credentials, while the server serves
    ///
    /// API keys stay what they are, and so do tokens until they expire. The 15 keys of before are remembered: credentials
    /// that are older than that are not known any more, and the answer says so.
    ///
    ///   muster rotate-keys
    ///   muster rotate-keys --end-tokens      # after a backup and its key got into wrong hands
    #[command(verbatim_doc_comment)]
    RotateKeys(rotate_keys::RotateKeysArgs),
    /// Check store, certificates, ports, disk and clock, and say what to do
    Doctor(doctor::DoctorArgs),
    /// List sensors
    ///
    ///   muster sensors --selector 'plat == linux and "vip" in tags' --online
    #[command(verbatim_doc_comment)]
    Sensors(sensor::ListArgs),
    /// One sensor: show, delete, isolate, rejoin, seal, unseal
    #[command(subcommand)]
    Sensor(sensor::SensorVerb),
    /// Send a command to one sensor that is online, and show its answers
    ///
    ///   muster task SID 'os_version'
    ///   muster task SID 'dir_list /etc *' --wait 10s --json
    #[command(verbatim_doc_comment)]
    Task(task::TaskArgs),
    /// A session with one endpoint, now: files, processes, registry, memory
    ///
    ///   muster live SENSOR
    ///   muster live SENSOR -- ls /var/log          # one command; its status is that of this one
    ///   muster live SENSOR -- exec /usr/bin/id
    ///   muster live SENSOR --when-online -- put tool /tmp/tool '&&' exec /tmp/tool '&&' get /tmp/found
    ///   muster live transcript 3:17
    #[command(verbatim_doc_comment)]
    Live(live::LiveArgs),
    /// Commands for many endpoints, held until each can carry them out
    #[command(subcommand, visible_alias = "rt")]
    ReliableTask(reliable_task::ReliableTaskVerb),
    /// Detection and response rules: test, lint, replay, convert, list, get, set, delete
    #[command(subcommand)]
    Rule(rule::RuleVerb),
    /// Show events: as they happen, or kept ones of a sensor
    ///
    ///   muster events --follow
    ///   muster events --sid SID --since 1h --type NEW_PROCESS
    #[command(verbatim_doc_comment)]
    Events(event::EventArgs),
    /// Show what rules detected: as it happens, or kept detections
    ///
    ///   muster detections --since 1h
    ///   muster detections --follow --category NAME
    #[command(verbatim_doc_comment)]
    Detections(event::DetectionArgs),
    /// Show who changed what
    Audit(event::AuditArgs),
    /// Tags of sensors: add, remove, list, find
    #[command(subcommand)]
    Tag(tag::TagVerb),
    /// API keys: list, create, delete
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Installation keys: list, get, create, delete
    #[command(subcommand)]
    InstallKey(key::InstallKeyVerb),
    /// Outputs: where streams are sent
    #[command(subcommand)]
    Output(output::OutputVerb),
    /// Jobs: what services say of their work
    #[command(subcommand)]
    Job(job::JobVerb),
    /// Services: programs of yours and of others that the server calls; try out those that you write
    #[command(subcommand)]
    Service(service::ServiceVerb),
    /// Extensions: register, subscribe, ask, configure; try out those that you write
    #[command(subcommand)]
    Extension(extension::ExtensionVerb),
    /// The configuration as a file: pull it, push it
    #[command(subcommand)]
    Sync(sync::SyncVerb),
    /// Print a one-time link that signs you in to the web console
    ///
    /// It works once, within 15 minutes. On a server that nobody signed in to yet it makes the first user.
    ///
    ///   muster console --open
    ///   muster console --data-dir /srv/muster --user ana@example.org
    #[command(verbatim_doc_comment)]
    Console(console::ConsoleArgs),
    /// Payloads: files that tasks bring to endpoints
    #[command(subcommand)]
    Payload(file::PayloadVerb),
    /// Artifacts: files that came from endpoints
    #[command(subcommand)]
    Artifact(file::ArtifactVerb),
    /// Show the organization, or make another one
    ///
    ///   muster org
    ///   muster org create NAME    (with the key of a user)
    #[command(verbatim_doc_comment)]
    Org {
        /// What to do; nothing shows the organization
        #[command(subcommand)]
        verb: Option<organization::OrgVerb>,
    },
    /// Users of the organization and their keys: list, add, role, remove, key, keys, delete-key
    #[command(subcommand)]
    User(user::UserVerb),
    /// Show who the API key belongs to
    Whoami,
    /// Print a fresh token, for example for curl
    ///
    ///   curl -H "Authorization: bearer $(muster token)" "$LC_API_URL/v1/who"
    #[command(verbatim_doc_comment)]
    Token {
        /// How long it is valid (default: an hour)
        #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
        validity: Option<u64>,
    },
    /// Servers and keys that are used often
    #[command(subcommand)]
    Profile(profile::ProfileVerb),
    /// Print the completion script of a shell
    ///
    ///   source <(muster completion bash)
    ///   muster completion zsh > ~/.zfunc/_muster
    #[command(verbatim_doc_comment)]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    SensorProcess(up::local_sensor::ProcessArgs),
}

/// Carries the command line out.
///
/// # Errors
///
/// Whatever went wrong; [`exit::code_of`] tells the exit code.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    let global = cli.global;
    match cli.verb {
        // Its own runtime is as small as that of muster-sensor.
        Verb::SensorProcess(args) => up::local_sensor::run_process(&args),
        Verb::Backup(args) => backup::run(&args),
        Verb::RotateKeys(args) => rotate_keys::run(&args),
        Verb::Profile(verb) => profile::run(verb, &global),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut script);
            crate::show::line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        verb => tokio::runtime::Runtime::new()?.block_on(run_waiting(verb, global)),
    }
}

async fn run_waiting(verb: Verb, global: Global) -> anyhow::Result<()> {
    let json = global.json;
    match verb {
        Verb::Up(args) => return up::run(args).await,
        Verb::Serve(args) => return serve::run(&args).await,
        Verb::Doctor(args) => return doctor::run(&args, json).await,
        // It may be about another data directory than the one that all else is about.
        Verb::Console(args) => return console::run(&args, &global).await,
        // Some of it needs no server, and so no credentials.
        Verb::Rule(verb) => return rule::run(verb, &global).await,
        Verb::Service(verb) => return service::run(verb, &global).await,
        Verb::Extension(verb) => return extension::run(verb, &global).await,
        _ => {}
    }
    let client = connection::client(&global)?;
    match verb {
        Verb::Sensors(args) => sensor::list(args, &client, json).await,
        Verb::Sensor(verb) => sensor::run(verb, &client, json).await,
        Verb::Task(args) => task::run(args, &client, json).await,
        Verb::Live(args) => live::run(args, &client, json).await,
        Verb::ReliableTask(verb) => reliable_task::run(verb, &client, json).await,
        Verb::Events(args) => event::run(args, &client, json).await,
        Verb::Detections(args) => event::detections(args, &client, json).await,
        Verb::Audit(args) => event::audit(args, &client, json).await,
        Verb::Tag(verb) => tag::run(verb, &client, json).await,
        Verb::Key(verb) => key::run(verb, &client, json).await,
        Verb::InstallKey(verb) => key::run_install(verb, &client, json).await,
        Verb::Output(verb) => output::run(verb, &client, json).await,
        Verb::Job(verb) => job::run(verb, &client, json).await,
        Verb::Sync(verb) => sync::run(verb, &client, json).await,
        Verb::Payload(verb) => file::run_payload(verb, &client, json).await,
        Verb::Artifact(verb) => file::run_artifact(verb, &client, json).await,
        Verb::Org { verb: None } => organization::show_organization(&client, json).await,
        Verb::Org { verb: Some(verb) } => organization::run(verb, &client, json).await,
        Verb::User(verb) => user::run(verb, &client, json).await,
        Verb::Whoami => organization::whoami(&client, json).await,
        Verb::Token { validity } => organization::token(&client, validity, json).await,
        // Carried out above, without a client.
        Verb::Up(_) | Verb::Serve(_) | Verb::Doctor(_) | Verb::Backup(_) | Verb::RotateKeys(_) => Ok(()),
        Verb::Profile(_) | Verb::Rule(_) => Ok(()),
        Verb::Console(_) | Verb::Completion { .. } | Verb::SensorProcess(_) | Verb::Service(_) | Verb::Extension(_) => {
            Ok(())
        }
    }
}

/// Where a data directory is, for commands that work on one.
#[derive(clap::Args)]
pub struct DataDirArg {
    /// Data directory of the server
    #[arg(long, value_name = "DIR", env = "MUSTER_DATA_DIR", default_value = "./muster-data")]
    pub data_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clap checks itself only when asked: conflicting names, missing requirements, wrong defaults.
    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Scripts and guides hold these lines; they must stay valid.
    #[test]
    fn published_lines_are_understood() {
        let lines = [
            "muster up --data-dir d --listen 127.0.0.1:0 --http 127.0.0.1:0 --no-sensor",
            "muster reliable-task create os_version --selector plat==linux --watch",
            "muster sensors --online --json",
            "muster task SID os_version --wait 30",
            "muster live 5",
            "muster live 5 --wait 1m -- exec /bin/ls -l",
            "muster live 5 --when-online --ttl 1d -- ps && get /x",
            "muster live transcript 1:2 --json",
            "muster events --follow",
            "muster events --sid 5 --since 1h --type NEW_PROCESS",
            "muster tag add vip --sid SID --ttl 1h",
            "muster tag add vip --selector * --yes",
            "muster org create other",
            "muster user add eve@example.com --role Operator",
            "muster user key eve@example.com --name laptop",
            "muster sensor isolate SID SID --yes --wait",
            "muster sensor seal --selector * --wait=10m",
            "muster reliable-task create os_version --yes",
            "muster key create ci --permissions sensor.list,sensor.task",
            "muster output create o --module syslog --type event --set dest_host=h:1",
            "muster sync pull --only outputs,hives/fp",
            "muster sync push org.yaml --force --no-dry-run --yes",
            "muster console --data-dir d --open --user a@b",
            "muster user create a@b --role Viewer",
            "muster user role a@b Operator",
            "muster user delete a@b --yes",
            "muster backup to --data-dir d",
            "muster serve --config f",
            "muster completion bash",
            "muster rule test a.yaml b.json --json",
            "muster rule lint a.yaml --strict",
            "muster rule replay a.yaml --events e.jsonl --trace",
            "muster rule replay a.yaml --sid 5 --start 1 --end 2",
            "muster rule replay --stored my-rule --selector plat==linux --since 7d",
            "muster rule convert --name ext-reliable-tasking --no-dry-run --yes",
            "muster rule convert --file a.yaml b.yaml",
            "muster rule set my-rule a.yaml --enable --namespace managed",
            "muster rule delete my-rule --yes",
            "muster service simulate http://h health --secret-file f --with-token",
            "muster service simulate http://h request --data {} --json",
            "muster extension simulate http://h request greet --data {} --config {} --plain",
            "muster extension simulate http://h heartbeat",
            "muster extension register e --url http://h --no-secret --permission org.get --public --allow-private",
            "muster extension request e greet {} --json",
            "muster extension config set e file.json",
            "muster extension config get e",
            "muster extension schema e",
        ];
        for line in lines.map(|line| line.replace("SID", "6e5c9b9e-3d6a-4d53-9d5f-6a5d4c3b2a10")) {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        assert!(Cli::try_parse_from(["muster", "tag", "add", "vip"]).is_err(), "a tag needs sensors");
    }
}
