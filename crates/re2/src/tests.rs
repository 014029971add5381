//! Patterns mean what RE2 makes of them, and what it refuses is refused.

use super::{group_name, reason, translate};
use regex::bytes::{Regex, RegexBuilder};

fn compile(pattern: &str) -> Result<Regex, String> {
    compile_as(pattern, true)
}

fn compile_as(pattern: &str, is_case_sensitive: bool) -> Result<Regex, String> {
    let translated = translate(pattern).map_err(|refused| refused.to_string())?;
    let mut builder = RegexBuilder::new(&translated);
    builder.case_insensitive(!is_case_sensitive).size_limit(1 << 20).build().map_err(|error| reason(&error))
}

/// Goal: patterns mean what RE2 makes of them wherever the `regex` crate differs.
#[test]
fn patterns_mean_what_re2_makes_of_them() {
    let matching: &[(&str, &str)] = &[
        (r"^\w+$", "abc_1"),
        (r"^\W$", "é"),
        (r"^[^\w]$", "é"),
        (r"^.$", "é"),
        (r"(?i)^É$", "é"),
        (r"^\pL$", "é"),
        (r"^\p{^Lu}$", "é"),
        (r"\bé", "aé"),
        (r"^a{,2}$", "a{,2}"),
        (r"^{x}$", "{x}"),
        (r"^a{2}$", "aa"),
        (r"^[[]$", "["),
        (r"^[a&&b]+$", "a&b"),
        (r"^[+--]$", ","),
        (r"^[]a]$", "]"),
        (r"^[[:alpha:]_\d-]+$", "a_1-"),
        (r"^\Qa.b\E$", "a.b"),
        (r"^\101\x41\x{41}$", "AAA"),
        (r"^\-\_\ $", "-_ "),
        (r"^(?P<1st>a)(?:b)(?i:C)$", "abc"),
        (r"a # b", "a # b"),
    ];
    for (pattern, text) in matching {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(regex.is_match(text.as_bytes()), "{pattern} on {text}");
    }
    for (pattern, text) in [(r"^\d$", "٣"), (r"^\s$", "\u{a0}"), (r"^a.b$", "a\nb"), (r"a$", "a\n"), ("A", "a")] {
        assert!(!compile(pattern).unwrap().is_match(text.as_bytes()), "{pattern} on {text}");
    }
}

#[test]
fn what_re2_refuses_is_refused() {
    let refused: &[&str] = &[
        "[",
        "(",
        ")",
        "*",
        "a**",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        "(?=a)",
        "(?<=a)",
        "(?!a)",
        "(?x)a",
        "(?u)a",
        r"\1",
        r"\E",
        r"\Z",
        r"\y",
        r"\x{110000}",
        "[b-a]",
        "[[:nope:]]",
        r"\p{Nope}",
        r"(\pL{1000}){1000}",
    ];
    for pattern in refused {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

/// As rules search: whatever the case.
#[test]
fn patterns_of_rules_mean_what_they_mean_in_go() {
    let cases = [
        (r"^[\w-]+$", "a-b_9", "é"),
        (r"\bfoo\B", "a foox", "foo"),
        (r"a{,3}b", "a{,3}b", "aab"),
        (r"a{x", "a{x", "a"),
        (r"[]a]+[^]]", "]]b", "]]"),
        (r"^[\d-x]+$", "1-x", "5w"),
        (r"^[a-c-e]+$", "b-e", "d"),
        (r"^[+--]+$", "+,-", "."),
        (r"^[[:alpha:]&&~~-]+$", "a&~-", "1"),
        (r"\x41\101\x{1F600}", "AA😀", "AA"),
        (r"(?-i)abc", "abc", "ABC"),
        (r"(?s)a.b", "a\nb", "ab"),
        (r"a # b", "a # b", "ab"),
        (r"\.\/\_\#\ ", "./_# ", "x"),
    ];
    for (pattern, hit, miss) in cases {
        let regex = compile_as(pattern, false).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(regex.is_match(hit.as_bytes()), "{pattern} on {hit}");
        assert!(!regex.is_match(miss.as_bytes()), "{pattern} on {miss}");
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in
        [r"(a)\1", r"[a-\d]", r"\e", "[a", "a\\", r"\E", "(?P<n", "(?P<a-b>c)", "(?#c)", "((a{1000}){1000}){1000}"]
    {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn groups_keep_their_names() {
    let regex = compile("(?P<1st>a)(?<second>b)").unwrap();
    let names: Vec<&str> = regex.capture_names().flatten().map(group_name).collect();
    assert_eq!(names, ["1st", "second"]);
}
