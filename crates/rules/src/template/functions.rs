//! The functions that templates may call beside Go's own.
//!
//! Source: reference/detection-response.md section 15, resolution A-29. Each
//! function that makes text counts it against the rendering's work.

use super::{layout, spend, strict};
use gotmpl::{Result, Template, TemplateError, Value};
use md5::{Digest, Md5};
use std::fmt::Write;

/// Verbs in one `printf` format; each may be padded to 65,535 characters.
const PRINTF_VERBS_MAX: usize = 16;
/// Arguments of one `printf`.
const PRINTF_ARGS_MAX: usize = 16;
/// Deepest value that `json` writes; events cannot nest deeper.
const JSON_DEPTH_MAX: usize = 256;

pub(super) fn register(base: Template, anon_seed: &str) -> Template {
    let seed = anon_seed.to_owned();
    escapers(printers(base))
        .func(strict::FIELD_FUNCTION, strict::field)
        .func("token", |args| text_of(args, "token").and_then(|text| made(hex_md5(&[&text]))))
        .func("anon", move |args| text_of(args, "anon").and_then(|text| made(hex_md5(&[&seed, &text]))))
        .func("json", |args| json(args, None))
        .func("prettyjson", |args| json(args, Some(0)))
        .func("parsetime", parse_time)
        .func("split", split)
        .func("join", join)
        .func("replace", replace)
        .func("base", |args| text_of(args, "base").and_then(|text| made(base_name(&text).to_owned())))
        .func("dir", |args| text_of(args, "dir").and_then(|text| made(dir_name(&text).to_owned())))
        .func("pivot", |_| Err(unavailable("pivot")))
        .func("pivots", |_| Err(unavailable("pivots")))
        .func("secret", |_| Err(unavailable("secret")))
}

fn unavailable(name: &str) -> TemplateError {
    TemplateError::Exec(format!("{name} needs the vendor's cloud and is not available here"))
}

/// Go's printing functions, counted.
fn printers(base: Template) -> Template {
    let plain = Template::new("printf");
    base.func("print", |args| {
        let mut out = String::new();
        for (at, arg) in args.iter().enumerate() {
            let is_text = |value: &Value| matches!(value, Value::String(_));
            if at > 0 && !is_text(arg) && !is_text(&args[at - 1]) {
                out.push(' ');
            }
            push_display(&mut out, arg)?;
        }
        made(out)
    })
    .func("println", |args| {
        let mut out = String::new();
        for (at, arg) in args.iter().enumerate() {
            out.push_str(if at > 0 { " " } else { "" });
            push_display(&mut out, arg)?;
        }
        out.push('\n');
        made(out)
    })
    .func("printf", move |args| {
        let verbs = args.first().map_or(0, |format| format.to_string().matches('%').count());
        if verbs > PRINTF_VERBS_MAX || args.len() > PRINTF_ARGS_MAX {
            return Err(TemplateError::Exec(format!("printf takes at most {PRINTF_VERBS_MAX} verbs and arguments")));
        }
        let places: String = (0..args.len()).map(|at| format!(" (index . {at})")).collect();
        let call = plain.clone().parse(&format!("{{{{ printf{places} }}}}"))?;
        made(call.execute_to_string(&Value::List(args.into()))?)
    })
}

/// Go's escaping functions, counted.
fn escapers(mut base: Template) -> Template {
    for name in ["html", "js", "urlquery"] {
        let call = Template::new(name).parse(&format!("{{{{ {name} . }}}}"));
        base = base.func(name, move |args| match (&call, args) {
            (Ok(call), [value]) => made(call.execute_to_string(value)?),
            _ => Err(TemplateError::Exec(format!("{name} takes one argument"))),
        });
    }
    base
}

fn push_display(out: &mut String, value: &Value) -> Result<()> {
    if let Value::String(text) = value {
        spend(text.len())?;
    }
    write!(out, "{value}").map_err(|_| TemplateError::Exec("print failed".to_owned()))
}

fn made(text: String) -> Result<Value> {
    spend(text.len())?;
    Ok(Value::String(text.into()))
}

/// The text of the last argument, where the value goes.
fn text_of(args: &[Value], name: &str) -> Result<String> {
    match args {
        [Value::String(text)] => Ok(text.to_string()),
        [Value::Nil] => Ok("<no value>".to_owned()),
        [value] => Ok(value.to_string()),
        _ => Err(TemplateError::Exec(format!("{name} takes one value"))),
    }
}

fn hex_md5(parts: &[&str]) -> String {
    let mut hasher = Md5::new();
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    hasher.finalize().iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn split(args: &[Value]) -> Result<Value> {
    let [Value::String(separator), Value::String(text)] = args else {
        return Err(TemplateError::Exec("split takes a separator and a text".to_owned()));
    };
    spend(text.len().saturating_mul(4))?;
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|letter| Value::String(letter.to_string().into())).collect()
    } else {
        text.split(&**separator).map(|part| Value::String(part.into())).collect()
    };
    Ok(Value::List(parts.into()))
}

fn join(args: &[Value]) -> Result<Value> {
    let [Value::String(separator), Value::List(items)] = args else {
        return Err(TemplateError::Exec("join takes a separator and a list".to_owned()));
    };
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        let Value::String(text) = item else {
            return Err(TemplateError::Exec("join takes a list of texts".to_owned()));
        };
        spend(text.len() + separator.len())?;
        out.push_str(if at > 0 { separator } else { "" });
        out.push_str(text);
    }
    made(out)
}

fn replace(args: &[Value]) -> Result<Value> {
    let [Value::String(old), Value::String(new), Value::String(text)] = args else {
        return Err(TemplateError::Exec("replace takes the old text, the new text and a text".to_owned()));
    };
    spend(text.matches(&**old).count().saturating_mul(new.len()))?;
    made(text.replace(&**old, new))
}

/// The last element of a path of either kind.
pub(crate) fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches(['/', '\\']);
    if trimmed.is_empty() {
        return path.get(..1).unwrap_or(".");
    }
    trimmed.rsplit(['/', '\\']).next().unwrap_or(trimmed)
}

/// Everything before the last separator of a path of either kind.
fn dir_name(path: &str) -> &str {
    match path.rfind(['/', '\\']) {
        None => ".",
        Some(0) => &path[..1],
        Some(at) => &path[..at],
    }
}

fn parse_time(args: &[Value]) -> Result<Value> {
    let [Value::String(spec), value] = args else {
        return Err(TemplateError::Exec("parsetime takes a JSON text and a value".to_owned()));
    };
    let text = text_of(std::slice::from_ref(value), "parsetime")?;
    made(layout::convert(spec, &text).map_err(TemplateError::Exec)?)
}

fn json(args: &[Value], indent: Option<usize>) -> Result<Value> {
    let [value] = args else {
        return Err(TemplateError::Exec("json takes one value".to_owned()));
    };
    let mut out = String::new();
    write_json(&mut out, value, indent, 0)?;
    made(out)
}

fn write_json(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<()> {
    spend(0)?;
    if depth > JSON_DEPTH_MAX {
        return Err(TemplateError::Exec("the value nests too deep for json".to_owned()));
    }
    match value {
        Value::Nil | Value::Function(_) => out.push_str("null"),
        Value::String(text) => write_json_text(out, text)?,
        Value::Float(float) => match serde_json::Number::from_f64(*float) {
            Some(number) => _ = write!(out, "{number}"),
            None => return Err(TemplateError::Exec("json cannot write this number".to_owned())),
        },
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| (None, item)).collect();
            write_items(out, ['[', ']'], &items, indent, depth)?;
        }
        Value::Map(map) => {
            let items: Vec<_> = map.iter().map(|(key, item)| (Some(&**key), item)).collect();
            write_items(out, ['{', '}'], &items, indent, depth)?;
        }
        other => _ = write!(out, "{other}"),
    }
    Ok(())
}

fn write_items(
    out: &mut String,
    [open, close]: [char; 2],
    items: &[(Option<&str>, &Value)],
    indent: Option<usize>,
    depth: usize,
) -> Result<()> {
    let newline = |out: &mut String, levels: usize| {
        if indent.is_some() {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", levels));
        }
    };
    out.push(open);
    for (at, (key, item)) in items.iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        newline(out, depth + 1);
        if let Some(key) = key {
            write_json_text(out, key)?;
            out.push_str(if indent.is_some() { ": " } else { ":" });
        }
        write_json(out, item, indent, depth + 1)?;
    }
    if !items.is_empty() {
        newline(out, depth);
    }
    out.push(close);
    Ok(())
}

/// A JSON text the way Go writes it: the characters that HTML knows are escaped.
fn write_json_text(out: &mut String, text: &str) -> Result<()> {
    spend(text.len())?;
    let quoted = serde_json::Value::from(text).to_string();
    for letter in quoted.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => _ = write!(out, "\\u{:04x}", u32::from(letter)),
            _ => out.push(letter),
        }
    }
    Ok(())
}
