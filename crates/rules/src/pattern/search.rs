//! Searches that can be cut off.
//!
//! The engine that finds most patterns fastest cannot be interrupted, and where its automaton outgrows its memory it needs
//! as many steps as the pattern has states, for each byte. So it gets only searches whose worst case is short. All others go
//! through an automaton that is built while it runs: here each byte and each new state of it is paid for, and a search
//! that nobody can pay for any more is given up. Both find the same.

use super::{PATTERN_DEPTH_MAX, PATTERN_PROGRAM_BYTES_MAX, build};
use crate::work::Work;
use regex::bytes::Regex;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use std::sync::OnceLock;

/// Memory of an automaton that is built while it runs, in bytes. With more of it, less is built twice.
const STEPPED_CACHE_BYTES_MAX: usize = 4 << 20;

/// Steps to build one state of the automaton: so many, and so many for each state of the pattern, all of which may be
/// visited.
const STEPS_PER_BUILT: u64 = 256;
const STEPS_PER_STATE: u64 = 4;

/// A pattern made ready for searches.
pub(super) struct Searcher {
    pub(super) regex: Regex,
    nfa: NFA,
    /// Made for the first search that is too long for `regex`.
    stepped: OnceLock<Option<DFA>>,
}

impl Searcher {
    pub(super) fn new(translated: &str, is_case_sensitive: bool) -> Option<Self> {
        let regex = build(translated, is_case_sensitive).ok()?;
        let syntax =
            syntax::Config::new().utf8(false).case_insensitive(!is_case_sensitive).nest_limit(PATTERN_DEPTH_MAX);
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(PATTERN_PROGRAM_BYTES_MAX));
        let nfa = NFA::compiler().syntax(syntax).configure(config).build(translated).ok()?;
        Some(Self { regex, nfa, stepped: OnceLock::new() })
    }

    /// States times bytes: what the worst search through a text of so many bytes takes.
    pub(super) fn worst_cost(&self, bytes: usize) -> u64 {
        (self.nfa.states().len() as u64).saturating_mul(bytes as u64)
    }

    /// Whether the pattern is found anywhere in a text; false also when the account does not cover the search.
    pub(super) fn is_match(&self, text: &[u8], work: &Work) -> bool {
        if !work.spend(text.len() as u64 + 1) {
            return false;
        }
        if work.takes_quickly(self.worst_cost(text.len())) {
            return self.regex.is_match(text);
        }
        match self.stepped() {
            Some(dfa) => work.with_cache(dfa, |cache| self.step_through(dfa, cache, text, work)),
            // No such automaton: nothing is left but to give up.
            None => work.spend(u64::MAX),
        }
    }

    fn stepped(&self) -> Option<&DFA> {
        let config = DFA::config()
            .match_kind(MatchKind::LeftmostFirst)
            .cache_capacity(STEPPED_CACHE_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(None);
        let build = || DFA::builder().configure(config).build_from_nfa(self.nfa.clone()).ok();
        self.stepped.get_or_init(build).as_ref()
    }

    fn step_through(&self, dfa: &DFA, cache: &mut Cache, text: &[u8], work: &Work) -> bool {
        let to_build = STEPS_PER_BUILT + STEPS_PER_STATE * self.nfa.states().len() as u64;
        let Ok(mut state) = dfa.start_state_forward(cache, &Input::new(text)) else { return work.spend(u64::MAX) };
        // What is only looked at was paid for as a whole; what is built is paid for here.
        for byte in text {
            if state.is_tagged() && (state.is_match() || state.is_dead()) {
                return state.is_match();
            }
            let known = (!state.is_tagged()).then(|| dfa.next_state_untagged(cache, state, *byte));
            state = match known.filter(|next| !next.is_unknown()) {
                Some(next) => next,
                None if !work.spend(to_build) => return false,
                None => match dfa.next_state(cache, state, *byte) {
                    Ok(next) => next,
                    Err(_) => return work.spend(u64::MAX),
                },
            };
        }
        if state.is_match() || state.is_dead() {
            return state.is_match();
        }
        dfa.next_eoi_state(cache, state).is_ok_and(|last| last.is_match())
    }
}
