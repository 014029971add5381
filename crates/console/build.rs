//! Writes the table of the files that Vite left in `console/dist/site`, for the library to embed.
//!
//! It only lists what is there: getting Node.js and building the console is the business of `./up` and
//! `./test`. Without a built console the table is empty, and the server says so.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    // A path that is missing would count as changed at every build, so the folder that git keeps is watched.
    let dist = root.join("../../console/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let site = dist.join("site");
    let mut files = Vec::new();
    list(&site, &mut files);
    // Vite writes FILE.br and FILE.gz beside every FILE; sorted by the path, by which they are searched.
    let compressed = files.iter().filter(|file| file.extension().is_some_and(|end| end == "br"));
    let mut paths: Vec<(String, &PathBuf)> = compressed
        .map(|file| {
            let plain = file.with_extension("");
            let path = plain.strip_prefix(&site).expect("below the site").to_string_lossy().replace('\\', "/");
            (path, file)
        })
        .collect();
    paths.sort();
    let mut table = String::from("static FILES: &[File] = &[\n");
    for (path, brotli) in paths {
        let (brotli, gzip) = (absolute(brotli), absolute(&brotli.with_extension("gz")));
        let line =
            format!("File {{ path: {path:?}, brotli: include_bytes!({brotli:?}), gzip: include_bytes!({gzip:?}) }}");
        writeln!(table, "    {line},").expect("writing to a string works");
    }
    table.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("files.rs"), table).expect("OUT_DIR can be written");
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|error| panic!("{}: {error}; build the console anew", path.display()))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}
