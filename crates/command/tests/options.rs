//! The option rules of reference/commands.md section 3 and the accepted
//! arguments of section 5, by what a line comes to mean.

use muster_command::{Arguments, Command, CommandError, find};

const ATOM: &str = "0123456789ABCDEF0123456789abcdef";
const ATOM_KEPT: &str = "0123456789abcdef0123456789abcdef";
const SHA256: &str = "AB000000000000000000000000000000000000000000000000000000000000cd";
const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

fn parse(line: &str) -> Arguments {
    Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).arguments
}

fn fails(line: &str) -> String {
    match Command::parse(line) {
        Ok(command) => panic!("{line} parses: {command:?}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn same(lines: &[&str]) {
    let first = Command::parse(lines[0]).unwrap_or_else(|error| panic!("{}: {error}", lines[0]));
    for line in &lines[1..] {
        let other = Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!((first.spec.name, &first.arguments), (other.spec.name, &other.arguments), "{line}");
    }
}

#[test]
fn rule_1_options_and_positionals_mix() {
    same(&["dir_list -d 2 /a b", "dir_list /a -d 2 b", "dir_list /a b -d 2", "dir_list -d 2 -- /a b"]);
    let dashed = parse("file_mov -- --src -dst");
    assert_eq!((dashed.text("src"), dashed.text("dst")), (Some("--src"), Some("-dst")));
    assert_eq!(parse("file_info -").text("file"), Some("-"));
    assert_eq!(parse("file_info ---").text("file"), Some("---"));
}

#[test]
fn rule_2_the_number_of_dashes_does_not_matter() {
    same(&["mem_map --pid 4", "mem_map -pid 4", "mem_map ---pid 4", "mem_map -p 4", "mem_map --p 4"]);
}

#[test]
fn rule_3_values_follow_or_are_attached() {
    same(&["mem_map --pid 4", "mem_map --pid=4", "mem_map -p 4", "mem_map -p=4"]);
    assert_eq!(fails("mem_map -p4"), "unknown argument -p4");
}

#[test]
fn rule_4_a_value_does_not_look_like_an_option() {
    assert_eq!(fails("run --payload-name x --arguments -ano"), "missing value for --arguments");
    assert_eq!(fails("run --payload-name x --arguments --"), "missing value for --arguments");
    assert_eq!(fails("run --payload-name x --arguments -5"), "missing value for --arguments");
    assert_eq!(parse("run --payload-name x --arguments ' -ano'").text("arguments"), Some(" -ano"));
    assert_eq!(parse("run --payload-name x --arguments=-a=b").text("arguments"), Some("-a=b"));
    assert_eq!(parse("run --payload-name x --arguments=").text("arguments"), Some(""));
    assert_eq!(parse("yara_scan --pid -1 r").number("pid"), Some(-1));
    assert_eq!(parse("hidden_module_scan -1").number("pid"), Some(-1));
    assert_eq!(fails("mem_map --pid -1"), "error processing --pid: must be from 0 to 4294967295");
}

#[test]
fn rule_5_flags_take_no_value_but_an_attached_one() {
    assert!(parse("os_processes --is-no-modules").flag("is-no-modules"));
    assert!(parse("os_processes --is-no-modules=true").flag("is-no-modules"));
    assert!(!parse("os_processes --is-no-modules=false").flag("is-no-modules"));
    assert!(!parse("os_processes").flag("is-no-modules"));
    assert_eq!(fails("os_processes --is-no-modules true"), "too many positional arguments at 'true'");
    assert_eq!(fails("os_processes --is-no-modules=1"), "error processing --is-no-modules: expected true or false");
    let said = parse("yara_scan --is-memory-only=false r");
    assert!(!said.flag_or("is-memory-only", true) && parse("yara_scan r").flag_or("is-memory-only", true));
}

#[test]
fn rule_6_lists_repeat_and_take_what_follows() {
    let line = "fim_add --pattern a b --pattern=-c --pattern d";
    assert_eq!(parse(line).list("pattern"), ["a", "b", "-c", "d"]);
    assert_eq!(fails("fim_add --pattern --pattern a"), "missing value for --pattern");
    // The last token goes back to a required positional argument, and only the last.
    let found = parse("mem_find_string -s foo bar 4");
    assert_eq!((found.list("strings"), found.number("pid")), (&["foo".into(), "bar".into()][..], Some(4)));
    let mixed = parse("mem_find_string 4 -s foo 5");
    assert_eq!((mixed.list("strings"), mixed.number("pid")), (&["foo".into(), "5".into()][..], Some(4)));
    assert_eq!(fails("mem_find_string -s 4"), "PID is required");
    // Tokens which are no digests go back to free places, in the order of the line.
    let hashes = parse(&format!("dir_find_hash --hash {SHA1} {SHA256} /root -d 1 *.so"));
    assert_eq!(hashes.list("hash"), [SHA1, &SHA256.to_lowercase()]);
    assert_eq!((hashes.text("root-dir"), hashes.text("file-exp")), (Some("/root"), Some("*.so")));
    assert!(fails(&format!("dir_find_hash --hash {SHA1} nonsense /root *")).starts_with("error processing --hash: "));
}

#[test]
fn rule_7_the_last_scalar_wins() {
    same(&["mem_map --pid 4", "mem_map --pid 3 -p 4"]);
    assert!(!parse("os_processes --is-no-modules --is-no-modules=false").flag("is-no-modules"));
}

#[test]
fn rule_8_long_names_compare_loosely_short_ones_exactly() {
    same(&["file_get /a", "file_get --filePath /a", "file_get --file-path /a", "file_get --file_path /a"]);
    same(&["pcap_start --iface i --days-retention 5", "pcap_start --IFACE i --days_retention 5"]);
    assert_eq!(fails("mem_map -P 4"), "unknown argument -P");
}

#[test]
fn rule_9_numbers_are_decimal_unless_the_table_says_hex() {
    for line in ["mem_read -p 4 7ffe0000 1000", "mem_read -p 4 0x7FFE0000 0x1000", "mem_read 4 7ffe0000 1000"] {
        let read = parse(line);
        assert_eq!((read.address("base-address"), read.number("size")), (Some(0x7ffe_0000), Some(0x1000)), "{line}");
    }
    let named = parse("mem_read -p 4 --base-address 1000 --size 1000");
    assert_eq!((named.address("base-address"), named.number("size")), (Some(0x1000), Some(1000)));
    assert_eq!(parse("mem_read 4 ffffffffffffffff 1").address("base-address"), Some(u64::MAX));
    assert_eq!(
        fails("mem_read 4 10000000000000000 1"),
        "error processing BASEADDR: must be at most 0xffffffffffffffff"
    );
    assert_eq!(fails("mem_read 4 0x 1"), "error processing BASEADDR: expected a hexadecimal number");
    assert_eq!(fails("mem_map -p 0x10"), "error processing --pid: expected a decimal number");
    assert_eq!(fails("mem_map +4"), "error processing PID: expected a decimal number");
    assert_eq!(fails("mem_map 99999999999999999999"), "error processing PID: must be from 0 to 4294967295");
}

#[test]
fn rule_10_help_is_the_usage() {
    let usage = find("file_get").expect("file_get is a command").usage();
    for line in ["file_get -h", "file_get --help", "file_get /a --HELP"] {
        assert_eq!(Command::parse(line).unwrap_err(), CommandError::Help(usage.clone()), "{line}");
    }
    assert!(usage.starts_with("usage: file_get [--offset OFFSET] [--max-size MAXSIZE] FILE\n"), "{usage}");
    assert!(Command::parse("file_get -- -h").is_ok());
}

#[test]
fn rule_11_positionals_fill_in_order_and_none_is_left() {
    let moved = parse("file_mov /a /b");
    assert_eq!((moved.text("src"), moved.text("dst")), (Some("/a"), Some("/b")));
    same(&["file_mov /a /b", "file_mov /b --src-path /a", "file_mov --dst-path /b /a"]);
    assert_eq!(fails("file_mov /a /b /c"), "too many positional arguments at '/c'");
    assert_eq!(fails("file_get -f /a /b"), "too many positional arguments at '/b'");
}

#[test]
fn command_aliases() {
    same(&["seal --disable", "unseal"]);
    same(&["segregate_network", "isolate_network"]);
    same(&["netstat", "os_netstat"]);
    same(&["os_processes -p 1", "os_process -p 1"]);
    same(&["artifact_get --file a", "log_get --file a"]);
    same(&[&format!("dir_find_hash --hash {SHA1} / *"), &format!("dir_findhash --hash {SHA1} / *")]);
    assert_eq!(find("unseal").map(|spec| spec.request()), Some("SEAL_REQ".to_owned()));
}

#[test]
fn accepted_arguments_mean_the_canonical_ones() {
    for name in ["file_get", "file_info", "file_hash", "file_del"] {
        same(&[&format!("{name} /a"), &format!("{name} -f /a"), &format!("{name} --file /a")]);
        same(&[&format!("{name} /a"), &format!("{name} --file-path /a")]);
    }
    same(&["artifact_get --file /a", "artifact_get /a", "artifact_get -f /a", "log_get /a"]);
    same(&["dir_list /a *", "dir_list /a", "dir_list --dir-path /a --file-pattern *", "dir_list --root-dir /a"]);
    same(&["dir_list /a b", "dir_list --dir-path /a b", "dir_list --file-exp b /a"]);
    same(&[
        &format!("dir_find_hash --hash {SHA1} -- /a *"),
        &format!("dir_find_hash --hash {SHA1} /a"),
        &format!("dir_find_hash /a --hash {SHA1}"),
        &format!("dir_find_hash --dir-path /a --hash={SHA1}"),
    ]);
    for name in ["mem_map", "mem_strings", "mem_handles", "os_kill_process", "os_suspend", "os_resume"] {
        same(&[&format!("{name} -p 4"), &format!("{name} --pid 4"), &format!("{name} 4")]);
        same(&[
            &format!("{name} -a {ATOM}"),
            &format!("{name} --processatom {ATOM_KEPT}"),
            &format!("{name} --atom {ATOM}"),
            &format!("{name} --process-atom {ATOM}"),
        ]);
    }
    same(&[&format!("mem_read -a {ATOM} 10 20"), &format!("mem_read --atom {ATOM} --base-address 0x10 --size 32")]);
    same(&["mem_find_string -s a -- 4", "mem_find_string --strings a --pid 4"]);
    same(&["run --shell-command id", "run --command id", "run id"]);
    assert_eq!(parse("run id --user nobody").text("user"), Some("nobody"));
    same(&["exfil_add -e 600 DNS_REQUEST", "exfil_add --event DNS_REQUEST", "exfil_add DNS_REQUEST --expire 600"]);
    same(&["exfil_del DNS_REQUEST", "exfil_del --event DNS_REQUEST", "exfil_del --id DNS_REQUEST"]);
    same(&["fim_add --pattern /a /b", "fim_add /a /b", "fim_add --file-path /a /b", "fim_add --pattern=/a /b"]);
    same(&["fim_del --pattern /a", "fim_del /a", "fim_del --file-path /a"]);
    same(&["dns_resolve a.b", "dns_resolve --hostname a.b", "dns_resolve --domain a.b"]);
    same(&["doc_cache_get -f *.docx", "doc_cache_get *.docx"]);
    same(&[&format!("doc_cache_get -s {SHA256}"), &format!("doc_cache_get {SHA256}")]);
    same(&["yara_scan rule --dirPath /a", "yara_scan -r /a --rule rule", "yara_scan --root-dir /a rule"]);
    assert_eq!(parse("yara_scan rule /a").text("target"), Some("/a"));
    same(&["yara_update r", "yara_update --rule r"]);
    same(&["hidden_module_scan -1", "hidden_module_scan", "hidden_module_scan -p -1", "hidden_module_scan --pid=-1"]);
    same(&["epp_scan /a", "epp_scan --file-path /a"]);
    same(&[r"reg_list hklm\Software", r"reg_list --reg-path HKEY_LOCAL_MACHINE\Software", r"reg_list HKLM\Software"]);
    same(&["put --payload-name n", "put n"]);
}

#[test]
fn a_watch_needs_all_its_parts() {
    let watch = parse("exfil_add NEW_PROCESS --operator 'starts with' --path event/FILE_PATH --value /tmp");
    assert_eq!(watch.text("operator"), Some("starts with"));
    assert_eq!(fails("exfil_add NEW_PROCESS --operator is --value x"), "--path is required");
}

#[test]
fn ready_tokens_are_not_split() {
    let tokens = ["run", "--shell-command", "echo 'a"].map(str::to_owned);
    let command = Command::from_tokens(tokens.into()).expect("a quote in a token is an ordinary character");
    assert_eq!(command.arguments.text("shell-command"), Some("echo 'a"));
    assert_eq!(Command::from_tokens(vec![]).unwrap_err(), CommandError::Empty);
}
