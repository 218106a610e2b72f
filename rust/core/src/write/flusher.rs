//! From the ring to the log: whole lines, in the background.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::moving_end::settled_end;
use super::note::write_removal_note;
use super::open::open_next;
use super::open_log::OpenLog;
use super::rotate::is_part_of;
use super::writer::Shared;
use crate::file_io::is_at;
use crate::store::{RunInfo, TURN_PATIENCE, Turn};
use crate::sys::FdUse;
use crate::sys::ring::{Consumer, Producer};
use crate::tail::{OwnTail, append, ends_within_line_at};

/// So much is appended at a time: room is given back while the rest is on its way.
const BATCH_BYTES: u64 = 512 << 10;

/// A ring that is in use.
#[derive(Debug)]
pub(super) struct Ring {
    consumer: Consumer,
    tail: OwnTail,
}

/// What takes the lines out of a ring. One at a time: whoever flushes has it locked.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    ring: Option<Ring>,
    /// Where the log ended after the last flush. None, or another place than its end by now: look whether it ends with a line.
    end: Option<u64>,
    /// So many bytes of the line at `flushed` are in the log.
    partial_bytes: u64,
    /// Whether what was flushed is also on the disk.
    pub(super) is_synced: bool,
    /// How many lines were taken out of the ring.
    lines: u64,
    /// Whether the log has another name by now, and is no part.
    was_renamed: bool,
}

impl Flusher {
    /// Takes a new ring into use.
    pub(super) fn begin(&mut self, consumer: Consumer, tail: OwnTail) {
        self.ring = Some(Ring { consumer, tail });
        self.end = None;
        self.partial_bytes = 0;
        self.lines = 0;
    }

    /// Whether somebody has shortened the file of the ring, and what was in it is lost.
    pub(super) fn is_broken(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.consumer.is_broken())
    }

    /// Gives up a broken ring. The lines that are left of it, and how many are not.
    pub(super) fn salvage(&mut self, producer: &Producer) -> (Vec<u8>, u64) {
        let Some(Ring { consumer, tail }) = self.ring.take() else { return (Vec::new(), 0) };
        tail.remove();
        let lines = consumer.salvage(producer);
        let lost = producer.lines().saturating_sub(self.lines + count_lines(&lines));
        (lines, lost)
    }

    /// Makes the memory of the ring ready that will be used next.
    pub(super) fn make_ready(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.consumer.make_ready();
        }
    }

    pub(super) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// Whether somebody has removed the file of the ring.
    pub(super) fn is_tail_gone(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.tail.is_gone())
    }

    /// Up to where in the ring lines are in the log.
    pub(super) fn flushed(&self) -> u64 {
        self.ring.as_ref().map_or(0, |ring| ring.consumer.flushed())
    }

    /// Up to where in the ring there are lines.
    pub(super) fn committed(&self) -> u64 {
        match &self.ring {
            Some(ring) if !ring.consumer.is_broken() => ring.consumer.committed(),
            _ => 0,
        }
    }

    /// Whether there is something to flush.
    pub(super) fn has_pending(&self) -> bool {
        self.ring.as_ref().is_some_and(|Ring { consumer, .. }| {
            !consumer.is_broken() && consumer.committed() > consumer.flushed()
        })
    }

    /// Waits for the turn to write, and goes on in the file that is written where another process has
    /// made this one a part. Until what is returned is dropped none does.
    pub(super) fn begin_turn<'a>(&mut self, shared: &'a Shared) -> io::Result<Turn<FdUse<'a>>> {
        let Shared { file, path, options, .. } = shared;
        let follows_others = options.max_bytes.is_some();
        loop {
            let (fd, stat) = file.get_checked()?;
            let turn = file.wait_for_turn(fd);
            let is_in_place = stat.st_nlink == 0 || is_at(path, stat.st_dev, stat.st_ino);
            // Looked up once: it takes reading the directory.
            self.was_renamed =
                !is_in_place && (self.was_renamed || (!follows_others && !is_part_of(path, &stat)));
            if is_in_place || self.was_renamed {
                return Ok(turn);
            }
            drop(turn);
            let run = file.get().and_then(|old| RunInfo::read_open(&old));
            self.go_on_in(file, open_next(path, run.as_ref())?)?;
        }
    }

    /// Appends a batch of what is in the ring to the log, in its turn. Returns whether there was any.
    pub(super) fn flush_batch(&mut self, file: &OpenLog, path: &Path) -> io::Result<bool> {
        let Some(Ring { consumer, .. }) = &mut self.ring else { return Ok(false) };
        if consumer.is_broken() {
            return Ok(false);
        }
        let (flushed, committed) = (consumer.flushed(), consumer.committed());
        if flushed == committed {
            return Ok(false);
        }
        self.is_synced = false;
        let (fd, stat) = file.get_checked()?;
        if stat.st_nlink == 0 {
            go_on_in_new_file(file, path, consumer)?;
            (self.end, self.partial_bytes) = (None, 0);
            // There, it is another turn.
            return Ok(true);
        }
        let mut size = u64::try_from(stat.st_size).unwrap_or(0);
        if self.partial_bytes > 0 && self.end != Some(size) {
            // Others went on behind the part of a line: it is written once more, as a whole.
            self.partial_bytes = 0;
        }
        let mut newline_first = false;
        if self.partial_bytes == 0 && self.end != Some(size) {
            (size, newline_first) = settled_end(&fd, size, path)?;
        }
        let to = batch_end(consumer, flushed, committed);
        let from = flushed + self.partial_bytes;
        consumer.begin_flush(to, size - self.partial_bytes + u64::from(newline_first));
        let appended = append(fd.as_fd(), newline_first, consumer.slices(from, to))?;
        let end = from + appended.written as u64;
        if appended.end != 0 {
            self.end = Some(appended.end);
        }
        if let Some(error) = appended.error {
            if error.raw_os_error() == Some(libc::EFAULT) {
                consumer.break_now();
            } else if appended.written > 0 {
                let line = line_start(consumer, flushed, end);
                self.partial_bytes = end - line;
                self.lines += consumer.slices(flushed, line).map(count_lines).iter().sum::<u64>();
                consumer.break_flush(line, appended.end - self.partial_bytes);
                file.set_torn(self.partial_bytes > 0);
            }
            return Err(error);
        }
        if appended.start != size
            && (self.partial_bytes > 0
                || (!newline_first && ends_within_line_at(&fd, appended.start)))
        {
            self.end = write_first_line_again(fd.as_fd(), consumer, flushed, to)?;
        }
        self.partial_bytes = 0;
        self.lines += consumer.slices(flushed, to).map(count_lines).iter().sum::<u64>();
        consumer.end_flush(to);
        file.set_torn(false);
        Ok(true)
    }

    /// What is in the ring goes into that file from now on.
    pub(super) fn go_on_in(&mut self, file: &OpenLog, new: File) -> io::Result<()> {
        let metadata = new.metadata()?;
        file.replace(new)?;
        (self.end, self.partial_bytes) = (None, 0);
        if let Some(Ring { consumer, .. }) = &mut self.ring {
            consumer.set_log(metadata.dev(), metadata.ino());
        }
        Ok(())
    }

    /// Whether the file ends within a line of ours.
    pub(super) fn is_within_line(&self) -> bool {
        self.partial_bytes > 0
    }

    /// Gives up the ring: its file is removed if all of it is in the log.
    pub(super) fn end(&mut self) {
        if let Some(Ring { consumer, tail }) = self.ring.take()
            && (consumer.is_broken() || consumer.flushed() == consumer.committed())
        {
            tail.remove();
        }
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Where a batch ends that begins at `from`: behind a line.
fn batch_end(consumer: &Consumer, from: u64, committed: u64) -> u64 {
    if committed - from <= BATCH_BYTES {
        return committed;
    }
    match line_start(consumer, from, from + BATCH_BYTES) {
        // A line longer than that.
        start if start == from => committed,
        start => start,
    }
}

/// Where the line begins that `end` is in, not before `from`, where one begins.
fn line_start(consumer: &Consumer, from: u64, end: u64) -> u64 {
    let [one, two] = consumer.slices(from, end);
    let behind = |newline: usize| newline as u64 + 1;
    match memchr::memrchr(b'\n', two) {
        Some(newline) => from + one.len() as u64 + behind(newline),
        None => from + memchr::memrchr(b'\n', one).map_or(0, behind),
    }
}

/// The first line does not stand by itself in the log: somebody who has died since, or who has no
/// manners, left a part of a line before it in the very moment it was appended.
fn write_first_line_again(
    fd: BorrowedFd<'_>,
    consumer: &Consumer,
    from: u64,
    to: u64,
) -> io::Result<Option<u64>> {
    let [one, two] = consumer.slices(from, to);
    let length = match memchr::memchr(b'\n', one) {
        Some(newline) => newline + 1,
        None => one.len() + memchr::memchr(b'\n', two).map_or(two.len(), |newline| newline + 1),
    };
    let lines = consumer.slices(from, from + length as u64);
    let appended = append(fd, false, lines)?;
    appended.error.map_or(Ok(Some(appended.end)), Err)
}

/// Somebody has removed the log: goes on in a new file of its name. Fails where there can be none,
/// such as when the directory is gone as well.
fn go_on_in_new_file(file: &OpenLog, path: &Path, consumer: &mut Consumer) -> io::Result<()> {
    let old = file.get().ok_or(io::ErrorKind::NotFound)?;
    let new = open_next(path, RunInfo::read_open(&old).as_ref())?;
    drop(old);
    let turn = Turn::wait(&new, TURN_PATIENCE);
    let metadata = new.metadata()?;
    let mut text = Vec::new();
    if ends_within_line_at(&new, metadata.len()) {
        text.push(b'\n');
    }
    write_removal_note(&mut text);
    io::Write::write_all(&mut &new, &text)?;
    drop(turn);
    file.replace(new)?;
    file.was_removed();
    consumer.set_log(metadata.dev(), metadata.ino());
    Ok(())
}
