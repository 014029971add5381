//! One entry for each command, sorted by name.
//!
//! Source: reference/commands.md section 5, the master table and the table of
//! accepted arguments; details from section 6. `dir_find`, `file_grep` and
//! `container_list` have no published syntax: theirs is muster's, and so is `batch`.

use muster_model::Platform;

use super::arguments::*;
use crate::{Argument, Confirm, Element, Kind, Reply, Rule, Spec};

const W: Platform = Platform::WINDOWS;
const M: Platform = Platform::MACOS;
const L: Platform = Platform::LINUX;
const C: Platform = Platform::CHROME;

pub(super) static SPECS: &[Spec] = &[
    Spec::new("artifact_get", &[W, M, L], Reply::Receipt)
        .does("upload a file of any size to the artifact store")
        .uploads()
        .takes(&[
            Argument::text("file", "FILE").short('f').required().or_positional(),
            Argument::text("type", "TYPE"),
            Argument::text("payload-id", "ID"),
            DAYS_RETENTION,
            IGNORE_CERT,
            // Obsolete: accepted so that old lines keep working, without effect.
            Argument::text("source", "SOURCE"),
        ]),
    Spec::new("batch", &[W, M, L], Reply::Event("BATCH_REP"))
        .does("carry out command lines one after the other, until one fails")
        .takes(&[Argument::list("line", "LINE", Element::Text).required().positional()]),
    Spec::new("container_list", &[L], Reply::Event("CONTAINER_LIST_REP")).does("list containers of all known engines"),
    Spec::new("deny_tree", &[W, M, L], Reply::Receipt)
        .does("kill processes with all their descendants, present and future")
        .takes(&[Argument::list("atom", "ATOM", Element::Atom).required().positional()]),
    Spec::new("dir_find", &[W, M, L], Reply::Event("DIR_FIND_REP"))
        .does("find files by size, modification time and digest")
        .takes(&[
            DEPTH.or("0"),
            Argument::new("min-size", "BYTES", ANY),
            Argument::new("max-size", "BYTES", ANY),
            Argument::new("modified-after", "MS", ANY),
            Argument::new("modified-before", "MS", ANY),
            HASHES,
            ROOT_DIR,
            FILE_EXP,
        ]),
    Spec::new("dir_find_hash", &[W, M, L], Reply::Event("DIR_FINDHASH_REP")).does("find files by digest").takes(&[
        DEPTH.or("0"),
        HASHES.required(),
        ROOT_DIR,
        FILE_EXP,
    ]),
    Spec::new("dir_list", &[W, M, L], Reply::Event("DIR_LIST_REP")).does("list a directory").takes(&[
        DEPTH.or("0"),
        ROOT_DIR,
        FILE_EXP,
    ]),
    Spec::new("dlp_status", &[W, M, L], Reply::Event("DLP_STATUS_REP")).does("tell how USB storage is controlled"),
    Spec::new("dlp_usb_add", &[W, M, L], Reply::Event("DLP_USB_ADD_SERIAL_REP"))
        .does("allow USB storage by serial number")
        .takes(&[USB_SERIALS]),
    Spec::new("dlp_usb_enforcing", &[W, M, L], Reply::Event("DLP_SET_ENFORCING_REP"))
        .does("block USB storage that is not allowed"),
    Spec::new("dlp_usb_permissive", &[W, M, L], Reply::Event("DLP_SET_PERMISSIVE_REP"))
        .does("report USB storage without blocking it"),
    Spec::new("dlp_usb_rem", &[W, M, L], Reply::Event("DLP_USB_REM_SERIAL_REP"))
        .does("no longer allow USB storage by serial number")
        .takes(&[USB_SERIALS]),
    Spec::new("dns_resolve", &[W, M, L, C], Reply::Receipt)
        .does("resolve a domain name with the endpoint's resolver")
        .takes(&[Argument::text("domain", "DOMAIN").also(&["hostname"]).required().positional()]),
    Spec::new("doc_cache_get", &[W, M, L], Reply::Event("GET_DOCUMENT_REP"))
        .does("get documents from the endpoint's cache")
        .takes(&[
            Argument::new("pattern", "PATTERN", Kind::PatternOr("hash"))
                .short('f')
                .also(&["file-pattern"])
                .or_positional(),
            Argument::new("hash", "DIGEST", Kind::Digest).short('s'),
        ]),
    Spec::new("epp_add_exclusion", &[W, M], Reply::Event("EPP_ADD_EXCLUSION_REP"))
        .does("exclude something from the anti-malware scanner")
        .takes(&[EPP_VALUE, EPP_TYPE]),
    Spec::new("epp_list_exclusions", &[W, M], Reply::Event("EPP_LIST_EXCLUSIONS_REP"))
        .does("list what the anti-malware scanner excludes"),
    Spec::new("epp_list_quarantine", &[W, M], Reply::Event("EPP_LIST_QUARANTINE_REP"))
        .does("list what the anti-malware scanner holds"),
    Spec::new("epp_rem_exclusion", &[W, M], Reply::Event("EPP_REM_EXCLUSION_REP"))
        .does("remove an exclusion from the anti-malware scanner")
        .takes(&[EPP_VALUE, EPP_TYPE]),
    Spec::new("epp_scan", &[W, M], Reply::Event("EPP_SCAN_REP"))
        .does("scan a path with the anti-malware scanner")
        .takes(&[Argument::text("path", "PATH").also(&["file-path"]).required().positional()]),
    Spec::new("epp_status", &[W, M], Reply::Event("EPP_STATUS_REP")).does("tell the state of the anti-malware scanner"),
    Spec::new("exfil_add", &[W, M, L], Reply::Receipt)
        .does("send events of a type for some seconds, or those which a watch finds")
        .takes(&[
            Argument::new("expire", "SECONDS", Kind::Number(1, EXPIRE_SECONDS_MAX)).short('e').or("600"),
            Argument::new("operator", "OP", Kind::Choice(&["is", "contains", "starts with", "ends with"])),
            Argument::text("path", "PATH"),
            Argument::new("value", "VALUE", Kind::FreeText),
            EVENT.required().positional(),
        ])
        .rules(&[Rule::Together(&["operator", "path", "value"])]),
    Spec::new("exfil_del", &[W, M, L], Reply::Receipt)
        .does("stop sending events of a type")
        .takes(&[EVENT.also(&["id"]).required().positional()]),
    Spec::new("exfil_get", &[W, M, L], Reply::Event("GET_EXFIL_EVENT_REP")).does("list event types added by hand"),
    Spec::new("file_del", &[W, M, L], Reply::Event("FILE_DEL_REP")).does("delete a file").takes(&[FILE]),
    Spec::new("file_get", &[W, M, L], Reply::Event("FILE_GET_REP")).does("get a small file, or a part of one").takes(
        &[
            Argument::new("offset", "OFFSET", ANY).short('o').or("0"),
            Argument::new("max-size", "MAXSIZE", ANY).short('s').also(&["size"]),
            FILE,
        ],
    ),
    Spec::new("file_grep", &[W, M, L], Reply::Event("FILE_GREP_REP")).does("search files for literal bytes").takes(&[
        DEPTH.or("0"),
        Argument::list("pattern", "TEXT", Element::Text).short('s').required(),
        Argument::flag("no-content"),
        ROOT_DIR,
        Argument::text("file-exp", "FILEEXP").also(&["file-pattern"]).required().positional(),
    ]),
    Spec::new("file_hash", &[W, M, L], Reply::Event("FILE_HASH_REP"))
        .does("compute digests of a file")
        .takes(&[Argument::flag("all"), FILE]),
    Spec::new("file_info", &[W, M, L], Reply::Event("FILE_INFO_REP")).does("describe a file").takes(&[FILE]),
    Spec::new("file_mov", &[W, M, L], Reply::Event("FILE_MOV_REP")).does("move a file").takes(&[
        Argument::text("src", "SRC").also(&["src-path"]).required().positional(),
        Argument::text("dst", "DST").also(&["dst-path"]).required().positional(),
    ]),
    Spec::new("fim_add", &[W, M, L], Reply::Event("FIM_ADD")).does("watch files by pattern").takes(&[FIM_PATTERNS]),
    Spec::new("fim_del", &[W, M, L], Reply::Event("FIM_REMOVE"))
        .does("no longer watch files by pattern")
        .takes(&[FIM_PATTERNS]),
    Spec::new("fim_get", &[W, M, L], Reply::Event("FIM_LIST_REP")).does("list patterns of watched files"),
    Spec::new("get_debug_data", &[W, M, L], Reply::Event("DEBUG_DATA_REP")).does("tell the state of the sensor itself"),
    Spec::new("hidden_module_scan", &[W, L], Reply::Stream("HIDDEN_MODULE_DETECTED"))
        .does("look for code that the loader does not know; -1 for all processes")
        .takes(&[Argument::new("pid", "PID", ID_OR_ALL).short('p').or("-1").positional()]),
    Spec::new("history_dump", &[W, M, L, C], Reply::Event("HISTORY_DUMP_REP"))
        .does("send events again that the sensor still holds")
        .takes(&[
            Argument::new("rootatom", "ROOTATOM", Kind::Atom).short('r'),
            Argument::new("atom", "ATOM", Kind::Atom).short('a'),
            EVENT.short('e'),
        ]),
    Spec::new("logoff", &[W, M, L], Reply::Notification).does("end all user sessions").takes(&[CONFIRMED]),
    Spec::new("mem_find_handle", &[W, L], Reply::Event("MEM_FIND_HANDLES_REP"))
        .does("find open handles by a part of their name")
        .takes(&[Argument::text("needle", "NEEDLE").required().positional()]),
    Spec::new("mem_find_string", &[W, M, L], Reply::Event("MEM_FIND_STRING_REP"))
        .does("find strings in the memory of a process; 0 for all processes")
        .takes(&[
            Argument::list("strings", "STR", Element::Text).short('s').also(&["string"]).required(),
            PID.required().positional(),
        ]),
    Spec::new("mem_handles", &[W, L], Reply::Event("MEM_HANDLES_REP"))
        .does("list open handles of a process; 0 for all processes")
        .takes(&[PID, ATOM])
        .rules(&[PID_OR_ATOM]),
    Spec::new("mem_map", &[W, M, L], Reply::Event("MEM_MAP_REP"))
        .does("list memory regions of a process")
        .takes(&[PID, ATOM])
        .rules(&[PID_OR_ATOM]),
    Spec::new("mem_read", &[W, M, L], Reply::Event("MEM_READ_REP"))
        .does("read memory of a process")
        .takes(&[
            PID,
            ATOM,
            Argument::new("base-address", "BASEADDR", Kind::Address).required().positional(),
            Argument::new("size", "SIZE", Kind::Size).required().positional(),
        ])
        .rules(&[PID_OR_ATOM]),
    Spec::new("mem_strings", &[W, M, L], Reply::Event("MEM_STRINGS_REP"))
        .does("list strings in the memory of a process")
        .takes(&[PID, ATOM])
        .rules(&[PID_OR_ATOM]),
    Spec::new("netstat", &[W, M, L], Reply::Event("NETSTAT_REP")).does("list network connections and listeners"),
    Spec::new("network_summary", &[W, M, L], Reply::Event("NETWORK_SUMMARY")).does("summarise network activity"),
    Spec::new("os_autoruns", &[W, M, L], Reply::Event("OS_AUTORUNS_REP")).does("list what starts by itself"),
    Spec::new("os_drivers", &[W, L], Reply::Event("OS_DRIVERS_REP")).does("list drivers or kernel modules"),
    Spec::new("os_kill_process", &[W, M, L], Reply::Event("OS_KILL_PROCESS_REP"))
        .does("kill a process")
        .takes(&[PID, ATOM])
        .rules(&[PID_OR_ATOM]),
    Spec::new("os_packages", &[W, M, L, C], Reply::Event("OS_PACKAGES_REP")).does("list installed packages"),
    Spec::new("os_processes", &[W, M, L], Reply::Event("OS_PROCESSES_REP"))
        .does("list processes")
        .takes(&[Argument::new("pid", "PID", ID).short('p'), Argument::flag("is-no-modules")]),
    Spec::new("os_resume", &[W, M, L], Reply::Event("OS_RESUME_REP"))
        .does("let a suspended process continue")
        .takes(&[PID, ATOM, Argument::new("tid", "TID", ID).short('t')])
        .rules(&[PID_OR_ATOM]),
    Spec::new("os_services", &[W, M, L], Reply::Event("OS_SERVICES_REP")).does("list services"),
    Spec::new("os_suspend", &[W, M, L], Reply::Event("OS_SUSPEND_REP"))
        .does("suspend a process")
        .takes(&[PID, ATOM, Argument::new("tid", "TID", ID).short('t')])
        .rules(&[PID_OR_ATOM]),
    Spec::new("os_users", &[W, L], Reply::Event("OS_USERS_REP")).does("list user accounts"),
    Spec::new("os_version", &[W, M, L], Reply::Event("OS_VERSION_REP")).does("tell the version of the system"),
    Spec::new("pcap_ifaces", &[L], Reply::Event("PCAP_LIST_INTERFACES_REP")).does("list interfaces to capture from"),
    Spec::new("pcap_start", &[L], Reply::Event("PCAP_START_REP")).does("start a packet capture").takes(&[
        IFACE.required(),
        Argument::new("max-size", "MB", Kind::Number(1, CAPTURE_MEGABYTES_MAX)),
        Argument::text("filter", "BPF"),
        DAYS_RETENTION,
    ]),
    Spec::new("pcap_stop", &[L], Reply::Event("PCAP_STOP_REP")).does("stop a packet capture").takes(&[IFACE]),
    Spec::new("put", &[W, M, L], Reply::Receipt).does("write a payload to a file").takes(&[
        Argument::text("payload-name", "NAME").required().or_positional(),
        Argument::text("payload-path", "PATH"),
        IGNORE_CERT,
    ]),
    Spec::new("reboot", &[W, M, L], Reply::Notification)
        .does("restart the endpoint at once")
        .takes(&[CONFIRMED])
        .confirmed(Confirm::NotifiedOrDropped),
    Spec::new("reg_get", &[W], Reply::Event("REGISTRY_GET_REP"))
        .does("get a registry value")
        .takes(&[REGISTRY_PATH, Argument::new("name", "NAME", Kind::FreeText).positional()]),
    Spec::new("reg_list", &[W], Reply::Event("REGISTRY_LIST_REP"))
        .does("list a registry key")
        .takes(&[REGISTRY_PATH, DEPTH.or("0")]),
    Spec::new("rejoin_network", &[W, M, L, C], Reply::Event("REJOIN_NETWORK"))
        .does("end the isolation of the endpoint"),
    Spec::new("restart", &[W, M, L], Reply::Nothing).does("restart the sensor").confirmed(Confirm::Written),
    Spec::new("run", &[W, M, L], Reply::Receipt)
        .does("run a payload or a shell command")
        // Of long output, the whole.
        .uploads()
        .takes(&[
            Argument::text("payload-name", "NAME"),
            Argument::new("arguments", "ARGS", Kind::FreeText),
            Argument::text("shell-command", "CMD").also(&["command"]).or_positional(),
            Argument::new("timeout", "SEC", Kind::Number(1, TIMEOUT_SECONDS_MAX)).or("60"),
            IGNORE_CERT,
            Argument::text("interpreter", "INT"),
            Argument::text("user", "NAME"),
        ])
        .rules(&[Rule::ExactlyOne(&["payload-name", "shell-command"])]),
    Spec::new("seal", &[W, L], Reply::Receipt)
        .does("protect the sensor against tampering, or end that; enables unless told otherwise")
        .takes(&[Argument::flag("enable"), Argument::flag("disable")])
        .rules(&[Rule::AtMostOne(&["enable", "disable"])]),
    Spec::new("segregate_network", &[W, M, L, C], Reply::Event("SEGREGATE_NETWORK"))
        .does("isolate the endpoint from all but this server"),
    Spec::new("set_performance_mode", &[W, M, L], Reply::Receipt)
        .does("choose high throughput over low latency")
        .takes(&[Argument::flag("is-enabled")]),
    Spec::new("shutdown", &[W, M, L], Reply::Notification)
        .does("switch the endpoint off at once")
        .takes(&[CONFIRMED])
        .confirmed(Confirm::NotifiedOrDropped),
    // Answers with a receipt when the sensor's own procedure runs to its end.
    Spec::new("uninstall", &[W, M, L], Reply::Receipt)
        .does("remove the sensor from the endpoint")
        .takes(&[CONFIRMED, Argument::flag("msi"), Argument::flag("native")])
        .confirmed(Confirm::NotifiedOrDropped),
    Spec::new("upgrade_core", &[W, M, L], Reply::Nothing)
        .does("replace the sensor by another version")
        .takes(&[
            Argument::flag("beta").required(),
            Argument::flag("force"),
            Argument::new("version", "X.Y.Z", Kind::Version),
        ])
        .confirmed(Confirm::Written),
    Spec::new("usb_list_keys", &[W, M, L], Reply::Event("USB_KEY_LIST_REP")).does("list USB storage"),
    Spec::new("yara_scan", &[W, M, L], Reply::Stream("YARA_DETECTION"))
        .does("scan processes or files with a YARA rule")
        .takes(&[
            Argument::new("pid", "PID", ID_OR_ALL).short('p'),
            Argument::text("filePath", "FILE").short('f').also(&["file"]),
            Argument::text("processExpr", "PROCEXPR").short('e'),
            Argument::text("root-dir", "ROOTDIR").short('r').also(&["dir-path"]),
            Argument::text("file-exp", "FILEEXP").short('x').also(&["file-pattern"]).or("*"),
            DEPTH.or("0"),
            Argument::flag("is-memory-only"),
            Argument::flag("is-no-validation"),
            RULE,
            // A file or a directory: the sensor looks which.
            Argument::text("target", "TARGET").or_positional(),
        ])
        .rules(&[Rule::AtMostOne(&["pid", "filePath", "processExpr", "root-dir", "target"])]),
    Spec::new("yara_update", &[W, M, L], Reply::Receipt).does("replace the rules of constant scanning").takes(&[RULE]),
];
