//! A selector's tree, as `explain` draws it, written as an expression again.

/// One node of a drawn tree.
struct Node {
    depth: usize,
    label: String,
}

/// The expression that a drawn tree stands for; `None` if a label does not say all
/// of its value, because it was cut or is not text.
///
/// # Panics
///
/// If the tree is not drawn as `explain` draws.
#[must_use]
pub fn of_tree(tree: &str) -> Option<String> {
    if tree.contains(['…', '\u{fffd}']) {
        return None;
    }
    let nodes: Vec<Node> = tree.lines().map(node).collect();
    let (text, used) = write(&nodes, 0)?;
    assert_eq!(used, nodes.len(), "more than one root: {tree}");
    Some(text)
}

fn node(line: &str) -> Node {
    let label = line.trim_start_matches(['│', '├', '└', '─', ' ']);
    let indent = line.chars().count() - label.chars().count();
    Node { depth: indent / 3, label: label.to_owned() }
}

/// Writes the node at `at`; tells where the next one stands that is not below it.
fn write(nodes: &[Node], at: usize) -> Option<(String, usize)> {
    let Node { depth, label } = &nodes[at];
    let mut next = at + 1;
    let mut parts = Vec::new();
    while nodes.get(next).is_some_and(|below| below.depth > *depth) {
        assert_eq!(nodes[next].depth, depth + 1, "a level is missing above {}", nodes[next].label);
        let is_loose = matches!(&*nodes[next].label, "and" | "or") || is_collection(&nodes[next].label);
        let (part, after) = write(nodes, next)?;
        parts.push(if is_loose { format!("({part})") } else { part });
        next = after;
    }
    let text = match &**label {
        "every sensor" => "*".to_owned(),
        word @ ("and" | "or") => parts.join(&format!(" {word} ")),
        "not" => format!("not {}", parts.first()?),
        collection if is_collection(collection) => {
            format!("{collection} {{ {} }}", parts.first()?)
        }
        condition => condition_text(condition)?,
    };
    Some((text, next))
}

fn is_collection(label: &str) -> bool {
    !label.contains('"') && label.contains(" as ") && (label.starts_with("any ") || label.starts_with("all "))
}

/// A condition whose value is spelled byte by byte, since not all escapes of messages are those of selectors.
fn condition_text(label: &str) -> Option<String> {
    let Some((before, rest)) = label.split_once('"') else { return Some(label.to_owned()) };
    let (quoted, after) = rest.rsplit_once('"')?;
    let spelled: String = unescape(quoted)?.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    Some(format!("{before}\"{spelled}\"{after}"))
}

/// Undoes the escapes of Rust's `Debug`.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        out.push(match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'u' => {
                let code: String = rest.by_ref().take_while(|digit| *digit != '}').collect();
                char::from_u32(u32::from_str_radix(code.strip_prefix('{')?, 16).ok()?)?
            }
            literal => literal,
        });
    }
    Some(out)
}
