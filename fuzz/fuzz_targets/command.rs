//! Any line is a command or an error that fits a log. Quoting each token and
//! ending with a comment changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_command::{COMMAND_BYTES_MAX, Command, CommandError, commands, split_arguments, tokenize};

/// Longest error text: it repeats a little of the line, and a list of names.
const ERROR_BYTES_MAX: usize = 2048;

fuzz_target!(|line: &str| {
    let tokens = match tokenize(line) {
        Ok(tokens) => tokens,
        Err(error) => {
            assert_eq!(Command::parse(line).map(|_| ()), Err(error.clone()));
            assert!(matches!(error, CommandError::Empty | CommandError::NoClosingQuotation | CommandError::TooLong));
            return;
        }
    };
    assert_eq!(split_arguments(line).as_ref(), Ok(&tokens));
    let quoted = quote(&tokens);
    if quoted.len() <= COMMAND_BYTES_MAX {
        assert_eq!(tokenize(&quoted).as_ref(), Ok(&tokens), "{quoted}");
    }
    match (Command::parse(line), Command::from_tokens(tokens)) {
        (Ok(one), Ok(other)) => {
            assert_eq!((one.spec.name, &one.arguments), (other.spec.name, &other.arguments));
            assert!(commands().iter().any(|spec| spec.name == one.spec.name));
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            let text = one.to_string();
            assert!(!text.is_empty());
            if !matches!(one, CommandError::Help(_)) {
                assert!(text.len() <= ERROR_BYTES_MAX && !text.contains(char::is_control), "{text:?}");
            }
        }
        (one, other) => panic!("{one:?} but {other:?}"),
    }
});

fn quote(tokens: &[String]) -> String {
    let quoted = tokens.iter().map(|token| format!("'{}'", token.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ") + " # end"
}
