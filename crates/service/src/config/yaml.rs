//! YAML text to [`Node`]s that know their line.
//!
//! What the parser itself does not bound is bounded here: size, depth, and how much an alias may
//! multiply. Duplicate keys are errors, since one of the two would be ignored silently.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Entry, Node, Origin, Scalar, Value};

/// A configuration is a few kilobytes; more is the wrong file.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// Deeper than any configuration, shallow enough for recursion over it.
const MAX_DEPTH: usize = 32;
/// Nodes after aliases are expanded. Bounds the "billion laughs" of nested aliases.
const MAX_NODES: usize = 50_000;

/// What is wrong with a text, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub origin: Origin,
    pub message: String,
}

/// Reads one document. An empty text is [`Value::Null`]. `origin` names the place of a position,
/// given as line and column counted from 1.
pub(super) fn parse(
    text: &str,
    origin: &dyn Fn(usize, usize) -> Origin,
) -> Result<Rc<Node>, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        origin,
        anchors: HashMap::new(),
        open: Vec::new(),
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| builder.scan_error(&error))?;
        builder.accept(event, span.start)?;
    }
    Ok(builder
        .root
        .unwrap_or_else(|| Rc::new(Node::new(origin(1, 1), Value::Null))))
}

/// A collection whose end has not been seen yet.
struct Open {
    start: Marker,
    anchor: usize,
    content: Content,
    /// Weight of what was put in so far.
    weight: usize,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        /// `<<: *anchor`: filled in behind the entries that are written out.
        merged: Vec<Rc<Node>>,
        /// The key whose value comes next.
        key: Option<(String, Origin, bool)>,
    },
}

struct Builder<'o> {
    origin: &'o dyn Fn(usize, usize) -> Origin,
    /// Anchor numbers are given by the parser, from 1; 0 means no anchor.
    anchors: HashMap<usize, Rc<Node>>,
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    documents: usize,
}

impl Builder<'_> {
    fn accept(&mut self, event: Event<'_>, at: Marker) -> Result<(), Malformed> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.malformed(
                        at,
                        "a second YAML document starts here; a configuration is a single document",
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = self.check_tag(tag.as_deref(), at)?;
                let plain = style == ScalarStyle::Plain && !text_tag;
                self.scalar(text.into_owned(), plain, anchor, at)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), at)?;
                self.start(anchor, at, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), at)?;
                let content = Content::Map {
                    entries: Vec::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.start(anchor, at, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => {
                // An anchor that is still open is an alias to its own parent.
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.malformed(at, "the alias refers to what it is part of"));
                };
                self.put(node, at)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: String,
        plain: bool,
        anchor: usize,
        at: Marker,
    ) -> Result<(), Malformed> {
        let origin = self.place(at);
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
            && key.is_none()
        {
            *key = Some((text, origin, plain));
            return Ok(());
        }
        let value = match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            _ => Value::Scalar(Scalar { text, plain }),
        };
        let node = Rc::new(Node::new(origin, value));
        self.remember(anchor, &node);
        self.put(node, at)
    }

    fn start(&mut self, anchor: usize, start: Marker, content: Content) -> Result<(), Malformed> {
        if let Some(Open {
            content: Content::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(self.malformed(start, "a key must be plain text"));
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.malformed(start, message));
        }
        self.open.push(Open {
            start,
            anchor,
            content,
            weight: 1,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map {
                mut entries,
                merged,
                ..
            } => {
                self.merge(&mut entries, &merged, open.start)?;
                Value::Map(entries)
            }
        };
        let node = Rc::new(Node::new(self.place(open.start), value));
        self.remember(open.anchor, &node);
        self.put(node, open.start)
    }

    /// Adds what `<<` brings, unless the mapping says otherwise itself.
    fn merge(
        &self,
        entries: &mut Vec<Entry>,
        merged: &[Rc<Node>],
        at: Marker,
    ) -> Result<(), Malformed> {
        for source in merged {
            match &source.value {
                Value::Map(more) => {
                    for entry in more {
                        if !entries.iter().any(|known| known.key == entry.key) {
                            entries.push(entry.clone());
                        }
                    }
                }
                Value::List(sources) => self.merge(entries, sources, at)?,
                Value::Null | Value::Scalar(_) => {
                    return Err(self.malformed(at, "`<<` takes a mapping or a list of mappings"));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, node: Rc<Node>, at: Marker) -> Result<(), Malformed> {
        let origin = self.place(at);
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight = open.weight.saturating_add(node.weight);
        let too_many = open.weight > MAX_NODES;
        let mut duplicate = None;
        let mut unusual_key = false;
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                merged,
                key,
            } => match key.take() {
                None => unusual_key = true,
                Some((key, _, true)) if key == "<<" => merged.push(node),
                Some((key, key_origin, _)) => {
                    duplicate = entries
                        .iter()
                        .find(|known| known.key == key)
                        .map(|known| (key.clone(), key_origin.clone(), known.origin.clone()));
                    entries.push(Entry {
                        key,
                        origin: key_origin,
                        node,
                    });
                }
            },
        }
        if let Some((key, origin, first)) = duplicate {
            return Err(Malformed {
                origin,
                message: format!("duplicate key `{key}`, first written at {first}"),
            });
        }
        if unusual_key {
            return Err(Malformed {
                origin,
                message: "a key must be plain text".to_owned(),
            });
        }
        if too_many {
            return Err(Malformed {
                origin,
                message: format!("more than {MAX_NODES} values after expanding aliases"),
            });
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Rc<Node>) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(node));
        }
    }

    /// Whether the tag says "text". Core tags are redundant here, where types decide; any other
    /// (`!include`, `!vault`) asks for something that would silently not happen.
    fn check_tag(&self, tag: Option<&Tag>, at: Marker) -> Result<bool, Malformed> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
            Some(tag) => Err(self.malformed(at, format!("the YAML tag `{tag}` is not supported"))),
        }
    }

    fn place(&self, at: Marker) -> Origin {
        (self.origin)(at.line(), at.col() + 1)
    }

    fn malformed(&self, at: Marker, message: impl Into<String>) -> Malformed {
        Malformed {
            origin: self.place(at),
            message: message.into(),
        }
    }

    fn scan_error(&self, error: &ScanError) -> Malformed {
        self.malformed(*error.marker(), format!("not valid YAML: {}", error.info()))
    }
}
