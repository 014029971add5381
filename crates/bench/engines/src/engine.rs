//! The engines that are compared, behind one face.

use crate::event::Event;
use crate::sigma::Rule;
use crate::write;
use anyhow::Context as _;
use clap::ValueEnum;
use muster_rules::{Budget, Document, Facts, NoResources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way};
use parking_lot::Mutex;
use rsigma_eval::JsonEvent;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// The shared plan, events parsed before.
    Muster,
    /// The shared plan, from JSON text.
    MusterJson,
    /// Parsing alone: the limit of the one before.
    MusterParse,
    /// Each rule in turn, events parsed before.
    Naive,
    /// rsigma-eval as it comes, events parsed before.
    Rsigma,
    /// rsigma-eval with its automaton across rules, which it advises for large sets.
    RsigmaAc,
    /// rsigma-eval as it comes, from JSON text.
    RsigmaJson,
    /// tau-engine with all its optimisations, events parsed before.
    Tau,
    /// sigma-rust, events parsed before.
    SigmaRust,
}

impl Name {
    /// The name on the command line and in the output.
    pub fn shown(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Rules in the language of this engine.
    pub fn texts(self, rules: &[Rule]) -> anyhow::Result<Vec<Text>> {
        let text = |rule: &Rule| {
            let text = match self {
                Self::Muster | Self::MusterJson | Self::MusterParse | Self::Naive => {
                    write::detection_and_response(rule)?
                }
                Self::Rsigma | Self::RsigmaAc | Self::RsigmaJson | Self::SigmaRust => write::sigma(rule),
                Self::Tau => write::tau(rule)?,
            };
            Ok(Text { title: rule.title.clone(), category: rule.category.clone(), text })
        };
        rules.iter().map(text).collect()
    }

    /// Loads rules; what this takes is the engine's load time and memory.
    pub fn load(self, texts: &[Text]) -> anyhow::Result<Box<dyn Contender>> {
        Ok(match self {
            Self::Muster | Self::MusterJson => Box::new(Muster::load(texts, Way::Shared, self == Self::MusterJson)?),
            Self::Naive => Box::new(Muster::load(texts, Way::EachRule, false)?),
            Self::MusterParse => Box::<Parse>::default(),
            Self::Rsigma | Self::RsigmaJson => Box::new(Rsigma::load(texts, false, self == Self::RsigmaJson)?),
            Self::RsigmaAc => Box::new(Rsigma::load(texts, true, false)?),
            Self::Tau => Box::new(Tau::load(texts)?),
            Self::SigmaRust => Box::new(SigmaRust::load(texts)?),
        })
    }
}

/// A rule as an engine reads it.
pub struct Text {
    pub title: String,
    pub category: String,
    pub text: String,
}

/// An engine with its rules.
pub trait Contender {
    /// Takes the events that will be asked for, and parses them unless parsing is part of the measurement.
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()>;

    /// How many rules match an event.
    fn count(&mut self, event: usize) -> usize;

    /// Which rules match an event.
    fn titles(&mut self, event: usize) -> Vec<String>;
}

struct Muster {
    engine: muster_rules::Engine,
    counters: Mutex<Suppression>,
    documents: Vec<Document>,
    is_text: bool,
    texts: Vec<String>,
}

impl Muster {
    fn load(texts: &[Text], way: Way, is_text: bool) -> anyhow::Result<Self> {
        let loader = RuleLoader::new(&NoResources, "");
        let load = |rule: &Text| {
            let loaded = loader.rule(RuleMeta::general(&rule.title), &rule.text);
            loaded.map_err(|error| anyhow::anyhow!("{error}"))
        };
        let rules: anyhow::Result<Vec<_>> = texts.iter().map(load).collect();
        let engine = muster_rules::Engine::new(Arc::new(RuleSet::new(rules?, Vec::new())), way);
        Ok(Self { engine, counters: Mutex::default(), documents: Vec::new(), is_text, texts: Vec::new() })
    }

    fn outcome(&mut self, event: usize) -> &muster_rules::Outcome {
        let facts = Facts {
            now_ms: 1_700_000_000_000,
            entropy: 1,
            resources: &NoResources,
            counters: &self.counters,
            console_url: None,
            budget: Budget::default(),
        };
        let source = Source::from(Target::Edr);
        if self.is_text {
            let json = self.texts[event].as_bytes();
            return self.engine.process_json(&source, json, &facts).expect("an event is JSON");
        }
        self.engine.process(&source, &self.documents[event], &facts)
    }
}

impl Contender for Muster {
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()> {
        if self.is_text {
            self.texts = events.iter().map(|event| event.whole.clone()).collect();
            return Ok(());
        }
        let documents: Result<Vec<_>, _> =
            events.iter().map(|event| Document::from_json(event.whole.as_bytes())).collect();
        self.documents = documents?;
        Ok(())
    }

    fn count(&mut self, event: usize) -> usize {
        self.outcome(event).matches.len()
    }

    fn titles(&mut self, event: usize) -> Vec<String> {
        self.outcome(event).matches.iter().map(|rule| rule.meta.name.clone()).collect()
    }
}

#[derive(Default)]
struct Parse {
    document: Document,
    texts: Vec<String>,
}

impl Contender for Parse {
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.texts = events.iter().map(|event| event.whole.clone()).collect();
        Ok(())
    }

    fn count(&mut self, event: usize) -> usize {
        self.document.parse(self.texts[event].as_bytes()).expect("an event is JSON");
        usize::from(std::hint::black_box(&self.document).sid().is_none())
    }

    fn titles(&mut self, _event: usize) -> Vec<String> {
        Vec::new()
    }
}

/// One engine per category, so that no rule is asked about an event that is none of its own.
struct Rsigma {
    engines: BTreeMap<String, rsigma_eval::Engine>,
    events: Vec<(String, Value)>,
    is_text: bool,
    texts: Vec<String>,
}

impl Rsigma {
    fn load(texts: &[Text], is_across: bool, is_text: bool) -> anyhow::Result<Self> {
        let mut rules: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for rule in texts {
            let collection = rsigma_parser::parse_sigma_yaml(&rule.text)?;
            if let Some(error) = collection.errors.first() {
                anyhow::bail!("{error:?}");
            }
            rules.entry(&rule.category).or_default().extend(collection.rules);
        }
        let mut engines = BTreeMap::new();
        for (category, rules) in rules {
            let mut engine = rsigma_eval::Engine::new();
            engine.set_cross_rule_ac(is_across);
            if let Some((_, error)) = engine.add_rules(&rules).into_iter().next() {
                anyhow::bail!("{error}");
            }
            engines.insert(category.to_owned(), engine);
        }
        Ok(Self { engines, events: Vec::new(), is_text, texts: Vec::new() })
    }

    fn results(&self, event: usize) -> Vec<rsigma_eval::EvaluationResult> {
        let (category, value) = &self.events[event];
        let Some(engine) = self.engines.get(category) else { return Vec::new() };
        if self.is_text {
            let value: Value = serde_json::from_str(&self.texts[event]).expect("an event is JSON");
            return engine.evaluate(&JsonEvent::borrow(&value));
        }
        engine.evaluate(&JsonEvent::borrow(value))
    }
}

impl Contender for Rsigma {
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.events = parsed(events)?;
        self.texts = events.iter().map(|event| event.fields.clone()).collect();
        Ok(())
    }

    fn count(&mut self, event: usize) -> usize {
        self.results(event).len()
    }

    fn titles(&mut self, event: usize) -> Vec<String> {
        self.results(event).into_iter().map(|result| result.header.rule_title).collect()
    }
}

fn parsed(events: &[Event]) -> anyhow::Result<Vec<(String, Value)>> {
    events.iter().map(|event| Ok((event.category.clone(), serde_json::from_str(&event.fields)?))).collect()
}

#[derive(Default)]
struct Tau {
    rules: BTreeMap<String, Vec<(String, tau_engine::Rule)>>,
    events: Vec<(String, Value)>,
}

impl Tau {
    fn load(texts: &[Text]) -> anyhow::Result<Self> {
        let mut tau = Self::default();
        for rule in texts {
            let loaded = tau_engine::Rule::from_str(&rule.text).map_err(|error| anyhow::anyhow!("{error}"))?;
            let loaded = loaded.optimise(tau_engine::Optimisations::default());
            tau.rules.entry(rule.category.clone()).or_default().push((rule.title.clone(), loaded));
        }
        Ok(tau)
    }

    fn matching(&self, event: usize) -> impl Iterator<Item = &str> {
        let (category, value) = &self.events[event];
        let rules = self.rules.get(category).map(Vec::as_slice).unwrap_or_default();
        rules.iter().filter(move |rule| rule.1.matches(value)).map(|rule| rule.0.as_str())
    }
}

impl Contender for Tau {
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.events = parsed(events)?;
        Ok(())
    }

    fn count(&mut self, event: usize) -> usize {
        self.matching(event).count()
    }

    fn titles(&mut self, event: usize) -> Vec<String> {
        self.matching(event).map(str::to_owned).collect()
    }
}

#[derive(Default)]
struct SigmaRust {
    rules: BTreeMap<String, Vec<(String, sigma_rust::Rule)>>,
    events: Vec<(String, sigma_rust::Event)>,
}

impl SigmaRust {
    fn load(texts: &[Text]) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for rule in texts {
            let loaded = sigma_rust::rule_from_yaml(&rule.text)?;
            all.rules.entry(rule.category.clone()).or_default().push((rule.title.clone(), loaded));
        }
        Ok(all)
    }

    fn matching(&self, event: usize) -> impl Iterator<Item = &str> {
        let (category, event) = &self.events[event];
        let rules = self.rules.get(category).map(Vec::as_slice).unwrap_or_default();
        rules.iter().filter(move |rule| rule.1.is_match(event)).map(|rule| rule.0.as_str())
    }
}

impl Contender for SigmaRust {
    fn prepare(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let read = |event: &Event| {
            let parsed = sigma_rust::event_from_json(&event.fields).context("an event is JSON")?;
            Ok((event.category.clone(), parsed))
        };
        self.events = events.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(())
    }

    fn count(&mut self, event: usize) -> usize {
        self.matching(event).count()
    }

    fn titles(&mut self, event: usize) -> Vec<String> {
        self.matching(event).map(str::to_owned).collect()
    }
}
