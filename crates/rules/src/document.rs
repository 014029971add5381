//! An event as rules see it: parsed once, kept flat, read by every rule.
//!
//! The tree is a pre-order list of nodes; each node knows where its subtree
//! ends, so a walk skips whole subtrees. All text lies in one buffer. A
//! document that is parsed into again keeps both allocations, so a busy engine
//! allocates nothing per event.
//!
//! Where an object repeats a key, the first one counts, here and in every
//! value made from the document.

mod keys;
mod reader;

use crate::copies::NODE_BYTES;
use crate::number::Number;
use keys::Keys;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Largest event in bytes: twice the largest reply part of a sensor.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Index of a node in its document.
pub(crate) type NodeIndex = u32;

/// A stretch of the document's text buffer, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

/// What a node holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    Float(f64),
    Text(Span),
    List,
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Span,
    /// Tells most keys apart without a look at their text.
    tag: u32,
    /// Index after the last node of this subtree.
    end: NodeIndex,
    kind: Kind,
}

/// Where the envelope's own fields are, found once per document.
#[derive(Clone, Copy, Debug, Default)]
struct Envelope {
    routing: Option<NodeIndex>,
    event_type: Option<Span>,
    sid: Option<Span>,
    this: Option<Span>,
    parent: Option<Span>,
    plat: Option<i64>,
    arch: Option<i64>,
    event_time: Option<i64>,
}

/// Why bytes are no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The event is larger than [`DOCUMENT_BYTES_MAX`].
    #[error("the event has {0} bytes; at most {DOCUMENT_BYTES_MAX} are accepted")]
    TooLarge(usize),
    /// The bytes are not one JSON value, or nest deeper than 127 levels.
    #[error("the event is not valid JSON")]
    Syntax(#[source] serde_json::Error),
}

/// A parsed event, detection or record.
#[derive(Clone, Debug, Default)]
pub struct Document {
    nodes: Vec<Node>,
    text: String,
    envelope: Envelope,
}

impl Document {
    /// Parses JSON into a fresh document.
    ///
    /// # Errors
    ///
    /// See [`Document::parse`].
    pub fn from_json(json: &[u8]) -> Result<Self, DocumentError> {
        let mut document = Self::default();
        document.parse(json)?;
        Ok(document)
    }

    /// Parses JSON in place of what the document held, reusing its memory.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] if the bytes are too many or are not one JSON value;
    /// the document is then empty.
    pub fn parse(&mut self, json: &[u8]) -> Result<(), DocumentError> {
        self.clear();
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge(json.len()));
        }
        if reader::read(self, json).is_none() {
            self.clear();
            self.parse_generally(json)?;
        }
        self.find_envelope();
        Ok(())
    }

    fn parse_generally(&mut self, json: &[u8]) -> Result<(), DocumentError> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let seed = NodeSeed { document: self, key: Span::default() };
        seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|cause| {
            self.clear();
            DocumentError::Syntax(cause)
        })
    }

    /// Makes a document from a value; anything beyond [`DOCUMENT_BYTES_MAX`] of text is cut to null.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let mut document = Self::default();
        document.push_value(Span::default(), value);
        document.find_envelope();
        document
    }

    /// The whole document as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        if self.nodes.is_empty() { Value::Null } else { self.value_at(0) }
    }

    /// About how many bytes of JSON it is.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + NODE_BYTES * self.nodes.len()
    }

    /// `routing/event_type`, or nothing.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.envelope.event_type.map(|span| self.slice(span))
    }

    /// `routing/sid`, or nothing.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.envelope.sid.map(|span| self.slice(span))
    }

    /// `routing/investigation_id`, or nothing.
    pub(crate) fn investigation(&self) -> Option<&str> {
        self.child(self.routing()?, "investigation_id").and_then(|node| self.text(node))
    }

    /// `routing/event_time` in milliseconds since the Unix epoch, or nothing.
    #[must_use]
    pub fn event_time_ms(&self) -> Option<i64> {
        self.envelope.event_time
    }

    pub(crate) fn this(&self) -> Option<&str> {
        self.envelope.this.map(|span| self.slice(span))
    }

    pub(crate) fn parent(&self) -> Option<&str> {
        self.envelope.parent.map(|span| self.slice(span))
    }

    pub(crate) fn plat(&self) -> Option<i64> {
        self.envelope.plat
    }

    pub(crate) fn arch(&self) -> Option<i64> {
        self.envelope.arch
    }

    pub(crate) fn routing(&self) -> Option<NodeIndex> {
        self.envelope.routing
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn kind(&self, node: NodeIndex) -> Kind {
        self.nodes.get(node as usize).map_or(Kind::Null, |node| node.kind)
    }

    pub(crate) fn slice(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + span.len as usize).unwrap_or_default()
    }

    pub(crate) fn text(&self, node: NodeIndex) -> Option<&str> {
        match self.kind(node) {
            Kind::Text(span) => Some(self.slice(span)),
            _ => None,
        }
    }

    /// All texts, keys too, one after another.
    pub(crate) fn texts(&self) -> &str {
        &self.text
    }

    /// The text of a node, and where in [`Document::texts`] it starts.
    pub(crate) fn located_text(&self, node: NodeIndex) -> Option<(u32, &str)> {
        match self.kind(node) {
            Kind::Text(span) => Some((span.start, self.slice(span))),
            _ => None,
        }
    }

    pub(crate) fn is_list(&self, node: NodeIndex) -> bool {
        matches!(self.kind(node), Kind::List)
    }

    /// The key that a child of an object has.
    pub(crate) fn key(&self, child: NodeIndex) -> &str {
        self.nodes.get(child as usize).map_or("", |node| self.slice(node.key))
    }

    pub(crate) fn number(&self, node: NodeIndex) -> Option<Number> {
        match self.kind(node) {
            Kind::Int(int) => Some(Number::Int(int.into())),
            Kind::UInt(int) => Some(Number::Int(int.into())),
            Kind::Float(float) => Some(Number::Float(float)),
            _ => None,
        }
    }

    /// The children of a list or object, in order.
    pub(crate) fn children(&self, node: NodeIndex) -> Children<'_> {
        let end = self.nodes.get(node as usize).map_or(0, |node| node.end);
        let is_parent = matches!(self.kind(node), Kind::List | Kind::Object);
        Children { document: self, next: if is_parent { node + 1 } else { end }, end }
    }

    /// The child of an object with this key.
    pub(crate) fn child(&self, node: NodeIndex, key: &str) -> Option<NodeIndex> {
        self.sought_child(node, key).0
    }

    /// The child of an object with this key, and how many children were looked at.
    pub(crate) fn sought_child(&self, node: NodeIndex, key: &str) -> (Option<NodeIndex>, u64) {
        if !matches!(self.kind(node), Kind::Object) {
            return (None, 0);
        }
        let (tag, mut looked_at) = (tag_of(key), 0);
        let found = self.children(node).find(|child| {
            looked_at += 1;
            let node = &self.nodes[*child as usize];
            node.tag == tag && self.slice(node.key) == key
        });
        (found, looked_at)
    }

    /// The keys of an object that is still being read.
    fn keys_so_far(&self, object: NodeIndex) -> impl Iterator<Item = Span> {
        let reach = |at: usize| self.nodes.get(at).map(|node| (at, node));
        let siblings = std::iter::successors(reach(object as usize + 1), move |(_, node)| reach(node.end as usize));
        siblings.map(|(_, node)| node.key)
    }

    /// The children of an object with the tags of their keys.
    pub(crate) fn tagged(&self, node: NodeIndex) -> impl Iterator<Item = (u32, NodeIndex)> {
        self.children(node).map(|child| (self.nodes[child as usize].tag, child))
    }

    /// A node and its whole subtree as a value.
    pub(crate) fn value_at(&self, node: NodeIndex) -> Value {
        match self.kind(node) {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(flag),
            Kind::Int(int) => int.into(),
            Kind::UInt(int) => int.into(),
            Kind::Float(float) => float.into(),
            Kind::Text(span) => Value::String(self.slice(span).to_owned()),
            Kind::List => Value::Array(self.children(node).map(|child| self.value_at(child)).collect()),
            Kind::Object => {
                let mut map = Map::new();
                for child in self.children(node) {
                    let key = self.slice(self.nodes[child as usize].key);
                    map.entry(key).or_insert_with(|| self.value_at(child));
                }
                Value::Object(map)
            }
        }
    }

    /// A scalar as the text that templates and look-ups use; nothing for null, lists, objects.
    pub(crate) fn scalar_text(&self, node: NodeIndex) -> Option<String> {
        match self.kind(node) {
            Kind::Text(span) => Some(self.slice(span).to_owned()),
            Kind::Null | Kind::List | Kind::Object => None,
            _ => Some(self.value_at(node).to_string()),
        }
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.envelope = Envelope::default();
    }

    fn find_envelope(&mut self) {
        self.read_envelope(self.child(0, "routing"));
    }

    /// Gives the record another `routing`, which no path and no value made of it shows.
    pub(crate) fn set_routing(&mut self, routing: Option<&Value>) {
        // Behind the root's subtree, so that a walk from the root does not come by.
        let node = self.nodes.len() as NodeIndex;
        if let Some(routing) = routing {
            self.push_value(Span::default(), routing);
        }
        self.read_envelope(routing.map(|_| node));
    }

    fn read_envelope(&mut self, routing: Option<NodeIndex>) {
        let mut found = Envelope { routing, ..Envelope::default() };
        for child in found.routing.into_iter().flat_map(|routing| self.children(routing)) {
            let node = self.nodes[child as usize];
            match (self.slice(node.key), node.kind) {
                ("event_type", Kind::Text(span)) => found.event_type = found.event_type.or(Some(span)),
                ("sid", Kind::Text(span)) => found.sid = found.sid.or(Some(span)),
                ("this", Kind::Text(span)) => found.this = found.this.or(Some(span)),
                ("parent", Kind::Text(span)) => found.parent = found.parent.or(Some(span)),
                ("plat", Kind::Int(code)) => found.plat = found.plat.or(Some(code)),
                ("arch", Kind::Int(code)) => found.arch = found.arch.or(Some(code)),
                ("event_time", Kind::Int(time)) => found.event_time = found.event_time.or(Some(time)),
                _ => {}
            }
        }
        self.envelope = found;
    }

    fn push(&mut self, key: Span, kind: Kind) -> NodeIndex {
        let index = self.nodes.len() as NodeIndex;
        let tag = tag_of(self.slice(key));
        self.nodes.push(Node { key, tag, end: index + 1, kind });
        index
    }

    fn push_text(&mut self, text: &str) -> Span {
        let start = self.text.len();
        if start + text.len() > DOCUMENT_BYTES_MAX * 2 {
            return Span::default();
        }
        self.text.push_str(text);
        Span { start: start as u32, len: text.len() as u32 }
    }

    fn close(&mut self, node: NodeIndex) {
        let end = self.nodes.len() as NodeIndex;
        self.nodes[node as usize].end = end;
    }

    fn push_value(&mut self, key: Span, value: &Value) {
        match value {
            Value::Null => _ = self.push(key, Kind::Null),
            Value::Bool(flag) => _ = self.push(key, Kind::Bool(*flag)),
            Value::Number(number) => _ = self.push(key, number_kind(number)),
            Value::String(text) => {
                let span = self.push_text(text);
                self.push(key, Kind::Text(span));
            }
            Value::Array(items) => {
                let node = self.push(key, Kind::List);
                items.iter().for_each(|item| self.push_value(Span::default(), item));
                self.close(node);
            }
            Value::Object(map) => {
                let node = self.push(key, Kind::Object);
                for (name, item) in map {
                    let name = self.push_text(name);
                    self.push_value(name, item);
                }
                self.close(node);
            }
        }
    }
}

/// Length and last bytes of a key: keys of one object seldom share both.
pub(crate) fn tag_of(key: &str) -> u32 {
    let last = key.as_bytes().last_chunk::<3>().copied().unwrap_or_default();
    u32::from_le_bytes([key.len() as u8, last[0], last[1], last[2]])
}

fn number_kind(number: &serde_json::Number) -> Kind {
    if let Some(int) = number.as_i64() {
        return Kind::Int(int);
    }
    number.as_u64().map_or_else(|| Kind::Float(number.as_f64().unwrap_or_default()), Kind::UInt)
}

/// Children of one node, in document order.
pub(crate) struct Children<'a> {
    document: &'a Document,
    next: NodeIndex,
    end: NodeIndex,
}

impl Iterator for Children<'_> {
    type Item = NodeIndex;

    fn next(&mut self) -> Option<NodeIndex> {
        if self.next >= self.end {
            return None;
        }
        let at = self.next;
        self.next = self.document.nodes[at as usize].end;
        Some(at)
    }
}

/// Parses one value straight into the document's lists.
struct NodeSeed<'d> {
    document: &'d mut Document,
    key: Span,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.document.push(self.key, Kind::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.document.push(self.key, Kind::Bool(flag));
        Ok(())
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<(), E> {
        self.document.push(self.key, Kind::Int(int));
        Ok(())
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<(), E> {
        let kind = i64::try_from(int).map_or(Kind::UInt(int), Kind::Int);
        self.document.push(self.key, kind);
        Ok(())
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<(), E> {
        self.document.push(self.key, Kind::Float(float));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let span = self.document.push_text(text);
        self.document.push(self.key, Kind::Text(span));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let node = self.document.push(self.key, Kind::List);
        while items.next_element_seed(NodeSeed { document: self.document, key: Span::default() })?.is_some() {}
        self.document.close(node);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let node = self.document.push(self.key, Kind::Object);
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(KeySeed(self.document))? {
            if keys.is_repeated(self.document, node, key) {
                // Left out at once, or a wildcard would still come upon it.
                entries.next_value::<IgnoredAny>()?;
            } else {
                entries.next_value_seed(NodeSeed { document: self.document, key })?;
            }
        }
        self.document.close(node);
        Ok(())
    }
}

struct KeySeed<'d>(&'d mut Document);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Span, E> {
        Ok(self.0.push_text(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_gives_back_what_it_was_made_from() {
        let json = br#"{"routing":{"event_type":"X","sid":"s"},"event":{"A":[1,{"B":18446744073709551615}],"C":"\u00e9","D":-1.5,"E":null,"F":true}}"#;
        let document = Document::from_json(json).unwrap();
        let value: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(document.to_value(), value);
        assert_eq!(Document::from_value(&value).to_value(), value);
        assert_eq!(document.event_type(), Some("X"));
    }

    #[test]
    fn another_routing_counts_and_is_not_shown() {
        let json = br#"{"routing":{"sid":"forged","event_time":1},"text":"x"}"#;
        let mut document = Document::from_json(json).unwrap();
        document.set_routing(Some(&serde_json::json!({"sid": "true", "tags": ["a"]})));
        assert_eq!((document.sid(), document.event_time_ms()), (Some("true"), None));
        assert_eq!(document.to_value(), serde_json::from_slice::<Value>(json).unwrap());
        assert_eq!(document.children(0).count(), 2);
        document.set_routing(None);
        assert_eq!(document.sid(), None);
    }

    #[test]
    fn the_first_of_two_equal_keys_counts_everywhere() {
        let document = Document::from_json(br#"{"routing":{"sid":"a","sid":"b"}}"#).unwrap();
        assert_eq!(document.sid(), Some("a"));
        assert_eq!(document.to_value()["routing"]["sid"], "a");
        let wide: String = (0..200).map(|at| format!("\"{at}\":{at},")).collect();
        let document = Document::from_json(format!("{{{wide}\"7\":0,\"199\":[],\"x\":1,\"x\":2}}").as_bytes()).unwrap();
        let values: Vec<Value> = document.children(0).map(|child| document.value_at(child)).collect();
        assert_eq!(
            values,
            (0..200).chain([1]).map(Value::from).collect::<Vec<_>>(),
            "a repeated key is not there at all"
        );
    }

    /// Found by fuzzing: a rule reads its numbers exactly, so an event must too, or equal text would differ.
    #[test]
    fn long_fractions_are_read_exactly() {
        let document = Document::from_json(b"444444444444444444444444").unwrap();
        assert_eq!(document.to_value(), Value::from(4.444_444_444_444_444_4e23));
    }

    #[test]
    fn deep_nesting_is_refused_and_leaves_an_empty_document() {
        let mut document = Document::from_json(b"{}").unwrap();
        assert!(document.parse("[".repeat(4096).as_bytes()).is_err());
        assert!(document.is_empty());
    }
}
