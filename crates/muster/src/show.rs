//! What is written to standard output: tables and lines for people, JSON for programs.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Stands where there is nothing.
const DASH: &str = "-";

/// Writes one line. A reader that went away, such as `head`, ends this process quietly.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        #[expect(clippy::disallowed_methods, reason = "nobody is left to be told")]
        std::process::exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

/// Writes a value as indented JSON.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Writes a value as JSON on one line.
pub fn json_line(value: &impl Serialize) {
    line(serde_json::to_string(value).unwrap_or_default());
}

/// Writes rows under headings; `none` stands there if there are no rows.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>, none: &str) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.to_vec());
    // A terminal that nobody has given a size has no columns.
    let has_columns = std::io::stdout().is_terminal() && table.width().is_some_and(|columns| columns > 0);
    table.set_content_arrangement(if has_columns { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
    for row in rows {
        table.add_row(row.iter().map(|cell| safe(cell)));
    }
    if table.row_count() == 0 { line(none) } else { line(table.trim_fmt()) }
}

/// Writes names and values, one per line.
pub fn fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in fields {
        line(format_args!("{name:width$}  {}", safe(value)));
    }
}

/// Text of an endpoint or of another person, without what would steer a terminal.
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The beginning of a text that is too long for a line.
pub fn shortened(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// Unix seconds as local time.
pub fn time(unix_s: i64) -> String {
    let instant = jiff::Timestamp::from_second(unix_s).ok().filter(|_| unix_s > 0);
    instant.map_or_else(
        || DASH.to_owned(),
        |instant| instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// Unix milliseconds as local time; a dash for never.
pub fn time_ms(unix_ms: Option<i64>) -> String {
    unix_ms.map_or_else(|| DASH.to_owned(), |ms| time(ms.div_euclid(1_000)))
}

/// Bytes in a unit that is easy to read.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1_024.0;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Present time in Unix seconds.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host name comes from an endpoint, which may be hostile: it must not move the cursor or change colours.
    #[test]
    fn nothing_of_an_endpoint_steers_the_terminal() {
        assert_eq!(safe("a\x1b[31mb\u{9b}2J\x07"), "a\u{fffd}[31mb\u{fffd}2J\u{fffd}");
    }
}
