//! An expression as a tree, for the command line and for audit records.

use crate::evaluate::{Node, Predicate, Test};

/// Appends the tree below `node`; `indent` stands before each line but the first.
pub(crate) fn draw(node: &Node, indent: &str, out: &mut String) {
    let (label, children): (&str, &[Node]) = match node {
        Node::All => ("every sensor", &[]),
        Node::And(parts) => ("and", parts),
        Node::Or(parts) => ("or", parts),
        Node::Not(part) => ("not", std::slice::from_ref(&**part)),
        Node::Test(Test { predicate: Predicate::Each(_, body), label, .. }) => (label, std::slice::from_ref(&**body)),
        Node::Test(test) => (&test.label, &[]),
    };
    out.push_str(label);
    out.push('\n');
    for (at, child) in children.iter().enumerate() {
        let (branch, below) = if at + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        out.push_str(indent);
        out.push_str(branch);
        draw(child, &format!("{indent}{below}"), out);
    }
}
