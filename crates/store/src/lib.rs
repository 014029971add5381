//! Durable state: narrow traits in domain words, a memory and an SQLite adapter.
