//! Puts changed actions of rules into the text of their file, and leaves all else as it stands:
//! comments, order, layout. Whoever calls this reads the result again and compares.

use super::stored::yaml;
use muster_rules::WrittenRule;
use serde_json::Value;
use std::ops::Range;

/// The text of a file, and what is to stand in it instead.
pub struct Splices<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    line_end: &'static str,
    /// In no order; none reaches into another.
    edits: Vec<(Range<usize>, String)>,
}

impl<'t> Splices<'t> {
    /// Nothing to change yet.
    pub fn new(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { text, lines, line_end, edits: Vec::new() }
    }

    /// Puts the actions of `new` in the place of those of `old`. `None` if one of them is written in a way that
    /// this cannot follow, such as by an alias; nothing of the rule changes then.
    pub fn replace(&mut self, written: &WrittenRule, old: &Value, new: &Value) -> Option<()> {
        let items = |rule: &Value| rule["respond"].as_array().cloned().unwrap_or_default();
        let mut edits = Vec::new();
        for (at, (before, after)) in items(old).iter().zip(&items(new)).enumerate() {
            if before != after {
                edits.push(self.edit(written.position(&format!("respond/{at}")), after)?);
            }
        }
        self.edits.extend(edits);
        Some(())
    }

    /// The text with all changes.
    pub fn finish(mut self) -> String {
        self.edits.sort_unstable_by_key(|(range, _)| range.start);
        let (mut changed, mut through) = (String::with_capacity(self.text.len()), 0);
        for (range, item) in self.edits {
            // Two actions that share their text, as by an alias, are caught when the result is read again.
            changed.push_str(self.text.get(through..range.start).unwrap_or_default());
            changed.push_str(&item);
            through = range.end.max(through);
        }
        changed.push_str(&self.text[through..]);
        changed
    }

    /// What stands instead of an action, and where; the place is counted from 1.
    fn edit(&self, (line, column): (u32, u32), after: &Value) -> Option<(Range<usize>, String)> {
        let (line, column) =
            (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
        let line_start = *self.lines.get(line)?;
        let start = line_start + column_bytes(self.text[line_start..].lines().next()?, column)?;
        if self.text.get(start..)?.starts_with('{') {
            let end = start + flow_bytes(&self.text[start..])?;
            return Some((start..end, serde_json::to_string(after).ok()?));
        }
        let (end, item) = self.block(line, column, after)?;
        Some((start..end, item))
    }

    /// Where an action of indented lines ends, and what stands there instead.
    fn block(&self, line: usize, column: usize, after: &Value) -> Option<(usize, String)> {
        let mut lines = self.text[*self.lines.get(line)?..].lines();
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
        let end = match self.lines.get(line + last) {
            Some(next) => next - 1,
            None => self.text.trim_end_matches(['\n', '\r']).len(),
        };
        let end = if self.text[..end].ends_with('\r') { end - 1 } else { end };
        let item = yaml(after).ok()?;
        Some((end, item.trim_end().replace('\n', &format!("{}{}", self.line_end, " ".repeat(column)))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use muster_rules::{Conversion, convert, read_rules};

    fn converted(text: &str) -> Option<String> {
        let rules = read_rules(text, "r").unwrap();
        let old = rules[0].value();
        let Conversion::Converted(new) = convert(&old) else { panic!("nothing to convert") };
        let mut splices = Splices::new(text);
        splices.replace(&rules[0], &old, &new)?;
        let spliced = splices.finish();
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

    #[test]
    fn all_rules_of_a_file_change_at_once() {
        let rule = "# a\ndetect: {op: exists, path: a}\nrespond:\n- action: service request\n  name: reliable-tasking\n  request: {action: list}\n- {action: report, name: x}\n---\n";
        let text = rule.repeat(3);
        let rules = read_rules(&text, "r").unwrap();
        let mut splices = Splices::new(&text);
        for written in [&rules[2], &rules[0]] {
            let old = written.value();
            let Conversion::Converted(new) = convert(&old) else { panic!("nothing to convert") };
            splices.replace(written, &old, &new).unwrap();
        }
        let changed = splices.finish();
        let parts: Vec<&str> = changed.split_inclusive("---\n").collect();
        assert_eq!((parts[0], parts[1]), (converted(rule).unwrap().as_str(), rule));
        assert_eq!(parts[2], parts[0]);
    }
}
