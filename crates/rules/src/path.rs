//! Paths into a document: plain keys, `?` for one level, `*` for any.
//!
//! Source: reference/detection-response.md section 6, resolutions A-01, A-02,
//! A-08 and, for `scope`, A-12.

use crate::document::{Document, Kind, NodeIndex};
use crate::work::{Budget, Work};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Most parts in one path: as deep as an event may nest.
pub(crate) const PATH_PARTS_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// A key, or an index when it is a decimal number.
    Name(Box<str>, Option<u32>),
    /// `?`: exactly one level.
    One,
    /// `*`: zero or more levels.
    Many,
}

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    parts: Box<[Part]>,
    /// Two ways to one node are possible, so visits must be remembered.
    is_ambiguous: bool,
}

/// What a path starts from: the document's root, or an element of it inside `scope`.
#[derive(Clone, Copy)]
pub(crate) struct Root<'a> {
    pub(crate) document: &'a Document,
    pub(crate) scope: Option<NodeIndex>,
}

impl Path {
    /// Compiles a path; every text is one. `None` if it has more than [`PATH_PARTS_MAX`] parts.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty()) {
            match part {
                "?" => parts.push(Part::One),
                "*" if parts.last() == Some(&Part::Many) => {}
                "*" => parts.push(Part::Many),
                name => {
                    let index = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
                    parts.push(Part::Name(name.into(), index));
                }
            }
        }
        let wild = parts.iter().filter(|part| !matches!(part, Part::Name(_, None))).count();
        (parts.len() <= PATH_PARTS_MAX).then(|| Self { parts: parts.into(), is_ambiguous: wild > 1 })
    }

    /// The two keys of the commonest kind of path, such as `event/FILE_PATH`.
    pub(crate) fn two_keys(&self) -> Option<(&str, &str)> {
        match &*self.parts {
            [Part::Name(first, None), Part::Name(second, None)] => Some((first, second)),
            _ => None,
        }
    }

    /// Whether the path holds a wildcard, which costs a walk of the subtree.
    pub(crate) fn is_wild(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Many))
    }

    /// The key that the path begins with; none if it begins with a wildcard.
    pub(crate) fn first_key(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Name(name, _)) => Some(name),
            _ => None,
        }
    }

    /// Whether the path leads to one node of an event, unless a list stands on the way.
    pub(crate) fn is_single(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Name(..)))
    }

    /// Calls `visit` with each selected node until it breaks, or `work` does not cover the walk any more.
    pub(crate) fn select<'a>(
        &self,
        root: Root<'a>,
        work: &Work,
        visit: &mut dyn FnMut(NodeIndex) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if root.document.is_empty() {
            return ControlFlow::Continue(());
        }
        let (start, parts) = self.start(root);
        let seen = self.is_ambiguous.then(Seen::default);
        Walk { document: root.document, seen, work, visit }.step(start, parts)
    }

    /// As [`Path::select`] for each selected value; lists are opened, recursively.
    pub(crate) fn select_values<'a>(
        &self,
        root: Root<'a>,
        work: &Work,
        visit: &mut dyn FnMut(NodeIndex) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.select(root, work, &mut |node| open_lists(root.document, node, work, visit))
    }

    /// The first selected value that is not a list.
    pub(crate) fn first_value(&self, root: Root<'_>) -> Option<NodeIndex> {
        let mut first = None;
        let _ = self.select_values(root, &Work::of_one_rule(Budget::default()), &mut |node| {
            first = Some(node);
            ControlFlow::Break(())
        });
        first
    }

    fn start(&self, root: Root<'_>) -> (NodeIndex, &[Part]) {
        let Some(scope) = root.scope else { return (0, &self.parts) };
        match self.parts.first() {
            Some(Part::Name(name, _)) if &**name == "event" => (scope, &self.parts[1..]),
            Some(Part::Name(name, _)) if &**name == "routing" => (0, &self.parts),
            _ => (scope, &self.parts),
        }
    }
}

/// Calls `visit` with a value, or with what is in it if it is a list, recursively.
pub(crate) fn open_lists(
    document: &Document,
    node: NodeIndex,
    work: &Work,
    visit: &mut dyn FnMut(NodeIndex) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if !matches!(document.kind(node), Kind::List) {
        return visit(node);
    }
    document.children(node).try_for_each(|child| match work.spend(STEPS_PER_PLACE) {
        true => open_lists(document, child, work, visit),
        false => ControlFlow::Break(()),
    })
}

/// Steps to look at one place of a document.
const STEPS_PER_PLACE: u64 = 4;

/// Steps that are kept without an allocation: what ordinary paths on ordinary events take.
const STEPS_NEAR: usize = 64;

/// A set of steps: a node, and how many parts are left.
struct Seen {
    near: [(NodeIndex, u32); STEPS_NEAR],
    count: usize,
    far: HashSet<(NodeIndex, u32)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { near: [(0, 0); STEPS_NEAR], count: 0, far: HashSet::new() }
    }
}

impl Seen {
    /// Returns whether the step is new.
    fn insert(&mut self, step: (NodeIndex, u32)) -> bool {
        if self.near[..self.count].contains(&step) {
            return false;
        }
        if self.count < STEPS_NEAR {
            self.near[self.count] = step;
            self.count += 1;
            return true;
        }
        self.far.insert(step)
    }
}

struct Walk<'a, 'v> {
    document: &'a Document,
    /// Pairs of node and parts left that were taken before; only for ambiguous paths.
    seen: Option<Seen>,
    work: &'v Work,
    visit: &'v mut dyn FnMut(NodeIndex) -> ControlFlow<()>,
}

impl Walk<'_, '_> {
    fn step(&mut self, node: NodeIndex, parts: &[Part]) -> ControlFlow<()> {
        if !self.work.spend(STEPS_PER_PLACE) {
            return ControlFlow::Break(());
        }
        if self.seen.as_mut().is_some_and(|seen| !seen.insert((node, parts.len() as u32))) {
            return ControlFlow::Continue(());
        }
        let Some((part, rest)) = parts.split_first() else { return (self.visit)(node) };
        match part {
            Part::Name(name, index) => self.name(node, name, *index, rest, parts),
            Part::One => self.one(node, rest, true),
            Part::Many => self.many(node, rest),
        }
    }

    fn name(
        &mut self,
        node: NodeIndex,
        name: &str,
        index: Option<u32>,
        rest: &[Part],
        parts: &[Part],
    ) -> ControlFlow<()> {
        let document = self.document;
        match document.kind(node) {
            Kind::Object => match document.sought_child(node, name) {
                (_, looked_at) if !self.work.spend(looked_at) => ControlFlow::Break(()),
                (Some(child), _) => self.step(child, rest),
                (None, _) => ControlFlow::Continue(()),
            },
            Kind::List => {
                if let Some(child) = index.and_then(|index| document.children(node).nth(index as usize)) {
                    self.step(child, rest)?;
                }
                for child in document.children(node) {
                    if !self.work.spend(1) {
                        return ControlFlow::Break(());
                    }
                    if matches!(document.kind(child), Kind::List | Kind::Object) {
                        self.step(child, parts)?;
                    }
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn one(&mut self, node: NodeIndex, rest: &[Part], is_transparent: bool) -> ControlFlow<()> {
        let document = self.document;
        let is_list = matches!(document.kind(node), Kind::List);
        for child in document.children(node) {
            self.step(child, rest)?;
            if is_list && is_transparent {
                self.one(child, rest, false)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn many(&mut self, node: NodeIndex, rest: &[Part]) -> ControlFlow<()> {
        self.step(node, rest)?;
        let document = self.document;
        document.children(node).try_for_each(|child| self.many(child, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(json: &str, path: &str) -> Vec<String> {
        let document = Document::from_json(json.as_bytes()).unwrap();
        let mut found = Vec::new();
        let root = Root { document: &document, scope: None };
        let _ = Path::new(path).unwrap().select(root, &Work::of_one_rule(Budget::default()), &mut |node| {
            found.push(document.value_at(node).to_string());
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn one_level_takes_an_index_or_a_key_below_it() {
        let json = r#"{"L":[{"S":{"I":1},"D":{"I":2}},{"I":3}]}"#;
        assert_eq!(select(json, "L/?/I"), ["1", "2", "3"]);
        assert_eq!(select(json, "L/0/D/I"), ["2"]);
        assert_eq!(select(json, "/L//S/I/"), ["1"]);
    }

    #[test]
    fn a_node_reached_in_two_ways_counts_once() {
        assert_eq!(select(r#"{"a":{"a":{"a":1}}}"#, "*/a/*/a"), [r#"{"a":1}"#, "1"]);
    }

    #[test]
    fn many_wildcards_on_a_deep_document_stay_cheap() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        let path = "*/a/".repeat(40);
        assert!(select(&deep, &path).len() <= 101);
    }
}
