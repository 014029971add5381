//! The texts that a pattern needs, so that it runs only where one of them is.
//!
//! All of it holds for ASCII values only: there a letter of a class that ignores
//! case can be read as its folded form. For other values the plan assumes nothing.

use super::cover::text_cost;
use crate::fold::fold_char;
use crate::pattern::Pattern;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Most texts for one pattern.
const TEXTS_MAX: usize = 64;
/// Most sets that one pattern is asked to choose from, per level.
const SETS_MAX: usize = 32;
/// Shortest text that is useful whatever it holds, in bytes.
const TEXT_BYTES_MIN: usize = 2;
/// Signs that ordinary values are full of; another one says something even alone.
const ORDINARY_SIGNS: &[u8] = b" \"'*+,-./:=@\\_%()";

/// Sets of folded texts; every ASCII match contains at least one text of each set.
pub(super) fn choices(pattern: &Pattern) -> Vec<Vec<String>> {
    pattern.parsed().map(|hir| sets(&hir)).unwrap_or_default()
}

fn sets(hir: &Hir) -> Vec<Vec<String>> {
    match hir.kind() {
        HirKind::Capture(capture) => sets(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => sets(&repetition.sub),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<Vec<String>>> = parts.iter().map(|part| best(sets(part))).collect();
            let all: Vec<String> = all.into_iter().flatten().flatten().collect();
            if all.is_empty() || all.len() > TEXTS_MAX { Vec::new() } else { vec![all] }
        }
        HirKind::Concat(parts) => {
            let mut found: Vec<Vec<String>> = parts.iter().flat_map(sets).take(SETS_MAX).collect();
            let mut run = String::new();
            for part in parts {
                match exact(part) {
                    Some(text) => run.push_str(&text),
                    None => found.extend(useful(std::mem::take(&mut run))),
                }
            }
            found.extend(useful(run));
            found
        }
        _ => exact(hir).and_then(useful).into_iter().collect(),
    }
}

fn best(sets: Vec<Vec<String>>) -> Option<Vec<String>> {
    sets.into_iter().min_by_key(|set| set.iter().map(|text| text_cost(text)).sum::<u64>())
}

fn useful(text: String) -> Option<Vec<String>> {
    let is_rare_sign = |byte: &u8| byte.is_ascii_punctuation() && !ORDINARY_SIGNS.contains(byte);
    let is_useful = text.len() >= TEXT_BYTES_MIN || text.as_bytes().first().is_some_and(is_rare_sign);
    is_useful.then(|| vec![text])
}

/// The one folded text that a part of a pattern matches, if there is but one.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok().filter(|text| text.is_ascii())?;
            Some(text.to_ascii_lowercase())
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(exact).collect(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut letters = class.iter().flat_map(|range| range.start()..=range.end()).take_while(char::is_ascii);
            let first = fold_char(letters.next()?);
            letters.all(|letter| fold_char(letter) == first).then(|| first.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_give_the_texts_that_they_need() {
        let cases = [
            (r"(cmd|powershell)\.exe$", Some(vec!["cmd", "powershell"])),
            (r"-enc(odedcommand)?\s+[a-z0-9]{20,}", Some(vec!["-enc"])),
            (r"(?s)^.*\\Temp\\.*\.ps1$", Some(vec!["\\temp\\"])),
            (r"\d+", None),
            (r"a|bcd", None),
            (r"\w+`(?:\w+|-|.)`[\w+|\s]", Some(vec!["`"])),
            (r"\w+\.(?:\w+|-|.)", None),
            (r"(foo)*bar?", Some(vec!["ba"])),
        ];
        for (go, expected) in cases {
            let found = best(choices(&Pattern::new(go, false).unwrap()));
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{go}");
        }
    }
}
