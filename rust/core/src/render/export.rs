//! Logs in the formats of other tools, as a stream.

use crate::Result;
use crate::analyze::ids::IdMap;
use crate::analyze::spans::{ActionRecord, LogEnd, Shown, Span};
use crate::read::{Filter, Log, ScanOptions};
use crate::record::Event;

use super::Report;
use super::export_csv::csv_report;
use super::export_otlp::Otlp;
use super::export_perfetto::Perfetto;
use super::report::told_by_scan;
use super::spans::{SpanNext, SpanScan};

/// Into what logs are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// The actions as complete events of the Trace Event Format (JSON), which Perfetto and Chrome
    /// load.
    Perfetto,
    /// The actions as spans of OpenTelemetry: JSON Lines, an `ExportTraceServiceRequest` each.
    Otlp,
    /// The records as CSV (RFC 4180, with line feeds): texts in quotes, what is not there empty and
    /// without.
    Csv,
    /// The same, `timestamp` as microseconds since the epoch: for programs that want one type a
    /// column.
    TypedCsv,
}

/// What is exported, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportOptions {
    /// Into what.
    pub format: ExportFormat,
    /// Now, seconds since the epoch: until when running actions last.
    pub as_of_s: f64,
    /// Whether keys, tokens and passwords are left out.
    pub redact: bool,
    /// Whether texts are left out: only what happened when, and how it ended.
    pub no_detail: bool,
    /// How the logs are read: which changes nothing in what is exported but the names of tracks.
    pub scan: ScanOptions,
}

/// The actions (or, as CSV, the records) of some logs that `filter` selects, in another format.
///
/// Memory grows with what is open at a time; that of a Perfetto trace also with the number of tracks.
///
/// # Errors
/// The one log cannot be opened.
pub fn export_report(
    logs: &[Log],
    filter: &Filter,
    options: &ExportOptions,
) -> Result<Box<dyn Report>> {
    match options.format {
        ExportFormat::Perfetto => spans_report(logs, filter, options, Perfetto::default()),
        ExportFormat::Otlp => spans_report(logs, filter, options, Otlp::default()),
        ExportFormat::Csv => csv_report(logs, filter, options, false),
        ExportFormat::TypedCsv => csv_report(logs, filter, options, true),
    }
}

/// A format for spans.
pub(super) trait SpanFormat: Send {
    /// What is kept of an action until it ends.
    type Place: Clone + Send;

    fn begin(&mut self, out: &mut Vec<u8>);

    /// A log begins, by the process of that id if it is known.
    fn begin_log(&mut self, out: &mut Vec<u8>, log: &Log, pid: Option<u32>);

    /// An action begins, in another one perhaps.
    fn enter(
        &mut self,
        out: &mut Vec<u8>,
        span: &Span,
        parent: Option<&Self::Place>,
    ) -> Self::Place;

    /// An action has ended, or is open at the end of its log. The innermost come first then.
    fn leave(&mut self, out: &mut Vec<u8>, span: &Span, place: Self::Place, is_wanted: bool);

    fn end_log(&mut self, out: &mut Vec<u8>);

    fn end(&mut self, out: &mut Vec<u8>);
}

fn spans_report(
    logs: &[Log],
    filter: &Filter,
    options: &ExportOptions,
    format: impl SpanFormat + 'static,
) -> Result<Box<dyn Report>> {
    // Stack traces are large, and only some formats have a place for them.
    let stacks = options.format == ExportFormat::Otlp;
    let shown =
        Shown { stacks, stalls: false, redact: options.redact, no_detail: options.no_detail };
    let scan = SpanScan::new(logs, filter, options.as_of_s, shown, options.scan)?;
    let pids = scan.pids();
    Ok(Box::new(SpansReport {
        scan,
        pids,
        filter: filter.clone(),
        format,
        open: IdMap::default(),
        next_order: 0,
        log: None,
        state: State::Start,
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Spans,
    End,
}

/// An action that has not ended yet.
struct Opened<P> {
    span: Span,
    place: P,
    matches: bool,
    order: u64,
}

struct SpansReport<F: SpanFormat> {
    scan: SpanScan,
    pids: Vec<Option<u32>>,
    filter: Filter,
    format: F,
    open: IdMap<Opened<F::Place>>,
    next_order: u64,
    /// The current log.
    log: Option<usize>,
    state: State,
}

impl<F: SpanFormat> Report for SpansReport<F> {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.state {
            State::Start => {
                self.format.begin(&mut out);
                self.state = State::Spans;
                return Ok(Some(out));
            }
            State::Spans => {}
            State::End => return Ok(None),
        }
        match self.scan.next()? {
            SpanNext::Records { log, records, .. } => {
                if self.log != Some(log) {
                    self.log = Some(log);
                    self.format.begin_log(&mut out, &self.scan.logs()[log], self.pids[log]);
                }
                for record in records {
                    self.observe(&mut out, record);
                }
            }
            SpanNext::LogEnd { mut end, .. } => self.end_log(&mut out, &mut end),
            SpanNext::Pending => {}
            SpanNext::End => {
                self.format.end(&mut out);
                self.state = State::End;
            }
        }
        Ok(Some(out))
    }

    told_by_scan!();
}

impl<F: SpanFormat> SpansReport<F> {
    fn observe(&mut self, out: &mut Vec<u8>, record: ActionRecord) {
        let opened = self.open.remove(record.hash, &record.span.trace_id);
        if record.span.event == Event::Enter {
            let (hash, matches, span) = (record.hash, record.matches, record.span);
            // An id that is open already: the new action takes the place of the old one.
            let (place, matches) = match opened {
                Some(opened) => (opened.place, matches || opened.matches),
                None => (self.enter(out, &span), matches),
            };
            let id = span.trace_id.clone();
            let order = self.next_order;
            self.next_order += 1;
            let opened = Opened { span, place, matches, order };
            self.open.put(hash, id, opened, |old, new| *old = new);
            return;
        }
        let (span, place, matches) = match opened {
            Some(mut opened) => {
                let matches = opened.matches || record.matches;
                opened.span.close(record);
                (opened.span, opened.place, matches)
            }
            None => (record.span.clone(), self.enter(out, &record.span), record.matches),
        };
        let is_wanted = matches && self.filter.selects(&span.span());
        self.format.leave(out, &span, place, is_wanted);
    }

    fn enter(&mut self, out: &mut Vec<u8>, span: &Span) -> F::Place {
        let parent = span.parent_id.as_ref().and_then(|parent_id| {
            self.open.get(crate::analyze::ids::hash_id(parent_id), parent_id)
        });
        self.format.enter(out, span, parent.map(|parent| &parent.place))
    }

    fn end_log(&mut self, out: &mut Vec<u8>, end: &mut LogEnd) {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_unstable_by_key(|opened| std::cmp::Reverse(opened.order));
        for mut opened in open {
            end.judge(&mut opened.span);
            let is_wanted = opened.matches && self.filter.selects(&opened.span.span());
            self.format.leave(out, &opened.span, opened.place, is_wanted);
        }
        if self.log.is_some() {
            self.format.end_log(out);
        }
    }
}

/// A moment in whole microseconds since the epoch; one that no format can tell is the epoch.
pub(super) fn microseconds(epoch_s: f64) -> i64 {
    let microseconds = (epoch_s * 1e6).round();
    // About the years 1700 to 2200: nanoseconds fit into 64 bits.
    if !(-9e15..9e15).contains(&microseconds) {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation)] // in range
    let whole = microseconds as i64;
    whole
}
