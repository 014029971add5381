//! From syntax tree to checked expression: names, types, literals, patterns.
//!
//! All errors are static, so that a selector has one answer when it is
//! submitted, whatever the sensors and whichever branch would be looked at.
//!
//! Source: reference/selectors.md sections 4 and 6.

use crate::ast::{Collection, Expr, Match, Name, Operation, Quantifier, Value};
use crate::error::{ErrorKind, SelectorError, quoted};
use crate::evaluate::{Node, Predicate, Subject, Test, TextTest};
use crate::field::{self, Field, Flag, InstantField, TextField};
use crate::{literal, pattern};
use memchr::memmem::Finder;

/// Most patterns in one selector: together with the size of one it bounds memory to 64 MiB.
const PATTERNS_MAX: u32 = 64;

/// Deepest nesting of `any` and `all`: each level multiplies the work for a sensor by its number of
/// tags, so that depth without a bound would let one short selector stall the server.
const COLLECTION_DEPTH_MAX: usize = 2;

/// A checked expression, and whether it mentions `is_del`.
pub(crate) struct Checked {
    pub(crate) root: Node,
    pub(crate) mentions_deleted: bool,
}

/// Checks the tree of `text`.
///
/// # Errors
///
/// The first mistake from the left, of any kind.
pub(crate) fn check(expr: &Expr<'_>, text: &str) -> Result<Checked, SelectorError> {
    let mut checker = Checker { text, elements: Vec::new(), mentions_deleted: false, pattern_count: 0 };
    let root = checker.node(expr)?;
    Ok(Checked { root, mentions_deleted: checker.mentions_deleted })
}

struct Checker<'t> {
    text: &'t str,
    /// Names bound by the collections around, outermost first.
    elements: Vec<&'t str>,
    mentions_deleted: bool,
    pattern_count: u32,
}

/// What a name in field position stands for.
#[derive(Clone, Copy)]
enum Operand {
    Text(Subject),
    Instant(InstantField),
    Flag(Flag),
    Tags,
}

impl Operand {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Instant(_) => "integer",
            Self::Flag(_) => "boolean",
            Self::Tags => "list",
        }
    }
}

impl<'t> Checker<'t> {
    fn error(&self, kind: ErrorKind, offset: usize, message: impl std::fmt::Display) -> SelectorError {
        SelectorError::new(kind, self.text, offset, message)
    }

    fn node(&mut self, expr: &Expr<'t>) -> Result<Node, SelectorError> {
        Ok(match expr {
            Expr::All => Node::All,
            Expr::Or(parts) => Node::Or(self.nodes(parts)?),
            Expr::And(parts) => Node::And(self.nodes(parts)?),
            Expr::Not(part) => Node::Not(Box::new(self.node(part)?)),
            Expr::Match(condition) => Node::Test(self.condition(condition)?),
            Expr::Collection(collection) => Node::Test(self.collection(collection)?),
        })
    }

    fn nodes(&mut self, parts: &[Expr<'t>]) -> Result<Box<[Node]>, SelectorError> {
        parts.iter().map(|part| self.node(part)).collect()
    }

    fn resolve(&mut self, name: Name<'t>) -> Result<Operand, SelectorError> {
        if let Some(level) = self.elements.iter().rev().position(|element| *element == name.text) {
            return Ok(Operand::Text(Subject::Element(level)));
        }
        let Some(field) = Field::named(name.text) else {
            let message = format!("unknown field {}", quoted(name.text.as_bytes()));
            let hint = field::nearest(name.text).map(|near| format!("did you mean \"{near}\"?"));
            return Err(self.error(ErrorKind::UnknownField, name.offset, message).with_hint(hint));
        };
        self.mentions_deleted |= field == Field::Flag(Flag::Deleted);
        Ok(match field {
            Field::Text(field) => Operand::Text(Subject::Field(field)),
            Field::Instant(field) => Operand::Instant(field),
            Field::Flag(flag) => Operand::Flag(flag),
            Field::Tags => Operand::Tags,
        })
    }

    fn condition(&mut self, condition: &Match<'t>) -> Result<Test, SelectorError> {
        let operand = self.resolve(condition.field)?;
        let predicate = match (operand, &condition.operation) {
            (Operand::Text(subject), Operation::Equal(value)) => equality(subject, &value.bytes),
            (Operand::Text(subject), Operation::In(value) | Operation::Contains(value)) => {
                let needle = Finder::new(&value.bytes).into_owned();
                Predicate::Text(subject, TextTest::Contains(Box::new(needle)))
            }
            (Operand::Text(subject), Operation::Matches(value)) => Predicate::Text(subject, self.pattern(value)?),
            (Operand::Text(subject), Operation::Empty) => Predicate::Text(subject, TextTest::Empty),
            (Operand::Instant(field), Operation::Equal(value)) => {
                let number = literal::integer(&value.bytes);
                Predicate::Instant(field, number.ok_or_else(|| self.no_value(value, "an integer", condition.field))?)
            }
            (Operand::Flag(flag), Operation::Equal(value)) => {
                let wanted = literal::boolean(&value.bytes);
                Predicate::Flag(flag, wanted.ok_or_else(|| self.no_value(value, "a boolean", condition.field))?)
            }
            (Operand::Flag(flag), Operation::Flag) => Predicate::Flag(flag, true),
            (Operand::Tags, Operation::In(value) | Operation::Contains(value)) => {
                Predicate::Tagged(std::str::from_utf8(&value.bytes).ok().map(Into::into))
            }
            (Operand::Tags, Operation::Empty) => Predicate::Untagged,
            (Operand::Tags, Operation::Nil) => Predicate::Nil,
            (operand, operation) => return Err(self.undefined(operand, operation, condition)),
        };
        Ok(Test { predicate, negated: condition.negated, label: label(condition) })
    }

    fn undefined(&self, operand: Operand, operation: &Operation, condition: &Match<'t>) -> SelectorError {
        let Name { text, offset } = condition.field;
        if matches!(operation, Operation::Flag) {
            return self.error(ErrorKind::Parse, offset, "only a boolean field may stand alone");
        }
        let spelling = operation.spelling(condition.negated);
        let type_name = operand.type_name();
        self.error(ErrorKind::Type, offset, format!("cannot use \"{spelling}\" on {text} ({type_name})"))
    }

    fn no_value(&self, value: &Value, wanted: &str, field: Name<'t>) -> SelectorError {
        let message = format!("{} is not {wanted} (field {})", quoted(&value.bytes), field.text);
        self.error(ErrorKind::Value, value.offset, message)
    }

    fn pattern(&mut self, value: &Value) -> Result<TextTest, SelectorError> {
        if self.pattern_count == PATTERNS_MAX {
            let message = format!("more than {PATTERNS_MAX} regular expressions");
            let hint = Some("join patterns with |".to_owned());
            return Err(self.error(ErrorKind::Regex, value.offset, message).with_hint(hint));
        }
        self.pattern_count += 1;
        let compiled = pattern::compile(&value.bytes).map_err(|reason| {
            let message = format!("invalid regular expression {}: {reason}", quoted(&value.bytes));
            self.error(ErrorKind::Regex, value.offset, message)
        })?;
        Ok(TextTest::Matches(Box::new(compiled)))
    }

    fn collection(&mut self, collection: &Collection<'t>) -> Result<Test, SelectorError> {
        let Collection { quantifier, field, element, body } = collection;
        let word = match quantifier {
            Quantifier::Any => "any",
            Quantifier::All => "all",
        };
        let operand = self.resolve(*field)?;
        if !matches!(operand, Operand::Tags) {
            let message = format!("cannot use \"{word}\" on {} ({})", field.text, operand.type_name());
            return Err(self.error(ErrorKind::Type, field.offset, message));
        }
        if self.elements.len() == COLLECTION_DEPTH_MAX {
            let message = format!("any and all are nested more than {COLLECTION_DEPTH_MAX} levels deep");
            return Err(self.error(ErrorKind::Parse, field.offset, message));
        }
        self.elements.push(element);
        let body = self.node(body);
        self.elements.pop();
        let label = format!("{word} {} as {element}", field.text).into();
        Ok(Test { predicate: Predicate::Each(*quantifier, Box::new(body?)), negated: false, label })
    }
}

/// Equality, by number where the field is kept as one.
fn equality(subject: Subject, bytes: &[u8]) -> Predicate {
    match subject {
        Subject::Field(TextField::Sid) => Predicate::Sid(literal::sid(bytes)),
        Subject::Field(TextField::Plat) => Predicate::Platform(literal::platform(bytes)),
        Subject::Field(TextField::ExtPlat) => Predicate::ExtPlatform(literal::ext_platform(bytes)),
        Subject::Field(TextField::Arch) => Predicate::Architecture(literal::architecture(bytes)),
        _ => Predicate::Text(subject, TextTest::Equals(bytes.into())),
    }
}

/// The condition as people read it, in one spelling whatever way it was written.
fn label(condition: &Match<'_>) -> Box<str> {
    let field = condition.field.text;
    let operator = condition.operation.spelling(condition.negated);
    let label = match &condition.operation {
        Operation::In(value) => format!("{} {operator} {field}", quoted(&value.bytes)),
        Operation::Equal(value) | Operation::Contains(value) | Operation::Matches(value) => {
            format!("{field} {operator} {}", quoted(&value.bytes))
        }
        Operation::Empty | Operation::Nil => format!("{field} {operator}"),
        Operation::Flag => field.to_owned(),
    };
    label.into()
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Selector};

    fn kind(text: &str) -> Result<(), ErrorKind> {
        Selector::parse(text).map(|_| ()).map_err(|error| error.kind)
    }

    #[test]
    fn elements_of_collections_are_strings_and_hide_fields() {
        let cases = [
            ("any tags as t { t == a and `b` not in t }", Ok(())),
            ("all \"/tags\" as t { any tags as u { t is empty or u matches x } }", Ok(())),
            ("(any tags as t { t is empty }) or kernel", Ok(())),
            ("kernel or any tags as t { t is empty }", Ok(())),
            ("any tags as hostname { hostname is nil }", Err(ErrorKind::Type)),
            ("any tags as is_del { is_del }", Err(ErrorKind::Parse)),
            ("any tags as t { u == a }", Err(ErrorKind::UnknownField)),
            ("(any tags as t { t == a }) and t == a", Err(ErrorKind::UnknownField)),
            ("any hostname as t { t == a }", Err(ErrorKind::Type)),
            ("any tags as t { any t as u { u == a } }", Err(ErrorKind::Type)),
            ("any tags as i, t { t == a }", Err(ErrorKind::Parse)),
            ("any tags as t { t == a } or kernel", Err(ErrorKind::Parse)),
            ("any tags as t { t == 1}", Err(ErrorKind::Parse)),
            ("tags.0 == a", Err(ErrorKind::UnknownField)),
            ("tags is nil", Ok(())),
            ("hostname is nil", Err(ErrorKind::Type)),
        ];
        for (text, outcome) in cases {
            assert_eq!(kind(text), outcome, "{text}");
        }
        assert!(!Selector::parse("any tags as is_del { is_del == x }").unwrap().mentions_deleted());
    }

    #[test]
    fn patterns_and_collections_are_bounded() {
        let patterns = |count: usize| vec!["hostname matches x"; count].join(" or ");
        assert_eq!(kind(&patterns(64)), Ok(()));
        assert_eq!(kind(&patterns(65)), Err(ErrorKind::Regex));

        let nested = |depth: usize| format!("{}t == a{}", "any tags as t { ".repeat(depth), " }".repeat(depth));
        assert_eq!(kind(&nested(2)), Ok(()));
        assert_eq!(kind(&nested(3)), Err(ErrorKind::Parse));
    }

    #[test]
    fn the_first_mistake_from_the_left_is_reported() {
        let text = "kernel or enroll == x and os == linux or hostname matches `[`";
        let error = Selector::parse(text).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::Value, 20));
    }
}
