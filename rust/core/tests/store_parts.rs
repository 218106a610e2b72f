//! The parts of a log that was rotated: one log, whatever happens to its files meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

mod store_support;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use inspect_trace_core::store::{
    self, KEPT_CHILD_LOGS, PartSearch, housekeep, log_files, part_path, resolve, resolve_all,
};
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, Helper, gzip, line, read_lines, run, set_age, set_run};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn log(number: u32) -> String {
    format!("trace-{}.log", DEAD + number)
}

fn part(number: u32, part: u32) -> String {
    format!("trace-{}.part{part:04}.log", DEAD + number)
}

/// The lines of a log's files, each opened as readers open them.
fn lines_of(path: &Path) -> Vec<String> {
    log_files(path)
        .iter()
        .flat_map(|file| {
            file.open_by(|path| {
                let open = |error| inspect_trace_core::Error::io("open", path, error);
                fs::read(path).map_err(open)
            })
            .map_or_else(|_| Vec::new(), |content| lines_in(&content))
        })
        .collect()
}

fn lines_in(content: &[u8]) -> Vec<String> {
    let mut text = String::new();
    if content.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(content).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(content.to_vec()).unwrap();
    }
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn names_of(path: &Path) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    log_files(path).iter().map(|file| name(file.path())).collect()
}

/// The files of a log come in the order in which they were written, compressed or not; the name of a
/// part stands for that part.
#[test]
fn files_come_in_order() {
    let dir = Dir::new();
    let live = dir.plain(&log(1), 0, &["e"]);
    dir.compressed(&(part(1, 1) + ".gz"), 9, &["a"]);
    dir.plain(&part(1, 2), 8, &["b", "c"]);
    dir.plain(&part(1, 10_000), 7, &["d"]);
    // Other logs, and what is none.
    dir.plain(&part(2, 3), 7, &["other"]);
    dir.plain(&format!("trace-{}.part3.log", DEAD + 1), 7, &["other"]);
    let expected = [part(1, 1) + ".gz", part(1, 2), part(1, 10_000), log(1)];
    assert_eq!(names_of(&live), expected);
    let all: Vec<_> = ["a", "b", "c", "d", "e"].map(line).to_vec();
    assert_eq!(lines_of(&live), all);
    // By the name that the log gets once it is compressed, too.
    assert_eq!(names_of(&dir.at(&(log(1) + ".gz"))).len(), 4);
    assert_eq!(lines_of(&dir.at(&part(1, 2))), all[1..3]);
    // Under the name that it had before it was compressed.
    assert_eq!(lines_of(&dir.at(&part(1, 1))), all[..1]);
}

/// A log is found by its own name, also where only parts are left of it, by the alias of the newest,
/// in a directory, and from the directory that one is in.
#[test]
fn logs_of_parts_are_found() {
    let dir = Dir::new();
    dir.plain(&part(1, 1), 9, &["a"]);
    dir.plain(&part(1, 2), 8, &["b"]);
    dir.plain(&log(2), 99, &["older"]);
    let cwd = dir.outside("");
    let find = |name: &str| resolve(Some(Path::new(name)), &dir.path(), &cwd);
    for name in [&log(1), &(log(1) + ".gz"), "trace.log", dir.at(&log(1)).to_str().unwrap()] {
        assert_eq!(find(name).unwrap(), dir.at(&log(1)), "{name}");
    }
    assert_eq!(resolve(None, &dir.path(), &cwd).unwrap(), dir.at(&log(1)));
    assert_eq!(find(&part(1, 2)).unwrap(), dir.at(&part(1, 2)));
    assert!(find(&part(1, 3)).is_err());
    assert!(find(&log(3)).is_err());
    let all = resolve_all(&[dir.path()], &dir.path(), &cwd).unwrap();
    assert_eq!(all, [dir.at(&log(2)), dir.at(&log(1))]);
    assert_eq!(lines_of(&dir.at(&log(1))), [line("a"), line("b")]);
}

/// A log of any name has parts: the number stands before an ending that is known.
#[test]
fn any_log_has_parts() {
    let dir = Dir::new();
    for (name, part_name, is_gz) in [
        ("app.jsonl", "app.part0001.jsonl", false),
        ("app.txt", "app.txt.part0001", false),
        ("app", "app.part0001.gz", true),
    ] {
        let path = dir.outside(name);
        fs::write(&path, line("new")).unwrap();
        let old = line(name);
        let content = if is_gz { gzip(old.as_bytes()) } else { old.clone().into_bytes() };
        fs::write(dir.outside(part_name), content).unwrap();
        assert_eq!(lines_of(&path), [old, line("new")], "{name}");
    }
}

/// A listing has one entry for a log: the size of all of its files, the time of the newest, and how
/// many parts there are.
#[test]
fn a_listing_has_one_entry() {
    let dir = Dir::new();
    let live = dir.plain(&log(1), 5, &["c"]);
    let first = dir.compressed(&(part(1, 1) + ".gz"), 9, &["a"]);
    let second = dir.plain(&part(1, 2), 7, &["b"]);
    dir.plain(&part(2, 1), 99, &["left"]);
    dir.plain("app.part0001.jsonl", 999, &["x"]);
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let files = store::list(&dir.path()).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(paths, [live.clone(), dir.at(&log(2)), dir.at("app.jsonl")]);
    assert_eq!(files[0].size_bytes, size(&live) + size(&first) + size(&second));
    assert_eq!(files.iter().map(|file| file.parts).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!((files[0].pid, files[0].alive), (Some(DEAD + 1), Some(false)));
    assert_eq!((files[1].pid, files[1].alive), (Some(DEAD + 2), Some(false)));
    // The newest of the files counts, whichever that is.
    set_age(&second, 1);
    let files = store::list(&dir.path()).unwrap();
    let modified = fs::metadata(&second).unwrap().modified().unwrap();
    let expected_s = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((files[0].mtime_s - expected_s).abs() < 1e-3);
}

/// While the file that is written is missing, for the moment of a rotation, the log is as live as its
/// newest part.
#[test]
fn a_log_between_two_files_is_live() {
    let dir = Dir::new();
    dir.plain(&part(1, 1), 9, &["a"]);
    let writer = LogWriter::open(&dir.at(&part(1, 2))).unwrap();
    assert_eq!(store::list(&dir.path()).unwrap()[0].alive, Some(true));
    drop(writer);
    assert_eq!(store::list(&dir.path()).unwrap()[0].alive, Some(false));
}

/// Parts are compressed when they are over, those of a log that is being written too; that log, and
/// the newest, stay plain.
#[test]
fn parts_that_are_over_are_compressed() {
    let dir = Dir::new();
    let writer = LogWriter::create_in(&dir.path(), &run("one")).unwrap();
    let live = writer.path().to_owned();
    for number in 1..=2 {
        fs::write(part_path(&live, number), line(&number.to_string())).unwrap();
        set_run(&part_path(&live, number), "one", false);
    }
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let told = housekeep(&dir.path(), 10);
    assert_eq!((told.compressed, told.removed, told.failed), (2, 0, 0));
    let mut expected = vec![name(&live)];
    expected.extend((1..=2).map(|number| name(&part_path(&live, number)) + ".gz"));
    expected.sort();
    assert_eq!(dir.names(), expected);
    assert_eq!(lines_of(&live), [line("1"), line("2")]);
    assert_eq!(store::list(&dir.path()).unwrap()[0].run_id.as_deref(), Some("one"));
}

/// A part that somebody still has open (a forked child that has not gone on to the new file) stays
/// plain until it is let go of.
#[test]
fn parts_that_are_held_stay_plain() {
    let dir = Dir::new();
    dir.plain(&log(1), 0, &["b"]);
    dir.plain(&part(1, 1), 9, &["a"]);
    let mut holder = Helper::start();
    holder.ask(&format!("open {}", dir.at(&part(1, 1)).display()));
    assert_eq!(housekeep(&dir.path(), 10).compressed, 0);
    drop(holder.kill());
    store_support::eventually("the lock to go", || housekeep(&dir.path(), 10).compressed == 1);
    assert_eq!(dir.names(), [log(1), part(1, 1) + ".gz"]);
}

/// What is kept are so many logs, however many parts they have; parts stay and go with their log.
#[test]
fn parts_are_retired_with_their_log() {
    let dir = Dir::new();
    for number in 0..4u64 {
        let id = u32::try_from(number).unwrap();
        dir.plain(&log(id), number * 10, &["live"]);
        for index in 1..=3 {
            // As old as can be: the log's age is that of its newest file.
            dir.plain(&part(id, index), 10_000 + number, &["part"]);
        }
    }
    let told = housekeep(&dir.path(), 2);
    assert_eq!((told.removed, told.compressed), (2, 7));
    let names = dir.names();
    assert_eq!(names.len(), 8);
    assert!(names.iter().all(|name| {
        name.contains(&DEAD.to_string()) || name.contains(&(DEAD + 1).to_string())
    }));
}

/// No part of a log goes while the log is written, and none of a run while a process of it lives.
#[test]
fn parts_of_live_runs_stay() {
    let dir = Dir::new();
    let writer = LogWriter::create_in(&dir.path(), &run("live")).unwrap();
    dir.plain(&log(1), 5_000, &["child"]);
    dir.plain(&part(1, 1), 6_000, &["child's part"]);
    for name in [log(1), part(1, 1)] {
        set_run(&dir.at(&name), "live", true);
    }
    let own = part_path(writer.path(), 1);
    fs::write(&own, line("part")).unwrap();
    assert_eq!(housekeep(&dir.path(), 0).removed, 0);
    let before = [lines_of(writer.path()), lines_of(&dir.at(&log(1)))];
    assert_eq!(before, [vec![line("part")], vec![line("child's part"), line("child")]]);
}

/// A run keeps so many logs of its children, not so many files.
#[test]
fn children_are_counted_by_their_logs() {
    let dir = Dir::new();
    let count = u32::try_from(KEPT_CHILD_LOGS).unwrap() + 2;
    for number in 1..=count {
        for name in [log(number), part(number, 1)] {
            dir.plain(&name, u64::from(number), &["x"]);
            set_run(&dir.at(&name), "many", true);
        }
    }
    assert_eq!(housekeep(&dir.path(), 10).removed, 2);
    let logs = store::list(&dir.path()).unwrap();
    assert_eq!(logs.len(), KEPT_CHILD_LOGS);
    assert!(logs.iter().all(|log| log.parts == 1));
}

/// A process whose id an older log with parts has takes another name: parts are never taken for those
/// of another log.
#[test]
fn parts_are_not_taken_over() {
    let dir = Dir::new();
    let own = std::process::id();
    let first = format!("trace-{own}.part0001.log");
    dir.plain(&first, 9, &["old"]);
    let writer = LogWriter::create_in(&dir.path(), &run("new")).unwrap();
    assert_eq!(writer.path(), dir.at(&format!("trace-{own}-1.log")));
    assert_eq!(lines_of(writer.path()), Vec::<String>::new());
    dir.plain(&format!("trace-{own}.log"), 9, &["older"]);
    let other = LogWriter::create_in(&dir.path(), &run("new")).unwrap();
    assert_eq!(other.path(), dir.at(&format!("trace-{own}-2.log")));
    assert_eq!(read_lines(&dir.at(&first)), [line("old")]);
}

/// Whatever moment files are looked for and opened at, while the log is rotated and its parts are
/// compressed, every line that was there before is read once, in order, without a gap.
#[test]
fn rotation_meanwhile_loses_and_repeats_nothing() {
    let dir = Dir::new();
    let live = dir.at(&log(1));
    fs::write(&live, line("0")).unwrap();
    let is_over = AtomicBool::new(false);
    let mut looks = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=400u32 {
                let part = part_path(&live, number);
                fs::rename(&live, &part).unwrap();
                fs::write(dir.at("next"), line(&number.to_string())).unwrap();
                fs::rename(dir.at("next"), &live).unwrap();
                // The newest at once, or some time later; and by rename, as housekeeping does.
                let packed =
                    part_path(&live, if number % 3 == 0 { number } else { number / 2 + 1 });
                if let Ok(content) = fs::read(&packed) {
                    fs::write(dir.at("packed"), gzip(&content)).unwrap();
                    let mut name = packed.clone().into_os_string();
                    name.push(".gz");
                    fs::rename(dir.at("packed"), name).unwrap();
                    fs::remove_file(&packed).unwrap();
                }
            }
            is_over.store(true, Ordering::Release);
        });
        let mut known = 0;
        while !is_over.load(Ordering::Acquire) {
            let lines = lines_of(&live);
            let expected: Vec<_> =
                (0..lines.len()).map(|number| line(&number.to_string())).collect();
            assert_eq!(lines, expected);
            assert!(lines.len() >= known, "{} of {known}", lines.len());
            known = lines.len();
            looks += 1;
        }
    });
    assert_eq!(lines_of(&live).len(), 401);
    assert!(looks > 5, "{looks}");
}

/// A directory is read once for all of the logs in it that are asked for.
#[test]
fn many_logs_share_a_reading() {
    let dir = Dir::new();
    let mut search = PartSearch::default();
    for number in 0..3 {
        dir.plain(&log(number), 0, &["live"]);
        dir.plain(&part(number, 1), 9, &["part"]);
    }
    let files = |search: &mut PartSearch, number| search.files(&dir.at(&log(number))).len();
    assert_eq!((0..3).map(|number| files(&mut search, number)).sum::<usize>(), 6);
    // One that has become a part since is found without reading it again.
    fs::rename(dir.at(&log(2)), dir.at(&part(2, 2))).unwrap();
    assert_eq!(files(&mut search, 2), 2);
    dir.plain(&log(2), 0, &["live"]);
    assert_eq!(files(&mut search, 2), 3);
}

/// At whatever step of opening a file of a log the log is rotated, and the new part compressed, it is
/// the file that was looked for that is opened.
#[test]
fn rotation_at_any_step_of_opening_changes_nothing() {
    for (step, is_packed, rotations) in
        (0..6).flat_map(|step| [(step, false, 1), (step, true, 1), (step, true, 2)])
    {
        let dir = Dir::new();
        let live = dir.plain(&log(1), 0, &["1"]);
        let files = log_files(&live);
        let mut steps = 0;
        let rotate_at = |at: u32| {
            if at != step {
                return;
            }
            for number in 1..=rotations {
                let part = part_path(&live, number);
                fs::rename(&live, &part).unwrap();
                fs::write(&live, line(&format!("{}", number + 1))).unwrap();
                if is_packed {
                    let packed = gzip(&fs::read(&part).unwrap());
                    fs::write(format!("{}.gz", part.display()), packed).unwrap();
                    fs::remove_file(part).unwrap();
                }
            }
        };
        let opened = files[0].open_by(|path| {
            rotate_at(steps);
            let content =
                fs::read(path).map_err(|error| inspect_trace_core::Error::io("open", path, error));
            rotate_at(steps + 1);
            steps += 2;
            content
        });
        assert_eq!(lines_in(&opened.unwrap()), [line("1")], "{step} {is_packed} {rotations}");
        assert_eq!(files.len(), 1);
    }
}

/// A part that is compressed at any step of opening it is opened.
#[test]
fn compression_at_any_step_of_opening_changes_nothing() {
    for step in 0..3 {
        let dir = Dir::new();
        dir.plain(&log(1), 0, &["live"]);
        let part = dir.plain(&part(1, 1), 9, &["1"]);
        let files = log_files(&part);
        let mut steps = 0;
        let opened = files[0].open_by(|path| {
            if steps == step {
                let packed = gzip(&fs::read(&part).unwrap());
                fs::write(format!("{}.gz", part.display()), packed).unwrap();
                fs::remove_file(&part).unwrap();
            }
            steps += 1;
            fs::read(path).map_err(|error| inspect_trace_core::Error::io("open", path, error))
        });
        assert_eq!(lines_in(&opened.unwrap()), [line("1")], "{step}");
    }
}
