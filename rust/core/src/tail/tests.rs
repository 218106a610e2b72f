//! Whenever a writer is killed, and whoever else appends: each line is met exactly once.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::file::OWNED;
use super::join::JOINING;
use super::layout::{HEADER_BYTES, MAGIC, word};
use super::{join_finished_at, snapshot};
use crate::store::Turn;
use crate::sys::{self, LockKind};

const CAPACITY: usize = 256;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("x.log")
    }

    fn tail(&self, number: u32) -> PathBuf {
        self.dir.path().join(format!(".x.log.1-{number:08x}.tail"))
    }

    /// Writes a tail whose ring holds `lines` from position `flushed` on.
    fn write_tail(&self, number: u32, flushed: u64, lines: &str, flushing_bytes: usize, base: u64) {
        let metadata = fs::metadata(self.log()).unwrap();
        let mut bytes = vec![0; HEADER_BYTES + CAPACITY];
        bytes[..8].copy_from_slice(&MAGIC);
        let flushing_to = if flushing_bytes == 0 { 0 } else { flushed + flushing_bytes as u64 };
        for (offset, value) in [
            (word::CAPACITY, CAPACITY as u64),
            (word::DEVICE, metadata.dev()),
            (word::INODE, metadata.ino()),
            // Larger than any process id that the system gives out.
            (word::PID, u64::from(u32::MAX)),
            (word::COMMITTED, flushed + lines.len() as u64),
            (word::FLUSHED, flushed),
            (word::FLUSHING_TO, flushing_to),
            (word::BASE, base),
        ] {
            bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (index, byte) in lines.bytes().enumerate() {
            let at = usize::try_from(flushed).unwrap() + index;
            bytes[HEADER_BYTES + at % CAPACITY] = byte;
        }
        fs::write(self.tail(number), bytes).unwrap();
    }

    /// What a reader sees.
    fn seen(&self) -> String {
        let log = File::open(self.log()).unwrap();
        let text = fs::read_to_string(self.log()).unwrap();
        match snapshot(&log, &self.log()).unwrap() {
            None => text,
            Some(found) => {
                let file_bytes = usize::try_from(found.file_bytes).unwrap();
                text[..file_bytes].to_owned() + std::str::from_utf8(&found.tail).unwrap()
            }
        }
    }
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// How often each of `lines` stands in `text` as a line.
fn counts(text: &str, lines: &str) -> Vec<usize> {
    lines.lines().map(|line| text.lines().filter(|other| *other == line).count()).collect()
}

/// A writer killed at any byte of a flush, with the ring wrapped or not, and nobody else there: the
/// log goes on as if nothing had happened, for readers and once it is joined.
#[test]
fn a_flush_cut_short_anywhere_goes_on() {
    let (before, batch, after) = ("{\"a\": 1}\n", "{\"b\": 2}\n{\"b\": 3}\n", "{\"c\": 4}\n");
    let lines = format!("{batch}{after}");
    for flushed in [0, 250, 256, 1000] {
        for cut in 0..=batch.len() {
            let place = Place::new();
            append(&place.log(), before);
            place.write_tail(0, flushed, &lines, batch.len(), before.len() as u64);
            append(&place.log(), &batch[..cut]);
            let expected = format!("{before}{batch}{after}");
            assert_eq!(place.seen(), expected, "{flushed} {cut}");
            assert_eq!(join_finished_at(&place.log()), 0);
            assert_eq!(fs::read_to_string(place.log()).unwrap(), expected, "{flushed} {cut}");
            assert!(!place.tail(0).exists());
            assert_eq!(place.seen(), expected);
        }
    }
}

/// The same where another process went on behind: every line is there once, but for those of which
/// a part is in the log, which are there as a whole, too.
#[test]
fn a_flush_cut_short_before_others_loses_nothing() {
    let (batch, after, other) = ("{\"b\": 2}\n{\"b\": 3}\n", "{\"c\": 4}\n", "{\"o\": 5}\n");
    let lines = format!("{batch}{after}");
    for is_late in [false, true] {
        for cut in 0..=batch.len() {
            let place = Place::new();
            append(&place.log(), "{\"a\": 1}\n");
            let base = fs::metadata(place.log()).unwrap().len();
            if is_late {
                append(&place.log(), other);
            }
            place.write_tail(0, 40, &lines, batch.len(), base);
            append(&place.log(), &batch[..cut]);
            // Whoever finds a part of a line at the end begins with a line break.
            let is_torn = !batch[..cut].is_empty() && !batch[..cut].ends_with('\n');
            append(&place.log(), if is_torn { "\n" } else { "" });
            append(&place.log(), other);
            let expected = vec![1; 3];
            assert_eq!(counts(&place.seen(), &lines), expected, "{cut} {}", place.seen());
            assert_eq!(join_finished_at(&place.log()), 0);
            assert_eq!(counts(&place.seen(), &lines), expected, "{cut} {}", place.seen());
            assert_eq!(counts(&place.seen(), other), [1 + usize::from(is_late)]);
        }
    }
}

/// Joining that is itself cut short at any byte is completed by the next.
#[test]
fn joining_cut_short_is_completed() {
    let lines = "{\"b\": 2}\n{\"b\": 3}\n{\"c\": 4}\n";
    for begun in 0..=lines.len() {
        for cut in begun..=lines.len() {
            let place = Place::new();
            append(&place.log(), "{\"a\": 1}\n");
            let base = fs::metadata(place.log()).unwrap().len();
            // What joining notes before it appends, once `begun` bytes are there.
            let line = lines[..begun].rfind('\n').map_or(0, |newline| newline + 1);
            append(&place.log(), &lines[..begun]);
            let rest = &lines[line..];
            place.write_tail(0, 7 + line as u64, rest, rest.len(), base + line as u64);
            append(&place.log(), &lines[begun..cut]);
            assert_eq!(join_finished_at(&place.log()), 0);
            let expected = format!("{{\"a\": 1}}\n{lines}");
            assert_eq!(fs::read_to_string(place.log()).unwrap(), expected, "{begun} {cut}");
        }
    }
}

/// Several tails are all presented and joined; one of them goes on with the last line of the log.
#[test]
fn several_tails_are_joined() {
    let place = Place::new();
    append(&place.log(), "{\"a\": 1}\n{\"b\"");
    place.write_tail(0, 0, "{\"c\": 3}\n", 0, 0);
    place.write_tail(1, 0, "{\"b\": 2}\n", 9, 9);
    let expected = "{\"a\": 1}\n{\"b\": 2}\n{\"c\": 3}\n";
    assert_eq!(place.seen(), expected);
    assert_eq!(join_finished_at(&place.log()), 0);
    assert_eq!(fs::read_to_string(place.log()).unwrap(), expected);
}

/// A writer that was killed in the middle of a line, and whose locks the system has not given back
/// yet, is waited for, and so is somebody else who joins it: its line is completed before anybody
/// else's follows.
#[test]
fn the_last_line_is_completed_first() {
    for (lock, round) in [OWNED, JOINING].into_iter().cycle().zip(0..20) {
        let place = Place::new();
        append(&place.log(), "{\"a\": 1}\n{\"b\"");
        place.write_tail(0, 0, "{\"c\": 3}\n", 0, 0);
        place.write_tail(1, 0, "{\"b\": 2}\n", 9, 9);
        let holder = OpenOptions::new().read(true).write(true).open(place.tail(1)).unwrap();
        assert!(sys::try_lock_range(&holder, LockKind::Exclusive, lock).unwrap());
        let writer = OpenOptions::new().append(true).open(place.log()).unwrap();
        std::thread::scope(|scope| {
            let joining = scope.spawn(|| join_finished_at(&place.log()));
            // Until the other one has taken the turn.
            while Turn::wait(&writer, Duration::ZERO).is_had() && !joining.is_finished() {
                std::thread::yield_now();
            }
            drop(holder);
            assert_eq!(joining.join().unwrap(), 0);
        });
        let expected = "{\"a\": 1}\n{\"b\": 2}\n{\"c\": 3}\n";
        assert_eq!(fs::read_to_string(place.log()).unwrap(), expected, "round {round}");
    }
}

/// Nothing is joined while another process has the turn to write, and all once that is over.
#[test]
fn joining_is_done_in_turn() {
    let place = Place::new();
    append(&place.log(), "{\"a\": 1}\n");
    place.write_tail(0, 0, "{\"c\": 3}\n", 0, 0);
    let writer = OpenOptions::new().append(true).open(place.log()).unwrap();
    let turn = Turn::wait(&writer, Duration::ZERO);
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| join_finished_at(&place.log()));
        append(&place.log(), "{\"b\"");
        append(&place.log(), ": 2}\n");
        drop(turn);
        assert_eq!(joining.join().unwrap(), 0);
    });
    let text = fs::read_to_string(place.log()).unwrap();
    assert_eq!(text, "{\"a\": 1}\n{\"b\": 2}\n{\"c\": 3}\n");
}

/// What is left of a tail whose making was cut short is removed, once it can't be in the making.
#[test]
fn what_was_not_made_to_the_end_is_removed() {
    let place = Place::new();
    append(&place.log(), "{\"a\": 1}\n");
    let unmade = File::create(place.tail(0)).unwrap();
    assert_eq!(join_finished_at(&place.log()), 0);
    assert!(place.tail(0).exists());
    unmade.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    assert!(sys::try_lock_range(&unmade, LockKind::Exclusive, OWNED).unwrap());
    assert_eq!(join_finished_at(&place.log()), 0);
    assert!(place.tail(0).exists(), "its writer lives");
    drop(unmade);
    assert_eq!(join_finished_at(&place.log()), 0);
    assert!(!place.tail(0).exists());
}

/// Two processes killed while they were about to append lines that begin alike, one of them in the
/// middle of it: whichever it was, both lines are there as a whole.
#[test]
fn lines_that_begin_alike_are_both_there() {
    let (one, two) = ("{\"a\": 1}\n", "{\"a\": 2}\n");
    for cut in 0..8 {
        let place = Place::new();
        append(&place.log(), "{}\n");
        append(&place.log(), &one[..cut]);
        place.write_tail(0, 0, one, one.len(), 3);
        place.write_tail(1, 0, two, two.len(), 3);
        for is_joined in [false, true] {
            if is_joined {
                assert_eq!(join_finished_at(&place.log()), 0);
            }
            let seen = place.seen();
            assert_eq!(counts(&seen, one), [1], "{cut} {seen}");
            assert_eq!(counts(&seen, two), [1], "{cut} {seen}");
        }
    }
}

/// A log that was copied elsewhere with its tail is read as the original.
#[test]
fn copies_are_read_as_the_original() {
    let place = Place::new();
    append(&place.log(), "{\"a\": 1}\n{\"b\": 2}");
    place.write_tail(0, 0, "{\"b\": 2}\n{\"c\": 3}\n", 18, 9);
    let copy = Place::new();
    for path in [place.log(), place.tail(0)] {
        fs::copy(&path, copy.dir.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(copy.seen(), place.seen());
    assert_eq!(join_finished_at(&copy.log()), 0);
    assert_eq!(copy.seen(), "{\"a\": 1}\n{\"b\": 2}\n{\"c\": 3}\n");
}

/// Files of such names that are no tails are left alone, and so is a tail cut short.
#[test]
fn what_is_no_tail_changes_nothing() {
    let place = Place::new();
    append(&place.log(), "{\"a\": 1}\n");
    place.write_tail(0, 0, "{\"b\": 2}\n", 0, 0);
    let tail = fs::read(place.tail(0)).unwrap();
    for length in [0, 1, 8, word::END, HEADER_BYTES, HEADER_BYTES + 3] {
        fs::write(place.tail(0), &tail[..length]).unwrap();
        assert_eq!(place.seen(), "{\"a\": 1}\n", "{length}");
        join_finished_at(&place.log());
        assert!(place.tail(0).exists());
    }
}

proptest! {
    /// No header, whatever is in it, makes reading or joining panic, or changes what is in the log.
    #[test]
    fn any_header_is_read(words in prop::collection::vec(0u64..2000, 8), magic: bool) {
        let place = Place::new();
        append(&place.log(), "{\"a\": 1}\n{\"b\": 2}\n");
        place.write_tail(0, 0, "{\"b\": 2}\n{\"c\": 3}\n", 18, 9);
        let mut tail = fs::read(place.tail(0)).unwrap();
        let offsets = [
            word::CAPACITY, word::DEVICE, word::INODE, word::COMMITTED, word::FLUSHED,
            word::FLUSHING_TO, word::BASE, word::VERSION,
        ];
        for (offset, value) in offsets.into_iter().zip(&words) {
            // Some stay as they were.
            if value % 3 != 0 {
                tail[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        if !magic {
            tail[0] ^= 1;
        }
        fs::write(place.tail(0), tail).unwrap();
        let log = File::open(place.log()).unwrap();
        let _ = snapshot(&log, &place.log());
        join_finished_at(&place.log());
        let kept = fs::read(place.log()).unwrap();
        let is_kept = kept.starts_with(b"{\"a\": 1}\n{\"b\": 2}\n");
        prop_assert!(is_kept);
    }
}
