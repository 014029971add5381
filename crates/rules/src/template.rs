//! Go template strings: parsed at load, rendered when an action needs them.
//!
//! Source: reference/detection-response.md section 15. The language itself is
//! the crate `gotmpl`; this module adds the documented functions and the
//! bounds. Templates come from rules and see hostile events, so the text, the
//! steps, the work and the output of each rendering are limited, and the
//! constructs that could recurse (`define`, `block`, `template`) are refused.

mod functions;
pub(crate) mod layout;
mod strict;

use gotmpl::Value as Data;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Longest template text, in bytes: far beyond a prompt or a command line.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 64 << 10;
/// Longest rendered text, in bytes: a whole event as JSON fits.
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 512 << 10;
/// Bytes that all function calls of one rendering may make together.
const TEMPLATE_WORK_BYTES_MAX: usize = 4 << 20;
/// What one function call costs at least, so that empty results are not free.
const CALL_COST_BYTES: usize = 64;
/// Iterations of all `range` loops of one rendering.
const TEMPLATE_LOOPS_MAX: u64 = 10_000;
/// Deepest nesting in template text; the parser itself recurses, so it is checked before.
const TEMPLATE_DEPTH_MAX: usize = 64;

thread_local! {
    /// Bytes made by function calls of the rendering in progress on this thread.
    static WORK_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Why a template cannot be loaded or rendered; the text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TemplateError(pub(crate) String);

/// Parses templates that share one set of functions.
pub(crate) struct Templates {
    base: gotmpl::Template,
}

impl Templates {
    /// `anon_seed` is the private seed of the function `anon`.
    pub(crate) fn new(anon_seed: &str) -> Self {
        let base = gotmpl::Template::new("rule").max_range_iters(TEMPLATE_LOOPS_MAX);
        Self { base: functions::register(base, anon_seed) }
    }

    /// Parses one string; without `{{` it is literal text.
    pub(crate) fn parse(&self, text: &str) -> Result<Template, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let message = format!("the template has {} bytes; at most {TEMPLATE_BYTES_MAX} are allowed", text.len());
            return Err(TemplateError(message));
        }
        let program = if text.contains("{{") { Some(self.parse_program(text)?) } else { None };
        Ok(Template { text: text.into(), program })
    }

    fn parse_program(&self, text: &str) -> Result<Arc<gotmpl::Template>, TemplateError> {
        check_depth(text)?;
        let program = self.base.clone().parse(text).map_err(|cause| TemplateError(cause.to_string()))?;
        if !program.templates().iter().all(|name| *name == "rule") {
            return Err(TemplateError("define and block are not available in rules".to_owned()));
        }
        let Some(tree) = program.lookup("rule") else { return Ok(Arc::new(program)) };
        let mut tree = tree.clone();
        strict::list(&mut tree)?;
        Ok(Arc::new(self.base.clone().add_parse_tree("rule", tree)))
    }
}

/// A string of a rule that may hold `{{ … }}`.
#[derive(Clone)]
pub(crate) struct Template {
    text: Box<str>,
    program: Option<Arc<gotmpl::Template>>,
}

impl Template {
    /// The string as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether rendering needs data at all.
    pub(crate) fn is_literal(&self) -> bool {
        self.program.is_none()
    }

    /// Renders against `data`.
    pub(crate) fn render(&self, data: &Data) -> Result<String, TemplateError> {
        let Some(program) = &self.program else { return Ok(self.text.to_string()) };
        WORK_BYTES.set(0);
        let mut out = BoundedText::default();
        let result = program.execute_template_fmt(&mut out, "rule", data);
        if out.is_full {
            let message = format!("the template made more than {TEMPLATE_OUTPUT_BYTES_MAX} bytes");
            return Err(TemplateError(message));
        }
        result.map_err(|cause| TemplateError(cause.to_string()))?;
        Ok(out.text)
    }
}

/// What is written alike is made into the same program.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

impl Hash for Template {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[derive(Default)]
struct BoundedText {
    text: String,
    is_full: bool,
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.text.len() + piece.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            self.is_full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

/// Counts the work of one function call; an error once the rendering has made too much.
fn spend(bytes: usize) -> gotmpl::Result<()> {
    let spent = WORK_BYTES.get().saturating_add(bytes).saturating_add(CALL_COST_BYTES);
    WORK_BYTES.set(spent);
    if spent > TEMPLATE_WORK_BYTES_MAX {
        let message = format!("the template's functions made more than {TEMPLATE_WORK_BYTES_MAX} bytes");
        return Err(gotmpl::TemplateError::Exec(message));
    }
    Ok(())
}

/// Refuses nesting that would make the parser or a later walk recurse far.
fn check_depth(text: &str) -> Result<(), TemplateError> {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > TEMPLATE_DEPTH_MAX {
        return Err(TemplateError(format!("the template nests deeper than {TEMPLATE_DEPTH_MAX} levels")));
    }
    Ok(())
}

/// JSON as template data.
pub(crate) fn to_data(value: &Value) -> Data {
    match value {
        Value::Null => Data::Nil,
        Value::Bool(flag) => Data::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Data::Int(int),
            (None, Some(int)) => Data::Uint(int),
            _ => Data::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Data::String(text.as_str().into()),
        Value::Array(items) => Data::List(items.iter().map(to_data).collect()),
        Value::Object(map) => {
            let map: BTreeMap<Arc<str>, Data> =
                map.iter().map(|(key, item)| (key.as_str().into(), to_data(item))).collect();
            Data::Map(Arc::new(map))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(text: &str, data: &Value) -> Result<String, TemplateError> {
        Templates::new("seed").parse(text)?.render(&to_data(data))
    }

    #[test]
    fn a_field_of_a_missing_value_is_an_error_and_a_missing_field_is_not() {
        assert_eq!(render("v={{ .a.b }}", &json!({"a": {}})).unwrap(), "v=<no value>");
        assert!(render("{{ .a.b.c }}", &json!({"a": {}})).is_err());
    }

    #[test]
    fn parts_of_an_event_may_be_named_without_the_dot() {
        let data = json!({"routing": {"sid": "s", "l": [1]}, "event": {"A": {"B": "b"}}});
        assert_eq!(render("{{routing.sid}}/{{ event.A.B }}", &data).unwrap(), "s/b");
        assert_eq!(render("{{ range .routing.l }}{{ routing.sid }}{{ end }}", &data).unwrap(), "s");
        assert!(render("{{ other.sid }}", &data).is_err());
        assert!(render("{{ event.A.B.C.D }}", &data).is_err());
    }

    #[test]
    fn functions_take_their_options_first() {
        let data = json!({"p": "C:\\a\\b.exe", "l": ["x", "y"], "t": 1_700_000_000, "o": {"b": "<", "a": 1}});
        let cases = [
            ("{{ .p | base }}|{{ dir .p }}|{{ dir \"a\" }}|{{ dir \"/a\" }}", "b.exe|C:\\a|.|/"),
            ("{{ base \"/usr/lib//\" }}", "lib"),
            ("{{ join \"+\" .l }} {{ index (split \"\\\\\" .p) 1 }} {{ replace \"x\" \"z\" \"xx\" }}", "x+y a zz"),
            ("{{ json .o }}", "{\"a\":1,\"b\":\"\\u003c\"}"),
            (
                "{{ parsetime \"{\\\"from\\\":\\\"epoch_s\\\",\\\"to\\\":\\\"2006-01-02T15:04:05Z07:00\\\"}\" .t }}",
                "2023-11-14T22:13:20Z",
            ),
            ("{{ token \"x\" }}", "9dd4e461268c8034f5c8564e155c67a6"),
            ("{{ print 1 2 \"a\" 3 }}{{ printf \"%05d\" 42 }}", "1 2a300042"),
        ];
        for (text, expected) in cases {
            assert_eq!(render(text, &data).as_deref(), Ok(expected), "{text}");
        }
        assert!(render("{{ join \",\" .l2 }}", &json!({"l2": [1]})).is_err(), "elements must be text");
    }

    #[test]
    fn hostile_templates_are_refused_or_stopped() {
        let data = json!({"l": vec![1; 200]});
        let doubling = format!("{{{{ $x := \"aaaaaaaa\" }}}}{}", "{{ $x = print $x $x }}".repeat(60));
        for text in [
            "{{ nosuch 1 }}",
            "{{ define \"x\" }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}",
            "{{ block \"b\" . }}{{ end }}",
            "{{ range .l }}{{ range $.l }}{{ end }}{{ end }}",
            "{{ range .l }}{{ printf \"%65535d\" 1 }}{{ end }}",
            &doubling,
            &format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
            &format!("{}{}", "{{if 1}}".repeat(5000), "{{end}}".repeat(5000)),
            &"x".repeat(TEMPLATE_BYTES_MAX + 1),
        ] {
            assert!(render(text, &data).is_err(), "{}", &text[..text.len().min(60)]);
        }
    }
}
