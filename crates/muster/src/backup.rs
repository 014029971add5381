//! `muster backup`: a copy of a data directory, while its server runs or not.

use crate::cli::DataDirArg;
use crate::exit::Usage;
use crate::show;
use crate::up::environment;
use anyhow::Context as _;
use muster_server::sealing;
use muster_store::Store;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The database, which is copied by itself, and what belongs to the running processes alone.
const NOT_COPIED: [&str; 7] =
    ["muster.db", "muster.db-wal", "muster.db-shm", crate::data_dir::LOCK_FILE, "env.new", "sensor", "sensor.log"];

/// Folders in folders that are followed; a data directory has fewer.
const DEPTH_MAX: usize = 16;

/// What opens the rest, which a backup is without unless it is asked for: the key of what is sealed, and a key of the API.
const KEYS: [&str; 2] = [sealing::KEY_FILE, environment::FILE];

/// What to copy where.
#[derive(clap::Args)]
pub struct BackupArgs {
    /// New directory for the copy
    to: PathBuf,
    /// Copy the sealing key and the file env, too: whoever has such a copy has everything
    #[arg(long)]
    with_keys: bool,
    #[command(flatten)]
    data_dir: DataDirArg,
}

/// Copies the database as it is at one moment, then every other file. Files are
/// only ever added by a server, so what the database names is there.
///
/// # Errors
///
/// If the directory exists, or the file system says no; nothing is left behind then.
pub fn run(args: &BackupArgs) -> anyhow::Result<()> {
    let from = &args.data_dir.data_dir;
    let database = from.join("muster.db");
    if !database.exists() {
        return Err(Usage(format!("{} is not a data directory: it has no muster.db", from.display())).into());
    }
    let made = fs::DirBuilder::new().mode(0o700).create(&args.to);
    made.with_context(|| format!("cannot make the new directory {}", args.to.display()))?;
    let left_out: &[&str] = if args.with_keys { &[] } else { &KEYS };
    let top: Vec<&str> = NOT_COPIED.iter().chain(left_out).copied().collect();
    let copied = Store::backup_file(&database, &args.to.join("muster.db"))
        .map_err(anyhow::Error::from)
        .and_then(|()| copy_folder(from, &args.to, &top, DEPTH_MAX));
    if let Err(error) = copied {
        // Half a backup must not be taken for one.
        let _ = fs::remove_dir_all(&args.to);
        return Err(error.context(format!("no backup was made of {}", from.display())));
    }
    show::line(format_args!(
        "Copied {} to {}: database, private CA, payloads and artifacts.",
        from.display(),
        args.to.display()
    ));
    show::line(said_of_keys(from, args.with_keys));
    Ok(())
}

/// Whether the copy can be read by whoever finds it, and what it takes to restore it.
fn said_of_keys(from: &Path, with_keys: bool) -> String {
    let key = from.join(sealing::KEY_FILE);
    match (key.exists(), with_keys) {
        (true, true) => "The sealing key and an API key (env) are in it: keep it as you keep a root password.".to_owned(),
        (true, false) => format!(
            "Its records are sealed, and the key is not in it: keep {} apart from it, and put it back to restore. What sensors \
             told, payloads and artifacts are in the clear.",
            key.display()
        ),
        (false, _) => "Its records are sealed if the server's are; the key is not in the data directory, so not in it: keep it where \
                       the server has it. What sensors told, payloads and artifacts are in the clear."
            .to_owned(),
    }
}

/// Copies what is in a folder but the entries of these names.
fn copy_folder(from: &Path, to: &Path, not: &[&str], depth: usize) -> anyhow::Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if not.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if kind.is_dir() && depth > 0 {
            fs::DirBuilder::new().mode(0o700).create(&target)?;
            copy_folder(&source, &target, &[], depth - 1)?;
        } else if kind.is_file() {
            copy_file(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = match fs::File::open(from) {
        Ok(source) => source,
        // Deleted since the folder was read.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = source.metadata()?.permissions().mode() & 0o700;
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    std::io::copy(&mut source, &mut target)?;
    target.sync_all()
}
