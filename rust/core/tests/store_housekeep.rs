//! Housekeeping: what is compressed, what goes, what is never touched, and that no record is ever
//! lost or doubled, whoever is killed and whatever happens at the same time.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use inspect_trace_core::store::{self, HousekeepingReport, KEPT_CHILD_LOGS, housekeep};
use inspect_trace_core::write::writer::LogWriter;
use proptest::prelude::*;
use rustix::process::Signal;
use store_support::{
    DEAD, Dir, Helper, eventually, gzip, line, make_fifo, mode, read_lines, run, set_age, set_run,
};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn log(number: u32) -> String {
    format!("trace-{}.log", DEAD + number)
}

fn report(compressed: usize, removed: usize) -> HousekeepingReport {
    HousekeepingReport { compressed, removed, ..HousekeepingReport::default() }
}

/// Finished logs are compressed, but for the most recent run's; a second housekeeping has nothing
/// left to do.
#[test]
fn all_but_the_newest_are_compressed() {
    let dir = Dir::new();
    for number in 0..4 {
        dir.plain(&log(number), u64::from(number) * 10, &["a", &number.to_string()]);
    }
    let before = dir.visible();
    assert_eq!(housekeep(&dir.path(), 10), report(3, 0));
    assert_eq!(dir.names(), [log(0), log(1) + ".gz", log(2) + ".gz", log(3) + ".gz"]);
    assert_eq!(dir.visible(), before);
    assert_eq!(housekeep(&dir.path(), 10), report(0, 0));
    assert!(dir.temporaries().is_empty());
}

/// A compressed log keeps its time and its run, and is private even if the plain one was not; any
/// gzip opens it.
#[test]
fn compressed_logs_keep_what_is_known_of_them() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &[]);
    let plain = dir.plain(&log(1), 12_345, &["x"; 1000]);
    set_run(&plain, "the-run", true);
    let before = fs::metadata(&plain).unwrap();
    assert_eq!(housekeep(&dir.path(), 10), report(1, 0));
    let compressed = dir.at(&(log(1) + ".gz"));
    let after = fs::metadata(&compressed).unwrap();
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    assert_eq!(mode(&compressed), 0o600);
    assert!(after.len() < before.len() / 10);
    let listed = &store::list(&dir.path()).unwrap()[1];
    assert_eq!(listed.run_id.as_deref(), Some("the-run"));
    assert!(listed.is_child);
    let gunzip = std::process::Command::new("gzip").arg("-dc").arg(&compressed).output().unwrap();
    assert!(gunzip.status.success());
    assert_eq!(gunzip.stdout, line("x").repeat(1000).as_bytes());
}

/// The newest runs are kept and older ones removed, plain or compressed.
#[test]
fn old_runs_are_removed() {
    let dir = Dir::new();
    for number in 0..15 {
        let age_s = u64::from(number) * 10;
        if number % 2 == 0 {
            dir.plain(&log(number), age_s, &["x"]);
        } else {
            dir.compressed(&(log(number) + ".gz"), age_s, &["x"]);
        }
    }
    assert_eq!(housekeep(&dir.path(), 10), report(4, 5));
    let expected: Vec<_> = std::iter::once(log(0)).chain((1..10).map(|n| log(n) + ".gz")).collect();
    assert_eq!(dir.names(), expected);
}

/// The logs of a run's children count with their run: they push no other run out, and go with it.
#[test]
fn children_do_not_push_runs_out() {
    let dir = Dir::new();
    let mut number = 0;
    let mut add = |run: &str, is_child, age_s| {
        number += 1;
        let path = dir.plain(&log(number), age_s, &[run]);
        set_run(&path, run, is_child);
    };
    for (rank, run) in ["new", "middle", "old"].into_iter().enumerate() {
        let age_s = rank as u64 * 1000;
        add(run, false, age_s + 500);
        for child in 0..20 {
            add(run, true, age_s + child);
        }
    }
    assert_eq!(housekeep(&dir.path(), 2), report(21, 21));
    let kept: Vec<_> = store::list(&dir.path()).unwrap();
    assert_eq!(kept.len(), 42);
    for file in kept {
        let is_plain = file.path.extension().unwrap() == "log";
        assert_eq!(file.run_id.as_deref(), Some(if is_plain { "new" } else { "middle" }));
    }
}

/// A run that starts thousands of processes keeps the newest of their logs, also while it lives.
#[test]
fn runs_keep_a_bounded_number_of_child_logs() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    helper.ask(&format!("create the-run {}", dir.path().display()));
    let children = u32::try_from(KEPT_CHILD_LOGS).unwrap() + 7;
    for number in 0..children {
        let path = dir.plain(&log(number), 10 + u64::from(number), &["x"]);
        set_run(&path, "the-run", true);
    }
    assert_eq!(housekeep(&dir.path(), 10), report(0, 7));
    for number in 0..children {
        assert_eq!(dir.at(&log(number)).exists(), number < children - 7, "{number}");
    }
    assert!(dir.at(&format!("trace-{}.log", helper.pid())).exists());
}

/// The log of a live process stays, plain, however old its last record is: it hangs, and its log is
/// the one that is wanted. Its run's finished logs stay too.
#[test]
fn live_logs_are_never_removed() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let live = helper.ask(&format!("create the-run {}", dir.path().display()));
    helper.ask("append hung");
    helper.ask("flush");
    set_age(live.as_ref(), 1_000_000);
    let child = dir.plain(&log(100), 1_000_001, &["child"]);
    set_run(&child, "the-run", true);
    for number in 0..12 {
        dir.plain(&log(number), 10 + u64::from(number), &["x"]);
    }
    assert_eq!(housekeep(&dir.path(), 10), report(10, 2));
    assert_eq!(read_lines(live.as_ref()), [line("hung")]);
    assert_eq!(read_lines(&dir.at(&(log(100) + ".gz"))), [line("child")]);
    assert_eq!(helper.ask("append still there"), "ok");
    assert_eq!(read_lines(live.as_ref()).len(), 2);
    // Once it is dead it is the oldest.
    drop(helper.kill());
    set_age(live.as_ref(), 1_000_000);
    assert_eq!(housekeep(&dir.path(), 10), report(0, 2));
    assert!(!Path::new(&live).exists());
}

/// Another tool's log, which nobody locks, is left alone while its process lives.
#[test]
fn logs_of_other_live_tools_are_never_touched() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", dir.outside("x.log").display()));
    let other = dir.plain(&format!("trace-{}.log", helper.pid()), 0, &["other tool"]);
    for number in 0..12 {
        let path = dir.plain(&log(number), 0, &["x"]);
        // Newer than the live one.
        fs::File::open(path)
            .unwrap()
            .set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60))
            .unwrap();
    }
    assert_eq!(housekeep(&dir.path(), 10), report(9, 2));
    assert_eq!(read_lines(&other), [line("other tool")]);
    drop(helper.kill());
    assert_eq!(housekeep(&dir.path(), 10), report(0, 1));
}

/// Files of other names, and everything that is not a regular file, are left alone, whatever they
/// are called.
#[test]
fn foreign_files_are_never_touched() {
    let dir = Dir::new();
    for number in 0..3 {
        dir.plain(&log(number), u64::from(number), &["x"]);
    }
    let old = 1_000_000;
    let foreign =
        ["trace.log", "trace-x.log", "trace-01.log", "mine.log", "notes.txt", "trace-7.jsonl"];
    for name in foreign {
        dir.plain(name, old, &["mine"]);
    }
    fs::write(dir.outside("victim.log"), "mine").unwrap();
    set_age(&dir.outside("victim.log"), old);
    symlink(dir.outside("victim.log"), dir.at(&log(20))).unwrap();
    symlink(dir.outside("victim.log"), dir.at(&(log(21) + ".gz"))).unwrap();
    make_fifo(&dir.at(&log(22)));
    fs::create_dir(dir.at(&log(23))).unwrap();
    fs::write(dir.at(&log(23)).join("inside"), "mine").unwrap();
    let before = dir.names();
    assert_eq!(housekeep(&dir.path(), 1), report(0, 2));
    let mut expected = before;
    expected.retain(|name| *name != log(1) && *name != log(2));
    assert_eq!(dir.names(), expected);
    for name in foreign {
        assert_eq!(fs::read_to_string(dir.at(name)).unwrap(), line("mine"));
    }
    assert_eq!(fs::read(dir.outside("victim.log")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.at(&log(23)).join("inside")).unwrap(), b"mine");
}

/// A directory that does not exist is not made; one that is no directory is nobody's.
#[test]
fn missing_directories_stay_missing() {
    let dir = Dir::new();
    assert_eq!(housekeep(&dir.outside("none"), 10), report(0, 0));
    assert!(!dir.outside("none").exists());
    fs::write(dir.outside("file"), "").unwrap();
    assert_eq!(housekeep(&dir.outside("file"), 10), report(0, 0));
}

/// A compression cut short at any place leaves a plain log and a torn compressed one (as the
/// reference does at Ctrl-C): the next housekeeping makes one whole log of them.
#[test]
fn torn_compressions_are_completed() {
    let lines: Vec<_> = (0..300).map(|number| format!("{number} {}", number * 7919)).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let whole = gzip(lines.iter().map(|text| line(text)).collect::<String>().as_bytes());
    let step = whole.len() / 40;
    for end in (0..=whole.len()).step_by(step).chain([1, 2, 9, whole.len() - 1, whole.len()]) {
        let dir = Dir::new();
        dir.plain(&log(0), 0, &["newest"]);
        dir.plain(&log(1), 100, &lines);
        fs::write(dir.at(&(log(1) + ".gz")), &whole[..end]).unwrap();
        set_age(&dir.at(&(log(1) + ".gz")), 90);
        let before = dir.visible();
        assert_eq!(housekeep(&dir.path(), 10), report(1, 0), "{end}");
        assert_eq!(dir.names(), [log(0), log(1) + ".gz"], "{end}");
        assert_eq!(dir.visible(), before, "{end}");
    }
}

/// Another run's log under the compressed name (a reused process id) is kept beside ours, whatever
/// state it is in.
#[test]
fn other_runs_under_the_compressed_name_are_kept() {
    let other = gzip(line("other").repeat(3).as_bytes());
    for content in [&other[..], b"plain text\n", b"x"] {
        let dir = Dir::new();
        dir.plain(&log(0), 0, &["newest"]);
        dir.plain(&log(1), 100, &["mine"]);
        fs::write(dir.at(&(log(1) + ".gz")), content).unwrap();
        set_age(&dir.at(&(log(1) + ".gz")), 90);
        assert_eq!(housekeep(&dir.path(), 10), report(1, 0));
        assert_eq!(fs::read(dir.at(&(log(1) + ".gz"))).unwrap(), content);
        let moved = format!("trace-{}-1.log.gz", DEAD + 1);
        assert_eq!(read_lines(&dir.at(&moved)), [line("mine")]);
        assert_eq!(dir.names().len(), 3);
    }
}

/// A log whose run is known is not taken for the beginning of another run's, even if both begin
/// alike.
#[test]
fn runs_that_begin_alike_are_told_apart() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    let plain = dir.plain(&log(1), 100, &["same", "more"]);
    let compressed = dir.compressed(&(log(1) + ".gz"), 100, &["same"]);
    set_run(&plain, "one", false);
    set_run(&compressed, "two", false);
    assert_eq!(housekeep(&dir.path(), 10), report(1, 0));
    assert_eq!(dir.visible().len(), 4);
}

/// Something strange under the compressed name does not keep a log from being compressed.
#[test]
fn strange_things_under_the_compressed_name_stay() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    dir.plain(&log(1), 100, &["mine"]);
    make_fifo(&dir.at(&(log(1) + ".gz")));
    assert_eq!(housekeep(&dir.path(), 10), report(1, 0));
    assert_eq!(read_lines(&dir.at(&format!("trace-{}-1.log.gz", DEAD + 1))), [line("mine")]);
    assert_eq!(dir.names().len(), 3);
}

/// When the disk is full the log stays as it is, and nothing half-done remains.
#[test]
fn full_disks_leave_logs_plain() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    let noise: Vec<_> =
        (0..2000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    dir.plain(&log(1), 100, &noise.iter().map(String::as_str).collect::<Vec<_>>());
    dir.plain(&log(2), 200, &["small"]);
    let before = dir.visible();
    let mut helper = Helper::start();
    helper.ask("limit 4096");
    let told = helper.ask(&format!("housekeep 10 {}", dir.path().display()));
    let expected = HousekeepingReport { failed: 1, ..report(1, 0) };
    assert_eq!(told, format!("{expected:?}"));
    assert_eq!(dir.names(), [log(0), log(1), log(2) + ".gz"]);
    assert!(dir.temporaries().is_empty());
    assert_eq!(dir.visible(), before);
}

/// Who finds another housekeeper at work does nothing.
#[test]
fn one_housekeeper_at_a_time() {
    let dir = Dir::new();
    let mut helper = stopped_housekeeper(&dir);
    let told = housekeep(&dir.path(), 10);
    assert!(told.skipped_because_busy);
    assert_eq!(HousekeepingReport { skipped_because_busy: false, ..told }, report(0, 0));
    helper.signal(Signal::CONT);
    assert_eq!(helper.answer().unwrap(), format!("{:?}", report(1, 0)));
    assert_eq!(housekeep(&dir.path(), 10), report(0, 0));
}

/// Many processes that start at once and all keep house end with the same directory as one would.
#[test]
fn concurrent_housekeepers_agree() {
    let dir = Dir::new();
    for number in 0..20 {
        dir.plain(&log(number), u64::from(number) * 10, &["x", &number.to_string()]);
    }
    let mut kept: Vec<_> =
        (0..10).flat_map(|number: u32| [line("x"), line(&number.to_string())]).collect();
    kept.sort();
    let mut helpers: Vec<_> = (0..6).map(|_| Helper::start()).collect();
    for _ in 0..3 {
        for helper in &mut helpers {
            helper.tell(&format!("housekeep 10 {}", dir.path().display()));
        }
        for helper in &mut helpers {
            let told = helper.answer().unwrap();
            assert!(told.contains("failed: 0"), "{told}");
        }
    }
    assert_eq!(dir.visible(), kept);
    let expected: Vec<_> = std::iter::once(log(0)).chain((1..10).map(|n| log(n) + ".gz")).collect();
    assert_eq!(dir.names(), expected);
}

/// A log of some megabytes, so that compressing it takes a while.
fn big_log(dir: &Dir, number: u32) {
    let text: String = (0..40_000u64)
        .map(|n| line(&format!("{n} {}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
        .collect();
    fs::write(dir.at(&log(number)), text).unwrap();
    set_age(&dir.at(&log(number)), 100);
}

/// A housekeeper that is stopped while it compresses the second of two logs, both dead ones.
fn stopped_housekeeper(dir: &Dir) -> Helper {
    dir.plain(&log(0), 0, &["newest"]);
    for _ in 0..100 {
        big_log(dir, 1);
        let mut helper = Helper::start();
        helper.tell(&format!("housekeep 10 {}", dir.path().display()));
        let is_done = || dir.at(&(log(1) + ".gz")).exists();
        eventually("a compression under way", || !dir.temporaries().is_empty() || is_done());
        helper.signal(Signal::STOP);
        eventually("a stop", || helper.state() == 'T');
        if !dir.temporaries().is_empty() && !is_done() {
            return helper;
        }
        // It was faster. Once more.
        drop(helper.kill());
        let _ = fs::remove_file(dir.at(&(log(1) + ".gz")));
    }
    panic!("no housekeeper was caught at work");
}

/// A housekeeper killed at whatever stage leaves every record visible exactly once, and the next
/// one finishes its work.
#[test]
fn killed_housekeepers_lose_nothing() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    big_log(&dir, 1);
    let before = dir.visible();
    let mut killed_early = 0;
    for round in 0..12 {
        let mut helper = Helper::start();
        helper.tell(&format!("housekeep 10 {}", dir.path().display()));
        // At ever later stages of the work; the last ones are about the end of it.
        eventually("progress", || {
            let written: u64 = dir
                .temporaries()
                .iter()
                .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
                .sum();
            written > round * 150_000 || dir.at(&(log(1) + ".gz")).exists()
        });
        drop(helper.kill());
        killed_early += u32::from(dir.at(&log(1)).exists());
        assert_eq!(dir.visible(), before, "killed in round {round}");
        if !dir.at(&log(1)).exists() {
            // It got to the end: once more from the beginning.
            fs::remove_file(dir.at(&(log(1) + ".gz"))).unwrap();
            big_log(&dir, 1);
        }
    }
    assert!(killed_early > 0, "no housekeeper was killed before it was done");
    let told = housekeep(&dir.path(), 10);
    assert_eq!(told.compressed, 1);
    assert_eq!(dir.names(), [log(0), log(1) + ".gz"]);
    assert!(dir.temporaries().is_empty());
    assert_eq!(dir.visible(), before);
}

/// A log that is opened again while it is being compressed stays as it is, though nothing was
/// written to it yet.
#[test]
fn logs_opened_during_compression_stay() {
    let dir = Dir::new();
    let mut helper = stopped_housekeeper(&dir);
    let before = dir.visible();
    let opened = LogWriter::open(&dir.at(&log(1))).unwrap();
    helper.signal(Signal::CONT);
    assert_eq!(helper.answer().unwrap(), format!("{:?}", report(0, 0)));
    assert_eq!(dir.visible(), before);
    opened.append(line("more").as_bytes()).unwrap();
    assert_eq!(read_lines(&dir.at(&log(1))).last(), Some(&line("more")));
    opened.close();
    drop(opened);
    set_age(&dir.at(&log(1)), 100);
    assert_eq!(housekeep(&dir.path(), 10), report(1, 0));
    assert_eq!(dir.visible().len(), before.len() + 1);
}

/// A log that changes while it is being compressed, by a tool that does not lock it, stays plain.
#[test]
fn logs_written_during_compression_stay() {
    let dir = Dir::new();
    let mut helper = stopped_housekeeper(&dir);
    let mut other = fs::File::options().append(true).open(dir.at(&log(1))).unwrap();
    other.write_all(line("more").as_bytes()).unwrap();
    helper.signal(Signal::CONT);
    assert_eq!(helper.answer().unwrap(), format!("{:?}", report(0, 0)));
    assert_eq!(read_lines(&dir.at(&log(1))).last(), Some(&line("more")));
    assert!(dir.temporaries().is_empty());
}

/// A log that is moved out of the way while it is being compressed, by a process that has its name
/// now, stays, and so does the new one.
#[test]
fn logs_renamed_during_compression_stay() {
    let dir = Dir::new();
    let mut helper = stopped_housekeeper(&dir);
    let aside = format!("trace-{}-1.log", DEAD + 1);
    fs::rename(dir.at(&log(1)), dir.at(&aside)).unwrap();
    dir.plain(&log(1), 0, &["new"]);
    let before = dir.visible();
    helper.signal(Signal::CONT);
    assert_eq!(helper.answer().unwrap(), format!("{:?}", report(0, 0)));
    assert_eq!(dir.visible(), before);
    assert_eq!(read_lines(&dir.at(&log(1))), [line("new")]);
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A log that is opened again for appending while housekeepers compress it (a path of the user's
/// choice in the trace directory) loses no line: either it is left alone, or the line goes to a new
/// file.
#[test]
fn logs_opened_meanwhile_lose_nothing() {
    let dir = Dir::new();
    let newest = dir.plain(&log(0), 0, &[]);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    fs::File::open(newest).unwrap().set_modified(future).unwrap();
    let path = dir.at(&log(1));
    let mut visitor = Helper::start();
    let is_over = AtomicBool::new(false);
    let (rounds, compressed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut visits = 0;
    std::thread::scope(|scope| {
        // Also when an assertion fails: the scope waits for its threads.
        let _end = SetOnDrop(&is_over);
        let keeper = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let told = housekeep(&dir.path(), 1_000_000);
                assert_eq!(told.failed, 0);
                compressed.fetch_add(told.compressed, Ordering::Relaxed);
                rounds.fetch_add(1, Ordering::Release);
            }
        });
        for _ in 0..40 {
            assert_eq!(visitor.ask(&format!("visit 40 {}", path.display())), "ok");
            visits += 40;
            // The second round began when nobody had the log open: it leaves none behind.
            let seen = rounds.load(Ordering::Acquire);
            eventually("two rounds of keeping house", || {
                keeper.is_finished() || rounds.load(Ordering::Acquire) >= seen + 2
            });
        }
        is_over.store(true, Ordering::Relaxed);
        keeper.join().unwrap();
    });
    assert!(compressed.load(Ordering::Relaxed) >= 40);
    let mut lines = dir.visible();
    assert_eq!(lines.len(), visits);
    lines.dedup();
    assert_eq!(lines.len(), visits);
}

/// Processes that come and go, with their process ids reused (process 1 of a container and this
/// one), while others keep house: every run's records are there, each once.
#[test]
fn starting_among_housekeepers_loses_nothing() {
    let dir = Dir::new();
    let mut helpers: Vec<_> = (0..2).map(|_| Helper::start()).collect();
    helpers.extend((0..2).map_while(|_| Helper::start_in_container()));
    for helper in &mut helpers {
        helper.tell(&format!("runs 60 {}", dir.path().display()));
    }
    let mut keeper = Helper::start();
    for _ in 0..30 {
        let told = keeper.ask(&format!("housekeep 1000000 {}", dir.path().display()));
        assert!(told.contains("failed: 0"), "{told}");
    }
    let count = helpers.len() * 60;
    for helper in &mut helpers {
        assert_eq!(helper.answer().unwrap(), "ok");
    }
    keeper.ask(&format!("housekeep 1000000 {}", dir.path().display()));
    let files = store::list(&dir.path()).unwrap();
    assert_eq!(files.len(), count);
    let mut runs: Vec<_> = files.iter().map(|file| file.run_id.clone().unwrap()).collect();
    runs.sort();
    // The containers' processes have the same id, so their run ids come twice.
    runs.dedup();
    assert_eq!(runs.len(), count.min(180));
    for file in &files {
        assert_eq!(read_lines(&file.path).len(), 1, "{}", file.path.display());
    }
}

/// In the background nobody waits for it: it has threads of its own at the lowest priority, and
/// signals go to the program's threads.
#[test]
fn background_housekeeping_is_unobtrusive() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    big_log(&dir, 1);
    let before = dir.visible();
    let (mut seen, mut seen_helper) = (None, None);
    // On one core it does all by itself.
    let has_helpers = std::thread::available_parallelism().unwrap().get() > 1;
    for _ in 0..100 {
        store::spawn_housekeeping(dir.path(), 10, false);
        eventually("the compressed log", || {
            seen = seen.max(thread_named("trace-housekeep"));
            seen_helper = seen_helper.max(thread_named("trace-compressi"));
            !dir.at(&log(1)).exists()
        });
        let is_at_work = |seen: Option<(i32, u64)>| seen.is_some_and(|(nice, _)| nice == 19);
        if is_at_work(seen) && is_at_work(seen_helper) == has_helpers {
            break;
        }
        // It was not seen past its beginning, or those of another test were: these keep house in the
        // foreground, with helpers of the same name. Once more.
        eventually("the thread's end", || thread_named("trace-housekeep").is_none());
        fs::remove_file(dir.at(&(log(1) + ".gz"))).unwrap();
        big_log(&dir, 1);
    }
    assert!(seen.is_some() && seen_helper.is_some() == has_helpers, "seen at work");
    for (nice, blocked) in [seen, seen_helper].into_iter().flatten() {
        assert_eq!(nice, 19);
        let sigint = 1 << (libc::SIGINT - 1);
        assert_eq!(blocked & sigint, sigint);
    }
    assert_eq!(dir.visible(), before);
    // The program's own threads are as they were.
    let own = rustix::process::getpriority_process(None).unwrap();
    assert_ne!(own, 19);
}

/// Nice value and blocked signals of a thread of this process, when it is past its beginning; of
/// several, of the one that gives way most.
fn thread_named(name: &str) -> Option<(i32, u64)> {
    let threads = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let task = task.unwrap().path();
        if !fs::read_to_string(task.join("comm")).ok()?.starts_with(name) {
            return None;
        }
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        let nice = stat.rsplit(')').next()?.split_whitespace().nth(16)?.parse().ok()?;
        let status = fs::read_to_string(task.join("status")).ok()?;
        let blocked = status.lines().find_map(|text| text.strip_prefix("SigBlk:"))?;
        // Of a thread that is ending, no signal is told to be blocked.
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        if matches!(stat.rsplit(')').next()?.trim_start().chars().next()?, 'X' | 'Z') {
            return None;
        }
        Some((nice, u64::from_str_radix(blocked.trim(), 16).ok()?))
    });
    threads.max_by_key(|&(nice, _)| nice)
}

/// A housekeeping that fails says so in its report, and harms nothing.
#[test]
fn failures_are_counted() {
    let dir = Dir::new();
    dir.plain(&log(0), 0, &["newest"]);
    dir.plain(&log(1), 10, &["x"]);
    fs::write(dir.at(".tmp"), "a file").unwrap();
    let told = housekeep(&dir.path(), 1);
    assert_eq!(told, HousekeepingReport { failed: 1, ..report(0, 0) });
    assert_eq!(dir.visible().len(), 2);
}

/// A log of this process that is open is never compressed by this process's own housekeeping.
#[test]
fn own_live_logs_stay() {
    let dir = Dir::new();
    let own = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    own.append(line("x").as_bytes()).unwrap();
    own.flush().unwrap();
    set_age(own.path(), 1000);
    dir.plain(&log(0), 0, &["newest"]);
    assert_eq!(housekeep(&dir.path(), 0), report(0, 1));
    assert!(own.path().exists());
    own.close();
    assert_eq!(housekeep(&dir.path(), 0), report(0, 1));
    assert_eq!(dir.names(), Vec::<String>::new());
}

#[derive(Debug, Clone)]
struct Case {
    /// Age, run (None: another tool's), child, compressed.
    logs: Vec<(u64, Option<u8>, bool, bool)>,
    keep_runs: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let log = (1u64..1000, proptest::option::of(0u8..6), any::<bool>(), any::<bool>());
    (proptest::collection::vec(log, 0..12), 0usize..5)
        .prop_map(|(logs, keep_runs)| Case { logs, keep_runs })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever finished logs there are: exactly those of the newest runs stay, all compressed but
    /// those of the newest run, each with its records.
    #[test]
    fn housekeeping_follows_its_rule(case in cases()) {
        let dir = Dir::new();
        let mut runs: HashMap<String, Vec<(String, u64)>> = HashMap::new();
        for (number, (age_s, run, is_child, is_compressed)) in case.logs.iter().enumerate() {
            // Ages are made unique, so that the order is.
            let age_s = age_s * 100 + number as u64;
            let name = log(u32::try_from(number).unwrap());
            let path = if *is_compressed {
                dir.compressed(&(name.clone() + ".gz"), age_s, &[&name])
            } else {
                dir.plain(&name, age_s, &[&name])
            };
            let key = run.map_or_else(|| name.clone(), |run| run.to_string());
            if run.is_some() {
                set_run(&path, &key, *is_child);
            }
            runs.entry(key).or_default().push((name, age_s));
        }
        let mut runs: Vec<_> = runs.into_values().collect();
        runs.sort_by_key(|logs| logs.iter().map(|(_, age_s)| *age_s).min());
        let kept: Vec<_> = runs.iter().take(case.keep_runs).collect();
        let mut expected: Vec<String> = kept.iter().enumerate().flat_map(|(rank, logs)| {
            logs.iter().map(move |(name, _)| {
                let number: u32 = name[6..name.len() - 4].parse().unwrap();
                (rank, name, number - DEAD)
            })
        }).map(|(rank, name, number)| {
            let was_compressed = case.logs[number as usize].3;
            if rank == 0 && !was_compressed { name.clone() } else { format!("{name}.gz") }
        }).collect();
        expected.sort();

        let told = housekeep(&dir.path(), case.keep_runs);
        prop_assert_eq!(told.failed, 0);
        prop_assert_eq!(told.removed, case.logs.len() - expected.len());
        prop_assert_eq!(dir.names(), expected.clone());
        for name in expected {
            let plain = name.trim_end_matches(".gz");
            prop_assert_eq!(read_lines(&dir.at(&name)), [line(plain)]);
        }
    }
}
