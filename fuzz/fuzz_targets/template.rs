//! Any template is refused or renders within its bound, the same each time.
//!
//! The first line is the template, the rest the event that it sees.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::engines::{self, WORDS};
use muster_fuzz::line_and_rest;
use muster_rules::{Reshape, Reshaped, RuleLoader, RuleMeta, RuleSet, TEMPLATE_OUTPUT_BYTES_MAX, Target};
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest error of a failed template.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Templates and transforms of outputs, which see whatever record goes out.
fn reshaped(text: &str, record: &[u8]) {
    let (Ok(reshape), Ok(record)) = (Reshape::new(text, "seed"), serde_json::from_slice(record)) else { return };
    let made = reshape.apply(&record);
    assert_eq!(made, reshape.apply(&record), "reshaping depends on something else than its arguments");
    if let Ok(Reshaped::Text(made)) = made {
        assert!(made.len() <= TEMPLATE_OUTPUT_BYTES_MAX, "{} bytes", made.len());
    }
}

fuzz_target!(|data: &[u8]| {
    let (template, event) = line_and_rest(data);
    let Ok(template) = std::str::from_utf8(template) else { return };
    // A line of text cannot hold a line break, and templates can.
    let template = template.replace("\\n", "\n");
    reshaped(&template, event);
    let rule = json!({
        "detect": {"op": "exists", "path": "*"},
        "respond": [
            {"action": "report", "name": template, "metadata": {"text": template}},
            {"action": "add tag", "tag": template},
            {"action": "extension request", "extension name": "e", "extension action": "a", "extension request": {"made": template}},
        ],
    });
    let Ok(rule) = RuleLoader::new(&*WORDS, "seed").rule_value(RuleMeta::general("r"), &rule) else { return };
    let rules = Arc::new(RuleSet::new(vec![rule], Vec::new()));
    let first = engines::agreed(&rules, &[(Target::Edr, event)]);
    let second = engines::agreed(&rules, &[(Target::Edr, event)]);
    assert_eq!(first, second, "rendering depends on something else than its arguments");
    let Some(effects) = first[0].get(1).and_then(Value::as_array) else { return };
    for effect in effects {
        let made =
            [&effect["name"], &effect["tag"], &effect["detect_mtd"]["text"], &effect["extension request"]["made"]];
        for text in made.iter().filter_map(|made| made.as_str()) {
            assert!(text.len() <= TEMPLATE_OUTPUT_BYTES_MAX, "{} bytes", text.len());
            let is_literal = !template.contains("{{") && !template.contains("<<");
            assert!(!is_literal || text == template || effect["extension request"]["made"] == text);
        }
        assert!(effect["message"].as_str().is_none_or(|message| message.len() <= ERROR_BYTES_MAX));
    }
});
