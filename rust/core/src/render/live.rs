//! What is shown of a live view: the cells of its rows, and all that is known of one action.

use std::fmt::Write as _;

use crate::Result;
use crate::analyze::{Action, LiveAction, LiveCounter, LiveSnapshot};
use crate::read::{Filter, FilterOptions, Log, to_str_lossy};
use crate::record::Text;
use crate::watch::Frame;

use super::Report;
use super::dump::{DumpFormat, DumpOptions, dump_report};
use super::place::{called, sample_line, text_of};
use super::terminal::cell;
use super::time::local_day_and_time;
use super::tree_rows::human_duration;

/// What is shown of an open action, each on one line and safe for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCells {
    /// For how long it has been open.
    pub age: String,
    /// Its kind.
    pub action: String,
    /// What it is at.
    pub detail: String,
    /// Its sample, epoch and task, as far as there are.
    pub sample: String,
    /// The action that it is in.
    pub inside: String,
    /// The process.
    pub pid: String,
    /// The innermost function where it was last seen to wait.
    pub waits_in: String,
    /// The name of its log.
    pub log: String,
}

/// What is shown of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // as those of `LiveCounter`
pub struct CounterCells {
    pub action: String,
    pub open: String,
    pub done: String,
    pub failed: String,
    pub cancelled: String,
    pub rate: String,
    pub p50: String,
    pub p99: String,
}

/// The cells of an open action.
pub fn live_cells(snapshot: &LiveSnapshot, open: &LiveAction) -> LiveCells {
    let action = &open.action;
    let frames = action.stack.as_deref().map(Frame::read_list).unwrap_or_default();
    let path = snapshot.logs.get(open.log).map(|log| log.path.as_path());
    let name = path.and_then(std::path::Path::file_name).unwrap_or_default();
    LiveCells {
        age: human_duration(open.duration_s),
        action: cell(&action.action),
        detail: cell(action.detail_or_message()),
        sample: sample_cell(action),
        inside: open.enclosing.first().map(|outer| called(outer)).unwrap_or_default(),
        pid: open.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        waits_in: frames.last().map(|frame| cell(&frame.function)).unwrap_or_default(),
        log: cell(name.as_encoded_bytes()),
    }
}

/// `SAMPLE/EPOCH TASK`: where there is little room, the task is what several have in common.
fn sample_cell(action: &Action) -> String {
    let text = |json: &Option<Text>| json.as_deref().map(|json| cell(&text_of(json)));
    let sample = match (text(&action.sample_id), text(&action.epoch)) {
        (Some(sample), Some(epoch)) => Some(format!("{sample}/{epoch}")),
        (sample, epoch) => sample.or(epoch),
    };
    let parts: Vec<_> = [sample, text(&action.task)].into_iter().flatten().collect();
    parts.join(" ")
}

/// The cells of a counter.
pub fn counter_cells(counter: &LiveCounter) -> CounterCells {
    let quantile =
        |q| counter.durations.quantile_s(q).map_or_else(|| "-".to_owned(), human_duration);
    CounterCells {
        action: cell(&counter.action),
        open: counter.open.to_string(),
        done: counter.done.to_string(),
        failed: counter.failed.to_string(),
        cancelled: counter.cancelled.to_string(),
        rate: counter.rate.map_or_else(|| "-".to_owned(), rate),
        p50: quantile(0.5),
        p99: quantile(0.99),
    }
}

fn rate(per_second: f64) -> String {
    if per_second == 0.0 || per_second >= 9.95 {
        format!("{per_second:.0}")
    } else {
        format!("{per_second:.1}")
    }
}

/// All that is known of an open action, as lines that are safe for a terminal: where it is, the frames
/// in which it waits, the innermost first, and what its first record says. Of a view without what was said
/// there are no frames.
pub fn live_details(snapshot: &LiveSnapshot, open: &LiveAction) -> String {
    let action = &open.action;
    let state = if open.interrupted { "interrupted after" } else { "running for" };
    let mut out = format!("{}\n{state} {}", called(action), human_duration(open.duration_s));
    if let Some(start) = action.start_time_s.and_then(local_day_and_time) {
        let _ = write!(out, ", since {start}");
    }
    out.push('\n');
    let path = snapshot.logs.get(open.log).map(|log| cell(log.path.as_os_str().as_encoded_bytes()));
    let pid = open.pid.map(|pid| format!("process {pid}, "));
    let _ = writeln!(out, "{}log {}", pid.unwrap_or_default(), path.unwrap_or_default());
    if let Some(sample) = sample_line(action) {
        let _ = writeln!(out, "of {sample}");
    }
    for outer in &open.enclosing {
        let _ = writeln!(out, "in {}", called(outer));
    }
    if !snapshot.no_detail {
        out.push('\n');
        out.push_str(&stack_text(action));
    }
    out
}

/// The records of an open action, and of those right within it, as JSON Lines, the oldest first. The
/// log is read from where the action began, if that is in its newest file. Of a view without what was said they
/// are without it, too.
///
/// # Errors
/// The log cannot be opened.
pub fn live_records(
    snapshot: &LiveSnapshot,
    open: &LiveAction,
    limit: Option<u64>,
    redact: bool,
) -> Result<Box<dyn Report>> {
    let path = snapshot.logs.get(open.log).map_or("".as_ref(), |log| log.path.as_path());
    let mut log = Log::with_parts(path);
    if log.files.len() == 1 {
        log.start = open.action.offset;
    }
    let of_action = Some(to_str_lossy(&open.action.trace_id).into_owned());
    let filter = Filter::of(FilterOptions { of_action, ..FilterOptions::default() });
    // Neither a level nor a time is given, which alone could be wrong.
    let filter = filter.unwrap_or_default();
    let no_detail = snapshot.no_detail;
    let options = DumpOptions { redact, no_detail, format: DumpFormat::JsonLines, limit };
    dump_report(&[log], &filter, options)
}

fn stack_text(action: &Action) -> String {
    let Some(stack) = action.stack.as_deref() else {
        return "Where it waits is not known yet: a log is told of actions that are open for a minute.\n"
            .to_owned();
    };
    let mut out = "Where it waited when the log was last told, the innermost first:\n".to_owned();
    for frame in Frame::read_list(stack).iter().rev() {
        let (function, file) = (cell(&frame.function), cell(&frame.file));
        let _ = write!(out, "  {function} ({file}:{})", frame.line);
        if let Some(awaits) = &frame.awaits {
            let _ = write!(out, ", waits for {}", cell(awaits));
        }
        out.push('\n');
    }
    out
}
