//! Detection and response rules: load, compile, evaluate.
