//! Who is owed which task, and what became of it: pure decisions.
