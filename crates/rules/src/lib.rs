//! Detection and response rules: load, compile, evaluate.
//!
//! A [`RuleLoader`] turns rule text into [`Rule`]s, a [`RuleSet`] compiles them
//! into one plan, and an [`Engine`] takes events and gives back effects as data.
//! Nothing here reads a clock, a file or a socket: time, randomness, lookups and
//! counters are arguments, so that a simulation can run it from one seed.
//!
//! # Invariants
//!
//! 1. The shared plan matches exactly the rules that evaluating each rule in turn matches.
//! 2. Every input is bounded and none makes the engine panic: rules, templates,
//!    patterns, paths and events may be hostile.
//! 3. One failed action never stops another one.
//! 4. An event costs at most its [`Budget`]: a rule that needs more is cut off, and all others go on.
//!
//! Source: reference/detection-response.md.

#![forbid(unsafe_code)]

mod action;
mod ast;
mod convert;
mod copies;
mod document;
mod engine;
mod evaluate;
mod fold;
mod lint;
mod load;
mod number;
mod path;
mod pattern;
mod plan;
pub mod replay;
mod reshape;
mod stateful;
mod suppression;
mod template;
mod transform;
mod variables;
mod work;
mod yaml;

pub use action::{Decided, Effect};
pub use ast::Target;
pub use convert::{CONVERTIBLE_EXTENSION, Conversion, convert};
pub use document::{DOCUMENT_BYTES_MAX, Document, DocumentError};
pub use engine::{
    ArtifactFacts, CHAIN_DEPTH_MAX, DETECTIONS_PER_EVENT_MAX, Engine, Facts, Outcome, Overran, Overrun, Source, Way,
};
pub use lint::{KnownEvent, lint};
pub use load::{
    FalsePositive, LoadError, NoResources, RULE_BYTES_MAX, Resources, Rule, RuleLoader, RuleMeta, TestEvent,
    TestOutcome, Warning, WrittenRule, read_rules,
};
pub use plan::{Edits, Merged, RuleKey, RuleSet};
pub use reshape::{Reshape, ReshapeError, Reshaped};
pub use stateful::TRACKERS_MAX;
pub use suppression::{Activation, CounterKey, Counters, SWEPT_MAX, Suppression, WINDOWS_MAX, Window};
pub use template::TEMPLATE_OUTPUT_BYTES_MAX;
pub use variables::{VARIABLE_VALUES_MAX, VARIABLES_MAX, VariableError, Variables};
pub use work::{Budget, EVENT_STEPS_MAX, RULE_STEPS_MAX};
pub use yaml::{YamlBounds, YamlError, read_yaml};
