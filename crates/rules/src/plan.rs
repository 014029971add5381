//! All rules of an organization as one plan.

use crate::ast::Target;
use crate::document::Document;
use crate::evaluate::Plain;
use crate::load::{FalsePositive, Rule};
use std::collections::HashMap;
use std::sync::Arc;

/// The compiled rules of an organization.
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    pub(crate) false_positives: Vec<FalsePositive>,
    pub(crate) by_fingerprint: HashMap<u64, u32>,
}

/// Memory that evaluation reuses.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) candidates: Vec<u32>,
}

impl Scratch {
    pub(crate) fn new(_rules: &RuleSet) -> Self {
        Self::default()
    }
}

impl RuleSet {
    /// Compiles rules, which keep their order.
    #[must_use]
    pub fn new(rules: Vec<Rule>, false_positives: Vec<FalsePositive>) -> Self {
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        let by_fingerprint = rules.iter().enumerate().map(|(at, rule)| (rule.fingerprint, at as u32)).collect();
        Self { rules, false_positives, by_fingerprint }
    }

    pub(crate) fn rule(&self, index: u32) -> &Arc<Rule> {
        &self.rules[index as usize]
    }

    pub(crate) fn listens_to(&self, target: Target) -> bool {
        self.rules.iter().any(|rule| rule.target() == target)
    }

    pub(crate) fn all_of(&self, target: Target, candidates: &mut Vec<u32>) {
        candidates.extend((0..self.rules.len() as u32).filter(|index| self.rule(*index).target() == target));
    }

    pub(crate) fn candidates(&self, target: Target, _kind: &str, _document: &Document, _scratch: &mut Scratch, candidates: &mut Vec<u32>) {
        self.all_of(target, candidates);
    }

    pub(crate) fn shared(&self, _scratch: &mut Scratch) -> Plain {
        Plain
    }
}
