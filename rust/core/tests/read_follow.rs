//! Following a log as it grows: each line once, in order, whatever happens to the file. Nothing
//! here waits: the follower is driven poll by poll.
#![allow(clippy::unwrap_used)]

mod follow_support;
mod store_support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use follow_support::{Watch, app_log, append};
use inspect_trace_core::read::{
    FollowEnd, FollowEvent, Follower, GONE_POLLS, MAX_LINE_BYTES, Step,
};
use proptest::collection::vec;
use proptest::prelude::*;
use store_support::{Dir, gzip, line, make_fifo};

/// A line is given once its newline is there, not before.
#[test]
fn half_lines_wait_for_their_end() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let (b, c) = (line("b"), line("c"));
    append(&path, &b[..20]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    append(&path, &b[20..b.len() - 1]);
    assert_eq!(watch.news(), [""; 0]);
    append(&path, format!("\n{}", &c[..1]));
    assert_eq!(watch.news(), ["b"]);
    append(&path, &c[1..]);
    assert_eq!(watch.news(), ["c"]);
    assert_eq!((watch.skipped.lines_skipped(), watch.skipped.lines), (0, 3));
}

/// Following can begin within a log, a compressed one too; beyond its end it begins anew.
#[test]
fn begins_where_it_is_told_to() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a", "b"]);
    let first = line("a").len() as u64;
    assert_eq!(Watch::from(&path, first).news(), ["b"]);
    let mut at_end = Watch::from(&path, 2 * first);
    assert_eq!(at_end.news(), [""; 0]);
    let mut beyond = Watch::from(&path, 2 * first + 1);
    assert_eq!(beyond.news(), ["a", "b"]);
    assert_eq!(beyond.events, [FollowEvent::Truncated { part: 0 }]);
    append(&path, line("c"));
    assert_eq!((at_end.news(), beyond.news()), (vec!["c".to_owned()], vec!["c".to_owned()]));

    let compressed = dir.compressed("app.log.gz", 0, &["a", "b"]);
    let mut watch = Watch::from(&compressed, first);
    assert_eq!((watch.end(), watch.seen), (FollowEnd::IsCompressed, vec!["b".to_owned()]));
}

/// The old file is read to its end before the new one, though it was renamed before it was read.
#[test]
fn a_renamed_log_is_read_to_its_end_first() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    append(&path, line("b"));
    fs::rename(&path, dir.at("app.log.1")).unwrap();
    append(&dir.at("app.log.1"), line("c"));
    app_log(&dir, &["d"]);
    assert_eq!(watch.news(), ["b", "c", "d"]);
    assert_eq!(watch.events, [FollowEvent::Left { part: 0 }, FollowEvent::Replaced]);
    append(&path, line("e"));
    assert_eq!(watch.news(), ["e"]);
}

/// A file that was seen at the path is read, even when the next one is there before its turn.
#[test]
fn a_file_replaced_before_its_turn_is_read() {
    let dir = Dir::new();
    let many: Vec<_> = (0..9000).map(|number| format!("old {number}")).collect();
    let path = app_log(&dir, &many.iter().map(String::as_str).collect::<Vec<_>>());
    let mut watch = Watch::of(&path);
    fs::remove_file(&path).unwrap();
    app_log(&dir, &["middle"]);
    assert!(matches!(watch.poll(), Step::Lines(_)));
    assert!(watch.seen.len() < many.len(), "one poll reads a bounded amount");
    fs::remove_file(&path).unwrap();
    app_log(&dir, &["new"]);
    let expected: Vec<_> =
        many.into_iter().chain(["middle".to_owned(), "new".to_owned()]).collect();
    assert_eq!(watch.news(), expected);
}

/// A log that is renamed or removed is followed on, and so is the next one of its name; being told
/// of it takes more than the moment between the two steps of a rotation.
#[test]
fn a_removed_log_is_followed_on() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let mut writer = File::options().append(true).open(&path).unwrap();
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    fs::remove_file(&path).unwrap();
    for _ in 1..GONE_POLLS {
        assert_eq!(watch.poll(), Step::Idle);
    }
    assert_eq!(watch.poll(), Step::Event(FollowEvent::Gone));
    writer.write_all(line("b").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["b"]);
    for _ in 0..2 * GONE_POLLS {
        assert_eq!(watch.poll(), Step::Idle);
    }
    app_log(&dir, &["c"]);
    assert_eq!(watch.news(), ["c"]);
    let left = FollowEvent::Left { part: 0 };
    assert_eq!(watch.events, [FollowEvent::Gone, left, FollowEvent::Replaced]);
}

/// A log that was moved away and comes back is not read again.
#[test]
fn a_log_that_comes_back_is_not_repeated() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    fs::rename(&path, dir.at("aside")).unwrap();
    assert_eq!(watch.poll(), Step::Idle);
    fs::rename(dir.at("aside"), &path).unwrap();
    append(&path, line("b"));
    assert_eq!(watch.news(), ["b"]);
    assert_eq!(watch.events, []);
}

/// A truncated log is read from its new start: one that is shorter now, and one that has grown
/// beyond its former length before anybody looked.
#[test]
fn a_truncated_log_is_read_from_its_new_start() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a", "b"]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a", "b"]);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(watch.news(), [""; 0]);
    append(&path, line("c"));
    assert_eq!(watch.news(), ["c"]);
    fs::write(&path, ["d", "e", "f"].map(line).concat()).unwrap();
    assert_eq!(watch.news(), ["d", "e", "f"]);
    let truncated = |part| FollowEvent::Truncated { part };
    assert_eq!(watch.events, [truncated(0), truncated(1)]);
}

/// What stands without a newline at the end of a file that is over is a record if it is whole, and
/// counted if it is not.
#[test]
fn the_rest_of_a_file_that_is_over_is_given() {
    let dir = Dir::new();
    let path = app_log(&dir, &[]);
    let whole = line("whole");
    append(&path, whole.trim_end());
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), [""; 0]);
    fs::remove_file(&path).unwrap();
    app_log(&dir, &["a"]);
    append(&path, &whole[..30]);
    assert_eq!(watch.news(), ["whole", "a"]);
    assert_eq!(watch.skipped.torn_lines, 0);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, line("b"));
    assert_eq!(watch.news(), ["b"]);
    assert_eq!((watch.skipped.torn_lines, watch.skipped.lines_skipped()), (1, 1));
}

/// A compressed log is given and ends; one that replaces it in time is given too. Damage counts.
#[test]
fn compressed_logs_end() {
    let dir = Dir::new();
    let path = dir.compressed("trace-7.log.gz", 0, &["a"]);
    let mut watch = Watch::of(&path);
    assert!(matches!(watch.poll(), Step::Lines(_)));
    fs::remove_file(&path).unwrap();
    let torn = gzip(line("b").repeat(3).as_bytes());
    fs::write(&path, &torn[..torn.len() - 4]).unwrap();
    assert_eq!(watch.end(), FollowEnd::IsCompressed);
    assert_eq!(watch.seen, ["a", "b", "b", "b"]);
    assert_eq!(watch.skipped.gzip_damaged, 1);
    assert_eq!(watch.events, [FollowEvent::Left { part: 0 }, FollowEvent::Replaced]);
}

/// A line that is too long is passed over without being held, and counted once.
#[test]
fn overlong_lines_are_passed_over() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let mut watch = Watch::of(&path);
    append(&path, vec![b'x'; MAX_LINE_BYTES + 1]);
    assert_eq!(watch.news(), ["a"]);
    append(&path, format!("xxx\n{}", line("b")));
    assert_eq!(watch.news(), ["b"]);
    let first = watch.skipped.first.unwrap();
    assert_eq!((watch.skipped.too_long_lines, first.line), (1, 2));
    assert_eq!((watch.skipped.lines_skipped(), watch.skipped.lines), (1, 3));
}

/// A writer that does not append leaves a hole when its log is truncated; the hole hides nothing.
#[test]
fn holes_are_passed_over() {
    let dir = Dir::new();
    let path = app_log(&dir, &["a"]);
    let mut writer = File::options().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut writer, std::io::SeekFrom::End(0)).unwrap();
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    writer.set_len(0).unwrap();
    writer.write_all(line("b").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["b"]);
    assert_eq!(watch.skipped.nul_bytes, line("a").len() as u64);
}

/// What is no regular file is refused, without waiting for anybody.
#[test]
fn only_files_are_followed() {
    let dir = Dir::new();
    make_fifo(&dir.at("fifo"));
    for (path, reason) in [
        (dir.at("fifo"), "is a FIFO, not a trace file"),
        (dir.path(), "is a directory, not a trace file"),
        (dir.at("missing.log"), "cannot open"),
    ] {
        let error = Follower::open(&path, 0).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[derive(Debug, Clone)]
enum Operation {
    /// So many bytes of the stream of records.
    Write(usize),
    Poll(usize),
    /// Renames the log, if it is there, and begins a new one.
    Rotate,
    Unlink,
    /// Copies the log away and truncates it, when all of it was read.
    Truncate,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (1..400_usize).prop_map(Operation::Write),
        1 => (100_000..600_000_usize).prop_map(Operation::Write),
        4 => (1..8_usize).prop_map(Operation::Poll),
        1 => Just(Operation::Rotate),
        1 => Just(Operation::Unlink),
        1 => Just(Operation::Truncate),
    ]
}

/// Writes records of growing numbers, in pieces of any size.
struct Stream {
    file: File,
    /// The rest of the line that is begun.
    rest: Vec<u8>,
    next: usize,
    whole: Vec<String>,
}

impl Stream {
    fn open(path: &Path) -> File {
        File::options().append(true).create(true).open(path).unwrap()
    }

    fn message(number: usize) -> String {
        format!("{number} ").repeat(1 + number * 7 % 60)
    }

    fn write(&mut self, mut bytes: usize) {
        let mut piece = Vec::new();
        while bytes > 0 {
            if self.rest.is_empty() {
                self.rest = line(&Self::message(self.next)).into_bytes();
            }
            let part: Vec<u8> = self.rest.drain(..bytes.min(self.rest.len())).collect();
            bytes -= part.len();
            piece.extend(part);
            if self.rest.is_empty() {
                self.end_line();
            }
        }
        self.file.write_all(&piece).unwrap();
    }

    /// The line that is begun ends here: a record if no more than its newline is missing.
    fn end_line(&mut self) {
        if self.rest.len() <= 1 {
            self.whole.push(Self::message(self.next));
        }
        self.next += 1;
        self.rest.clear();
    }

    fn break_off(&mut self) {
        if !self.rest.is_empty() {
            self.end_line();
        }
    }
}

proptest! {
    /// Whatever is written, cut and rotated between whatever polls: the records that are seen are
    /// those that were written, once each, in order.
    #[test]
    fn every_record_is_seen_once(operations in vec(operation(), 0..60)) {
        let dir = Dir::new();
        let path = dir.at("app.log");
        let mut stream = Stream {
            file: Stream::open(&path),
            rest: Vec::new(),
            next: 0,
            whole: Vec::new(),
        };
        let mut watch = Watch::of(&path);
        for (index, operation) in operations.into_iter().enumerate() {
            match operation {
                Operation::Write(bytes) => stream.write(bytes),
                Operation::Poll(times) => for _ in 0..times {
                    watch.poll();
                },
                Operation::Rotate => {
                    if path.exists() {
                        fs::rename(&path, dir.at(&format!("app.log.{index}"))).unwrap();
                    }
                    stream.file = Stream::open(&path);
                    stream.break_off();
                    // A file that nobody ever looked at is not seen.
                    watch.poll();
                }
                Operation::Unlink => drop(fs::remove_file(&path)),
                Operation::Truncate => {
                    prop_assert_eq!(watch.drain(), None);
                    stream.file.set_len(0).unwrap();
                    stream.break_off();
                }
            }
        }
        // The rest of the last line stays with the writer.
        prop_assert_eq!(watch.drain(), None);
        prop_assert_eq!(&watch.seen, &stream.whole);
    }
}
