//! What the template crate forgives and Go does not, put right on the parsed tree.
//!
//! Two things: an unknown function is an error at load, and a field of a missing
//! value is an error when it runs (reference/detection-response.md section 15).
//! For the second every field access becomes a call of a function that checks.

use super::TemplateError;
use gotmpl::Value;
use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr};

/// The name no rule can write, since it is not an identifier.
pub(super) const FIELD_FUNCTION: &str = "field of";

/// Functions a rule may call.
const FUNCTION_NAMES: &[&str] = &[
    "and",
    "anon",
    "base",
    "dir",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "join",
    "js",
    "json",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "parsetime",
    "pivot",
    "pivots",
    "prettyjson",
    "print",
    "printf",
    "println",
    "replace",
    "secret",
    "slice",
    "split",
    "token",
    "urlquery",
];

/// Parts of an event that a template may name without the dot in front: rules that the published
/// converter wrote say `{{routing.sid}}`. Source: reference/rest-api.md section 11.4.
const DOTLESS_NAMES: &[&str] = &["detect", "event", "routing"];

pub(super) fn list(list: &mut ListNode) -> Result<(), TemplateError> {
    list.nodes.iter_mut().try_for_each(node)
}

fn node(node: &mut Node) -> Result<(), TemplateError> {
    match node {
        Node::List(inner) => list(inner),
        Node::Action(action) => pipe(&mut action.pipe),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
            pipe(&mut branch.pipe)?;
            list(&mut branch.body)?;
            branch.else_body.as_mut().map_or(Ok(()), list)
        }
        Node::Template(_) | Node::Define(_) => {
            Err(TemplateError("define, block and template are not available in rules".to_owned()))
        }
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
    }
}

fn pipe(pipe: &mut PipeNode) -> Result<(), TemplateError> {
    pipe.commands.iter_mut().flat_map(|command| &mut command.args).try_for_each(expression)
}

fn expression(slot: &mut Expr) -> Result<(), TemplateError> {
    match slot {
        Expr::Identifier(_, name) if !FUNCTION_NAMES.contains(&name.as_str()) => {
            let known = FUNCTION_NAMES.join(", ");
            return Err(TemplateError(format!("function \"{name}\" is not defined; the functions are {known}")));
        }
        Expr::Pipe(_, inner) => pipe(inner)?,
        Expr::Field(pos, names) => *slot = checked(*pos, Expr::Dot(*pos), names),
        Expr::Variable(pos, name, names) if !names.is_empty() => {
            *slot = checked(*pos, Expr::Variable(*pos, name.clone(), Vec::new()), names);
        }
        Expr::Chain(pos, inner, names) if dotless(inner).is_some() => {
            let first = dotless(inner).cloned();
            let names: Vec<SmolStr> = first.into_iter().chain(names.iter().cloned()).collect();
            *slot = checked(*pos, Expr::Variable(*pos, "$".into(), Vec::new()), &names);
        }
        Expr::Chain(pos, inner, names) => {
            expression(inner)?;
            *slot = checked(*pos, (**inner).clone(), names);
        }
        _ => {}
    }
    Ok(())
}

fn dotless(inner: &Expr) -> Option<&SmolStr> {
    match inner {
        Expr::Identifier(_, name) if DOTLESS_NAMES.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}

fn checked(pos: Pos, base: Expr, names: &[SmolStr]) -> Expr {
    let mut args = vec![Expr::Identifier(pos, FIELD_FUNCTION.into()), base];
    args.extend(names.iter().map(|name| Expr::String(pos, name.as_str().into())));
    let commands = vec![CommandNode { pos, args }];
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands, is_assign: false })
}

/// The value at a chain of keys; the last one may be missing, the ones before may not.
pub(super) fn field(args: &[Value]) -> gotmpl::Result<Value> {
    let failed = |message: String| Err(gotmpl::TemplateError::Exec(message));
    let Some((base, names)) = args.split_first() else { return failed("no value".to_owned()) };
    let mut value = base;
    for name in names {
        value = match (value, name) {
            (Value::Map(map), Value::String(name)) => map.get(name).unwrap_or(&Value::Nil),
            (Value::Nil, name) => return failed(format!("nil has no field {name}")),
            (_, name) => return failed(format!("cannot take field {name} of a value that is not an object")),
        };
    }
    Ok(value.clone())
}
