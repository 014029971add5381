//! A line at the terminal, with history and completion.

use super::complete::Offer;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};

/// Lines that are remembered, until the session is left: what was typed in it is kept by the server, for who may see it.
const HISTORY_MAX: usize = 1_000;

/// Reads lines, and remembers them.
pub struct Editor<C: Fn(&str) -> Offer>(rustyline::Editor<Completing<C>, MemHistory>);

impl<C: Fn(&str) -> Offer> Editor<C> {
    /// Asks `complete` what may stand at the end of a line up to the cursor.
    ///
    /// # Errors
    ///
    /// What the terminal says.
    pub fn new(complete: C) -> rustyline::Result<Self> {
        let config = Config::builder().max_history_size(HISTORY_MAX)?.history_ignore_dups(true)?;
        let config = config.auto_add_history(true).completion_type(CompletionType::List).build();
        let history = MemHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, history)?;
        editor.set_helper(Some(Completing(complete)));
        Ok(Self(editor))
    }

    /// The next line; nothing if there are no more. Blocks.
    ///
    /// # Errors
    ///
    /// What the terminal says.
    pub fn read(&mut self, prompt: &str) -> rustyline::Result<Option<String>> {
        loop {
            match self.0.readline(prompt) {
                Ok(line) => return Ok(Some(line)),
                Err(ReadlineError::Eof) => return Ok(None),
                // Ctrl-C gives up the line, and not the session.
                Err(ReadlineError::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

struct Completing<C>(C);

impl<C: Fn(&str) -> Offer> Completer for Completing<C> {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let Offer { start, names } = (self.0)(&line[..at]);
        Ok((start, names))
    }
}

impl<C> Hinter for Completing<C> {
    type Hint = String;
}

impl<C> Highlighter for Completing<C> {}

impl<C> Validator for Completing<C> {}

impl<C: Fn(&str) -> Offer> Helper for Completing<C> {}
