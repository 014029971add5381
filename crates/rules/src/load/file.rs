//! Rules as they stand in files: one or several, bare or as records of hives.

use super::cursor::Cursor;
use super::tests_of_rule::{self, TestOutcome};
use super::tree::{Kind, Tree, shifted};
use super::{LoadError, Rule, RuleLoader, RuleMeta};
use serde_json::Value;

/// Hives of rules, as files of configuration name them.
const HIVE_PREFIX: &str = "dr-";

/// A rule with the lines and columns of the file that it was read from.
#[derive(Clone, Debug)]
pub struct WrittenRule {
    /// Its key, its `name`, or that of the file.
    pub name: String,
    /// `general` where the file does not say otherwise.
    pub namespace: String,
    tree: Tree,
}

impl WrittenRule {
    /// The rule alone.
    #[must_use]
    pub fn value(&self) -> Value {
        self.tree.to_value()
    }

    /// Its name and namespace.
    #[must_use]
    pub fn meta(&self) -> RuleMeta {
        RuleMeta { namespace: self.namespace.clone(), ..RuleMeta::general(&self.name) }
    }

    /// Line and column, from 1, of a place such as `detect/rules/0`; of the innermost part that was
    /// written if the place itself was not. Zeros if the file is JSON that YAML cannot read.
    #[must_use]
    pub fn position(&self, place: &str) -> (u32, u32) {
        let mut at = &self.tree;
        for part in place.split('/').filter(|part| !part.is_empty()) {
            let next = match &at.kind {
                Kind::Map(_) => at.get(part),
                _ => item(at, part),
            };
            let Some(next) = next else { break };
            at = next;
        }
        (at.line, at.column)
    }
}

fn item<'t>(list: &'t Tree, index: &str) -> Option<&'t Tree> {
    match &list.kind {
        Kind::List(items) => items.get(index.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Reads the rules of a file: YAML documents or JSON, each a rule, a record with the rule under `data`,
/// a list of these, or an object of these by name, also under `rules` or `hives`.
///
/// # Errors
///
/// [`LoadError`] if the text cannot be parsed, or holds anything but rules.
pub fn read_rules(text: &str, name: &str) -> Result<Vec<WrittenRule>, LoadError> {
    let mut rules = Vec::new();
    for (lines_before, document) in documents(text) {
        let below = |error: LoadError| LoadError { line: shifted(error.line, lines_before), ..error };
        let mut tree = Tree::from_text(document).map_err(below)?;
        tree.shift(lines_before);
        if !matches!(tree.kind, Kind::Null) {
            collect(&tree, name, "general", &mut rules)?;
        }
    }
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for rule in &mut rules {
        let count = seen.entry(format!("{}/{}", rule.namespace, rule.name)).or_default();
        *count += 1;
        if *count > 1 {
            rule.name = format!("{}-{count}", rule.name);
        }
    }
    if rules.is_empty() {
        return Err(LoadError::new("rule/no-rule", "there is no rule here", "a rule has detect and respond"));
    }
    Ok(rules)
}

/// The documents of a text, each with the number of lines before it.
fn documents(text: &str) -> Vec<(u32, &str)> {
    if text.trim_start().starts_with(['{', '[']) {
        return vec![(0, text)];
    }
    let (mut documents, mut first_line, mut start, mut at) = (Vec::new(), 0, 0, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        at += line.len();
        if line.trim_end() == "---" {
            documents.push((first_line, &text[start..at - line.len()]));
            (first_line, start) = (number, at);
        }
    }
    documents.push((first_line, &text[start..]));
    documents.retain(|(_, document)| !document.trim().is_empty());
    documents
}

fn collect(tree: &Tree, name: &str, namespace: &str, rules: &mut Vec<WrittenRule>) -> Result<(), LoadError> {
    let own_name = || match tree.get("name").map(|name| &name.kind) {
        Some(Kind::Text(name)) => name.clone(),
        _ => name.to_owned(),
    };
    match &tree.kind {
        Kind::List(items) => items.iter().try_for_each(|item| collect(item, name, namespace, rules)),
        Kind::Map(_) if tree.get("detect").is_some() => {
            rules.push(WrittenRule { name: own_name(), namespace: namespace.to_owned(), tree: tree.clone() });
            Ok(())
        }
        Kind::Map(_) if tree.get("data").is_some_and(|data| data.get("detect").is_some()) => {
            let data = tree.get("data").cloned();
            rules.extend(data.map(|tree| WrittenRule { name: own_name(), namespace: namespace.to_owned(), tree }));
            Ok(())
        }
        Kind::Map(entries) if tree.get("hives").is_none() && tree.get("rules").is_none() => {
            for (key, entry) in entries {
                if !matches!(entry.kind, Kind::Map(_)) || !is_rule(entry) {
                    return Err(Cursor::new(entry, key).error(
                        "rule/no-rule",
                        format!("{key} is no rule"),
                        "a file holds a rule (detect, respond), a list of rules, or rules by name",
                    ));
                }
                collect(entry, key, namespace, rules)?;
            }
            Ok(())
        }
        Kind::Map(_) => {
            let hives = tree.get("hives").map(|hives| hives.kind.clone());
            if let Some(Kind::Map(hives)) = hives {
                for (hive, records) in hives.iter().filter(|(hive, _)| hive.starts_with(HIVE_PREFIX)) {
                    collect(records, name, hive.trim_start_matches(HIVE_PREFIX), rules)?;
                }
            }
            tree.get("rules").map_or(Ok(()), |named| collect(named, name, namespace, rules))
        }
        _ => Err(Cursor::new(tree, "").error(
            "rule/no-rule",
            format!("this is {}, and no rule", tree.describe()),
            "a rule is an object with detect and respond",
        )),
    }
}

fn is_rule(entry: &Tree) -> bool {
    entry.get("detect").is_some() || entry.get("data").is_some_and(|data| data.get("detect").is_some())
}

impl RuleLoader<'_> {
    /// Loads a rule of a file, without running its unit tests.
    ///
    /// # Errors
    ///
    /// As [`RuleLoader::rule`].
    pub fn written(&self, written: &WrittenRule) -> Result<Rule, LoadError> {
        self.load_untested(written.meta(), &written.tree, &written.value().to_string(), false)
    }

    /// Runs the unit tests that a rule of a file carries.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if they are not written as tests are, or the rule is stateful.
    pub fn run_tests(&self, rule: &Rule, written: &WrittenRule) -> Result<Vec<TestOutcome>, LoadError> {
        match Cursor::new(&written.tree, "").get("tests") {
            Some(tests) => tests_of_rule::run(rule, &tests, self.resources),
            None => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "detect: {op: exists, path: event/A}\nrespond: []\n";

    fn names(text: &str) -> Vec<String> {
        let rules = read_rules(text, "file").unwrap();
        rules.iter().map(|rule| format!("{}.{}", rule.namespace, rule.name)).collect()
    }

    #[test]
    fn every_shape_of_a_file_is_read() {
        assert_eq!(names(RULE), ["general.file"]);
        assert_eq!(
            names(&format!("name: n\n{RULE}---\n{RULE}---\n# nothing\n---\n{RULE}")),
            ["general.n", "general.file", "general.file-2"]
        );
        assert_eq!(
            names(r#"[{"detect": {}, "respond": [], "name": "j"}, {"data": {"detect": {}}}]"#),
            ["general.j", "general.file"]
        );
        let records = "hives:\n  dr-managed:\n    m: {data: {detect: {}}, usr_mtd: {}}\n  fp: {f: {data: {op: is}}}\n";
        assert_eq!(names(records), ["managed.m"]);
        assert_eq!(names("rules: {a: {detect: {}}, b: {detect: {}}}"), ["general.a", "general.b"]);
        for none in ["a: 1", "op: is", "text", "- 1", "", "hives: {fp: {}}"] {
            assert_eq!(read_rules(none, "file").unwrap_err().code, "rule/no-rule", "{none}");
        }
    }

    /// Goal: what is read of a file grows with its size, not with the square of it.
    #[test]
    fn a_file_of_many_documents_is_read_once() {
        const DOCUMENTS: usize = 20_000;
        let text = format!("{RULE}---\n").repeat(DOCUMENTS);
        assert!(documents(&text).iter().map(|(_, document)| document.len()).sum::<usize>() < text.len());
        let rules = read_rules(&text, "file").unwrap();
        assert_eq!((rules.len(), rules[DOCUMENTS - 1].name.as_str()), (DOCUMENTS, "file-20000"));
        assert_eq!(rules[DOCUMENTS - 1].position("respond"), (59_999, 10));
        let error = read_rules(&format!("{text}a: [1\nb: 2\n"), "file").unwrap_err();
        assert!(error.line > 60_001, "{error}");
        let large = format!("# {}\n{RULE}---\n", "x".repeat(600_000)).repeat(2);
        assert!(large.len() > crate::load::RULE_BYTES_MAX);
        assert!(read_rules(&large, "file").is_ok(), "the bound is that of a rule");
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        let text = "detect: {}\n---\ndetect:\n  op: is\n  value: |\n    x\n    y\n---\n---\ndetect: {}\n";
        let windows = read_rules(&text.replace('\n', "\r\n"), "f").unwrap();
        let values: Vec<Value> = read_rules(text, "f").unwrap().iter().map(WrittenRule::value).collect();
        assert_eq!(values, windows.iter().map(WrittenRule::value).collect::<Vec<_>>());
        assert_eq!((windows[1].position("detect/op"), windows[2].position("detect")), ((4, 7), (10, 9)));
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let text =
            "# first\n---\ndetect:\n  op: and\n  rules:\n    - {op: exists, path: a}\n    - op: is\n      path: b\n";
        let rules = read_rules(text, "file").unwrap();
        assert_eq!(rules[0].position("detect/rules/1/path"), (8, 13));
        assert_eq!(rules[0].position("detect/rules/1/nowhere").0, 7);
        let error = read_rules("---\na: [1\nb: 2\n", "file").unwrap_err();
        assert!(error.line >= 2, "{error}");
    }
}
