//! Times written by Go's reference layout (`Mon Jan 2 15:04:05 MST 2006`).
//!
//! Source: reference/detection-response.md section 15 (`parsetime`), Go's
//! package `time`. UTC where no zone is given; zone names other than UTC and
//! GMT carry no offset, as in Go.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use std::fmt::Write;

/// Longest layout, in bytes.
const LAYOUT_BYTES_MAX: usize = 256;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Deserialize)]
struct Conversion {
    from: String,
    to: String,
}

/// Converts a time in text from one layout to another.
///
/// `spec` is JSON text `{"from": L1, "to": L2}`; `from` may be `epoch_s` or `epoch_ms`.
pub(crate) fn convert(spec: &str, text: &str) -> Result<String, String> {
    let spec: Conversion =
        serde_json::from_str(spec).map_err(|_| "parsetime needs JSON text with \"from\" and \"to\"".to_owned())?;
    if spec.from.len() > LAYOUT_BYTES_MAX || spec.to.len() > LAYOUT_BYTES_MAX {
        return Err(format!("a time layout has at most {LAYOUT_BYTES_MAX} bytes"));
    }
    let time = match spec.from.as_str() {
        "epoch_s" => from_epoch(text, 1e9)?,
        "epoch_ms" => from_epoch(text, 1e6)?,
        layout => parse(layout, text)?,
    };
    Ok(format(&spec.to, &time))
}

fn from_epoch(text: &str, unit_nanos: f64) -> Result<Zoned, String> {
    let unreadable = || format!("\"{}\" is not a number of seconds or milliseconds", text.escape_debug());
    #[expect(clippy::cast_possible_truncation, reason = "float casts saturate, and out of range is refused below")]
    let nanos = match text.parse::<i64>() {
        Ok(whole) => i128::from(whole) * unit_nanos as i128,
        Err(_) => (text.parse::<f64>().map_err(|_| unreadable())? * unit_nanos) as i128,
    };
    Timestamp::from_nanosecond(nanos).map(|time| time.to_zoned(TimeZone::UTC)).map_err(|_| unreadable())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field<'a> {
    Literal(&'a str),
    YearLong,
    YearShort,
    MonthName(bool),
    Month(Pad),
    WeekdayName(bool),
    Day(Pad),
    YearDay,
    Hour24,
    Hour12(Pad),
    Minute(Pad),
    Second(Pad),
    Fraction { digits: usize, is_fixed: bool, lead: char },
    Noon(bool),
    ZoneName,
    Zone { is_z: bool, has_colon: bool, has_minutes: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pad {
    None,
    Zero,
    Space,
}

/// Longest names first, so that a name is not taken for its own beginning.
const FIELDS: &[(&str, Field<'static>)] = &[
    ("January", Field::MonthName(true)),
    ("Jan", Field::MonthName(false)),
    ("Monday", Field::WeekdayName(true)),
    ("Mon", Field::WeekdayName(false)),
    ("MST", Field::ZoneName),
    ("2006", Field::YearLong),
    ("002", Field::YearDay),
    ("01", Field::Month(Pad::Zero)),
    ("02", Field::Day(Pad::Zero)),
    ("03", Field::Hour12(Pad::Zero)),
    ("04", Field::Minute(Pad::Zero)),
    ("05", Field::Second(Pad::Zero)),
    ("06", Field::YearShort),
    ("15", Field::Hour24),
    ("_2", Field::Day(Pad::Space)),
    ("PM", Field::Noon(true)),
    ("pm", Field::Noon(false)),
    ("Z07:00", Field::Zone { is_z: true, has_colon: true, has_minutes: true }),
    ("Z0700", Field::Zone { is_z: true, has_colon: false, has_minutes: true }),
    ("Z07", Field::Zone { is_z: true, has_colon: false, has_minutes: false }),
    ("-07:00", Field::Zone { is_z: false, has_colon: true, has_minutes: true }),
    ("-0700", Field::Zone { is_z: false, has_colon: false, has_minutes: true }),
    ("-07", Field::Zone { is_z: false, has_colon: false, has_minutes: false }),
    ("1", Field::Month(Pad::None)),
    ("2", Field::Day(Pad::None)),
    ("3", Field::Hour12(Pad::None)),
    ("4", Field::Minute(Pad::None)),
    ("5", Field::Second(Pad::None)),
];

fn next_field(layout: &str) -> (Field<'_>, &str) {
    if let Some(lead @ ('.' | ',')) = layout.chars().next() {
        let digits =
            layout[1..].bytes().take_while(|byte| *byte == layout.as_bytes().get(1).copied().unwrap_or(0)).count();
        let is_fixed = layout[1..].starts_with('0');
        let rest = &layout[1 + digits..];
        if digits > 0
            && digits <= 9
            && (is_fixed || layout[1..].starts_with('9'))
            && !rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return (Field::Fraction { digits, is_fixed, lead }, rest);
        }
    }
    for (name, field) in FIELDS {
        if let Some(rest) = layout.strip_prefix(name) {
            return (*field, rest);
        }
    }
    let len = layout.chars().next().map_or(0, char::len_utf8);
    (Field::Literal(&layout[..len]), &layout[len..])
}

fn fields(mut layout: &str) -> Vec<Field<'_>> {
    let mut out = Vec::new();
    while !layout.is_empty() {
        let (field, rest) = next_field(layout);
        out.push(field);
        layout = rest;
    }
    out
}

struct Reading<'a> {
    left: &'a str,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    is_afternoon: Option<bool>,
    offset_seconds: i32,
}

fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let failed = || format!("\"{}\" does not follow the layout \"{layout}\"", text.escape_debug());
    let mut reading = Reading {
        left: text,
        year: 1,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        is_afternoon: None,
        offset_seconds: 0,
    };
    for field in fields(layout) {
        reading.take(field).ok_or_else(failed)?;
    }
    if !reading.left.is_empty() {
        return Err(failed());
    }
    reading.finish().ok_or_else(failed)
}

impl Reading<'_> {
    fn take(&mut self, field: Field<'_>) -> Option<()> {
        match field {
            Field::Literal(text) => self.left = self.left.strip_prefix(text)?,
            Field::YearLong => self.year = self.digits(4, 4)?.try_into().ok()?,
            Field::YearShort => {
                let short: i16 = self.digits(2, 2)?.try_into().ok()?;
                self.year = if short >= 69 { 1900 + short } else { 2000 + short };
            }
            Field::MonthName(is_long) => self.month = i8::try_from(self.name(&MONTHS, is_long)?).ok()? + 1,
            Field::WeekdayName(is_long) => _ = self.name(&WEEKDAYS, is_long)?,
            Field::Month(pad) => self.month = self.padded(pad)?,
            Field::Day(pad) => self.day = self.padded(pad)?,
            Field::YearDay => _ = self.digits(3, 3)?,
            Field::Hour24 => self.hour = self.padded(Pad::Zero)?,
            Field::Hour12(pad) => self.hour = self.padded(pad)?,
            Field::Minute(pad) => self.minute = self.padded(pad)?,
            Field::Second(pad) => {
                self.second = self.padded(pad)?;
                self.fraction(9, false);
            }
            Field::Fraction { digits, is_fixed, .. } => {
                self.fraction(digits, is_fixed).then_some(()).or((!is_fixed || self.nanos > 0).then_some(()))?
            }
            Field::Noon(is_upper) => {
                let (noon, rest) = self.left.split_at_checked(2)?;
                self.is_afternoon = Some(match (noon, is_upper) {
                    ("AM", true) | ("am", false) => false,
                    ("PM", true) | ("pm", false) => true,
                    _ => return None,
                });
                self.left = rest;
            }
            Field::ZoneName => {
                let len = self.left.bytes().take_while(u8::is_ascii_uppercase).count();
                (3..=5).contains(&len).then(|| self.left = &self.left[len..])?;
            }
            Field::Zone { is_z, has_colon, has_minutes } => self.zone(is_z, has_colon, has_minutes)?,
        }
        Some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let len = self.left.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.left.split_at_checked(len)?;
        self.left = rest;
        if len < least { None } else { number.parse().ok() }
    }

    fn padded(&mut self, pad: Pad) -> Option<i8> {
        if pad == Pad::Space {
            self.left = self.left.trim_start_matches(' ');
        }
        self.digits(if pad == Pad::Zero { 2 } else { 1 }, 2)?.try_into().ok()
    }

    fn name(&mut self, names: &[&str], is_long: bool) -> Option<usize> {
        for (at, name) in names.iter().enumerate() {
            let name = if is_long { name } else { &name[..3] };
            if self.left.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
                self.left = &self.left[name.len()..];
                return Some(at);
            }
        }
        None
    }

    /// Reads a fraction of a second if one is there; Go takes one after seconds even if the layout has none.
    fn fraction(&mut self, digits: usize, is_exact: bool) -> bool {
        let Some(rest) = self.left.strip_prefix(['.', ',']) else { return false };
        let len = rest.bytes().take(9).take_while(u8::is_ascii_digit).count();
        if len == 0 || (is_exact && len != digits) {
            return false;
        }
        let (number, rest) = rest.split_at(len);
        let scale = 10_i32.pow(9 - u32::try_from(len).unwrap_or(9));
        self.nanos = number.parse::<i32>().unwrap_or(0).saturating_mul(scale);
        self.left = rest;
        true
    }

    fn zone(&mut self, is_z: bool, has_colon: bool, has_minutes: bool) -> Option<()> {
        if let (true, Some(rest)) = (is_z, self.left.strip_prefix('Z')) {
            self.left = rest;
            return Some(());
        }
        let sign = if self.left.starts_with('-') { -1 } else { 1 };
        self.left = self.left.strip_prefix(['+', '-'])?;
        let hours = i32::try_from(self.digits(2, 2)?).ok()?;
        if has_colon {
            self.left = self.left.strip_prefix(':')?;
        }
        let minutes = if has_minutes { i32::try_from(self.digits(2, 2)?).ok()? } else { 0 };
        self.offset_seconds = sign * (hours * 3600 + minutes * 60);
        Some(())
    }

    fn finish(self) -> Option<Zoned> {
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let time = DateTime::new(self.year, self.month, self.day, hour, self.minute, self.second, self.nanos).ok()?;
        let offset = Offset::from_seconds(self.offset_seconds).ok()?;
        let zone = if self.offset_seconds == 0 { TimeZone::UTC } else { offset.to_time_zone() };
        time.to_zoned(zone).ok()
    }
}

fn format(layout: &str, time: &Zoned) -> String {
    let mut out = String::new();
    for field in fields(layout) {
        write_field(&mut out, field, time);
    }
    out
}

fn write_field(out: &mut String, field: Field<'_>, time: &Zoned) {
    let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    let written = match field {
        Field::Literal(text) => out.write_str(text),
        Field::YearLong => write!(out, "{:04}", time.year()),
        Field::YearShort => write!(out, "{:02}", time.year().rem_euclid(100)),
        Field::MonthName(is_long) => write_name(out, &MONTHS, time.month() - 1, is_long),
        Field::WeekdayName(is_long) => write_name(out, &WEEKDAYS, weekday_index(time.weekday()), is_long),
        Field::Month(pad) => write_padded(out, time.month(), pad),
        Field::Day(pad) => write_padded(out, time.day(), pad),
        Field::YearDay => write!(out, "{:03}", time.day_of_year()),
        Field::Hour24 => write_padded(out, time.hour(), Pad::Zero),
        Field::Hour12(pad) => write_padded(out, hour12, pad),
        Field::Minute(pad) => write_padded(out, time.minute(), pad),
        Field::Second(pad) => write_padded(out, time.second(), pad),
        Field::Fraction { digits, is_fixed, lead } => {
            write_fraction(out, time.subsec_nanosecond(), digits, is_fixed, lead)
        }
        Field::Noon(is_upper) => out.write_str(match (time.hour() >= 12, is_upper) {
            (true, true) => "PM",
            (false, true) => "AM",
            (true, false) => "pm",
            (false, false) => "am",
        }),
        Field::ZoneName if time.offset() == Offset::UTC => out.write_str("UTC"),
        Field::ZoneName => write_zone(out, time.offset().seconds(), false, false, false),
        Field::Zone { is_z, has_colon, has_minutes } => {
            write_zone(out, time.offset().seconds(), is_z, has_colon, has_minutes)
        }
    };
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

fn weekday_index(day: Weekday) -> i8 {
    day.to_monday_zero_offset()
}

fn write_name(out: &mut String, names: &[&str], index: i8, is_long: bool) -> std::fmt::Result {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default();
    out.write_str(if is_long { name } else { &name[..name.len().min(3)] })
}

fn write_padded(out: &mut String, value: i8, pad: Pad) -> std::fmt::Result {
    match pad {
        Pad::None => write!(out, "{value}"),
        Pad::Zero => write!(out, "{value:02}"),
        Pad::Space => write!(out, "{value:2}"),
    }
}

fn write_fraction(out: &mut String, nanos: i32, digits: usize, is_fixed: bool, lead: char) -> std::fmt::Result {
    let all = format!("{nanos:09}");
    let shown = &all[..digits.min(9)];
    let shown = if is_fixed { shown } else { shown.trim_end_matches('0') };
    if shown.is_empty() { Ok(()) } else { write!(out, "{lead}{shown}") }
}

fn write_zone(out: &mut String, seconds: i32, is_z: bool, has_colon: bool, has_minutes: bool) -> std::fmt::Result {
    if is_z && seconds == 0 {
        return out.write_str("Z");
    }
    let (sign, total) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    write!(out, "{sign}{:02}", total / 3600)?;
    if has_minutes {
        write!(out, "{}{:02}", if has_colon { ":" } else { "" }, total / 60 % 60)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_read_and_write_as_go_does() {
        let cases = [
            ("2006/01/02 15:04:05", "2006-01-02 15:04:05 MST", "2023/05/10 22:35:48", "2023-05-10 22:35:48 UTC"),
            (
                "Mon, 02 Jan 2006 15:04:05 -0700",
                "2006-01-02T15:04:05Z07:00",
                "Tue, 14 Nov 2023 22:13:20 +0100",
                "2023-11-14T22:13:20+01:00",
            ),
            ("2006-01-02T15:04:05.000Z", "Jan _2 3:04PM .000", "2023-11-04T22:13:20.250Z", "Nov  4 10:13PM .250"),
            ("epoch_ms", "2006-01-02 15:04:05.999", "1700000000123", "2023-11-14 22:13:20.123"),
        ];
        for (from, to, text, expected) in cases {
            let spec = serde_json::json!({"from": from, "to": to}).to_string();
            assert_eq!(convert(&spec, text).as_deref(), Ok(expected), "{from}");
        }
        let spec = serde_json::json!({"from": "2006-01-02", "to": "2006"}).to_string();
        for text in ["2023-13-01", "2023-02-30", "yesterday", "2023-01-01x", ""] {
            assert!(convert(&spec, text).is_err(), "{text}");
        }
    }
}
