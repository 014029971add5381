//! Error texts are part of the API: reference/commands.md section 4.

use muster_command::{COMMAND_BYTES_MAX, Command, CommandError};

#[test]
fn each_text() {
    let rows = [
        (" ", "empty command"),
        ("run 'a", "no closing quotation"),
        ("frobnicate", "unknown command: frobnicate"),
        ("os_versoin", "unknown command: os_versoin (did you mean os_version?)"),
        ("OS_VERSION", "unknown command: OS_VERSION (did you mean os_version?)"),
        ("remain_live", "unknown command: remain_live"),
        ("os_version --foo", "unknown argument --foo"),
        ("os_version --foo=bar", "unknown argument --foo"),
        ("mem_map --pid", "missing value for --pid"),
        ("mem_map -p", "missing value for --pid"),
        ("mem_map --pid x", "error processing --pid: expected a decimal number"),
        ("mem_map x", "error processing PID: expected a decimal number"),
        ("mem_map -a 12", "error processing --processatom: expected an atom of 32 hexadecimal digits"),
        ("deny_tree p1", "error processing ATOM: expected an atom of 32 hexadecimal digits"),
        (
            "dir_find_hash --hash 12 / *",
            "error processing --hash: expected 32, 40 or 64 hexadecimal digits (MD5, SHA-1, SHA-256)",
        ),
        ("epp_add_exclusion v -t x", "error processing --type: expected one of extension, path, process"),
        ("exfil_add new_process", "error processing EVENT: expected an event type such as NEW_PROCESS"),
        ("reg_list software", "error processing REG: must start with hkcr, hkcc, hkcu, hklm or hku"),
        ("upgrade_core --beta --version 1.2", "error processing --version: expected a version X.Y.Z"),
        ("file_get ''", "error processing FILE: must not be empty"),
        ("file_get", "FILE is required"),
        ("dir_list", "ROOTDIR is required"),
        ("artifact_get", "--file is required"),
        ("deny_tree", "ATOM is required"),
        ("upgrade_core", "--beta is required"),
        ("os_version now", "too many positional arguments at 'now'"),
        ("run", "specify one of --payload-name, --shell-command"),
        ("run --payload-name a --shell-command b", "specify one of --payload-name, --shell-command"),
        ("mem_map", "specify one of --pid, --processatom"),
        ("seal --enable --disable", "specify one of --enable, --disable"),
        ("reboot", "--is-confirmed is required"),
    ];
    for (line, text) in rows {
        match Command::parse(line) {
            Ok(command) => panic!("{line} parses: {command:?}"),
            Err(error) => assert_eq!(error.to_string(), text, "{line}"),
        }
    }
    assert_eq!(CommandError::UnsupportedForPlatform.to_string(), "UNSUPPORTED_FOR_PLATFORM");
    assert_eq!(CommandError::PayloadNotFound("x".into()).to_string(), "payload not found: x");
}

#[test]
fn the_size_limit_holds_for_lines_and_for_tokens() {
    let path = "a".repeat(COMMAND_BYTES_MAX - "file_get ".len());
    assert!(Command::parse(&format!("file_get {path}")).is_ok());
    assert!(Command::from_tokens(vec!["file_get".into(), path.clone()]).is_ok());
    for error in [
        Command::parse(&format!("file_get {path}a")).unwrap_err(),
        Command::from_tokens(vec!["file_get".into(), path + "a"]).unwrap_err(),
        // Empty tokens count too.
        Command::from_tokens(vec![String::new(); COMMAND_BYTES_MAX + 2]).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "command too long");
    }
}

#[test]
fn errors_repeat_little_of_the_line_and_no_control_characters() {
    let long = "x".repeat(1_000);
    for line in [long.clone(), format!("os_version --{long}"), format!("os_version {long}")] {
        let text = Command::parse(&line).unwrap_err().to_string();
        assert!(text.chars().count() < 128 && text.contains('…'), "{text}");
    }
    let forged = Command::parse("'a\nb\u{1b}[31m'").unwrap_err().to_string();
    assert_eq!(forged, r"unknown command: a\nb\u{1b}[31m");
}
