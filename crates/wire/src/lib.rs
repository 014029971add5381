//! Messages between sensor and server, and their framing.
