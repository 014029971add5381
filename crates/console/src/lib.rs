//! The built web console, embedded: a table of compressed files.
//!
//! `console/` holds its sources, `./up` and `./test` build it. A server that was built without it has an
//! empty table; [`is_built`] tells, so that nobody takes an empty page for a console.

#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// A file of the console. Only compressed forms are embedded: every browser takes one of them.
#[derive(Debug)]
pub struct File {
    /// Path below `/console/`, such as `assets/index-1f2e.js`.
    pub path: &'static str,
    /// The content, compressed by Brotli.
    pub brotli: &'static [u8],
    /// The content, compressed by gzip.
    pub gzip: &'static [u8],
}

impl File {
    /// Media type, by the ending of the name.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, end)| end) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("json") => "application/json",
            Some("md" | "txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// Whether the name holds a hash of the content, so that it may be kept for ever.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }
}

/// The page that every address of the console shows.
pub const PAGE: &str = "index.html";

/// A file by its path below `/console/`.
#[must_use]
pub fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by_key(&path, |file| file.path).ok().map(|at| &FILES[at])
}

/// Whether the console is in this build.
#[must_use]
pub fn is_built() -> bool {
    find(PAGE).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`find`] searches by halves, which needs the order of the paths and not of the compressed names.
    #[test]
    fn every_embedded_file_is_found() {
        for file in FILES {
            assert_eq!(find(file.path).map(|found| found.brotli), Some(file.brotli), "{}", file.path);
            assert!(!file.brotli.is_empty() && !file.gzip.is_empty(), "{} is empty", file.path);
        }
        assert!(find("no/such/file").is_none());
    }
}
