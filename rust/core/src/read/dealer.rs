//! Which part of which log is read next: the order of the work, without the threads that do it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::store::LogFile;
use crate::{Error, Result};

use super::blocks::{self, Blocks, Opened};
use super::members::member_length;
use super::parallel::Log;
use super::plain::PlainLog;
use super::stored::Stored;

/// So much of a member's header tells its length.
const HEAD_BYTES: usize = 64;
/// Parts are no larger than this, or not by much.
const MAX_BLOCK_BYTES: u64 = 16 << 20;
/// No more members than these are one part, however short they are.
const MAX_MEMBERS: usize = 128;

/// What tells a part from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) log: usize,
    /// Its number among the parts of its log.
    pub(super) part: u64,
    /// How often the log had been dealt out anew.
    generation: u64,
}

impl Ticket {
    /// The part that follows.
    pub(super) fn behind(self) -> Self {
        Self { part: self.part + 1, ..self }
    }
}

/// A part to be read.
pub(super) struct Task {
    pub(super) ticket: Ticket,
    /// Whether it is the last part; of a stream, that turns out.
    pub(super) last: bool,
    pub(super) source: TaskSource,
}

/// Where a part comes from.
pub(super) enum TaskSource {
    /// Lines of a plain log; with `from_start`, a record begins with the range.
    Range { file: Arc<PlainLog>, range: Range<u64>, from_start: bool },
    /// Members of a compressed log, one behind the other.
    Members { file: Arc<Stored>, members: Vec<MemberAt> },
    /// The next blocks of a stream.
    Stream(Box<Blocks>),
    /// To be opened, which waits for the network; then it is dealt out.
    Unopened(LogFile),
    /// Nothing: the log cannot be read.
    Failed(Error),
    /// Nothing: what is read of the log is not here.
    Nothing,
}

/// Where a member is said to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberAt {
    /// In the file.
    pub(super) position: u64,
    /// Its length in the file.
    pub(super) length: u32,
    /// Where its text begins in the decompressed log.
    pub(super) offset: u64,
}

impl MemberAt {
    /// Where it ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.position + u64::from(self.length)
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Any part.
    All,
    /// Parts of the first log that has any left. What is read of later ones waits until that is done: if it
    /// took all the room, of a first log that is a stream no part could be read while another is
    /// worked on.
    First,
    /// The part that is waited for.
    None,
}

enum Stage {
    Unopened,
    /// A thread opens it.
    Opening,
    Opened(Opened),
    Refused(Error),
    Nothing,
    Ranges {
        file: Arc<PlainLog>,
        length: u64,
        next: u64,
    },
    Members {
        file: Arc<Stored>,
        length: u64,
        next: MemberAt,
    },
    /// `None` while a thread has it.
    Stream(Option<Box<Blocks>>),
    /// All parts are dealt out.
    Dealt,
}

struct Entry {
    stage: Stage,
    /// The number of the next part.
    part: u64,
    generation: u64,
    /// Parts from this one on, dealt out before the last restart, do not count.
    void_from: u64,
}

/// A file, and where to begin and to end in it.
struct ToRead {
    file: LogFile,
    start: u64,
    continues: bool,
    end: Option<u64>,
}

/// Deals out the parts of some files, which are called logs here: those of all logs, one after the
/// other.
pub(super) struct Dealer {
    logs: Vec<ToRead>,
    entries: Vec<Entry>,
    /// The first log that may have parts left.
    first: usize,
    block_bytes: u64,
    stop: Arc<AtomicBool>,
}

impl Dealer {
    pub(super) fn new(logs: &[Log], block_bytes: u64, stop: &Arc<AtomicBool>) -> Self {
        let entry =
            || Entry { stage: Stage::Unopened, part: 0, generation: 0, void_from: u64::MAX };
        let files = |log: &Log| {
            let read = |((file, start), end): ((&LogFile, u64), Option<u64>)| ToRead {
                file: file.clone(),
                start,
                continues: log.continues,
                end,
            };
            log.files.iter().zip(log.starts()).zip(log.ends()).map(read).collect::<Vec<_>>()
        };
        let logs: Vec<_> = logs.iter().flat_map(files).collect();
        Self {
            entries: logs.iter().map(|_| entry()).collect(),
            logs,
            first: 0,
            block_bytes: block_bytes.clamp(1, MAX_BLOCK_BYTES),
            stop: Arc::clone(stop),
        }
    }

    /// Opens the first log ahead of its turn.
    pub(super) fn open_first(&mut self) -> Result<()> {
        if let (Some(log), Some(entry)) = (self.logs.first(), self.entries.first_mut())
            && log.file.object().is_none()
        {
            entry.stage = Stage::Opened(blocks::open_file(&log.file)?);
        }
        Ok(())
    }

    pub(super) fn path(&self, log: usize) -> &Path {
        self.logs[log].file.path()
    }

    /// Whether no part is left, and none can come back.
    pub(super) fn is_done(&self) -> bool {
        self.first == self.entries.len()
    }

    /// How much of a stream is read at a time.
    fn chunk_bytes(&self) -> usize {
        // Not more than fits in memory several times.
        usize::try_from(self.block_bytes.min(4 << 20)).unwrap_or(4 << 20)
    }

    /// The next part that can be read now, for which there is room; `needed` is the part (log and
    /// number) that is waited for.
    pub(super) fn deal(&mut self, needed: (usize, u64), room: Room) -> Option<Task> {
        while matches!(self.entries.get(self.first), Some(Entry { stage: Stage::Dealt, .. })) {
            self.first += 1;
        }
        let logs = match room {
            Room::All => self.first..self.entries.len(),
            Room::First => self.first..self.first + 1,
            Room::None => needed.0..needed.0 + 1,
        };
        for log in logs {
            let part = self.entries.get(log)?.part;
            if room == Room::None && part != needed.1 {
                return None;
            }
            let (file, entry) = (&self.logs[log].file, &mut self.entries[log]);
            if let Stage::Unopened = entry.stage
                && file.object().is_some()
            {
                entry.stage = Stage::Opening;
                let ticket = Ticket { log, part, generation: entry.generation };
                let source = TaskSource::Unopened(file.clone());
                return Some(Task { ticket, last: false, source });
            }
            if let Some((source, last)) = self.next_source(log) {
                let entry = &mut self.entries[log];
                let generation = entry.generation;
                entry.part += 1;
                return Some(Task { ticket: Ticket { log, part, generation }, last, source });
            }
        }
        None
    }

    /// Where the next part of a log comes from, and whether it is the last one.
    fn next_source(&mut self, index: usize) -> Option<(TaskSource, bool)> {
        let chunk_bytes = self.chunk_bytes();
        let ToRead { file, start, continues, .. } = &self.logs[index];
        let path = file.path();
        let entry = &mut self.entries[index];
        if let Stage::Unopened = entry.stage {
            match blocks::open_file(file) {
                Ok(opened) => entry.stage = Stage::Opened(opened),
                Err(error) => {
                    entry.stage = Stage::Dealt;
                    return Some((TaskSource::Failed(error), true));
                }
            }
        }
        if let Stage::Refused(_) = entry.stage
            && let Stage::Refused(error) = std::mem::replace(&mut entry.stage, Stage::Dealt)
        {
            return Some((TaskSource::Failed(error), true));
        }
        if let Stage::Opened(_) = entry.stage
            && let Stage::Opened(opened) = std::mem::replace(&mut entry.stage, Stage::Dealt)
        {
            match begin(&self.logs[index], opened, chunk_bytes, &self.stop) {
                Ok(stage) => entry.stage = stage,
                Err(error) => {
                    let error = Error::io("read", path, error);
                    return Some((TaskSource::Failed(error), true));
                }
            }
        }
        match &mut entry.stage {
            Stage::Ranges { file, length, next } => {
                let end = next.saturating_add(self.block_bytes).min(*length);
                let range = *next..end;
                let from_start = range.start == *start && !continues;
                *next = end;
                let (file, last) = (Arc::clone(file), end == *length);
                if last {
                    entry.stage = Stage::Dealt;
                }
                Some((TaskSource::Range { file, range, from_start }, last))
            }
            Stage::Members { file, length, next } => {
                let file = Arc::clone(file);
                let mut members = vec![*next];
                let first = next.offset;
                loop {
                    let at = *next;
                    let offset = at.offset + plain_length(&file, &at).unwrap_or(0);
                    if at.end() == *length {
                        entry.stage = Stage::Dealt;
                        break;
                    }
                    let Some(following) = member_from(&file, at.end(), offset) else {
                        // What follows is no such member: read as a stream from there on.
                        match file.try_clone() {
                            Ok(file) => {
                                let blocks = Blocks::resume_gzip(path, file, at.end(), offset)
                                    .with_gzip_chunk_bytes(chunk_bytes)
                                    .with_stop(&self.stop);
                                entry.stage = Stage::Stream(Some(Box::new(blocks)));
                                break;
                            }
                            Err(error) => {
                                entry.stage = Stage::Dealt;
                                let error = Error::io("read", path, error);
                                return Some((TaskSource::Failed(error), true));
                            }
                        }
                    };
                    *next = following;
                    if offset - first >= self.block_bytes || members.len() == MAX_MEMBERS {
                        break;
                    }
                    members.push(following);
                }
                let last = matches!(entry.stage, Stage::Dealt);
                Some((TaskSource::Members { file, members }, last))
            }
            Stage::Nothing => {
                entry.stage = Stage::Dealt;
                Some((TaskSource::Nothing, true))
            }
            Stage::Stream(blocks) => {
                blocks.take().map(|blocks| (TaskSource::Stream(blocks), false))
            }
            Stage::Dealt
            | Stage::Unopened
            | Stage::Opening
            | Stage::Opened(_)
            | Stage::Refused(_) => None,
        }
    }

    /// Takes in what opening a log gave.
    pub(super) fn opened(&mut self, ticket: Ticket, opened: Result<Opened>) {
        let entry = &mut self.entries[ticket.log];
        if entry.generation == ticket.generation {
            entry.stage = opened.map_or_else(Stage::Refused, Stage::Opened);
        }
    }

    /// Takes a stream back that has more to give.
    pub(super) fn give_back(&mut self, ticket: Ticket, blocks: Box<Blocks>) {
        let entry = &mut self.entries[ticket.log];
        if entry.generation == ticket.generation {
            entry.stage = Stage::Stream(Some(blocks));
        }
    }

    /// A stream has ended: nothing comes back.
    pub(super) fn end(&mut self, ticket: Ticket) {
        let entry = &mut self.entries[ticket.log];
        if entry.generation == ticket.generation {
            entry.stage = Stage::Dealt;
        }
    }

    /// Deals out a compressed log anew, as a stream, from the member of a task on, which is not what
    /// its header promised. What was dealt out behind it is void.
    pub(super) fn restart(&mut self, ticket: Ticket, file: Stored, at: &MemberAt) {
        let blocks =
            Blocks::resume_gzip(self.logs[ticket.log].file.path(), file, at.position, at.offset)
                .with_gzip_chunk_bytes(self.chunk_bytes())
                .with_stop(&self.stop);
        let entry = &mut self.entries[ticket.log];
        entry.stage = Stage::Stream(Some(Box::new(blocks)));
        entry.generation += 1;
        entry.part = ticket.part;
        entry.void_from = ticket.part;
        self.first = self.first.min(ticket.log);
    }

    /// Deals out no more of a log; what was dealt out is void.
    pub(super) fn abandon(&mut self, log: usize) {
        let entry = &mut self.entries[log];
        entry.stage = Stage::Dealt;
        entry.generation += 1;
        entry.void_from = 0;
    }

    /// Whether what a task gave still counts.
    pub(super) fn is_valid(&self, ticket: Ticket) -> bool {
        let entry = &self.entries[ticket.log];
        // Only what was dealt out first are members; all streams that replace them begin at
        // `void_from` or behind.
        entry.generation == ticket.generation
            || (ticket.generation == 0 && ticket.part < entry.void_from)
    }
}

/// How an opened log is dealt out.
fn begin(
    to_read: &ToRead,
    opened: Opened,
    chunk_bytes: usize,
    stop: &Arc<AtomicBool>,
) -> io::Result<Stage> {
    let path = to_read.file.path();
    Ok(match opened {
        Opened::Plain(log) => {
            let length = log.length()?.min(to_read.end.unwrap_or(u64::MAX));
            Stage::Ranges { file: Arc::new(log), length, next: to_read.start.min(length) }
        }
        // Who reads it from its beginning reads all of it.
        Opened::Gzip(_) | Opened::Pipe(_) if to_read.continues => Stage::Nothing,
        Opened::Gzip(file) => {
            let length = file.length()?;
            // What lies at the ends of members would be waited for here, where all others wait, too.
            let first = if file.is_remote() { None } else { member_from(&file, 0, 0) };
            match first {
                Some(next) => Stage::Members { file: Arc::new(file), length, next },
                None => stream(path, Opened::Gzip(file), chunk_bytes, stop),
            }
        }
        Opened::Pipe(file) => stream(path, Opened::Pipe(file), chunk_bytes, stop),
    })
}

fn stream(path: &Path, opened: Opened, chunk_bytes: usize, stop: &Arc<AtomicBool>) -> Stage {
    let blocks = Blocks::of(path, opened, stop).with_gzip_chunk_bytes(chunk_bytes);
    Stage::Stream(Some(Box::new(blocks)))
}

/// The member at `position`, if it tells how long it is.
fn member_from(file: &Stored, position: u64, offset: u64) -> Option<MemberAt> {
    let mut head = [0; HEAD_BYTES];
    let read = file.read_at(&mut head, position).ok()?;
    let length = member_length(&head[..read])?;
    Some(MemberAt { position, length, offset })
}

/// How long the text of a member is, as its trailer tells.
fn plain_length(file: &Stored, member: &MemberAt) -> Option<u64> {
    let mut bytes = [0; 4];
    let read = file.read_at(&mut bytes, member.end().checked_sub(4)?).ok()?;
    (read == bytes.len()).then(|| u64::from(u32::from_le_bytes(bytes)))
}
