//! Regular expressions that match everything, nothing, or slowly.

use super::{ALWAYS, Findings, NEVER, SLOW};
use crate::ast::Node;
use crate::pattern::Pattern;
use crate::plan;
use crate::work::{Budget, Work};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// Texts that have nothing in common: what matches all of them says nothing.
const PROBES: [&str; 4] = ["", "a", "Zq 9/\\\u{e9}", "C:\\x\\y.exe -k 12"];

pub(super) fn check(findings: &mut Findings<'_>, node: &Node, pattern: &Pattern) {
    let mut parser = ParserBuilder::new().case_insensitive(!pattern.is_case_sensitive).utf8(false).build();
    let Ok(hir) = parser.parse(&pattern.translated) else { return };
    if hir.properties().minimum_len().is_none() {
        let code = if node.is_negated { ALWAYS } else { NEVER };
        findings.add(code, "no text matches this pattern", &node.place);
        return;
    }
    if PROBES.iter().all(|probe| pattern.is_match(probe, &Work::of_one_rule(Budget::default()))) {
        let code = if node.is_negated { NEVER } else { ALWAYS };
        findings.add(code, "every text matches this pattern; use exists, or say more", &node.place);
        return;
    }
    if begins_with_anything(&hir) {
        let message = "a pattern is found anywhere, so .* in front of it changes nothing and costs time; drop it";
        findings.add(SLOW, message, &node.place);
    }
    if !plan::has_literal(pattern) {
        let message = "the pattern holds no two letters in a row to search for, so it runs on every value at its path";
        findings.add(SLOW, message, &node.place);
    }
}

/// Whether the first thing a pattern asks for is any number of any letters.
fn begins_with_anything(hir: &Hir) -> bool {
    let first = match hir.kind() {
        HirKind::Concat(parts) => parts.iter().find(|part| !matches!(part.kind(), HirKind::Look(_))),
        HirKind::Capture(capture) => return begins_with_anything(&capture.sub),
        _ => return false,
    };
    match first.map(Hir::kind) {
        Some(HirKind::Repetition(repetition)) => {
            // Anything but a line end, or anything at all: no class that an author wrote is as wide.
            let is_wide = match repetition.sub.kind() {
                HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
                    class.iter().map(|range| range.len()).sum::<usize>() > usize::from(u16::MAX)
                        && class.iter().any(|range| range.start() <= 'a' && 'z' <= range.end())
                }
                HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => {
                    class.iter().map(|range| range.len()).sum::<usize>() >= usize::from(u8::MAX)
                }
                _ => false,
            };
            is_wide && repetition.min == 0 && repetition.max.is_none()
        }
        Some(HirKind::Capture(capture)) => begins_with_anything(&capture.sub),
        _ => false,
    }
}
