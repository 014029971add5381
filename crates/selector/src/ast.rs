//! The syntax tree: what was written, before names and types are looked at.

/// An expression as it was written; chains of one connective are one node.
#[derive(Debug)]
pub(crate) enum Expr<'t> {
    All,
    Or(Vec<Expr<'t>>),
    And(Vec<Expr<'t>>),
    Not(Box<Expr<'t>>),
    Match(Match<'t>),
    Collection(Collection<'t>),
}

/// One condition on one field.
#[derive(Debug)]
pub(crate) struct Match<'t> {
    pub(crate) field: Name<'t>,
    pub(crate) operation: Operation,
    /// `!=`, `not in`, `is not empty` and their like.
    pub(crate) negated: bool,
}

/// An operator with its right side, if it takes one.
#[derive(Debug)]
pub(crate) enum Operation {
    Equal(Value),
    In(Value),
    Contains(Value),
    Matches(Value),
    Empty,
    Nil,
    /// A boolean field that stands alone.
    Flag,
}

impl Operation {
    /// As it is spelled in an expression and in messages.
    pub(crate) const fn spelling(&self, negated: bool) -> &'static str {
        match (self, negated) {
            (Self::Equal(_), false) => "==",
            (Self::Equal(_), true) => "!=",
            (Self::In(_), false) => "in",
            (Self::In(_), true) => "not in",
            (Self::Contains(_), false) => "contains",
            (Self::Contains(_), true) => "not contains",
            (Self::Matches(_), false) => "matches",
            (Self::Matches(_), true) => "not matches",
            (Self::Empty, false) => "is empty",
            (Self::Empty, true) => "is not empty",
            (Self::Nil, false) => "is nil",
            (Self::Nil, true) => "is not nil",
            (Self::Flag, _) => "",
        }
    }
}

/// `any FIELD as NAME { … }` and `all FIELD as NAME { … }`.
#[derive(Debug)]
pub(crate) struct Collection<'t> {
    pub(crate) quantifier: Quantifier,
    pub(crate) field: Name<'t>,
    pub(crate) element: &'t str,
    pub(crate) body: Box<Expr<'t>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// A name in field position, and its offset in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'t> {
    pub(crate) text: &'t str,
    pub(crate) offset: usize,
}

/// A literal after its escapes, which may spell bytes that are not UTF-8, and its offset.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) bytes: Vec<u8>,
    pub(crate) offset: usize,
}
