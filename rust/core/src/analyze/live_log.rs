//! One log of a live view: what is known of it so far, and reading on where that ended.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::Result;
use crate::metadata::{short_json, short_name};
use crate::read::{ActionSpan, Filter, FollowEnd, FollowEvent, Follower, Log, Skipped, Step};
use crate::redact::{redact_from, redact_in};
use crate::store::{self, ProcessStatus};

use super::Action;
use super::anomalies_partial::{Times, stack_of};
use super::diagnosis::{main_process, parts, writer_alive};
use super::ids::{IdMap, hash_id};
use super::live_blocks::{Ended, Ending, LiveMap, LivePartial, LiveScratch, merge_ended};

/// A log that is younger than the view and smaller than this is followed from its start on; others
/// are scanned first, on all cores.
const SMALL_BYTES: u64 = 4 << 20;

/// An action that is open, as its records tell.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// How many there were before it in this view.
    pub(super) number: u64,
    pub(super) action: Arc<Action>,
}

/// An action that was open and has ended.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    pub(super) number: u64,
    pub(super) action: Arc<Action>,
    pub(super) ending: Ending,
}

/// How long an open action has taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dated {
    pub(super) end_s: Option<f64>,
    pub(super) duration_s: f64,
    pub(super) interrupted: bool,
}

impl Dated {
    /// What a filter selects the action by.
    pub(super) fn span(self, action: &Action) -> ActionSpan {
        let Self { end_s, duration_s, .. } = self;
        let start_s = action.start_time_s.filter(|start_s| !start_s.is_nan());
        ActionSpan { event: action.event, start_s, end_s, duration_s }
    }
}

/// What a view does with what it reads.
pub(super) struct Ways {
    pub(super) filter: Filter,
    pub(super) redact: bool,
    pub(super) no_detail: bool,
    pub(super) appended: LiveMap,
    pub(super) scratch: LiveScratch,
    pub(super) next_number: u64,
}

pub(super) struct LiveLog {
    /// Where it is, or was when it was found.
    pub(super) path: PathBuf,
    pub(super) process: ProcessStatus,
    /// Whether the log is written by anybody, when this was last judged.
    pub(super) is_written: Option<bool>,
    /// Whether anybody was seen to write it.
    pub(super) was_written: bool,
    pub(super) open: IdMap<Open>,
    pub(super) ended: IdMap<Ended>,
    /// How many of each kind have ended since this was last asked, in what was appended.
    pub(super) lately: IdMap<u64>,
    pub(super) closed: Vec<Closed>,
    times: Times,
    /// Which of the forked children that have open actions live.
    children: HashMap<u32, Option<bool>>,
    reading: Reading,
    /// What was skipped of each file, told by its number where it is being followed.
    skipped: Vec<(Option<u64>, PathBuf, Skipped)>,
    notes: Vec<String>,
}

enum Reading {
    Following(Box<Follower>),
    /// Nothing more can come.
    Over,
}

/// What reading on came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOn {
    /// There is more.
    More,
    /// That was all for now.
    Idle,
    /// There is another log at the path, or the old one was cut off: it has to be opened anew.
    Renewed,
}

impl LiveLog {
    /// Opens a log; what has to be scanned before it is read on, if anything.
    pub(super) fn open(path: &Path, is_new: bool) -> Result<(Self, Option<Log>)> {
        // Before anything is read, as everywhere: of a process that has ended, all records are there.
        let found = Log::with_parts(path);
        let process = main_process(&found);
        let is_written = is_written(path, &found);
        let mut log = Self::new(path, process, is_written);
        if is_new && found.files.len() == 1 && found.size_bytes() < SMALL_BYTES {
            log.reading = Reading::Following(Box::new(Follower::open_log(&found)?));
            return Ok((log, None));
        }
        let mut to_scan = found;
        if let Some((follower, end)) = Follower::open_behind(&to_scan)? {
            log.reading = Reading::Following(Box::new(follower));
            to_scan.end = Some(end);
        }
        let newest = to_scan.files.len() - 1;
        log.skipped = to_scan
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| {
                ((index == newest).then_some(0), file.path().to_owned(), Skipped::default())
            })
            .collect();
        Ok((log, Some(to_scan)))
    }

    /// A log that cannot be read: there is nothing to tell of it, and nothing comes.
    pub(super) fn failed(path: &Path) -> Self {
        let process = ProcessStatus { pid: None, alive: Some(false) };
        Self::new(path, process, Some(false))
    }

    /// A log of which nothing was read.
    fn new(path: &Path, process: ProcessStatus, is_written: Option<bool>) -> Self {
        Self {
            path: path.to_owned(),
            process,
            is_written,
            was_written: is_written == Some(true),
            open: IdMap::default(),
            ended: IdMap::default(),
            lately: IdMap::default(),
            closed: Vec::new(),
            times: Times::default(),
            children: HashMap::new(),
            reading: Reading::Over,
            skipped: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes in what scanning has skipped of one of its files.
    pub(super) fn skip(&mut self, file: usize, skipped: &Skipped) {
        if let Some((.., known)) = self.skipped.get_mut(file) {
            known.merge(skipped);
        }
    }

    /// Looks which of its processes live.
    pub(super) fn judge(&mut self) {
        let is_over = matches!(self.reading, Reading::Over) && self.is_written == Some(false);
        let pids: HashSet<u32> = self.open.values().filter_map(|open| open.action.pid).collect();
        if is_over && (pids.is_empty() || self.process.alive == Some(false)) {
            // Nobody comes back to life; and without writers there are no children that write.
            self.children = pids.into_iter().map(|pid| (pid, Some(false))).collect();
            return;
        }
        let found = Log::with_parts(&self.path);
        // Of a log that was compressed or removed there is no telling; but nobody comes back to life.
        let process = main_process(&found);
        if process.alive.is_some() || self.process.alive.is_none() {
            self.process = process;
        }
        self.is_written = is_written(&self.path, &found).or(self.is_written);
        self.was_written |= self.is_written == Some(true);
        let own = self.process.pid;
        self.children = pids
            .into_iter()
            .filter(|&pid| Some(pid) != own)
            .map(|pid| (pid, writer_alive(&found, pid)))
            .collect();
    }

    /// Reads what was appended, until `until` at the latest.
    pub(super) fn read_on(&mut self, ways: &mut Ways, until: Instant) -> Result<ReadOn> {
        let mut idle = 0;
        loop {
            let Reading::Following(follower) = &mut self.reading else { return Ok(ReadOn::Idle) };
            match follower.poll()? {
                Step::Lines(lines) => {
                    let path = follower.path_of(lines.part).to_owned();
                    let skipped = self.skipped_of(lines.part, path);
                    skipped.merge(&lines.skipped);
                    let Ways { appended, scratch, .. } = ways;
                    if let Some(partial) = appended.of_block(scratch, &lines.block, skipped) {
                        self.take_in(partial, ways, true);
                    }
                    if Instant::now() >= until {
                        return Ok(ReadOn::More);
                    }
                }
                Step::Event(FollowEvent::Truncated { .. }) => return Ok(ReadOn::Renewed),
                Step::Event(FollowEvent::Replaced) if follower.is_other_log() => {
                    return Ok(ReadOn::Renewed);
                }
                Step::Event(FollowEvent::Missed { parts }) => {
                    let name = self.path.file_name().unwrap_or(self.path.as_os_str());
                    let name = crate::render::terminal_safe(name.as_encoded_bytes());
                    let parts = crate::read::skipped::count(parts.into(), "part", "parts");
                    let note =
                        format!("{name} is not shown whole: {parts} removed before being read");
                    self.notes.push(note);
                }
                Step::Event(_) => {}
                Step::Idle => {
                    idle += 1;
                    // What a dead process has left beside its log is joined to it at one look, and
                    // read at the next.
                    let may_have_left_lines = self.is_written == Some(false) && idle < 3;
                    if !may_have_left_lines {
                        return Ok(ReadOn::Idle);
                    }
                }
                Step::End(end) => {
                    self.reading = Reading::Over;
                    if end != FollowEnd::IsCompressed {
                        self.is_written = Some(false);
                    }
                    return Ok(ReadOn::Idle);
                }
            }
        }
    }

    fn skipped_of(&mut self, part: u64, path: PathBuf) -> &mut Skipped {
        let known = self.skipped.iter().position(|(known, ..)| *known == Some(part));
        let index = known.unwrap_or_else(|| {
            self.skipped.push((Some(part), path, Skipped::default()));
            self.skipped.len() - 1
        });
        &mut self.skipped[index].2
    }

    /// Takes in what the next records tell.
    pub(super) fn take_in(&mut self, later: LivePartial, ways: &mut Ways, is_appended: bool) {
        let LivePartial { open, ended, endings } = later;
        let changes = open.into_changes();
        if is_appended {
            for (hash, action, ended) in ended.rows() {
                *self.lately.entry(hash, action) += ended.count();
            }
            for ending in endings {
                if let Some(open) = self.open.remove(hash_id(&ending.id), &ending.id) {
                    let Open { number, action } = open;
                    let ending = if ways.redact { redacted_ending(ending) } else { ending };
                    let ending = if ways.no_detail { short_ending(ending) } else { ending };
                    self.closed.push(Closed { number, action, ending });
                }
            }
        }
        merge_ended(&mut self.ended, &ended);
        self.times.merge(changes.times);
        for (hash, id) in changes.closed.iter() {
            self.open.remove(hash, id);
        }
        for (hash, id, kept) in changes.opened {
            let Some(mut action) = Action::of(&kept) else { continue };
            if ways.redact {
                redact_action(&mut action);
            }
            if ways.no_detail {
                leave_out_detail(&mut action);
            }
            let open = Open { number: ways.next_number, action: Arc::new(action) };
            ways.next_number += 1;
            self.open.put(hash, id, open, |old, new| *old = new);
        }
        // Where an action waits is said, too.
        let stalls = if ways.no_detail { Vec::new() } else { changes.stalls };
        for (hash, id, line) in stalls {
            let Some(open) = self.open.get_mut(hash, &id) else { continue };
            // The last report counts, also where it does not tell.
            let mut stack = stack_of(&line);
            if let Some(stack) = stack.as_mut().filter(|_| ways.redact) {
                redact_from(stack, 0);
            }
            Arc::make_mut(&mut open.action).stack = stack;
        }
    }

    /// An open action, dated to a moment if it runs, and to the last record of its process if that is
    /// dead.
    pub(super) fn dated(&self, action: &Action, as_of_s: f64) -> Dated {
        let Times { last_s, last_main_s, last_by_pid, .. } = &self.times;
        let ended_at_s = match action.pid {
            Some(pid) if Some(pid) != self.process.pid => {
                let alive = self.children.get(&pid).copied().flatten();
                (alive == Some(false)).then(|| last_by_pid.get(&pid).copied().or(*last_s))
            }
            _ => (self.process.alive == Some(false)).then(|| last_main_s.or(*last_s)),
        };
        let end_s = ended_at_s.unwrap_or(Some(as_of_s));
        let elapsed_s = || Some((end_s? - action.start_time_s?).max(0.0));
        let duration_s = action.duration_s.or_else(elapsed_s).filter(|elapsed| elapsed.is_finite());
        let interrupted = ended_at_s.is_some();
        Dated { end_s, duration_s: duration_s.unwrap_or(0.0), interrupted }
    }

    /// When the process wrote last, if it has ended.
    pub(super) fn ended_at_s(&self) -> Option<f64> {
        let Times { last_s, last_main_s, .. } = &self.times;
        if self.process.alive == Some(false) { last_main_s.or(*last_s) } else { None }
    }

    pub(super) fn records(&self) -> u64 {
        self.times.records
    }

    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// What was skipped so far, in words.
    pub(super) fn skipped(&self) -> impl Iterator<Item = String> {
        self.skipped.iter().filter_map(|(_, path, skipped)| skipped.summary(path))
    }
}

/// Whether anybody writes to a log, the process that it is named after or another one.
fn is_written(path: &Path, log: &Log) -> Option<bool> {
    store::liveness_of_log(path, &parts(log)).alive
}

/// Takes the secrets out of what is shown of an action.
pub(crate) fn redact_action(action: &mut Action) {
    for text in [&mut action.action, &mut action.detail, &mut action.message] {
        redact_in(text);
    }
    let texts = [&mut action.error, &mut action.error_type, &mut action.stacktrace];
    texts.into_iter().flatten().for_each(redact_in);
    let values = [&mut action.stack, &mut action.task, &mut action.sample_id, &mut action.epoch];
    values.into_iter().flatten().for_each(|json| redact_from(json, 0));
}

/// Leaves nothing of an action but what happened when, and short names. It can still be found by its ids.
pub(crate) fn leave_out_detail(action: &mut Action) {
    action.detail.clear();
    action.message.clear();
    (action.error, action.stacktrace, action.stack) = (None, None, None);
    for text in [Some(&mut action.action), action.error_type.as_mut()].into_iter().flatten() {
        *text = short_name(text).into_owned();
    }
    for value in [&mut action.task, &mut action.sample_id, &mut action.epoch] {
        *value = value.take().and_then(|json| Some(short_json(&json)?.into_owned()));
    }
}

/// Cuts the ids of an action, which could say something as well.
pub(crate) fn shorten_ids(action: &mut Action) {
    for id in [Some(&mut action.trace_id), action.parent_id.as_mut()].into_iter().flatten() {
        *id = short_name(id).into_owned();
    }
}

fn redacted_ending(mut ending: Ending) -> Ending {
    let texts = [&mut ending.error, &mut ending.error_type];
    texts.into_iter().flatten().for_each(redact_in);
    ending
}

fn short_ending(mut ending: Ending) -> Ending {
    ending.error = None;
    ending.error_type = ending.error_type.map(|name| short_name(&name).into_owned());
    ending
}
