//! Actions as spans of OpenTelemetry, in the JSON of OTLP: a request a line, as files of the collector
//! have it.

use crate::analyze::spans::Span;
use crate::read::{Log, to_str_lossy};
use crate::record::Event;

use super::export::{SpanFormat, microseconds};
use super::json::{write_number, write_text};

/// How many spans, or bytes of them, are in a request.
const MAX_SPANS: usize = 512;
const MAX_BYTES: usize = 1 << 20;

const STATUS_ERROR: u8 = 2;
const KIND_INTERNAL: u8 = 1;
const KIND_CLIENT: u8 = 3;

#[derive(Default)]
pub(super) struct Otlp {
    resource: Vec<u8>,
    spans: Vec<u8>,
    count: usize,
}

/// The trace that an action belongs to: that of the outermost one around it.
type TraceId = u128;

impl SpanFormat for Otlp {
    type Place = TraceId;

    fn begin(&mut self, _out: &mut Vec<u8>) {}

    fn begin_log(&mut self, _out: &mut Vec<u8>, log: &Log, pid: Option<u32>) {
        self.resource.clear();
        let mut attributes = Attributes::begin(&mut self.resource);
        attributes.text("service.name", b"inspect-trace");
        attributes.text("log.file.path", log.path.as_os_str().as_encoded_bytes());
        if let Some(pid) = pid {
            attributes.integer("process.pid", pid);
        }
        attributes.end();
    }

    fn enter(&mut self, _out: &mut Vec<u8>, span: &Span, parent: Option<&TraceId>) -> TraceId {
        parent.copied().unwrap_or_else(|| {
            // An action around it that is not in the log still holds together what is in it.
            hash_128(span.parent_id.as_ref().unwrap_or(&span.trace_id))
        })
    }

    fn leave(&mut self, out: &mut Vec<u8>, span: &Span, place: TraceId, is_wanted: bool) {
        if !is_wanted {
            return;
        }
        if self.count > 0 {
            self.spans.push(b',');
        }
        write_span(&mut self.spans, span, place);
        self.count += 1;
        if self.count >= MAX_SPANS || self.spans.len() >= MAX_BYTES {
            self.end_log(out);
        }
    }

    fn end_log(&mut self, out: &mut Vec<u8>) {
        if self.count == 0 {
            return;
        }
        out.extend_from_slice(b"{\"resourceSpans\":[{\"resource\":{");
        out.extend_from_slice(&self.resource);
        out.extend_from_slice(
            b"},\"scopeSpans\":[{\"scope\":{\"name\":\"inspect_trace\"},\"spans\":[",
        );
        out.append(&mut self.spans);
        out.extend_from_slice(b"]}]}]}\n");
        self.count = 0;
    }

    fn end(&mut self, _out: &mut Vec<u8>) {}
}

fn write_span(out: &mut Vec<u8>, span: &Span, trace: TraceId) {
    let start_us = span.start_s.or(span.end_s).map_or(0, microseconds).max(0);
    let end_us = span.end_s.map_or(start_us, microseconds).max(start_us);
    let ids =
        format!("{{\"traceId\":\"{trace:032x}\",\"spanId\":\"{:016x}\"", hash_64(&span.trace_id));
    out.extend_from_slice(ids.as_bytes());
    if let Some(parent_id) = &span.parent_id {
        out.extend_from_slice(
            format!(",\"parentSpanId\":\"{:016x}\"", hash_64(parent_id)).as_bytes(),
        );
    }
    let model = GenAi::of(span);
    out.extend_from_slice(b",\"name\":");
    match &model {
        Some(model) => write_text(out, model.span_name.as_bytes()),
        None => write_text(out, &span.action),
    }
    let is_client = model.as_ref().is_some_and(|model| model.model.is_some());
    let kind = if is_client { KIND_CLIENT } else { KIND_INTERNAL };
    // 64-bit numbers are texts in the JSON of Protocol Buffers.
    let times = format!(
        ",\"kind\":{kind},\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",",
        start_us * 1000,
        end_us * 1000,
    );
    out.extend_from_slice(times.as_bytes());
    write_attributes(out, span, model.as_ref());
    if span.event == Event::Error {
        write_exception(out, span, end_us);
    }
    out.extend_from_slice(b",\"status\":{");
    if matches!(span.event, Event::Error | Event::Timeout) {
        out.extend_from_slice(format!("\"code\":{STATUS_ERROR},\"message\":").as_bytes());
        let timeout: &[u8] = b"timeout";
        let message =
            if span.event == Event::Timeout { Some(timeout) } else { span.error.as_deref() };
        write_text(out, message.unwrap_or_default());
    }
    out.extend_from_slice(b"}}");
}

fn write_attributes(out: &mut Vec<u8>, span: &Span, model: Option<&GenAi>) {
    let mut attributes = Attributes::begin(out);
    attributes.text("inspect_trace.action", &span.action);
    if !span.detail.is_empty() {
        attributes.text("inspect_trace.detail", &span.detail);
    }
    attributes.text("inspect_trace.outcome", span.outcome().as_bytes());
    attributes.boolean("inspect_trace.unfinished", span.is_open());
    attributes.text("inspect_trace.trace_id", &span.trace_id);
    if let Some(duration_s) = span.duration_s {
        attributes.number("inspect_trace.duration", duration_s);
    }
    for (name, json) in [
        ("inspect_trace.task", &span.task),
        ("inspect_trace.sample_id", &span.sample_id),
        ("inspect_trace.epoch", &span.epoch),
    ] {
        if let Some(json) = json {
            attributes.text(name, Span::json_as_text(json).as_bytes());
        }
    }
    if let Some(pid) = span.pid {
        attributes.integer("process.pid", pid);
    }
    match (span.event, &span.error_type) {
        (Event::Error, error_type) => {
            attributes.text("error.type", error_type.as_deref().unwrap_or(b"_OTHER"));
        }
        (Event::Timeout, _) => attributes.text("error.type", b"timeout"),
        _ => {}
    }
    if let Some(model) = model {
        attributes.text("gen_ai.operation.name", model.operation.as_bytes());
        for (name, value) in [
            ("gen_ai.provider.name", &model.provider),
            ("gen_ai.request.model", &model.model),
            ("gen_ai.tool.name", &model.tool),
        ] {
            if let Some(value) = value {
                attributes.text(name, value.as_bytes());
            }
        }
    }
    attributes.end();
}

fn write_exception(out: &mut Vec<u8>, span: &Span, end_us: i64) {
    let head =
        format!(",\"events\":[{{\"timeUnixNano\":\"{}\",\"name\":\"exception\",", end_us * 1000);
    out.extend_from_slice(head.as_bytes());
    let mut attributes = Attributes::begin(out);
    for (name, text) in [
        ("exception.type", &span.error_type),
        ("exception.message", &span.error),
        ("exception.stacktrace", &span.stacktrace),
    ] {
        if let Some(text) = text {
            attributes.text(name, text);
        }
    }
    attributes.end();
    out.extend_from_slice(b"}]");
}

/// What the conventions for generative AI call an action, where it is one of theirs.
struct GenAi {
    span_name: String,
    operation: &'static str,
    provider: Option<String>,
    model: Option<String>,
    tool: Option<String>,
}

impl GenAi {
    /// `inspect_ai` calls a model call `Model`, and details it as `generate (provider/model)`.
    fn of(span: &Span) -> Option<Self> {
        let detail = to_str_lossy(&span.detail);
        match &*span.action {
            b"Model" => {
                let name = detail.strip_prefix("generate (")?.strip_suffix(')')?;
                let (provider, model) = match name.split_once('/') {
                    Some((provider, model)) => (Some(provider_name(provider)), model),
                    None => (None, name),
                };
                Some(Self {
                    span_name: format!("chat {model}"),
                    operation: "chat",
                    provider,
                    model: Some(model.to_owned()),
                    tool: None,
                })
            }
            b"Tool" | b"Tool Call" => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
                let is_tool =
                    !detail.is_empty() && detail.len() <= 100 && detail.chars().all(is_name);
                is_tool.then(|| Self {
                    span_name: format!("execute_tool {detail}"),
                    operation: "execute_tool",
                    provider: None,
                    model: None,
                    tool: Some(detail.into_owned()),
                })
            }
            _ => None,
        }
    }
}

/// The conventions' name for a provider, where they have one of their own.
fn provider_name(provider: &str) -> String {
    match provider {
        "google" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "bedrock" => "aws.bedrock",
        "azureai" => "azure.ai.inference",
        "mistral" => "mistral_ai",
        "grok" => "x_ai",
        other => other,
    }
    .to_owned()
}

/// A list of attributes.
struct Attributes<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Attributes<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\"attributes\":[");
        Self { out, any: false }
    }

    fn key(&mut self, key: &str, kind: &str) {
        if self.any {
            self.out.push(b',');
        }
        self.any = true;
        let text = format!("{{\"key\":\"{key}\",\"value\":{{\"{kind}\":");
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, key: &str, wtf8: &[u8]) {
        self.key(key, "stringValue");
        write_text(self.out, wtf8);
        self.out.extend_from_slice(b"}}");
    }

    fn integer(&mut self, key: &str, value: u32) {
        self.key(key, "intValue");
        self.out.extend_from_slice(format!("\"{value}\"}}}}").as_bytes());
    }

    fn number(&mut self, key: &str, value: f64) {
        self.key(key, "doubleValue");
        write_number(self.out, if value.is_finite() { value } else { 0.0 });
        self.out.extend_from_slice(b"}}");
    }

    fn boolean(&mut self, key: &str, value: bool) {
        self.key(key, "boolValue");
        self.out.extend_from_slice(format!("{value}}}}}").as_bytes());
    }

    fn end(self) {
        self.out.push(b']');
    }
}

/// An id of 128 bits, the same for the same text everywhere (FNV-1a); never 0, which means none.
fn hash_128(text: &[u8]) -> u128 {
    let hash = text.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, &byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    hash.max(1)
}

/// The same, of 64 bits.
fn hash_64(text: &[u8]) -> u64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}
