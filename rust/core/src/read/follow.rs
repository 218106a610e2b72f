//! A log as it grows: its lines as they are appended, through truncation, renaming, removal and
//! replacement by a new file of the same name.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::store::{LogFile, LogName, part_after, part_path, split_part_name};
use crate::tail;
use crate::{Error, Result};

use super::followed::{Followed, Identity, Read, buffer};
use super::{Block, Log, Skipped};

/// A log that is being replaced has no file for a moment, between the renaming of the old one and
/// the creation of the new one: only a path that is empty at so many polls in a row counts as left.
pub const GONE_POLLS: u32 = 5;

/// With so many files open, further parts wait: they do not go away.
const MAX_OPEN: usize = 64;

/// So many of the parts that were read last are remembered by name.
const MAX_NAMES: usize = 64;

/// What one look at a log gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lines that have not been given before.
    Lines(Box<Lines>),
    /// Something that the reader of the lines may want to know.
    Event(FollowEvent),
    /// Nothing new at the moment.
    Idle,
    /// Nothing will come any more. Asking again gives the same.
    End(FollowEnd),
}

/// Whole lines of one part of what is followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// The part: one file from its beginning to its end, or to where it was truncated.
    pub part: u64,
    /// The lines, each ended by a newline; but for what stands at the end of a part that is over,
    /// and before a hole in the file. No lines at all: there is more to read, but no newline yet.
    pub block: Block,
    /// What was skipped before the block: to be merged before the counters of the block.
    pub skipped: Skipped,
}

/// What happened to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowEvent {
    /// There is another file at the path; its lines follow, from its start.
    Replaced,
    /// The file is shorter than what was read of it, or has other content; its lines follow, from
    /// its new start. Nothing more comes of the part.
    Truncated {
        /// The part that is over.
        part: u64,
    },
    /// There is no file at the path any more; what is still written to the old one follows.
    Gone,
    /// All of a file that was replaced has been given.
    Left {
        /// The part that is over.
        part: u64,
    },
    /// Parts that the log was rotated to were removed before they could be read; what came after
    /// them follows.
    Missed {
        /// How many.
        parts: u32,
    },
}

/// Why nothing will come any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowEnd {
    /// The log is a compressed one.
    IsCompressed,
    /// The process that wrote the log has ended.
    WriterEnded,
    /// The same, and the log has been compressed to a file of another name.
    WasCompressed,
    /// The same, and the log has been removed or renamed.
    WasRemoved,
}

/// What is at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The newest of the files that are followed (or there is no telling).
    Taken,
    Empty,
    /// There are files that come first and are not open yet.
    Behind,
}

/// Follows the log at a path.
///
/// No complete line of a file that was seen at the path is left out or given twice: a file stays
/// open until it has been read to its end *after* it was seen to be replaced, or its writer to have
/// ended. A replaced file whose writer is known to live is followed on beside the new one.
///
/// Parts that a log is rotated to (see [`crate::store::log_files`]) are all given, also where several
/// came between two polls and are compressed by now. What is known of each file is the number that it
/// has among them, or gets: the file that was at the path when it was opened becomes the part of that
/// number, and what is at the path after that comes behind all parts that there are by then.
///
/// What else cannot be seen: a file that comes and goes between two polls, lines that are written and
/// truncated away between two polls, and lines that a writer which does not lock its log (see
/// [`crate::store`]) writes to a file that has been replaced already.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// The parts that the log had been rotated to before: given first, one after the other.
    earlier: VecDeque<LogFile>,
    /// The one of them that is read.
    current: Option<Followed>,
    /// The files that are not done with, oldest first. The last one is the one at the path, or the
    /// last that was there.
    files: Vec<Followed>,
    /// The names of the parts that have others than the path.
    names: Vec<(u64, PathBuf)>,
    /// Where to begin in the first file.
    start_offset: u64,
    pending: VecDeque<Step>,
    next_part: u64,
    /// How many polls in a row found no file at the path, or one that may not be opened.
    gone_polls: u32,
    /// Why the file at the path could not be opened, at the last look.
    refused: Option<Error>,
    end: Option<FollowEnd>,
    /// Whether a file came to the path that does not go on with the log.
    is_other_log: bool,
    buffer: Vec<u8>,
}

impl Follower {
    /// Opens a log to follow it from `start_offset` on, the start of a line, in bytes of the
    /// decompressed log; 0 for all of it. Files that come later are followed from their start.
    /// Parts that the log has been rotated to before are not given.
    ///
    /// # Errors
    /// There is no such file, it may not be read, or it is no regular file.
    pub fn open(path: &Path, start_offset: u64) -> Result<Self> {
        let mut log = Log::with_parts(path);
        log.files.drain(..log.files.len() - 1);
        Self::open_log(&Log { start: start_offset, ..log })
    }

    /// Opens a log to follow it from its start on, through all of its files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_log(log: &Log) -> Result<Self> {
        let mut earlier: VecDeque<_> = log.files.iter().cloned().collect();
        // The newest file is opened at once: it may be gone when its turn comes.
        let Some(newest) = earlier.pop_back() else { return Self::open(&log.path, log.start) };
        let start = if earlier.is_empty() { log.start } else { 0 };
        let first = newest.open_by(|path| Followed::open(path, start, 0))?;
        Ok(Self::with(log, earlier, &newest, first))
    }

    /// Opens a log to follow what comes behind the last whole line that its newest file has now; and
    /// where that ends. Nothing comes behind a compressed log: `None`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_behind(log: &Log) -> Result<Option<(Self, u64)>> {
        let Some(newest) = log.files.last() else { return Ok(None) };
        let first = newest.open_by(|path| Followed::open_behind(path, 0))?;
        let position = first.position();
        Ok(position.map(|end| (Self::with(log, VecDeque::new(), newest, first), end)))
    }

    fn with(log: &Log, earlier: VecDeque<LogFile>, newest: &LogFile, mut first: Followed) -> Self {
        // Of a part that was asked for by its name, and of a compressed log, nothing comes later.
        let name = log.path.file_name().unwrap_or_default();
        let is_rotated = split_part_name(name).is_none() && !name.as_bytes().ends_with(b".gz");
        first.number = newest.part().filter(|_| is_rotated);
        Self {
            path: log.path.clone(),
            earlier,
            current: None,
            files: vec![first],
            names: Vec::new(),
            start_offset: log.start,
            pending: VecDeque::new(),
            next_part: 1,
            gone_polls: 0,
            refused: None,
            end: None,
            is_other_log: false,
            buffer: buffer(),
        }
    }

    /// Whether another log has taken the place of the one that was opened, rather than that one being
    /// gone on with after a rotation.
    pub(crate) fn is_other_log(&self) -> bool {
        self.is_other_log
    }

    /// The path that is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file that a part of what is followed was found at.
    pub fn path_of(&self, part: u64) -> &Path {
        let known = self.names.iter().find(|(known, _)| *known == part);
        known.map_or(&self.path, |(_, path)| path)
    }

    /// Looks for what is new, without waiting for it; reads a bounded amount.
    ///
    /// # Errors
    /// The operating system refused to read on, or, after the old file was given, to open the new
    /// one at the path.
    pub fn poll(&mut self) -> Result<Step> {
        // In this order. Death is judged before the path: a writer that made a new file there before it
        // let go of the old one is not missed. And both before the reading: then what was written up to
        // the moment of death or replacement is in what is read afterwards.
        self.judge_writer(self.files.len() - 1);
        let place = if self.end.is_none() { self.look() } else { Place::Taken };
        if let Some(step) = self.pending.pop_front() {
            return Ok(step);
        }
        if let Some(step) = self.read_earlier()? {
            return Ok(step);
        }
        if let Some(end) = self.end {
            return Ok(Step::End(end));
        }
        let mut index = 0;
        loop {
            // Those that were replaced before are judged when it is their turn: there may be many.
            if index + 1 < self.files.len() {
                self.judge_writer(index);
            }
            let file = &mut self.files[index];
            if let parts @ 1.. = std::mem::take(&mut file.missed_parts) {
                return Ok(Step::Event(FollowEvent::Missed { parts }));
            }
            if !std::mem::replace(&mut file.is_announced, true) {
                return Ok(Step::Event(FollowEvent::Replaced));
            }
            let (alive, part) = (file.alive, file.part);
            match file.read(&self.path, &mut self.buffer)? {
                Read::Lines(lines) => return Ok(Step::Lines(lines)),
                Read::Cut => {
                    let rest = file.restart(self.next_part);
                    self.next_part += 1;
                    return Ok(self.part_over(rest, FollowEvent::Truncated { part }));
                }
                Read::End => {}
            }
            if index + 1 == self.files.len() {
                return self.at_end(place, alive);
            }
            if alive == Some(true) {
                index += 1;
            } else {
                let rest = self.files.remove(index).take_rest();
                return Ok(self.part_over(rest, FollowEvent::Left { part }));
            }
        }
    }

    fn judge_writer(&mut self, index: usize) {
        let is_last = index + 1 == self.files.len();
        let Some(file) = self.files.get_mut(index) else { return };
        match file.number.map(|number| LogFile::finished_part(&self.path, number)) {
            // What has become a part is judged as one: its process goes on, but not with it.
            Some(part) if !is_last => file.judge_writer(part.path()),
            // But as long as there is nothing after it, the process is what counts: the next file may
            // not be there yet.
            Some(part) if part.is_there() => file.judge_next_writer(&self.path),
            _ => file.judge_writer(&self.path),
        }
    }

    /// What the parts give that there were before; `None` once they are over.
    fn read_earlier(&mut self) -> Result<Option<Step>> {
        if self.current.is_none() {
            let Some(next) = self.earlier.pop_front() else { return Ok(None) };
            let start = std::mem::take(&mut self.start_offset);
            let part = self.next_part;
            match next.open_by(|path| Followed::open(path, start, part)) {
                Ok(file) => self.current = Some(file),
                Err(error) if error.is_not_found() => {
                    return Ok(Some(Step::Event(FollowEvent::Missed { parts: 1 })));
                }
                Err(error) => return Err(error),
            }
            self.name(part, next.path().to_owned());
            self.next_part += 1;
        }
        let Some(file) = &mut self.current else { return Ok(None) };
        let part = file.part;
        let rest = match file.read(&self.path, &mut self.buffer)? {
            Read::Lines(lines) => return Ok(Some(Step::Lines(lines))),
            // Nobody truncates a part; then there is nothing more to be had of it.
            Read::Cut | Read::End => file.take_rest(),
        };
        self.current = None;
        Ok(Some(self.part_over(rest, FollowEvent::Left { part })))
    }

    /// Looks at the path, and takes a file that is new there to the others, at once: it may be
    /// replaced again before its turn comes. Parts that the log was rotated to since the last look come
    /// before it.
    fn look(&mut self) -> Place {
        use io::ErrorKind::{NotADirectory, NotFound};
        self.refused = None;
        loop {
            match fs::metadata(&self.path) {
                Ok(metadata) if metadata.is_file() => {
                    if self.is_last(Identity::of(&metadata)) {
                        return Place::Taken;
                    }
                }
                Ok(_) => return Place::Empty,
                Err(error) if matches!(error.kind(), NotFound | NotADirectory) => {
                    return match self.take_parts() {
                        Ok(true) => Place::Empty,
                        Ok(false) => Place::Behind,
                        Err(error) => {
                            self.refused = Some(error);
                            Place::Empty
                        }
                    };
                }
                // Not a thing that the file has done.
                Err(_) => return Place::Taken,
            }
            match self.take_parts() {
                Ok(true) => {}
                Ok(false) => return Place::Behind,
                Err(error) => {
                    // Told once the old file is read, as below.
                    self.refused = Some(error);
                    return Place::Empty;
                }
            }
            let number = self.next_number();
            let file = match Followed::open(&self.path, 0, self.next_part) {
                Ok(file) => file,
                // Gone again, or no file any more.
                Err(Error::NotAFile { .. }) => return Place::Empty,
                Err(error) if error.is_not_found() => return Place::Empty,
                // Told once the old file is read; until then its rights may be put in order.
                Err(error) => {
                    self.refused = Some(error);
                    return Place::Empty;
                }
            };
            // Looked for once the file is open: if there is no such part, and none after it, no other
            // file was at the path before this one.
            let is_next =
                |number| !self.is_part(number) && part_after(&self.path, number).is_none();
            if number.is_none_or(is_next) {
                self.take(file, number);
                return Place::Taken;
            }
        }
    }

    /// Takes the parts that come after the newest file that is known. False: there are more of them.
    fn take_parts(&mut self) -> Result<bool> {
        while let Some(known) = self.files.last().and_then(|last| last.number)
            && let Some(number) = part_after(&self.path, known)
        {
            if self.files.len() >= MAX_OPEN {
                return Ok(false);
            }
            let part = LogFile::finished_part(&self.path, number);
            let mut file = match part.open_by(|path| Followed::open(path, 0, self.next_part)) {
                Ok(file) => file,
                // Removed just now: the next look tells what there is.
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
            };
            file.missed_parts = number - known - 1;
            self.name(file.part, part_path(&self.path, number));
            self.take(file, Some(number));
        }
        Ok(true)
    }

    fn name(&mut self, part: u64, path: PathBuf) {
        if self.names.len() == MAX_NAMES {
            self.names.remove(0);
        }
        self.names.push((part, path));
    }

    /// The number that the file after the newest one has, or gets.
    fn next_number(&self) -> Option<u32> {
        let number = self.files.last()?.number?;
        Some(if self.is_part(number) { number + 1 } else { number })
    }

    fn is_part(&self, number: u32) -> bool {
        LogFile::finished_part(&self.path, number).is_there()
    }

    /// Takes a file that is new to the others.
    fn take(&mut self, mut file: Followed, number: Option<u32>) {
        self.is_other_log |= number.is_none()
            || self
                .files
                .last()
                .is_some_and(|last| last.number == number && last.identity != file.identity);
        if let Some(last) = self.files.last_mut()
            && last.number == number
            && last.identity != file.identity
        {
            // It was renamed to something else, not to a part.
            last.number = None;
        }
        file.number = number;
        if let Some(index) = self.files.iter().position(|known| known.identity == file.identity) {
            // Back under its name.
            let mut known = self.files.remove(index);
            known.number = number;
            self.files.push(known);
        } else {
            self.next_part += 1;
            file.is_announced = false;
            self.files.push(file);
        }
    }

    fn is_last(&self, identity: Identity) -> bool {
        self.files.last().is_some_and(|last| last.identity == identity)
    }

    /// What remained of a part, if anything, and then the event that ended it.
    fn part_over(&mut self, rest: Option<Box<Lines>>, event: FollowEvent) -> Step {
        match rest {
            Some(lines) => {
                self.pending.push_back(Step::Event(event));
                Step::Lines(lines)
            }
            None => Step::Event(event),
        }
    }

    /// The newest file has been read to its end: whether that is the end of all. `place` and
    /// `alive` are from before the reading.
    fn at_end(&mut self, place: Place, alive: Option<bool>) -> Result<Step> {
        let Some(file) = self.files.last_mut() else { return Ok(Step::Idle) };
        if alive == Some(false) && !std::mem::replace(&mut file.is_joined, true) {
            // What comes of that is read at the next look.
            tail::join_finished_at(&self.path);
            return Ok(Step::Idle);
        }
        file.is_joined &= alive == Some(false);
        let is_over = match place {
            Place::Behind => false,
            Place::Taken => {
                self.gone_polls = 0;
                file.is_gone_told = false;
                let name = self.path.file_name().unwrap_or_default();
                let ends = LogName::parse(name).is_some() || split_part_name(name).is_some();
                alive == Some(false) && (file.is_compressed() || ends)
            }
            Place::Empty => {
                self.gone_polls = self.gone_polls.saturating_add(1);
                if self.gone_polls < GONE_POLLS {
                    return Ok(Step::Idle);
                }
                if let Some(error) = self.refused.take() {
                    return Err(error);
                }
                if alive != Some(false) && !std::mem::replace(&mut file.is_gone_told, true) {
                    return Ok(Step::Event(FollowEvent::Gone));
                }
                alive == Some(false)
            }
        };
        // Older files that are still written keep it going.
        if !is_over || self.files.len() > 1 {
            return Ok(Step::Idle);
        }
        let end = match (place, self.files[0].is_compressed()) {
            (Place::Taken | Place::Behind, true) => FollowEnd::IsCompressed,
            (Place::Taken | Place::Behind, false) => FollowEnd::WriterEnded,
            (Place::Empty, _) if self.compressed_path().is_file() => FollowEnd::WasCompressed,
            (Place::Empty, _) => FollowEnd::WasRemoved,
        };
        self.end = Some(end);
        // Who may not write could not join it.
        if let Some(lines) = self.files[0].take_beside(&self.path) {
            let rest = self.files[0].take_rest().map(Step::Lines);
            self.pending.extend(rest);
            return Ok(Step::Lines(lines));
        }
        Ok(self.files[0].take_rest().map_or(Step::End(end), Step::Lines))
    }

    fn compressed_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".gz");
        name.into()
    }
}
