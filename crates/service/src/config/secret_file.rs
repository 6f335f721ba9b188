//! `_file` twins: a secret given by the name of the file that holds it.

use std::io::Read as _;
use std::rc::Rc;

use super::cursor::{Child, Cursor, join};
use super::node::{Node, Scalar, Value};

const SUFFIX: &str = "_file";

/// Secrets are keys and passwords; a whole PEM bundle is far below this.
const MAX_BYTES: u64 = 64 * 1024;

/// Whether `path` is one of the declared secrets; in a declaration `*` stands for any list index.
pub(super) fn is_declared(path: &str, secrets: &[String]) -> bool {
    secrets.iter().any(|declared| {
        let mut words = path.split('.');
        declared.split('.').all(|word| {
            words
                .next()
                .is_some_and(|found| word == "*" || word == found)
        }) && words.next().is_none()
    })
}

/// The keys of a section, with a twin for each declared secret.
pub(super) fn with_twins(path: &str, fields: &[&str], secrets: &[String]) -> Vec<String> {
    let mut known: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    for field in fields {
        let twin = format!("{field}{SUFFIX}");
        if is_declared(&join(path, field), secrets) && !known.contains(&twin) {
            known.push(twin);
        }
    }
    known
}

/// Replaces each twin in `children` by the secret it points at.
pub(super) fn read_twins<'s>(section: &Cursor<'s>, children: &mut Vec<Child<'s>>, fields: &[&str]) {
    let twins: Vec<Child<'s>> = children
        .extract_if(.., |child| !fields.contains(&child.key.as_str()))
        .collect();
    for twin in twins {
        let key = twin
            .key
            .strip_suffix(SUFFIX)
            .unwrap_or(&twin.key)
            .to_owned();
        let place = twin.cursor.origin();
        let result = match children.iter().find(|child| child.key == key) {
            Some(child) => Err(format!(
                "set twice: as `{key}` ({}) and as `{}`; keep one of them",
                child.cursor.origin(),
                twin.key
            )),
            None => read(&twin.cursor),
        };
        match result {
            Ok(text) => children.push(Child {
                cursor: Cursor {
                    node: Some(Rc::new(Node::new(
                        place,
                        Value::Scalar(Scalar { text, plain: false }),
                    ))),
                    overrides: Vec::new(),
                    path: join(&section.path, &key),
                    pass: section.pass,
                },
                key,
            }),
            Err(message) => {
                section.problem(place, twin.cursor.path, message);
            }
        }
    }
}

fn read(twin: &Cursor<'_>) -> Result<String, String> {
    let path = twin.node.as_ref().and_then(|node| node.text());
    let Some(path) = path.filter(|_| twin.overrides.is_empty()) else {
        return Err("expected the path of a file".to_owned());
    };
    let unreadable = |reason: &dyn std::fmt::Display| format!("cannot read {path}: {reason}");
    twin.pass.files_read.begin(path.as_ref());
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(&format_args!("longer than {MAX_BYTES} bytes")));
    }
    // Editors and `echo` end the file with a newline that is not part of the secret.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(text)
}
