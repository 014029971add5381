//! The token table of reference/commands.md section 2.1, row by row.

use muster_command::{COMMAND_BYTES_MAX, CommandError, split_arguments, tokenize};

const ROWS: &[(&str, &[&str])] = &[
    (r"dir_list /home/user *", &["dir_list", "/home/user", "*"]),
    (r#"dir_list "/files/my files" *"#, &["dir_list", "/files/my files", "*"]),
    (r#"dir_list "c:\\" *"#, &["dir_list", r"c:\", "*"]),
    (r"dir_list 'c:\' *", &["dir_list", r"c:\", "*"]),
    (
        r#"log_get --file "c:\\temp\\my dir\\" --type json"#,
        &["log_get", "--file", r"c:\temp\my dir\", "--type", "json"],
    ),
    (r"log_get --file 'c:\\temp\\my dir\\'", &["log_get", "--file", r"c:\\temp\\my dir\\"]),
    (r"log_get --file 'c:\temp\my dir\'", &["log_get", "--file", r"c:\temp\my dir\"]),
    (r#"log_get --file "c:\temp\my dir\\""#, &["log_get", "--file", r"c:\temp\my dir\"]),
    (r#"run --shell-command "whoami""#, &["run", "--shell-command", "whoami"]),
    (r#"run --shell-command "echo it's""#, &["run", "--shell-command", "echo it's"]),
    (r#"run --shell-command 'echo "a b" && id'"#, &["run", "--shell-command", r#"echo "a b" && id"#]),
    (r#"run --shell-command "sh -c \"id; ls\"""#, &["run", "--shell-command", r#"sh -c "id; ls""#]),
    (r"run --shell-command 'echo it'\''s'", &["run", "--shell-command", "echo it's"]),
    (r"run --arguments ' -ano'", &["run", "--arguments", " -ano"]),
    (r#"fim_add --pattern "?:\*\Startup\*""#, &["fim_add", "--pattern", r"?:\*\Startup\*"]),
    (r"file_del %windir%\system32\hcp.dat", &["file_del", r"%windir%\system32\hcp.dat"]),
    (r#"a"b c"d"#, &["ab cd"]),
    (r#"a "" b"#, &["a", "", "b"]),
    ("os_version # later", &["os_version"]),
    ("os_version#x", &["os_version#x"]),
    ("   os_version  ", &["os_version"]),
    // The rules above the table which no row of it shows.
    ("a\tb\rc\nd", &["a", "b", "c", "d"]),
    ("a #b 'c\nd", &["a", "d"]),
    (r"\\host\x a\ b \n", &[r"\\host\x", r"a\", "b", r"\n"]),
    (r#"\"a\' b"#, &[r#""a'"#, "b"]),
    (r#""\'\n""#, &[r"'\n"]),
    (r"a\", &[r"a\"]),
    ("'' ''", &["", ""]),
    ("é\u{a0}x $HOME|;>", &["é\u{a0}x", "$HOME|;>"]),
];

#[test]
fn each_row_of_the_token_table() {
    for (line, expected) in ROWS {
        let tokens = tokenize(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(tokens, *expected, "{line}");
    }
}

#[test]
fn an_open_quote_is_an_error() {
    for line in [r#"dir_list "c:\" *"#, "a 'b", r#"a"\"#, "'"] {
        assert_eq!(tokenize(line), Err(CommandError::NoClosingQuotation), "{line}");
    }
}

#[test]
fn only_a_command_line_must_not_be_blank() {
    for line in ["", " \t\r\n", "# comment"] {
        assert_eq!(tokenize(line), Err(CommandError::Empty));
        assert_eq!(split_arguments(line), Ok(vec![]));
    }
}

#[test]
fn a_line_is_at_most_64_kib() {
    let longest = "a".repeat(COMMAND_BYTES_MAX);
    assert_eq!(tokenize(&longest), Ok(vec![longest.clone()]));
    assert_eq!(tokenize(&format!("{longest} ")), Err(CommandError::TooLong));
}
