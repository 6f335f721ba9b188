//! The two formats. Both add the id of the request in hand.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::request_id;

/// `2026-01-31T12:00:00.000000Z INFO listening address=[::]:5000 request_id=…`
pub(super) struct Text {
    /// A person is watching, and has a clock.
    pub terminal: bool,
    /// Added to every line.
    pub fields: BTreeMap<String, String>,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !self.terminal {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        let (name, colour) = match *event.metadata().level() {
            Level::ERROR => ("ERROR", 31),
            Level::WARN => ("WARN ", 33),
            Level::INFO => ("INFO ", 32),
            Level::DEBUG => ("DEBUG", 34),
            Level::TRACE => ("TRACE", 35),
        };
        if writer.has_ansi_escapes() {
            write!(writer, "\u{1b}[{colour}m{name}\u{1b}[0m ")?;
        } else {
            write!(writer, "{name} ")?;
        }
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            write!(writer, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            writer.write_str(": ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        for (name, value) in &self.fields {
            write!(writer, " {name}={value:?}")?;
        }
        if let Some(id) = request_id::current() {
            write!(writer, " request_id={id}")?;
        }
        writeln!(writer)
    }
}

/// `{"time":"…","level":"info","msg":"listening","target":"service::server","address":"…"}`,
/// with distribution's names for the first three.
pub(super) struct Json {
    /// Added to every line; a line's own fields win.
    pub fields: BTreeMap<String, String>,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut line: Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        line.insert("time".to_owned(), time.into());
        line.insert("level".to_owned(), level.into());
        line.insert("target".to_owned(), event.metadata().target().into());
        event.record(&mut Fields(&mut line));
        let spans: Vec<Value> = context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
            .map(|span| match span.extensions().get::<FormattedFields<N>>() {
                Some(fields) if !fields.is_empty() => format!("{}{{{fields}}}", span.name()).into(),
                _ => span.name().into(),
            })
            .collect();
        if !spans.is_empty() {
            line.insert("spans".to_owned(), spans.into());
        }
        if let Some(id) = request_id::current() {
            line.insert("request_id".to_owned(), id.as_str().into());
        }
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// An event's fields as JSON values; the message becomes `msg`.
struct Fields<'l>(&'l mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        self.insert(field, chain.into());
    }
}
