//! The sensor against a server that says what a test tells it to say.

mod conversation;
mod fake_server;
mod isolation;
mod process;
