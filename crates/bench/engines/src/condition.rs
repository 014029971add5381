//! Conditions of Sigma rules.

use anyhow::{Context as _, bail};

/// A condition over names of selections.
#[derive(Clone, Debug)]
pub enum Condition {
    Name(String),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// Reads a condition; `names` are the selections that `1 of` and `all of` choose from.
pub fn read(text: &str, names: &[&str]) -> anyhow::Result<Condition> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut reader = Reader { words: spaced.split_whitespace().collect(), at: 0, names };
    let condition = reader.any()?;
    if reader.at < reader.words.len() {
        bail!("the condition {text}");
    }
    Ok(condition)
}

struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    names: &'a [&'a str],
}

impl Reader<'_> {
    fn is_next(&mut self, word: &str) -> bool {
        let is_it = self.words.get(self.at).is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn any(&mut self) -> anyhow::Result<Condition> {
        let mut parts = vec![self.all()?];
        while self.is_next("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self) -> anyhow::Result<Condition> {
        let mut parts = vec![self.not()?];
        while self.is_next("and") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn not(&mut self) -> anyhow::Result<Condition> {
        if self.is_next("not") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.is_next("(") {
            let inner = self.any()?;
            return if self.is_next(")") { Ok(inner) } else { bail!("a parenthesis is open") };
        }
        let quantity = self.words.get(self.at).copied().context("the condition ends early")?;
        self.at += 1;
        if !self.is_next("of") {
            let known = self.names.contains(&quantity);
            return if known { Ok(Condition::Name(quantity.to_owned())) } else { bail!("no selection {quantity}") };
        }
        let pattern = self.words.get(self.at).copied().context("the condition ends early")?;
        self.at += 1;
        let chosen: Vec<_> = self.names.iter().filter(|name| is_chosen(name, pattern)).collect();
        let chosen: Vec<_> = chosen.into_iter().map(|name| Condition::Name((*name).to_owned())).collect();
        match quantity {
            _ if chosen.is_empty() => bail!("no selection {pattern}"),
            "1" => Ok(Condition::Any(chosen)),
            "all" => Ok(Condition::All(chosen)),
            _ => bail!("{quantity} of"),
        }
    }
}

fn is_chosen(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        _ if pattern == "them" => !name.starts_with('_'),
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    }
}
