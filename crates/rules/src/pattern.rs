//! Regular expressions as Go writes them ([`muster_re2`] translates them), compiled and bounded.
//!
//! Source: reference/detection-response.md sections 8.3 and 28.

mod search;

use crate::work::Work;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use search::Searcher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// Longest pattern, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 16 << 10;
/// Largest compiled program, in bytes: a bound on what one rule can cost.
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Largest cache of one running pattern, in bytes.
const PATTERN_CACHE_BYTES_MAX: usize = 256 << 10;
/// States times bytes up to which named groups are looked for, which cannot be cut off: some tenths of a second at worst.
const GROUPS_COST_MAX: u64 = 1 << 25;
/// Deepest nesting of groups.
const PATTERN_DEPTH_MAX: u32 = 128;

/// A compiled pattern with the text that it was made from.
#[derive(Clone)]
pub(crate) struct Pattern {
    /// In this engine's dialect, flags included.
    pub(crate) translated: String,
    pub(crate) is_case_sensitive: bool,
    /// Made when it is first used: most patterns of a large set never run, thanks to the plan.
    searcher: Arc<OnceLock<Option<Searcher>>>,
}

/// What tells patterns apart, without the compiled part.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.translated, self.is_case_sensitive)
    }
}

/// Written alike, and read alike.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.translated, self.is_case_sensitive) == (&other.translated, other.is_case_sensitive)
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.translated, self.is_case_sensitive).hash(state);
    }
}

impl Pattern {
    /// Compiles a Go pattern; the error says what is wrong with it.
    pub(crate) fn new(go: &str, is_case_sensitive: bool) -> Result<Self, String> {
        let pattern = Self::tested(go, is_case_sensitive)?;
        build(&pattern.translated, is_case_sensitive).map_err(|error| muster_re2::reason(&error))?;
        Ok(pattern)
    }

    /// One that was compiled before, when its rule was set: it is read, and compiled again only when it first runs.
    pub(crate) fn tested(go: &str, is_case_sensitive: bool) -> Result<Self, String> {
        if go.len() > PATTERN_BYTES_MAX {
            return Err(format!("the pattern has {} bytes; at most {PATTERN_BYTES_MAX} are allowed", go.len()));
        }
        let translated = muster_re2::translate(go).map_err(|refused| refused.to_string())?;
        let pattern = Self { translated, is_case_sensitive, searcher: Arc::default() };
        pattern.parsed()?;
        Ok(pattern)
    }

    /// What it says, part by part; the error says what is wrong with it.
    pub(crate) fn parsed(&self) -> Result<Hir, String> {
        let mut parser = ParserBuilder::new();
        parser.case_insensitive(!self.is_case_sensitive).utf8(false).nest_limit(PATTERN_DEPTH_MAX);
        let parsed = parser.build().parse(&self.translated);
        parsed.map_err(|error| muster_re2::reason(&regex::Error::Syntax(error.to_string())))
    }

    fn searcher(&self) -> Option<&Searcher> {
        self.searcher.get_or_init(|| Searcher::new(&self.translated, self.is_case_sensitive)).as_ref()
    }

    /// Whether the pattern is found anywhere in the text; false also when `work` does not cover the search.
    pub(crate) fn is_match(&self, text: &str, work: &Work) -> bool {
        self.searcher().is_some_and(|searcher| searcher.is_match(text.as_bytes(), work))
    }

    /// Named groups of the first match; none in a text that is too long for the pattern.
    pub(crate) fn named_groups(&self, text: &str) -> Option<Vec<(String, String)>> {
        let searcher = self.searcher().filter(|searcher| searcher.worst_cost(text.len()) <= GROUPS_COST_MAX)?;
        let captures = searcher.regex.captures(text.as_bytes())?;
        let groups = searcher.regex.capture_names().flatten().filter_map(|name| {
            let found = captures.name(name)?;
            Some((muster_re2::group_name(name).to_owned(), String::from_utf8_lossy(found.as_bytes()).into_owned()))
        });
        Some(groups.collect())
    }
}

fn build(translated: &str, is_case_sensitive: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translated)
        .case_insensitive(!is_case_sensitive)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(PATTERN_CACHE_BYTES_MAX)
        .nest_limit(PATTERN_DEPTH_MAX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Budget;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let cases = [(r"^[\w-]+$", "A-b_9", "é"), (r"(?-i)abc", "abc", "ABC"), (r"\x41\101\x{1F600}", "AA😀", "AA")];
        for (go, hit, miss) in cases {
            let pattern = Pattern::new(go, false).unwrap_or_else(|cause| panic!("{go}: {cause}"));
            let work = Work::of_one_rule(Budget::default());
            assert!(pattern.is_match(hit, &work), "{go} on {hit}");
            assert!(!pattern.is_match(miss, &work), "{go} on {miss}");
        }
    }

    /// Goal: a pattern whose rule was set is read as when it was set. Method: what is right, wrong, and too large.
    #[test]
    fn one_that_was_compiled_before_is_read_alike() {
        for go in [r"a+(b|c)\d", "(?i)x", "["] {
            assert_eq!(Pattern::new(go, false), Pattern::tested(go, false), "{go}");
        }
        assert_ne!(Pattern::new("a", false), Pattern::new("a", true));
        let huge = Pattern::tested("((a{1000}){1000}){1000}", false).unwrap();
        assert!(!huge.is_match("a", &Work::of_one_rule(Budget::default())), "it never holds, and costs nothing");
    }

    #[test]
    fn what_go_refuses_and_what_costs_too_much_is_refused() {
        let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        for go in [
            r"(?=a)",
            r"(?!a)",
            r"(?<=a)b",
            r"(a)\1",
            r"[a-\d]",
            "a**",
            "a{2}{3}",
            "a{1001}",
            r"\Z",
            r"\e",
            "(?x)a",
            "(",
            "[a",
            "a\\",
            "((a{1000}){1000}){1000}",
            r"(\w{1000}){100}",
            &deep,
            &"a".repeat(PATTERN_BYTES_MAX + 1),
        ] {
            assert!(Pattern::new(go, false).is_err(), "{}", &go[..go.len().min(40)]);
        }
    }
}
