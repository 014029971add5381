//! Endpoint command lines: tokens, options, and the table of commands.
