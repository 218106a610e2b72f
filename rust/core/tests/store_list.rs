//! Listing a trace directory, and finding in it what a person means.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use inspect_trace_core::Error;
use inspect_trace_core::store::{list, resolve};
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, Helper, eventually, make_fifo, run, set_age, set_run};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn listed(dir: &Dir) -> Vec<String> {
    list(&dir.path())
        .unwrap()
        .iter()
        .map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Logs of every kind are listed, newest first and then by name; what is no log, or no file, is
/// not.
#[test]
fn logs_are_listed_newest_first() {
    let dir = Dir::new();
    dir.plain("b.jsonl", 30, &[]);
    dir.plain("old.log", 1000, &[]);
    dir.compressed("a.jsonl.gz", 20, &[]);
    dir.compressed("trace-5.log.gz", 10, &[]);
    dir.plain("new.log", 0, &[]);
    for tie in ["tie-2.log", "tie-1.log", "tie-3.log"] {
        let path = dir.plain(tie, 0, &[]);
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::open(path).unwrap().set_modified(modified).unwrap();
    }
    dir.plain("notes.txt", 0, &[]);
    dir.plain("x.log.bak", 0, &[]);
    dir.compressed("x.gz", 0, &[]);
    symlink(dir.at("new.log"), dir.at("link.log")).unwrap();
    symlink("nowhere", dir.at("dangling.log")).unwrap();
    fs::create_dir(dir.at("directory.log")).unwrap();
    make_fifo(&dir.at("fifo.log"));
    assert_eq!(
        listed(&dir),
        [
            "new.log",
            "trace-5.log.gz",
            "a.jsonl.gz",
            "b.jsonl",
            "old.log",
            "tie-1.log",
            "tie-2.log",
            "tie-3.log"
        ]
    );
}

/// A log that stands there plain and compressed, as while it is being compressed, is listed once.
#[test]
fn half_compressed_logs_are_listed_once() {
    let dir = Dir::new();
    dir.plain("trace-5.log", 10, &["x"]);
    dir.compressed("trace-5.log.gz", 0, &["x"]);
    dir.compressed("trace-6.log.gz", 5, &["x"]);
    assert_eq!(listed(&dir), ["trace-6.log.gz", "trace-5.log"]);
}

/// A directory that does not exist has no logs, and listing does not create it; one that is no
/// directory is an error.
#[test]
fn missing_directories_are_empty() {
    let dir = Dir::new();
    assert_eq!(list(&dir.outside("none")).unwrap(), []);
    assert!(!dir.outside("none").exists());
    fs::write(dir.outside("file"), "").unwrap();
    let error = list(&dir.outside("file")).unwrap_err().to_string();
    assert_eq!(error, format!("cannot list {}: Not a directory", dir.outside("file").display()));
}

/// What is listed of a log: size, time, process, run.
#[test]
fn entries_are_complete() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    helper.ask(&format!("create-child the-run {}", dir.path().display()));
    helper.ask("append x");
    let other = dir.plain(&format!("trace-{DEAD}.log"), 100, &["x"]);
    let files = list(&dir.path()).unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(files[0].pid, Some(helper.pid()));
    assert_eq!(files[0].alive, Some(true));
    assert_eq!(files[0].run_id.as_deref(), Some("the-run"));
    assert!(files[0].is_child);
    assert_eq!(files[1].path, other);
    assert_eq!(files[1].size_bytes, fs::metadata(&other).unwrap().len());
    assert_eq!((files[1].pid, files[1].alive), (Some(DEAD), Some(false)));
    assert_eq!((&files[1].run_id, files[1].is_child), (&None, false));
    let modified = fs::metadata(&other).unwrap().modified().unwrap();
    let modified_s = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((files[1].mtime_s - modified_s).abs() < 1e-6);
}

/// While logs are being compressed, each listing has every one of them exactly once, under one name
/// or the other.
#[test]
fn listing_while_logs_are_compressed() {
    let mut keeper = Helper::start();
    for _ in 0..10 {
        let dir = Dir::new();
        let logs: Vec<_> = (0..30).map(|n| format!("trace-{}.log", DEAD + n)).collect();
        for (age_s, name) in logs.iter().enumerate() {
            dir.plain(name, age_s as u64, &["x"]);
        }
        keeper.tell(&format!("housekeep 1000 {}", dir.path().display()));
        eventually("all compressed", || {
            let names = listed(&dir);
            let mut stems: Vec<_> = names.iter().map(|name| name.trim_end_matches(".gz")).collect();
            stems.sort_unstable();
            assert_eq!(stems, logs);
            logs[1..].iter().all(|name| names.contains(&(name.clone() + ".gz")))
        });
        keeper.answer().unwrap();
    }
}

/// While logs come and go, each listing has every log that stays exactly once.
#[test]
fn listing_while_processes_start() {
    let dir = Dir::new();
    let stable: Vec<_> = (0..30).map(|n| format!("trace-{}.log.gz", DEAD + n)).collect();
    for name in &stable {
        dir.compressed(name, 100, &["x"]);
    }
    let mut writer = Helper::start();
    writer.tell(&format!("runs 150 {}", dir.path().display()));
    eventually("all runs", || {
        let names = listed(&dir);
        for name in &stable {
            assert_eq!(names.iter().filter(|listed| *listed == name).count(), 1, "{name}");
        }
        names.len() == 180
    });
    assert_eq!(writer.answer().unwrap(), "ok");
    assert_eq!(dir.visible().len(), 180);
}

/// Without a name the newest log is meant, by whatever tool; in an empty directory the error says
/// so.
#[test]
fn no_name_means_the_newest() {
    let dir = Dir::new();
    let cwd = dir.outside("");
    let resolve = |name: Option<&str>| resolve(name.map(Path::new), &dir.path(), &cwd);
    for name in [None, Some("trace.log")] {
        assert!(matches!(resolve(name), Err(Error::NoTraceFiles { .. })), "{name:?}");
    }
    dir.compressed("trace-5.log.gz", 10, &[]);
    let newest = dir.plain("other.log", 0, &[]);
    assert_eq!(resolve(None).unwrap(), newest);
    assert_eq!(resolve(Some("trace.log")).unwrap(), newest);
}

/// The names of the older documentation count back from the newest log.
#[test]
fn aliases_count_back() {
    let dir = Dir::new();
    let cwd = dir.outside("");
    let logs: Vec<_> = (0..3)
        .map(|n| dir.compressed(&format!("trace-{}.log.gz", DEAD + n), n.into(), &[]))
        .collect();
    let resolve = |name: &str| resolve(Some(Path::new(name)), &dir.path(), &cwd);
    assert_eq!(resolve("trace.log").unwrap(), logs[0]);
    assert_eq!(resolve("trace.log.1.gz").unwrap(), logs[1]);
    assert_eq!(resolve("trace.log.1").unwrap(), logs[1]);
    assert_eq!(resolve("trace.log.2.gz").unwrap(), logs[2]);
    let error = resolve("trace.log.3.gz").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    assert!(error.to_string().contains("'trace.log.3.gz'"), "{error}");
    // A file of that very name is what is meant, where there is one.
    let named = dir.compressed("trace.log.1.gz", 5000, &[]);
    assert_eq!(resolve("trace.log.1.gz").unwrap(), named);
    assert_eq!(resolve("trace.log.1").unwrap(), named);
}

/// Relative names are looked for in the trace directory first, `./` and `../` in the current one
/// first; either in the other one after that. Absolute names are only themselves.
#[test]
fn places_are_searched_in_order() {
    let dir = Dir::new();
    let cwd = dir.outside("here");
    fs::create_dir(&cwd).unwrap();
    let resolve = |name: &str| resolve(Some(Path::new(name)), &dir.path(), &cwd);
    let in_dir = dir.plain("both.log", 0, &[]);
    let here = dir.plain("../here/both.log", 0, &[]);
    dir.plain("../here/only-here.log", 0, &[]);
    dir.plain("only-there.log", 0, &[]);
    dir.plain("../above.log", 0, &[]);
    assert_eq!(resolve("both.log").unwrap(), in_dir);
    assert_eq!(resolve("./both.log").unwrap(), cwd.join("./both.log"));
    assert_eq!(resolve("only-here.log").unwrap(), cwd.join("only-here.log"));
    assert_eq!(resolve("./only-there.log").unwrap(), dir.path().join("./only-there.log"));
    assert_eq!(resolve("../above.log").unwrap(), cwd.join("../above.log"));
    assert_eq!(resolve(here.to_str().unwrap()).unwrap(), here);
    let error = resolve("none.log").unwrap_err().to_string();
    let searched = format!("{} or {}", dir.path().display(), cwd.display());
    assert!(error.starts_with(&format!("no trace file 'none.log' in {searched}")), "{error}");
    let error = resolve("/no/such.log").unwrap_err().to_string();
    assert!(error.starts_with("no trace file 'such.log' in /no ("), "{error}");
}

/// A log that was compressed since its name was copied is found, and the reverse.
#[test]
fn either_form_of_a_log_is_found() {
    let dir = Dir::new();
    let resolve = |name: &str| resolve(Some(Path::new(name)), &dir.path(), &dir.path());
    let compressed = dir.compressed("trace-5.log.gz", 0, &[]);
    let plain = dir.plain("trace-6.log", 0, &[]);
    assert_eq!(resolve("trace-5.log").unwrap(), compressed);
    assert_eq!(resolve("trace-6.log.gz").unwrap(), plain);
    assert_eq!(resolve(dir.at("trace-5.log").to_str().unwrap()).unwrap(), compressed);
    let now_plain = dir.plain("trace-5.log", 0, &[]);
    assert_eq!(resolve("trace-5.log").unwrap(), now_plain);
    assert_eq!(resolve("trace-5.log.gz").unwrap(), compressed);
}

/// A directory or device of the name is an error that says so; a FIFO is taken, without waiting, unless
/// there is a file elsewhere.
#[test]
fn what_is_no_file_is_told() {
    let dir = Dir::new();
    let cwd = dir.outside("here");
    fs::create_dir(&cwd).unwrap();
    let resolve = |name: &str| resolve(Some(Path::new(name)), &dir.path(), &cwd);
    fs::create_dir(dir.at("sub")).unwrap();
    make_fifo(&dir.at("fifo.log"));
    assert!(matches!(resolve("sub"), Err(Error::NotAFile { kind: "directory", .. })));
    assert!(matches!(resolve(""), Err(Error::NotAFile { kind: "directory", .. })));
    assert!(matches!(resolve("/"), Err(Error::NotAFile { kind: "directory", .. })));
    assert_eq!(resolve("fifo.log").unwrap(), dir.at("fifo.log"));
    assert_eq!(resolve(dir.at("fifo.log").to_str().unwrap()).unwrap(), dir.at("fifo.log"));
    assert!(matches!(resolve("/dev/null"), Err(Error::NotAFile { kind: "device", .. })));
    dir.plain("../here/sub", 0, &[]);
    assert_eq!(resolve("sub").unwrap(), cwd.join("sub"));
    dir.plain("../here/fifo.log", 0, &[]);
    assert_eq!(resolve("fifo.log").unwrap(), cwd.join("fifo.log"));
}

/// Names that no file can have are not found, rather than failures of the system.
#[test]
fn impossible_names_are_not_found() {
    let dir = Dir::new();
    dir.plain("x.log", 0, &[]);
    for name in ["x.log/y.log", "a\0b", &"n".repeat(5000), "none\u{202e}"] {
        let error = resolve(Some(Path::new(name)), &dir.path(), &dir.path()).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}

/// A log that stays open is the newest for what it wrote last, like any other.
#[test]
fn live_logs_rank_by_their_last_change() {
    let dir = Dir::new();
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    set_age(log.path(), 100);
    let newer = dir.plain(&format!("trace-{DEAD}.log"), 10, &[]);
    set_run(&newer, "s", false);
    assert_eq!(resolve(None, &dir.path(), &dir.path()).unwrap(), newer);
}
