//! The master table of reference/commands.md section 5: each command parses in
//! its canonical syntax, with everything and with as little as allowed, and
//! has the platforms and the answer which the table gives.

use muster_command::{Arguments, Command, CommandError, Confirm, Need, Place, Reply, aliases, commands, find};
use muster_model::{Architecture, Platform};

const A: &str = "0123456789abcdef0123456789abcdef";
const H: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Command, platforms, reply, lines. `A` stands for an atom, `H` for a digest.
/// Platforms marked "(L ours)" or documented inconsistently are included.
const ROWS: &[(&str, &str, Reply, &[&str])] = &[
    ("artifact_get", "WML", Reply::Receipt, &["--file f --type T --payload-id ID --days-retention 9 --is-ignore-cert"]),
    ("batch", "WML", Reply::Event("BATCH_REP"), &["os_version", "os_version netstat"]),
    ("container_list", "L", Reply::Event("CONTAINER_LIST_REP"), &[""]),
    ("deny_tree", "WML", Reply::Receipt, &["A", "A A"]),
    ("dir_find", "WML", Reply::Event("DIR_FIND_REP"), &["/a *", "-d 3 --min-size 1 --modified-after 5 --hash H /a *"]),
    ("dir_find_hash", "WML", Reply::Event("DIR_FINDHASH_REP"), &["-d 1 --hash H /a *", "--hash H H /a *"]),
    ("dir_list", "WML", Reply::Event("DIR_LIST_REP"), &["/a *", "-d 1 /a *"]),
    ("dlp_status", "WML", Reply::Event("DLP_STATUS_REP"), &[""]),
    ("dlp_usb_add", "WML", Reply::Event("DLP_USB_ADD_SERIAL_REP"), &["--usb S", "--usb S T"]),
    ("dlp_usb_enforcing", "WML", Reply::Event("DLP_SET_ENFORCING_REP"), &[""]),
    ("dlp_usb_permissive", "WML", Reply::Event("DLP_SET_PERMISSIVE_REP"), &[""]),
    ("dlp_usb_rem", "WML", Reply::Event("DLP_USB_REM_SERIAL_REP"), &["--usb S", "--usb S T"]),
    ("dns_resolve", "WMLC", Reply::Receipt, &["example.com"]),
    ("doc_cache_get", "WML", Reply::Event("GET_DOCUMENT_REP"), &["", "-f *.pdf -s H"]),
    ("epp_add_exclusion", "WM", Reply::Event("EPP_ADD_EXCLUSION_REP"), &["v -t extension", "v -t path"]),
    ("epp_list_exclusions", "WM", Reply::Event("EPP_LIST_EXCLUSIONS_REP"), &[""]),
    ("epp_list_quarantine", "WM", Reply::Event("EPP_LIST_QUARANTINE_REP"), &[""]),
    ("epp_rem_exclusion", "WM", Reply::Event("EPP_REM_EXCLUSION_REP"), &["v -t process"]),
    ("epp_scan", "WM", Reply::Event("EPP_SCAN_REP"), &["/a"]),
    ("epp_status", "WM", Reply::Event("EPP_STATUS_REP"), &[""]),
    ("exfil_add", "WML", Reply::Receipt, &["-e 60 NEW_PROCESS"]),
    ("exfil_del", "WML", Reply::Receipt, &["NEW_PROCESS"]),
    ("exfil_get", "WML", Reply::Event("GET_EXFIL_EVENT_REP"), &[""]),
    ("file_del", "WML", Reply::Event("FILE_DEL_REP"), &["/a"]),
    ("file_get", "WML", Reply::Event("FILE_GET_REP"), &["/a", "-o 1 -s 2 /a"]),
    ("file_grep", "WML", Reply::Event("FILE_GREP_REP"), &["--pattern p q /a *", "-d 1 -s p --no-content /a *"]),
    ("file_hash", "WML", Reply::Event("FILE_HASH_REP"), &["/a", "--all /a"]),
    ("file_info", "WML", Reply::Event("FILE_INFO_REP"), &["/a"]),
    ("file_mov", "WML", Reply::Event("FILE_MOV_REP"), &["/a /b"]),
    ("fim_add", "WML", Reply::Event("FIM_ADD"), &["--pattern p", "--pattern p q"]),
    ("fim_del", "WML", Reply::Event("FIM_REMOVE"), &["--pattern p", "--pattern p q"]),
    ("fim_get", "WML", Reply::Event("FIM_LIST_REP"), &[""]),
    ("get_debug_data", "WML", Reply::Event("DEBUG_DATA_REP"), &[""]),
    ("hidden_module_scan", "WL", Reply::Stream("HIDDEN_MODULE_DETECTED"), &["4", "-1"]),
    ("history_dump", "WMLC", Reply::Event("HISTORY_DUMP_REP"), &["", "-r A -a A -e FILE_DELETE"]),
    ("logoff", "WML", Reply::Notification, &["--is-confirmed"]),
    ("mem_find_handle", "WL", Reply::Event("MEM_FIND_HANDLES_REP"), &["needle"]),
    ("mem_find_string", "WML", Reply::Event("MEM_FIND_STRING_REP"), &["-s s 0", "-s s t -s u 4"]),
    ("mem_handles", "WL", Reply::Event("MEM_HANDLES_REP"), &["-p 0", "-a A"]),
    ("mem_map", "WML", Reply::Event("MEM_MAP_REP"), &["--pid 4", "--processatom A", "-p 4 -a A"]),
    ("mem_read", "WML", Reply::Event("MEM_READ_REP"), &["-p 4 1000 20", "-a A 1000 20"]),
    ("mem_strings", "WML", Reply::Event("MEM_STRINGS_REP"), &["-p 4", "-a A"]),
    ("netstat", "WML", Reply::Event("NETSTAT_REP"), &[""]),
    ("network_summary", "WML", Reply::Event("NETWORK_SUMMARY"), &[""]),
    ("os_autoruns", "WML", Reply::Event("OS_AUTORUNS_REP"), &[""]),
    ("os_drivers", "WL", Reply::Event("OS_DRIVERS_REP"), &[""]),
    ("os_kill_process", "WML", Reply::Event("OS_KILL_PROCESS_REP"), &["-p 4", "-a A"]),
    ("os_packages", "WMLC", Reply::Event("OS_PACKAGES_REP"), &[""]),
    ("os_processes", "WML", Reply::Event("OS_PROCESSES_REP"), &["", "-p 4 --is-no-modules"]),
    ("os_resume", "WML", Reply::Event("OS_RESUME_REP"), &["-p 4", "-a A -t 5"]),
    ("os_services", "WML", Reply::Event("OS_SERVICES_REP"), &[""]),
    ("os_suspend", "WML", Reply::Event("OS_SUSPEND_REP"), &["-p 4", "-a A -t 5"]),
    ("os_users", "WL", Reply::Event("OS_USERS_REP"), &[""]),
    ("os_version", "WML", Reply::Event("OS_VERSION_REP"), &[""]),
    ("pcap_ifaces", "L", Reply::Event("PCAP_LIST_INTERFACES_REP"), &[""]),
    ("pcap_start", "L", Reply::Event("PCAP_START_REP"), &["--iface i --max-size 9 --filter f --days-retention 2"]),
    ("pcap_stop", "L", Reply::Event("PCAP_STOP_REP"), &["", "--iface i"]),
    ("put", "WML", Reply::Receipt, &["--payload-name n", "--payload-name n --payload-path /a --is-ignore-cert"]),
    ("reboot", "WML", Reply::Notification, &["--is-confirmed"]),
    ("reg_get", "W", Reply::Event("REGISTRY_GET_REP"), &[r"hku\a", r"hkcc\a n"]),
    ("reg_list", "W", Reply::Event("REGISTRY_LIST_REP"), &["hkcr", r"hkcu\a --depth 2"]),
    ("rejoin_network", "WMLC", Reply::Event("REJOIN_NETWORK"), &[""]),
    ("restart", "WML", Reply::Nothing, &[""]),
    (
        "run",
        "WML",
        Reply::Receipt,
        &["--shell-command c", "--payload-name n --arguments a --timeout 5 --is-ignore-cert --interpreter i"],
    ),
    ("seal", "WL", Reply::Receipt, &["", "--enable", "--disable"]),
    ("segregate_network", "WMLC", Reply::Event("SEGREGATE_NETWORK"), &[""]),
    ("set_performance_mode", "WML", Reply::Receipt, &["", "--is-enabled"]),
    ("shutdown", "WML", Reply::Notification, &["--is-confirmed"]),
    ("uninstall", "WML", Reply::Receipt, &["--is-confirmed", "--is-confirmed --msi --native"]),
    ("upgrade_core", "WML", Reply::Nothing, &["--beta", "--beta --force --version 1.22.333"]),
    ("usb_list_keys", "WML", Reply::Event("USB_KEY_LIST_REP"), &[""]),
    (
        "yara_scan",
        "WML",
        Reply::Stream("YARA_DETECTION"),
        &["r", "-p 4 --is-memory-only r", "-f /a --is-no-validation r", "-e *x r", "-r /a -x *.so -d 2 r"],
    ),
    ("yara_update", "WML", Reply::Receipt, &["r"]),
];

fn lines() -> impl Iterator<Item = (&'static str, String)> {
    ROWS.iter().flat_map(|(name, _, _, lines)| lines.iter().map(move |line| (*name, format!("{name} {line}")))).map(
        |(name, line)| {
            let tokens = line.split(' ').map(|token| match token {
                "A" => A,
                "H" => H,
                other => other,
            });
            (name, tokens.collect::<Vec<_>>().join(" "))
        },
    )
}

#[test]
fn the_table_holds_exactly_these_commands() {
    let expected: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
    assert!(expected.is_sorted());
    assert_eq!(commands().iter().map(|spec| spec.name).collect::<Vec<_>>(), expected);
}

#[test]
fn each_canonical_syntax_parses() {
    for (name, line) in lines() {
        let command = Command::parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(command.spec.name, name);
    }
}

#[test]
fn platforms_and_answers_are_those_of_the_table() {
    let letters = [('W', Platform::WINDOWS), ('M', Platform::MACOS), ('L', Platform::LINUX), ('C', Platform::CHROME)];
    for (name, platforms, reply, _) in ROWS {
        let spec = find(name).unwrap_or_else(|| panic!("{name} is missing"));
        for (letter, platform) in letters {
            assert_eq!(spec.supports(platform, Architecture::X64), platforms.contains(letter), "{name} {letter}");
            assert!(!spec.supports(platform, Architecture::USP_ADAPTER), "{name}: adapters carry out nothing");
        }
        assert!(!spec.supports(Platform::JSON, Architecture::X64));
        assert_eq!(spec.reply, *reply, "{name}");
        assert_eq!(spec.request(), format!("{}_REQ", name.to_uppercase()));
    }
}

#[test]
fn commands_that_cut_the_connection_say_when_they_are_confirmed() {
    let cutting: Vec<_> =
        commands().iter().filter(|spec| spec.cuts_connection()).map(|spec| (spec.name, spec.confirm)).collect();
    let expected = [
        ("reboot", Confirm::NotifiedOrDropped),
        ("restart", Confirm::Written),
        ("shutdown", Confirm::NotifiedOrDropped),
        ("uninstall", Confirm::NotifiedOrDropped),
        ("upgrade_core", Confirm::Written),
    ];
    assert_eq!(cutting, expected);
}

#[test]
fn what_only_asks_for_confirmation_is_refused_without() {
    for name in ["logoff", "reboot", "shutdown", "uninstall"] {
        for line in [name.to_owned(), format!("{name} --is-confirmed=false")] {
            assert_eq!(Command::parse(&line).unwrap_err().to_string(), "--is-confirmed is required");
        }
    }
}

#[test]
fn run_and_put_name_their_payload() {
    let payload = |line: &str| {
        let command = Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        command.payloads().next().map(str::to_owned)
    };
    assert_eq!(payload("run --payload-name tool.sh").as_deref(), Some("tool.sh"));
    assert_eq!(payload("put tool.sh").as_deref(), Some("tool.sh"));
    assert_eq!(payload("run id"), None);
    let with_payload =
        |name: &&str| find(name).is_some_and(|spec| spec.options.iter().any(|option| option.name == "payload-name"));
    assert_eq!(ROWS.iter().map(|row| row.0).filter(|name| with_payload(name)).collect::<Vec<_>>(), ["put", "run"]);
}

/// Faults that a new entry could bring in and no line above would show.
#[test]
fn entries_are_consistent() {
    let loose = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    for spec in commands() {
        let mut names: Vec<String> = Vec::new();
        for option in spec.options {
            names.extend(option.short.map(String::from));
            names.extend(std::iter::once(&option.name).chain(option.aliases).map(|name| loose(name)));
            assert!(option.name.len() > 1 && option.short != Some('h'), "{} {}", spec.name, option.name);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}: two arguments share a name", spec.name);
        for name in spec.rules.iter().flat_map(|rule| rule.names()) {
            assert!(spec.options.iter().any(|option| option.name == *name), "{}: {name}", spec.name);
        }
        let needs: Vec<bool> = spec
            .options
            .iter()
            .filter(|option| option.place == Place::Positional)
            .map(|option| option.need == Need::Required)
            .collect();
        assert!(needs.is_sorted_by(|one, next| one >= next), "{}: required after optional", spec.name);
        assert!(!spec.summary.is_empty() && spec.usage().contains(spec.summary), "{}", spec.name);
    }
    for (alias, name) in aliases() {
        assert_eq!(find(alias).map(|spec| spec.name), Some(name));
    }
}

#[test]
fn defaults_are_values() {
    for (_, line) in lines() {
        let Command { spec, arguments, .. } = Command::parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for option in spec.options {
            if matches!(option.need, Need::Default(_)) {
                assert!(arguments.has(option.name), "{line}: {}", option.name);
            }
        }
    }
    assert!(!Arguments::default().has("pid"));
}

#[test]
fn a_batch_needs_what_its_lines_need() {
    let line = r#"batch "put a --payload-path /a" 'reg_list hklm' "run --payload-name 'b c'""#;
    let batch = Command::parse(line).unwrap();
    assert_eq!(batch.steps.iter().map(|step| step.spec.name).collect::<Vec<_>>(), ["put", "reg_list", "run"]);
    assert_eq!(batch.payloads().collect::<Vec<_>>(), ["a", "b c"]);
    assert!(batch.uploads() && !Command::parse("batch netstat").unwrap().uploads());
    assert!(batch.supports(Platform::WINDOWS, Architecture::X64));
    assert_eq!(batch.require_support(Platform::LINUX, Architecture::X64), Err(CommandError::UnsupportedForPlatform));
    for (line, wanted) in [
        ("batch", "LINE is required"),
        ("batch netstat 'fly away'", "error processing LINE: fly away: unknown command: fly"),
        ("batch 'put'", "error processing LINE: put: --payload-name is required"),
        ("batch 'batch netstat'", "error processing LINE: batch cannot be part of a batch"),
        ("batch restart", "error processing LINE: restart cannot be part of a batch"),
        ("batch 'reboot --is-confirmed' netstat", "error processing LINE: reboot cannot be part of a batch"),
    ] {
        assert_eq!(Command::parse(line).unwrap_err().to_string(), wanted, "{line}");
    }
    let long = format!("batch{}", " netstat".repeat(65));
    assert!(Command::parse(&long).unwrap_err().to_string().ends_with("a batch has at most 64 lines"));
}
