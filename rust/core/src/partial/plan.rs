//! How logs are dealt out to many: in tasks of about the same work.

use crate::read::{Log, ScanOptions};

use super::{Question, Task};

/// What is in a compressed log is about so many times as much as its file.
const COMPRESSION: u64 = 8;
/// A log takes at least as long as so many bytes: it has to be opened.
const OPENING_BYTES: u64 = 256 << 10;

/// How large tasks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// How many there are who work.
    pub workers: usize,
    /// No task has less than this, in bytes of text, if there is that much.
    pub min_bytes: u64,
    /// No task has more, but for a compressed log, which is read by one, and where there would be too
    /// many tasks.
    pub max_bytes: u64,
    /// Whether large plain logs are read in parts.
    pub in_parts: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { workers: 1, min_bytes: 8 << 20, max_bytes: 256 << 20, in_parts: true }
    }
}

/// So many tasks for each who works: the one who is done first has more to do.
const TASKS_EACH: u64 = 4;

/// About so many tasks there are at most: whoever hands them out keeps a book on each.
const MAX_TASKS: u64 = 100_000;

/// Deals logs out for a question, in their order; large plain ones in parts.
pub fn plan(
    question: &Question,
    logs: &[Log],
    options: PlanOptions,
    scan: ScanOptions,
) -> Vec<Task> {
    let logs: Vec<_> = logs.iter().map(|log| question.needed(log)).collect();
    let work: Vec<_> = logs.iter().map(work_bytes).collect();
    let total: u64 = work.iter().sum();
    let share = total / (TASKS_EACH * options.workers.max(1) as u64);
    let most = share.clamp(options.min_bytes.max(1), options.max_bytes.max(1));
    let most = most.max(total / MAX_TASKS);
    let mut tasks: Vec<Task> = Vec::new();
    // How much is in the last one, if more may come to it.
    let mut open_bytes = None;
    for ((first_log, log), work) in (0..).zip(&logs).zip(work) {
        if let Some(parts) = parts(log, most).filter(|_| options.in_parts) {
            tasks.extend(parts.into_iter().map(|(log, range)| Task {
                first_log,
                logs: vec![log],
                range: Some(range),
                scan,
            }));
            open_bytes = None;
            continue;
        }
        match (tasks.last_mut(), open_bytes) {
            (Some(task), Some(there)) if there + work <= most => {
                task.logs.push(log.clone());
                open_bytes = Some(there + work);
            }
            _ => {
                tasks.push(Task { first_log, logs: vec![log.clone()], range: None, scan });
                open_bytes = Some(work);
            }
        }
    }
    tasks
}

fn is_compressed(log: &Log) -> bool {
    log.files.iter().any(|file| file.path().as_os_str().as_encoded_bytes().ends_with(b".gz"))
}

/// About how much there is to do for a log.
fn work_bytes(log: &Log) -> u64 {
    let times = if is_compressed(log) { COMPRESSION } else { 1 };
    let opening_bytes = if log.files.is_empty() { 0 } else { OPENING_BYTES };
    log.size_bytes().saturating_mul(times).saturating_add(opening_bytes)
}

/// The parts of a plain log of which one task could not have all.
fn parts(log: &Log, most: u64) -> Option<Vec<(Log, (u32, u32))>> {
    let size_bytes = log.size_bytes();
    let is_whole = log.start == 0 && log.end.is_none() && !log.continues;
    if log.files.len() != 1 || is_compressed(log) || !is_whole || size_bytes / 2 < most {
        return None;
    }
    let of = u32::try_from(size_bytes.div_ceil(most)).ok()?;
    let border = |part: u32| size_bytes / u64::from(of) * u64::from(part);
    let part = |number: u32| {
        // The last one has what is appended meanwhile, too.
        let end = (number + 1 < of).then(|| border(number + 1));
        let log = Log { start: border(number), continues: number > 0, end, ..log.clone() };
        (log, (number, of))
    };
    Some((0..of).map(part).collect())
}
