//! Following a log as it grows: each line once, in order, whatever happens to the file. Nothing
//! here waits: the follower is driven poll by poll.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use inspect_trace_core::read::{
    Filter, FollowEnd, FollowEvent, Follower, GONE_POLLS, LineCursor, MAX_LINE_BYTES, Skipped, Step,
};
use inspect_trace_core::render::{Report, follow_report};
use inspect_trace_core::store::{housekeep, liveness};
use inspect_trace_core::write::writer::LogWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use store_support::{Dir, Helper, eventually, gzip, line, make_fifo, run, set_age};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

/// A follower and what it has given so far.
struct Watch {
    follower: Follower,
    cursor: LineCursor,
    skipped: Skipped,
    seen: Vec<String>,
    events: Vec<FollowEvent>,
}

impl Watch {
    fn of(path: &Path) -> Self {
        Self::from(path, 0)
    }

    fn from(path: &Path, start_offset: u64) -> Self {
        Self {
            follower: Follower::open(path, start_offset).unwrap(),
            cursor: LineCursor::new(),
            skipped: Skipped::default(),
            seen: Vec::new(),
            events: Vec::new(),
        }
    }

    fn poll(&mut self) -> Step {
        let step = self.follower.poll().unwrap();
        match &step {
            Step::Lines(lines) => {
                self.skipped.merge(&lines.skipped);
                while let Some(record) = self.cursor.next(&lines.block, &mut self.skipped) {
                    self.seen.push(String::from_utf8(record.message().into_owned()).unwrap());
                }
            }
            Step::Event(event) => self.events.push(*event),
            Step::Idle | Step::End(_) => {}
        }
        step
    }

    /// Polls until there is nothing new; the end, if it has come.
    fn drain(&mut self) -> Option<FollowEnd> {
        loop {
            match self.poll() {
                Step::Idle => return None,
                Step::End(end) => return Some(end),
                Step::Lines(_) | Step::Event(_) => {}
            }
        }
    }

    /// Drains, and gives what was seen since this was last asked.
    fn news(&mut self) -> Vec<String> {
        assert_eq!(self.drain(), None);
        std::mem::take(&mut self.seen)
    }

    /// Drains to the end. That takes some looks at a path without a file, and perhaps some at a log
    /// that is locked (see [`close`]).
    fn end(&mut self) -> FollowEnd {
        let mut end = None;
        eventually("the end", || {
            end = self.drain();
            end.is_some()
        });
        let end = end.unwrap();
        assert_eq!(self.poll(), Step::End(end), "the end stays the end");
        end
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    File::options().append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

/// Closes a log for good: a process that another test starts just now has our locks for a moment.
fn close(writer: &LogWriter) {
    writer.close();
    eventually("the log closed", || liveness(writer.path()).alive == Some(false));
}

/// A log that nobody locks and whose name tells no process.
fn app_log(dir: &Dir, lines: &[&str]) -> PathBuf {
    dir.plain("app.log", 0, lines)
}

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

/// All that a process wrote before it was killed is given, and then the end; a whole record whose
/// newline is missing is among it.
#[test]
fn the_log_of_a_killed_process_ends() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append a");
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    helper.ask("append b");
    append(&path, line("c").trim_end());
    assert_eq!(watch.news(), ["b"]);
    drop(helper.kill());
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["c"]);
}

/// The records acknowledged by a process that is killed while it writes and is followed are all
/// given, once each.
#[test]
fn a_process_killed_while_it_writes_loses_nothing() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    let mut watch = Watch::of(&path);
    helper.tell("append-for-ever n");
    let mut acknowledged: usize = 0;
    while acknowledged < 300 {
        acknowledged = helper.answer().unwrap().parse::<usize>().unwrap() + 1;
        watch.poll();
    }
    let _output = helper.kill();
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    let expected: Vec<_> = (0..watch.seen.len()).map(|number| format!("n {number}")).collect();
    assert_eq!(watch.seen, expected);
    assert!(watch.seen.len() >= acknowledged);
}

/// A forked child that still writes keeps the log of a dead process going.
#[test]
fn children_keep_a_log_going() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask(&format!("fork {}", gate.display()));
    let mut watch = Watch::of(&path);
    let mut output = helper.kill();
    assert_eq!(watch.news(), ["child begins"]);
    store_support::open_gate(&gate);
    // The child has the other end of the helper's output until it ends.
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    eventually("the child's log closed", || liveness(&path).alive == Some(false));
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["child ends"]);
}

/// A log that housekeeping compresses is given from the file that was open before.
#[test]
fn a_log_that_is_compressed_meanwhile_is_given_whole() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append-many 5000 100 a");
    let mut watch = Watch::of(&path);
    assert!(matches!(watch.poll(), Step::Lines(_)));
    helper.ask("append last");
    drop(helper.kill());
    set_age(&path, 60);
    let _newer = LogWriter::create_in(&dir.path(), &run("newer")).unwrap();
    assert_eq!(housekeep(&dir.path(), 10).compressed, 1);
    assert!(!path.exists());
    assert_eq!(watch.end(), FollowEnd::WasCompressed);
    assert_eq!(watch.seen.len(), 5001);
    assert_eq!(watch.seen.last().unwrap(), "last");
}

/// The same for one that is removed.
#[test]
fn a_log_that_is_removed_meanwhile_is_given_whole() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append a");
    let mut watch = Watch::of(&path);
    helper.finish();
    assert_eq!(housekeep(&dir.path(), 0).removed, 1);
    assert_eq!((watch.end(), watch.seen), (FollowEnd::WasRemoved, vec!["a".to_owned()]));
}

/// The reference locks nothing and compresses its log itself before it ends: the log is given
/// whole, and followed until the process has ended.
#[test]
fn a_log_of_the_reference_is_given_whole() {
    let dir = Dir::new();
    let helper = Helper::start();
    let path = dir.plain(&format!("trace-{}.log", helper.pid()), 0, &["a"]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    append(&path, line("b"));
    let whole = fs::read(&path).unwrap();
    fs::write(path.with_extension("log.gz"), gzip(&whole)).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(watch.news(), ["b"]);
    helper.finish();
    assert_eq!(watch.end(), FollowEnd::WasCompressed);
    assert_eq!((watch.seen, watch.events), (Vec::new(), Vec::new()));
}

/// When a process id is used again, the old log is moved aside: it is read to its end, then the new
/// one is followed.
#[test]
fn the_next_log_of_the_same_process_id_is_followed() {
    let dir = Dir::new();
    let old = LogWriter::create_in(&dir.path(), &run("old")).unwrap();
    old.append(line("a").as_bytes()).unwrap();
    let mut watch = Watch::of(old.path());
    assert_eq!(watch.news(), ["a"]);
    old.append(line("b").as_bytes()).unwrap();
    close(&old);
    let new = LogWriter::create_in(&dir.path(), &run("new")).unwrap();
    assert_eq!(new.path(), old.path());
    new.append(line("c").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["b", "c"]);
    new.append(line("d").as_bytes()).unwrap();
    new.close();
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["d"]);
}

/// A writer that goes on with a file that was rotated away is followed beside the new one, as long
/// as it lives.
#[test]
fn a_rotated_log_is_followed_while_its_writer_lives() {
    let dir = Dir::new();
    let path = dir.at("app.log");
    let old = LogWriter::open(&path).unwrap();
    old.append(line("a").as_bytes()).unwrap();
    let mut watch = Watch::of(&path);
    fs::rename(&path, dir.at("app.log.1")).unwrap();
    let new = LogWriter::open(&path).unwrap();
    new.append(line("b").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["a", "b"]);
    old.append(line("c").as_bytes()).unwrap();
    new.append(line("d").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["c", "d"]);
    close(&new);
    fs::remove_file(&path).unwrap();
    for _ in 0..2 * GONE_POLLS {
        assert_eq!(watch.poll(), Step::Idle);
    }
    old.append(line("e").as_bytes()).unwrap();
    assert_eq!(watch.news(), ["e"]);
    old.append(line("f").as_bytes()).unwrap();
    old.close();
    assert_eq!(watch.end(), FollowEnd::WasRemoved);
    assert_eq!(watch.seen, ["f"]);
}

/// The same with writers that wait for nobody: every record of every file is seen once, in the order
/// of its writer, though old and new files are written at the same time.
#[test]
fn rotation_by_another_thread_loses_nothing() {
    const FILES: usize = 60;
    const RECORDS: usize = 50;
    let dir = Dir::new();
    let path = dir.at("app.log");
    let append = |writer: &LogWriter, file: usize, records: std::ops::Range<usize>| {
        for record in records {
            writer.append(line(&format!("{file} {record}")).as_bytes()).unwrap();
        }
    };
    let mut writer = LogWriter::open(&path).unwrap();
    let mut watch = Watch::of(&path);
    let (polls, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let end = std::thread::scope(|scope| {
        scope.spawn(|| {
            for file in 0..FILES {
                append(&writer, file, 0..RECORDS / 2);
                // A file that nobody ever looked at is not seen: one whole poll has to pass.
                let before = polls.load(Ordering::SeqCst);
                eventually("a look at the file", || {
                    is_over.load(Ordering::SeqCst) || polls.load(Ordering::SeqCst) > before + 1
                });
                if file % 2 == 0 {
                    fs::rename(&path, dir.at("aside.log")).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                let next = (file + 1 < FILES).then(|| LogWriter::open(&path).unwrap());
                append(&writer, file, RECORDS / 2..RECORDS);
                writer.close();
                if let Some(next) = next {
                    writer = next;
                }
            }
        });
        loop {
            if let Step::End(end) = watch.poll() {
                is_over.store(true, Ordering::SeqCst);
                break end;
            }
            polls.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert_eq!(end, FollowEnd::WasRemoved);
    let mut seen = vec![0; FILES];
    for message in &watch.seen {
        let (file, record) = message.split_once(' ').unwrap();
        let file: usize = file.parse().unwrap();
        assert_eq!(record, seen[file].to_string(), "of file {file}");
        seen[file] += 1;
    }
    assert_eq!(seen, [RECORDS; FILES]);
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

/// The next chunk that is not empty; what is noted on the way is added to `notes`.
fn next_output(report: &mut dyn Report, notes: &mut Vec<String>) -> Option<String> {
    loop {
        let chunk = report.next_chunk().unwrap();
        notes.extend(report.take_notes());
        match chunk {
            Some(chunk) if chunk.is_empty() => {}
            chunk => return chunk.map(|chunk| String::from_utf8(chunk).unwrap()),
        }
    }
}

/// The report gives the wanted records as JSON Lines, notes what happens as it happens, and counts
/// what it skips file by file.
#[test]
fn the_report_notes_what_happens() {
    let dir = Dir::new();
    let path = dir.at("trace-1.log");
    let writer = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    fs::rename(writer.path(), &path).unwrap();
    append(&path, format!("garbage\n{}{}", line("Wanted 1"), line("other")));
    let mut report = follow_report(&path, &Filter::new(Some("wanted")), 0).unwrap();
    let mut notes = Vec::new();
    let output = |text: &str| Some(line(text).replace(": ", ":").replace(", ", ","));
    assert_eq!(next_output(&mut *report, &mut notes), output("Wanted 1"));
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, line("wanted 2"));
    assert_eq!(next_output(&mut *report, &mut notes), output("wanted 2"));
    append(&path, "[]\n");
    writer.close();
    assert_eq!(next_output(&mut *report, &mut notes), None);
    assert_eq!(
        notes,
        [
            "trace-1.log: skipped 1 line (line 1, byte 0: not JSON)",
            "trace-1.log was truncated: going on from its new start",
            "trace-1.log is finished, its writer has ended: nothing more will come",
        ]
    );
    let skipped = report.skipped().unwrap();
    assert!(skipped.starts_with("trace-1.log: skipped 1 line (line 2,"), "{skipped}");
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
