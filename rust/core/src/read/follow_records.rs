//! The records of a log as they are written.

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::record::Record;

use super::{Filter, FollowEnd, FollowEvent, Follower, LineCursor, Lines, Log, Skipped, Step};

/// How long to wait before looking at a quiet log again. Looking takes some ten microseconds, so
/// that waiting costs a fraction of a percent of a processor; it works on every file system, where
/// inotify tells nothing of what other machines write; and the caller gets to look for Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The records that a filter wants of a log and of what is appended to it; see [`Follower`] for
/// what happens when the log is replaced.
#[derive(Debug)]
pub struct FollowedRecords {
    follower: Follower,
    filter: Filter,
    cursor: LineCursor,
    /// What was skipped of each part that is not over.
    skipped: Vec<(u64, Skipped)>,
    notes: Vec<String>,
    is_end_noted: bool,
}

impl FollowedRecords {
    /// Opens a log to follow it from `start_offset` on, as [`Follower::open`].
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open(path: &Path, filter: &Filter, start_offset: u64) -> Result<Self> {
        Ok(Self::of(Follower::open(path, start_offset)?, filter))
    }

    /// Opens a log to follow it from its start on, through all of its files.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open_log(log: &Log, filter: &Filter) -> Result<Self> {
        Ok(Self::of(Follower::open_log(log)?, filter))
    }

    fn of(follower: Follower, filter: &Filter) -> Self {
        Self {
            follower,
            filter: filter.clone(),
            cursor: LineCursor::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            is_end_noted: false,
        }
    }

    /// Calls `visit` with wanted records that are there by now, if any; where nothing is new, waits
    /// for a twentieth of a second, and is back with nothing. Returns false when nothing will come
    /// any more.
    ///
    /// # Errors
    /// As [`Follower::poll`].
    pub fn visit(&mut self, visit: impl FnMut(&Record<'_>)) -> Result<bool> {
        match self.follower.poll()? {
            Step::Lines(lines) => self.visit_lines(&lines, visit),
            Step::Event(event) => self.note_event(event),
            // There is no event to wait for instead: that is what the polling is for.
            Step::Idle => std::thread::sleep(POLL_INTERVAL),
            Step::End(end) => {
                if !std::mem::replace(&mut self.is_end_noted, true) {
                    self.note(why_over(end));
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One line each on what has happened since this was last asked, for people.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// One line on what was skipped so far of the file that is followed. (When another one takes its
    /// place, that line is among the notes.)
    pub fn skipped(&self) -> Option<String> {
        let path = |part| self.follower.path_of(part);
        let parts: Vec<_> = self
            .skipped
            .iter()
            .filter_map(|(part, skipped)| skipped.summary(path(*part)))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn visit_lines(&mut self, lines: &Lines, mut visit: impl FnMut(&Record<'_>)) {
        let known = self.skipped.iter().position(|(part, _)| *part == lines.part);
        let index = known.unwrap_or_else(|| {
            self.skipped.push((lines.part, Skipped::default()));
            self.skipped.len() - 1
        });
        let skipped = &mut self.skipped[index].1;
        skipped.merge(&lines.skipped);
        while let Some(record) = self.cursor.next(&lines.block, skipped) {
            if self.filter.matches(&record) {
                visit(&record);
            }
        }
    }

    fn note_event(&mut self, event: FollowEvent) {
        match event {
            FollowEvent::Replaced => self.note("was replaced: going on with the new file"),
            FollowEvent::Truncated { part } => {
                self.note_skipped(part);
                self.note("was truncated: going on from its new start");
            }
            FollowEvent::Gone => self.note(
                "was renamed or removed: going on with what is still written to it, until there \
                 is a new file of that name",
            ),
            FollowEvent::Left { part } => self.note_skipped(part),
            FollowEvent::Missed { parts } => {
                let what = if parts == 1 { "part was" } else { "parts were" };
                self.note(&format!("is not shown whole: {parts} {what} removed before being read"));
            }
        }
    }

    /// Tells what was skipped of a part that is over.
    fn note_skipped(&mut self, part: u64) {
        let Some(index) = self.skipped.iter().position(|(known, _)| *known == part) else { return };
        let (_, skipped) = self.skipped.remove(index);
        self.notes.extend(skipped.summary(self.follower.path_of(part)));
    }

    fn note(&mut self, what: &str) {
        let path = self.follower.path();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = crate::render::terminal_safe(name.as_encoded_bytes());
        self.notes.push(format!("{name} {what}"));
    }
}

fn why_over(end: FollowEnd) -> &'static str {
    match end {
        FollowEnd::IsCompressed => "is a finished, compressed log: nothing more will come",
        FollowEnd::WriterEnded => "is finished, its writer has ended: nothing more will come",
        FollowEnd::WasCompressed => "was finished and compressed: nothing more will come",
        FollowEnd::WasRemoved => "was finished and removed or renamed: nothing more will come",
    }
}
