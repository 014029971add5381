//! Splitting a line of text into tokens.
//!
//! The rules follow the vendor's documentation where its lexer departs from it.
//! There are no variables, globs, tildes or operators: `*`, `$HOME` and `|` are
//! plain characters. Source: reference/commands.md section 2.1.

use crate::CommandError;

/// Longest command line, in bytes, and the greatest sum of ready tokens with
/// their separators: 64 KiB, which holds a YARA rule and fits any link frame.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// Splits a command line into at least one token.
///
/// # Errors
///
/// [`CommandError::Empty`], [`CommandError::NoClosingQuotation`] or [`CommandError::TooLong`].
pub fn tokenize(line: &str) -> Result<Vec<String>, CommandError> {
    let tokens = split_arguments(line)?;
    if tokens.is_empty() { Err(CommandError::Empty) } else { Ok(tokens) }
}

/// Splits the text of `run --arguments` by the same rules; it may be blank.
///
/// # Errors
///
/// [`CommandError::NoClosingQuotation`] or [`CommandError::TooLong`].
pub fn split_arguments(text: &str) -> Result<Vec<String>, CommandError> {
    if text.len() > COMMAND_BYTES_MAX {
        return Err(CommandError::TooLong);
    }
    let mut tokens = Vec::new();
    // None between tokens: an empty pair of quotes makes an empty token.
    let mut token: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' | '\r' | '\n' => tokens.extend(token.take()),
            '#' if token.is_none() => while chars.next_if(|char| *char != '\n').is_some() {},
            '\'' => single_quoted(&mut chars, token.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, token.get_or_insert_default())?,
            '\\' => {
                let literal = chars.next_if(|next| matches!(next, '\'' | '"')).unwrap_or('\\');
                token.get_or_insert_default().push(literal);
            }
            _ => token.get_or_insert_default().push(char),
        }
    }
    tokens.extend(token);
    Ok(tokens)
}

fn single_quoted(chars: &mut impl Iterator<Item = char>, token: &mut String) -> Result<(), CommandError> {
    for char in chars {
        if char == '\'' {
            return Ok(());
        }
        token.push(char);
    }
    Err(CommandError::NoClosingQuotation)
}

fn double_quoted(chars: &mut impl Iterator<Item = char>, token: &mut String) -> Result<(), CommandError> {
    while let Some(char) = chars.next() {
        match char {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\'' | '\\')) => token.push(escaped),
                Some(other) => token.extend(['\\', other]),
                None => break,
            },
            _ => token.push(char),
        }
    }
    Err(CommandError::NoClosingQuotation)
}
