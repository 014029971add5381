//! Arguments that several commands share, and the bounds of numbers.

use crate::{Argument, Element, Kind, Rule};

/// Process and thread ids are unsigned 32-bit numbers on every platform.
const ID_MAX: i64 = u32::MAX as i64;
/// Directory levels: no platform has paths with more components.
const DEPTH_MAX: i64 = 2_048;
/// A century: longer retention overflows nothing but means "for ever" to nobody.
const RETENTION_DAYS_MAX: i64 = 36_500;
/// A day: what runs longer belongs to the endpoint's own scheduler.
pub(super) const TIMEOUT_SECONDS_MAX: i64 = 86_400;
/// A year: collection for longer belongs to the profile.
pub(super) const EXPIRE_SECONDS_MAX: i64 = 31_536_000;
/// A hundred times the size at which captures are cut and sent, in megabytes.
pub(super) const CAPTURE_MEGABYTES_MAX: i64 = 3_000;

pub(super) const ANY: Kind = Kind::Number(0, i64::MAX);
pub(super) const ID: Kind = Kind::Number(0, ID_MAX);
/// A process id, or -1 for all processes.
pub(super) const ID_OR_ALL: Kind = Kind::Number(-1, ID_MAX);
pub(super) const EPP_TYPES: Kind = Kind::Choice(&["extension", "path", "process"]);

/// Process id, also by position.
pub(super) const PID: Argument = Argument::new("pid", "PID", ID).short('p').or_positional();
/// Atom of a process; wins over the process id.
pub(super) const ATOM: Argument = Argument::new("processatom", "ATOM", Kind::Atom).short('a').also(&["atom"]);
/// Goes with [`PID`] and [`ATOM`].
pub(super) const PID_OR_ATOM: Rule = Rule::AtLeastOne(&["pid", "processatom"]);

pub(super) const FILE: Argument =
    Argument::text("file", "FILE").short('f').also(&["file-path"]).required().positional();
pub(super) const DEPTH: Argument = Argument::new("depth", "DEPTH", Kind::Number(0, DEPTH_MAX)).short('d');
pub(super) const ROOT_DIR: Argument = Argument::text("root-dir", "ROOTDIR").also(&["dir-path"]).required().positional();
/// The vendor requires it; here it is `*` when only the directory is given.
pub(super) const FILE_EXP: Argument =
    Argument::text("file-exp", "FILEEXP").also(&["file-pattern"]).or("*").positional();
pub(super) const HASHES: Argument = Argument::list("hash", "DIGEST", Element::Digest);
pub(super) const IGNORE_CERT: Argument = Argument::flag("is-ignore-cert");
pub(super) const DAYS_RETENTION: Argument =
    Argument::new("days-retention", "DAYS", Kind::Number(1, RETENTION_DAYS_MAX)).or("30");
pub(super) const CONFIRMED: Argument = Argument::flag("is-confirmed").required();
pub(super) const EVENT: Argument = Argument::new("event", "EVENT", Kind::Event);
pub(super) const FIM_PATTERNS: Argument =
    Argument::list("pattern", "PATTERN", Element::Text).also(&["file-path"]).required().or_positional();
pub(super) const USB_SERIALS: Argument = Argument::list("usb", "SERIAL", Element::Text).required();
pub(super) const REGISTRY_PATH: Argument =
    Argument::new("reg", "REG", Kind::Registry).also(&["reg-path"]).required().positional();
pub(super) const EPP_VALUE: Argument = Argument::text("value", "VALUE").required().positional();
pub(super) const EPP_TYPE: Argument = Argument::new("type", "TYPE", EPP_TYPES).short('t').required();
pub(super) const IFACE: Argument = Argument::text("iface", "NAME");
pub(super) const RULE: Argument = Argument::text("rule", "RULE").required().positional();
