//! Puts changed actions of a rule into the text of its file, and leaves all else as it stands:
//! comments, order, layout. Whoever calls this reads the result again and compares.

use super::stored::yaml;
use muster_rules::WrittenRule;
use serde_json::Value;

/// The text with the actions of `new` in the place of those of `old`. `None` if one of them is written in
/// a way that this cannot follow, such as by an alias.
pub fn splice(text: &str, written: &WrittenRule, old: &Value, new: &Value) -> Option<String> {
    let items = |rule: &Value| rule["respond"].as_array().cloned().unwrap_or_default();
    let mut text = text.to_owned();
    // From the end, so that the lines of what is before keep their numbers.
    for (at, (before, after)) in items(old).iter().zip(&items(new)).enumerate().rev() {
        if before == after {
            continue;
        }
        let (line, column) = written.position(&format!("respond/{at}"));
        let (line, column) =
            (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
        let start = line_start(&text, line)? + column_bytes(text.lines().nth(line)?, column)?;
        let (end, item) = match text.get(start..)?.starts_with('{') {
            true => (start + flow_bytes(&text[start..])?, serde_json::to_string(after).ok()?),
            false => block(&text, line, column, after)?,
        };
        text.replace_range(start..end, &item);
    }
    Some(text)
}

/// Byte at which a line begins, counted from 0.
fn line_start(text: &str, line: usize) -> Option<usize> {
    match line {
        0 => Some(0),
        _ => text.match_indices('\n').nth(line - 1).map(|(at, _)| at + 1),
    }
}

/// Bytes of the first characters of a line.
fn column_bytes(line: &str, column: usize) -> Option<usize> {
    line.char_indices().map(|(at, _)| at).chain([line.len()]).nth(column)
}

/// Bytes of an object in braces, which may go over several lines.
fn flow_bytes(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if is_escaped => is_escaped = false,
            (Some('"'), '\\') => is_escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Where an action of indented lines ends, and what stands there instead.
fn block(text: &str, line: usize, column: usize, after: &Value) -> Option<(usize, String)> {
    let mut lines = text.lines().skip(line);
    let dash = lines.next()?.get(..column)?;
    if !dash.trim_start().starts_with('-') || !dash.trim_matches([' ', '-']).is_empty() {
        return None;
    }
    let (mut count, mut last) = (1, 1);
    for line in lines {
        let is_blank = line.trim().is_empty();
        if !is_blank && line.len() - line.trim_start().len() < column {
            break;
        }
        count += 1;
        if !is_blank {
            last = count;
        }
    }
    let end = match line_start(text, line + last) {
        Some(next) => next - 1,
        None => text.trim_end_matches(['\n', '\r']).len(),
    };
    let end = if text[..end].ends_with('\r') { end - 1 } else { end };
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let item = yaml(after).ok()?;
    Some((end, item.trim_end().replace('\n', &format!("{line_end}{}", " ".repeat(column)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_rules::{Conversion, convert, read_rules};

    fn converted(text: &str) -> Option<String> {
        let rules = read_rules(text, "r").unwrap();
        let old = rules[0].value();
        let Conversion::Converted(new) = convert(&old) else { panic!("nothing to convert") };
        let spliced = splice(text, &rules[0], &old, &new)?;
        assert_eq!(read_rules(&spliced, "r").unwrap()[0].value(), new, "{spliced}");
        Some(spliced)
    }

    #[test]
    fn only_the_action_changes_however_it_is_written() {
        let head = "# \u{e4}\ndetect: {op: exists, path: a}\n";
        let request = "{action: list, tag: 'it''s }', sid: \"\\\"{\"}";
        for (before, after) in [
            (
                "respond:\n- action: service request # old\n  name: reliable-tasking\n  request:\n    action: list\n\n",
                "# end\n",
            ),
            (
                "respond:\n  - {action: report, name: x}\n  - name: reliable-tasking\n    action: service request\n    request: {action: list}\n",
                "",
            ),
            (
                &format!("respond: [{{action: service request, name: reliable-tasking,\n  request: {request}}}"),
                ", {action: report, name: x}] # end\n",
            ),
            (
                "respond:\r\n- action: service request\r\n  name: reliable-tasking\r\n  request: {action: list}\r\n",
                "tests: {}\r\n",
            ),
        ] {
            let text = format!("{head}{before}{after}");
            let spliced = converted(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(spliced.starts_with(head) && spliced.ends_with(after), "{spliced}");
        }
        let json = "{\n  \"detect\": {\"op\": \"exists\", \"path\": \"a\"},\n  \"respond\": [\n    {\n      \"action\": \"service request\",\n      \"name\": \"reliable-tasking\",\n      \"request\": {\"action\": \"list\"}\n    }\n  ]\n}\n";
        assert!(converted(json).unwrap().ends_with("}\n  ]\n}\n"));
    }
}
