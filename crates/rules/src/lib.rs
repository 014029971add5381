//! Detection and response rules: load, compile, evaluate.

#![forbid(unsafe_code)]

mod document;
mod fold;
mod number;
mod path;
mod template;
