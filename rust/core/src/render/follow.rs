//! The records of a log as they are written, as JSON Lines.

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::read::{Filter, FollowEnd, FollowEvent, Follower, LineCursor, Lines, Skipped, Step};

use super::dump::{DumpFormat, write_record};
use super::{Report, terminal_safe};

/// How long to wait before looking at a quiet log again. Looking takes some ten microseconds, so
/// that waiting costs a fraction of a percent of a processor; it works on every file system, where
/// inotify tells nothing of what other machines write; and the caller gets to look for Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The records that `filter` wants of a log from `start_offset` on (the start of a line, in bytes
/// of the decompressed log), and then those that are appended to it, as JSON Lines like those of
/// [`super::dump_report`]; see [`Follower`] for what happens when the log is replaced.
///
/// A chunk comes at least ten times a second, an empty one where there is nothing new. The report
/// ends when nothing more can come.
///
/// # Errors
/// The log cannot be opened.
pub fn follow_report(path: &Path, filter: &Filter, start_offset: u64) -> Result<Box<dyn Report>> {
    Ok(Box::new(FollowReport {
        follower: Follower::open(path, start_offset)?,
        filter: filter.clone(),
        cursor: LineCursor::new(),
        skipped: Vec::new(),
        notes: Vec::new(),
    }))
}

struct FollowReport {
    follower: Follower,
    filter: Filter,
    cursor: LineCursor,
    /// What was skipped of each part that is not over.
    skipped: Vec<(u64, Skipped)>,
    notes: Vec<String>,
}

impl Report for FollowReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        match self.follower.poll()? {
            Step::Lines(lines) => return Ok(Some(self.render(&lines))),
            Step::Event(event) => self.note_event(event),
            // No event to wait for instead: that is what is polled for.
            Step::Idle => std::thread::sleep(POLL_INTERVAL),
            Step::End(end) => {
                self.note(why_over(end));
                return Ok(None);
            }
        }
        Ok(Some(Vec::new()))
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn skipped(&self) -> Option<String> {
        let path = self.follower.path();
        let parts: Vec<_> =
            self.skipped.iter().filter_map(|(_, skipped)| skipped.summary(path)).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl FollowReport {
    fn render(&mut self, lines: &Lines) -> Vec<u8> {
        let mut out = Vec::new();
        let known = self.skipped.iter().position(|(part, _)| *part == lines.part);
        let index = known.unwrap_or_else(|| {
            self.skipped.push((lines.part, Skipped::default()));
            self.skipped.len() - 1
        });
        let skipped = &mut self.skipped[index].1;
        skipped.merge(&lines.skipped);
        while let Some(record) = self.cursor.next(&lines.block, skipped) {
            if self.filter.matches(&record) {
                write_record(&mut out, &record, DumpFormat::JsonLines);
                out.push(b'\n');
            }
        }
        out
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
        }
    }

    /// Tells what was skipped of a part that is over.
    fn note_skipped(&mut self, part: u64) {
        let Some(index) = self.skipped.iter().position(|(known, _)| *known == part) else { return };
        let (_, skipped) = self.skipped.remove(index);
        self.notes.extend(skipped.summary(self.follower.path()));
    }

    fn note(&mut self, what: &str) {
        let path = self.follower.path();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = terminal_safe(name.as_encoded_bytes());
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
