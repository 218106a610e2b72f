//! Appending: nothing that was acknowledged is lost, and nothing waits or fails that need not.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;

use inspect_trace_core::Error;
use inspect_trace_core::store;
use inspect_trace_core::write::writer::{AppendCause, LogWriter};
use store_support::{Dir, Helper, NOBODY, gzip, line, make_fifo, mode, read_lines};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

/// Lines of many threads stand whole in the log, each thread's in its order.
#[test]
fn threads_do_not_mix_lines() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("shared.log")).unwrap();
    let (threads, lines) = (8, 500);
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (log, start) = (&log, &start);
            scope.spawn(move || {
                start.wait();
                for number in 0..lines {
                    let padding = "é".repeat(number * 37 % 5000);
                    log.append(line(&format!("{thread} {number} {padding}")).as_bytes()).unwrap();
                }
            });
        }
    });
    let mut next = vec![0; threads];
    for text in read_lines(log.path()) {
        let message = text.split("message\": \"").nth(1).unwrap();
        let mut words = message.split(' ').map(str::parse::<usize>);
        let (thread, number) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        assert_eq!(text, line(&format!("{thread} {number} {}", "é".repeat(number * 37 % 5000))));
        assert_eq!(number, next[thread]);
        next[thread] += 1;
    }
    assert_eq!(next, vec![lines; threads]);
    assert_eq!(log.dropped(), 0);
}

/// Processes that share a log lose none of each other's lines, long ones included.
#[test]
fn processes_share_a_log() {
    let dir = Dir::new();
    let path = dir.at("shared.log");
    let mut helpers: Vec<_> = (0..4).map(|_| Helper::start()).collect();
    for (number, helper) in helpers.iter_mut().enumerate() {
        helper.ask(&format!("open {}", path.display()));
        // Most lines are longer than a page, so that a write that is not atomic would show.
        helper.tell(&format!("append-many 300 {} process{number}", 1 + number * 9000));
    }
    for helper in &mut helpers {
        assert_eq!(helper.answer().unwrap(), "ok");
    }
    let expected: HashSet<_> = (0..4)
        .flat_map(|process| (0..300).map(move |number| (process, number)))
        .map(|(process, number)| {
            line(&format!("process{process} {number} {}", "x".repeat(1 + process * 9000)))
        })
        .collect();
    let mut lines = read_lines(&path);
    // Who opens the log while a long line is on its way into it for very long takes that line for
    // torn, and begins with a line break of its own: readers pass over an empty line.
    lines.retain(|line| line != "\n");
    let wrong: Vec<_> = lines.iter().filter(|line| !expected.contains(*line)).collect();
    assert_eq!(wrong, [""; 0]);
    assert_eq!(lines.len(), expected.len());
    assert_eq!(lines.into_iter().collect::<HashSet<_>>(), expected);
}

/// SIGKILL loses no line whose append returned, wherever it hits.
#[test]
fn kills_lose_nothing() {
    for round in 0..5 {
        let dir = Dir::new();
        let mut helper = Helper::start();
        let path = dir.at("killed.log");
        helper.ask(&format!("open {}", path.display()));
        helper.tell("append-for-ever line");
        for number in 0..50 + round * 61 {
            assert_eq!(helper.answer().unwrap(), number.to_string());
        }
        let rest = helper.kill();
        let acknowledged = rest.lines().map_while(Result::ok).filter(|text| text.contains("@@"));
        let acknowledged = 50 + round * 61 + acknowledged.count();
        let lines = read_lines(&path);
        assert!(lines.len() >= acknowledged, "{} of {acknowledged}", lines.len());
        for (number, text) in lines.iter().enumerate() {
            let expected = line(&format!("line {number}"));
            // The kernel may end a dying process's last write at the end of a page.
            let is_last = number + 1 == lines.len() && number >= acknowledged;
            assert!(*text == expected || is_last && expected.starts_with(text), "{number}: {text}");
        }
    }
}

/// On a full disk every line fails quietly but the first, and each is counted.
#[test]
fn full_disk_is_reported_once() {
    let log = LogWriter::open("/dev/full".as_ref()).unwrap();
    for number in 0..5 {
        let error = log.append(b"{}\n").unwrap_err();
        assert_eq!(error.first, number == 0);
        assert_eq!(error.to_string(), "No space left on device");
        assert!(matches!(error.cause, AppendCause::Os(ref error)
            if error.kind() == std::io::ErrorKind::StorageFull));
    }
    assert_eq!(log.dropped(), 5);
    log.close();
}

/// When space returns, a record tells how many are missing and why, before the next line; what had
/// been written of a failed line stays apart.
#[test]
fn gaps_are_noted_in_the_log() {
    let dir = Dir::new();
    let path = dir.at("full.log");
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", path.display()));
    for (round, room) in [0, 1, 30, line("x").len() as u64 - 2].into_iter().enumerate() {
        let size = fs::metadata(&path).unwrap().len();
        helper.ask(&format!("limit {}", size + room));
        assert_eq!(helper.ask("append a"), "error: File too large; first: true");
        assert_eq!(helper.ask("append b"), "error: File too large; first: false");
        assert_eq!(helper.ask("append c"), "error: File too large; first: false");
        helper.ask("limit");
        assert_eq!(helper.ask("append after"), "ok");
        assert_eq!(helper.ask("append more"), "ok");
        assert_eq!(helper.ask("dropped"), ((round + 1) * 3).to_string());

        let mut file = File::open(&path).unwrap();
        file.seek(std::io::SeekFrom::Start(size)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let (fragment, rest) =
            if room == 0 { ("", &text[..]) } else { text.split_once('\n').unwrap() };
        assert_eq!(fragment, &line("a")[..usize::try_from(room).unwrap()]);
        let mut lines = rest.split_inclusive('\n');
        let note: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(note["level"], "TRACE");
        assert_eq!(
            note["message"],
            "[inspect-trace] 3 records could not be written: File too large"
        );
        assert_eq!(note["dropped"], 3);
        note["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(lines.next().unwrap(), line("after"));
        assert_eq!(lines.next().unwrap(), line("more"));
        assert_eq!(lines.next(), None);
    }
}

/// A line of which only the newline finds no room is written: the next line brings the newline.
#[test]
fn only_a_newline_can_be_missing() {
    let dir = Dir::new();
    let path = dir.at("full.log");
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", path.display()));
    helper.ask(&format!("limit {}", line("a").len() - 1));
    assert_eq!(helper.ask("append a"), "ok");
    assert_eq!(helper.ask("append b"), "error: File too large; first: true");
    helper.ask("limit");
    helper.ask("append c");
    let lines = read_lines(&path);
    assert_eq!((lines.len(), &lines[0], &lines[2]), (3, &line("a"), &line("c")));
    assert!(lines[1].contains("1 record could not"), "{}", lines[1]);
}

/// A note that is written while its line is not is not written again, and counts stay right when
/// the disk fills up in the middle of the note.
#[test]
fn notes_count_each_record_once() {
    let dir = Dir::new();
    let path = dir.at("full.log");
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", path.display()));
    let (mut failed, mut limit) = (0, 0);
    // The limit rises in all kinds of steps, so that it cuts notes and lines at every place.
    for step in 0..300 {
        limit += if step % 3 == 0 { step * 37 % 311 } else { step * 37 % 61 };
        helper.ask(&format!("limit {limit}"));
        failed += u32::from(helper.ask("append x").starts_with("error"));
    }
    helper.ask("limit");
    helper.ask("append end");
    let noted: i64 = read_lines(&path)
        .iter()
        .filter_map(|text| serde_json::from_str::<serde_json::Value>(text).ok())
        .filter_map(|record| record["dropped"].as_i64())
        .sum();
    let whole = read_lines(&path).iter().filter(|text| **text == line("x")).count();
    assert_eq!(noted, i64::from(failed));
    assert_eq!(whole, 300 - failed as usize);
    assert!(failed > 30 && whole > 30, "{failed} failed, {whole} written");
}

/// The last records missing before a log is closed are noted too.
#[test]
fn closing_notes_the_gap() {
    let dir = Dir::new();
    let path = dir.at("full.log");
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", path.display()));
    helper.ask("limit 10");
    helper.ask("append a");
    helper.ask("limit");
    helper.ask("close");
    let lines = read_lines(&path);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains("1 record could not be written"), "{}", lines[1]);
}

/// After closing, lines are counted but neither written nor reported; closing again does nothing.
#[test]
fn closed_logs_count() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("x.log")).unwrap();
    log.append(b"{}\n").unwrap();
    log.close();
    log.close();
    for _ in 0..3 {
        let error = log.append(b"{}\n").unwrap_err();
        assert!(matches!(error.cause, AppendCause::Closed));
        assert!(!error.first);
    }
    assert_eq!(log.dropped(), 3);
    assert_eq!(fs::read(log.path()).unwrap(), b"{}\n");
}

/// Closing while other threads write loses no acknowledged line, and no line ends up in a file that
/// gets the number of the closed descriptor.
#[test]
fn closing_under_way_is_safe() {
    for _ in 0..30 {
        let dir = Dir::new();
        let log = LogWriter::open(&dir.at("x.log")).unwrap();
        let start = Barrier::new(4);
        let written: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let (mut written, mut refused) = (0, 0);
                        while refused < 1000 {
                            match log.append(b"{}\n") {
                                Ok(()) => written += 1,
                                Err(_) => refused += 1,
                            }
                        }
                        written
                    })
                })
                .collect();
            start.wait();
            while fs::metadata(log.path()).unwrap().len() < 300 {
                std::thread::yield_now();
            }
            log.close();
            let others: Vec<_> =
                (0..20).map(|n| File::create(dir.at(&format!("other-{n}"))).unwrap()).collect();
            let written = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            for other in others {
                assert_eq!(other.metadata().unwrap().len(), 0);
            }
            written
        });
        assert_eq!(fs::metadata(log.path()).unwrap().len(), written * 3);
    }
}

/// A log that ends within a line, because its writer was killed or the disk was full, is continued
/// on a line of its own.
#[test]
fn torn_ends_are_closed_off() {
    let dir = Dir::new();
    fs::write(dir.at("torn.log"), "{\"a\": 1}\n{\"b").unwrap();
    fs::write(dir.at("whole.log"), "{\"a\": 1}\n").unwrap();
    for name in ["torn.log", "whole.log"] {
        let log = LogWriter::open(&dir.at(name)).unwrap();
        log.append(b"{}\n").unwrap();
        log.append(b"{}\n").unwrap();
    }
    assert_eq!(fs::read_to_string(dir.at("torn.log")).unwrap(), "{\"a\": 1}\n{\"b\n{}\n{}\n");
    assert_eq!(fs::read_to_string(dir.at("whole.log")).unwrap(), "{\"a\": 1}\n{}\n{}\n");
}

/// Logs and the directories made for them are private; what exists keeps its mode.
#[test]
fn new_files_are_private() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("new/deep/x.log")).unwrap();
    assert_eq!(mode(log.path()), 0o600);
    assert_eq!(mode(&dir.at("new")), 0o700);
    assert_eq!(mode(&dir.at("new/deep")), 0o700);
    fs::write(dir.at("old.log"), "").unwrap();
    let before = mode(&dir.at("old.log"));
    LogWriter::open(&dir.at("old.log")).unwrap();
    assert_eq!(mode(&dir.at("old.log")), before);
}

/// A symlink at a path that the user gave is followed, a dangling one too.
#[test]
fn symlinks_are_followed() {
    let dir = Dir::new();
    std::os::unix::fs::symlink(dir.at("target.log"), dir.at("link.log")).unwrap();
    LogWriter::open(&dir.at("link.log")).unwrap().append(b"{}\n").unwrap();
    assert_eq!(fs::read(dir.at("target.log")).unwrap(), b"{}\n");
}

/// What is no log is refused in one line, without waiting for anybody.
#[test]
fn other_kinds_are_refused() {
    let dir = Dir::new();
    make_fifo(&dir.at("fifo.log"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.at("socket.log")).unwrap();
    fs::write(dir.at("packed.log.gz"), gzip(b"{}\n")).unwrap();
    fs::write(dir.at("file"), "").unwrap();
    let open = |name: &str| LogWriter::open(&dir.at(name)).unwrap_err();
    assert!(matches!(open("."), Error::NotAFile { kind: "directory", .. }));
    assert!(matches!(open("fifo.log"), Error::NotAFile { kind: "FIFO", .. }));
    assert!(matches!(open("socket.log"), Error::NotAFile { kind: "socket", .. }));
    for (name, reason) in [("packed.log.gz", "gzip-compressed"), ("file/x.log", "Not a directory")]
    {
        let error = open(name).to_string();
        assert!(error.contains(reason) && !error.contains('\n'), "{error}");
    }
    assert_eq!(fs::read(dir.at("packed.log.gz")).unwrap(), gzip(b"{}\n"));
}

/// A log that may be written but not read is written, and held; where nothing may be written the
/// error is one line that says so.
#[test]
fn permissions_are_respected() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = Dir::new();
    for directory in [dir.outside(""), dir.path()] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
    let path = dir.at("drop.log");
    fs::write(&path, "").unwrap();
    std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o200)).unwrap();
    let mut helper = Helper::start();
    helper.ask("become-nobody");
    assert_eq!(helper.ask(&format!("open {}", path.display())), path.to_str().unwrap());
    assert_eq!(helper.ask("append x"), "ok");
    assert_eq!(read_lines(&path), [line("x")]);
    assert_eq!(store::liveness(&path).pid, Some(helper.pid()));

    let new = dir.at("new.log");
    let told = helper.ask(&format!("open {}", new.display()));
    assert_eq!(told, format!("error: cannot open {}: Permission denied", new.display()));
}

/// The path of a writer is absolute, whatever the program does with its directory later.
#[test]
fn paths_are_absolute() {
    let name = format!("target/relative-{}.log", std::process::id());
    let log = LogWriter::open(name.as_ref()).unwrap();
    assert_eq!(log.path(), std::env::current_dir().unwrap().join(&name));
    fs::remove_file(log.path()).unwrap();
    let _ = fs::remove_dir("target");
}
