//! Protection of the sensor's own program, as far as Linux can.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::installation::UNIT;

/// Where packages put programs and units. Anything else is somebody's working copy,
/// which must stay changeable.
const INSTALLED: &[&str] = &["/usr/", "/opt/", "/etc/systemd/"];

/// Makes program and unit immutable, or changeable again; gives what was not possible.
#[must_use]
pub fn protect(is_sealed: bool) -> Vec<String> {
    let own = std::env::current_exe().into_iter();
    let files = own
        .chain([PathBuf::from(UNIT)])
        .filter(|path| path.exists() && INSTALLED.iter().any(|prefix| path.starts_with(prefix)));
    let failed = files.filter_map(|path| {
        let changed = File::open(&path).and_then(|file| {
            let flags = ioctl_getflags(&file)?;
            let wanted = if is_sealed { flags | IFlags::IMMUTABLE } else { flags - IFlags::IMMUTABLE };
            Ok(ioctl_setflags(&file, wanted)?)
        });
        changed.err().map(|error| format!("{}: {error}", path.display()))
    });
    failed.collect()
}
