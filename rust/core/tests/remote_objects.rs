//! Logs in object stores read like files: whatever they are, however they come, whatever goes wrong.
#![allow(clippy::unwrap_used)]

mod scan_support;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use inspect_trace_core::archive::{Counts, Origin};
use inspect_trace_core::read::{BlockMap, Filter, Log, Scan, ScanOptions, ScanStep, Skipped};
use inspect_trace_core::remote::{Fetch, FetchOptions, ObjectInfo, Objects, logs_of};
use inspect_trace_core::render::{AnomaliesOptions, TableStyle, anomalies_report};
use proptest::prelude::*;
use scan_support::*;

/// A store whose objects are files; they can be listed as longer than they are.
struct Files(Vec<PathBuf>);

impl Fetch for Files {
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        let file = File::open(&self.0[object])?;
        into.resize(usize::try_from(range.end - range.start).unwrap(), 0);
        let length = file.read_at(into, range.start)?;
        into.truncate(length);
        Ok(())
    }
}

fn info(name: &str, size_bytes: u64) -> ObjectInfo {
    ObjectInfo { name: format!("s3://bucket/{name}"), size_bytes, modified_s: None }
}

fn objects(logs: &[&TempLog], options: FetchOptions) -> Objects {
    let listed = |log: &&TempLog| {
        let name = log.path.file_name().unwrap().to_string_lossy();
        info(&name, log.path.metadata().unwrap().len())
    };
    let files = Files(logs.iter().map(|log| log.path.clone()).collect());
    Objects::new(logs.iter().map(listed).collect(), files, options)
}

fn only(objects: &Objects) -> Log {
    logs_of(objects.iter()).remove(0)
}

/// Any way to fetch.
fn any_fetching() -> impl Strategy<Value = FetchOptions> {
    let chunk_bytes = prop_oneof![1 => 9_u64..60, 4 => 60_u64..3000, 1 => Just(4_u64 << 20)];
    (1_usize..5, chunk_bytes, 0_usize..9).prop_map(|(connections, chunk_bytes, max_chunks)| {
        FetchOptions { connections, chunk_bytes, max_chunks }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A plain log in a store has the records of the file, and the same is skipped.
    #[test]
    fn plain_objects_are_as_files(
        text in any_log(), scan in any_way(), fetching in any_fetching(),
    ) {
        let log = TempLog::plain(&text);
        let (expected, expected_skipped) = by_one_cursor(&text);
        let (read, skipped) = scanned(&only(&objects(&[&log], fetching)), scan);
        prop_assert_eq!(described(&read), &expected[..]);
        prop_assert_eq!(&skipped, &expected_skipped);
    }

    /// So has a compressed one, whatever members it is made of and however it is damaged.
    #[test]
    fn compressed_objects_are_as_files(
        (file, _) in any_gzip(), scan in any_way(), fetching in any_fetching(),
    ) {
        let log = TempLog::compressed(&file);
        let (expected, expected_skipped) = in_series(&log.path);
        let (read, skipped) = scanned(&only(&objects(&[&log], fetching)), scan);
        prop_assert_eq!(described(&read), described(&expected));
        prop_assert_eq!(&skipped, &expected_skipped);
    }
}

/// Notes how much of which file the blocks have.
struct Count;

impl BlockMap for Count {
    type Scratch = ();
    type Output = u64;

    fn map(
        &self,
        _file: usize,
        (): &mut (),
        block: &inspect_trace_core::read::Block,
        _skipped: &mut Skipped,
        bytes: &mut u64,
    ) {
        *bytes += block.bytes.len() as u64;
    }
}

/// How many bytes each log gave, and what went wrong.
fn counted(logs: &[Log], scan: ScanOptions) -> Vec<(u64, Option<String>)> {
    let mut scan = Scan::new(logs, Count, scan).unwrap();
    let mut counts: Vec<_> = logs.iter().map(|_| (0, None)).collect();
    loop {
        match scan.next(Duration::from_secs(9)).unwrap() {
            ScanStep::Part(part) => {
                counts[part.log].0 += part.output;
                if let Some(error) = part.error {
                    counts[part.log].1 = Some(error.to_string());
                }
            }
            ScanStep::Pending => {}
            ScanStep::End => return counts,
        }
    }
}

fn lines(count: usize) -> String {
    "{\"message\": \"one of many\"}\n".repeat(count)
}

/// Logs that are read from their beginnings to their ends are fetched once, chunk by chunk.
#[test]
fn nothing_is_fetched_twice() {
    let logs: Vec<_> = [3000, 1, 0, 700].map(|count| TempLog::plain(lines(count))).into();
    let logs: Vec<_> = logs.iter().collect();
    for (threads, connections) in [(1, 1), (2, 16), (4, 3)] {
        let fetching = FetchOptions { connections, chunk_bytes: 4096, max_chunks: 64 };
        let objects = objects(&logs, fetching);
        let all: Vec<_> = objects.iter().map(|object| Log::object(&object)).collect();
        let sizes: Vec<_> = objects.infos().iter().map(|info| info.size_bytes).collect();
        let counts = counted(&all, with_threads(threads, 1000));
        assert_eq!(counts.iter().map(|count| count.0).collect::<Vec<_>>(), sizes);
        let chunks = sizes.iter().map(|size| size.div_ceil(4096)).sum::<u64>();
        assert_eq!(objects.traffic(), (chunks, sizes.iter().sum()));
    }
}

/// A store that answers nobody before so many ask at a time.
struct Together {
    files: Files,
    wanted: usize,
    asking: Mutex<usize>,
    changed: Condvar,
}

impl Fetch for Together {
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        let mut asking = self.asking.lock().unwrap();
        *asking += 1;
        self.changed.notify_all();
        let few = |asking: &mut usize| *asking < self.wanted;
        let (_asking, waited) =
            self.changed.wait_timeout_while(asking, Duration::from_secs(60), few).unwrap();
        if waited.timed_out() {
            return Err(io::Error::other("the others do not come"));
        }
        self.files.fetch(object, range, into)
    }
}

/// A thread that reads one small log after the other has as many of them asked for at a time as there
/// are connections.
#[test]
fn many_small_objects_are_asked_for_at_a_time() {
    let log = TempLog::plain(lines(9));
    let size = log.path.metadata().unwrap().len();
    let infos: Vec<_> = (0..40).map(|number| info(&format!("{number}.log"), size)).collect();
    let options = FetchOptions { connections: 16, ..FetchOptions::default() };
    let store = Together {
        files: Files(vec![log.path.clone(); infos.len()]),
        wanted: options.connections,
        asking: Mutex::new(0),
        changed: Condvar::new(),
    };
    let objects = Objects::new(infos, store, options);
    for object in objects.iter() {
        assert_eq!(counted(&[Log::object(&object)], with_threads(1, 1000)), [(size, None)]);
    }
    assert_eq!(objects.traffic(), (40, 40 * size));
}

/// A store that refuses some objects, or gives less than there was.
struct Refusing(Files, usize);

impl Fetch for Refusing {
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        if object == self.1 && range.start > 0 {
            return Err(io::Error::other("the store is on fire"));
        }
        self.0.fetch(object, range, into)
    }
}

/// What cannot be fetched is told by the name of the object and what the store said; the others are
/// read.
#[test]
fn a_refusal_is_told_and_the_others_are_read() {
    let logs: Vec<_> = (0..3).map(|_| TempLog::plain(lines(900))).collect();
    let paths: Vec<_> = logs.iter().map(|log| log.path.clone()).collect();
    let size = paths[0].metadata().unwrap().len();
    let infos: Vec<_> = ["a.log", "b.log", "c.log"].map(|name| info(name, size)).into();
    let fetching = FetchOptions { connections: 2, chunk_bytes: 2048, max_chunks: 8 };
    let objects = Objects::new(infos, Refusing(Files(paths), 1), fetching);
    let all: Vec<_> = objects.iter().map(|object| Log::object(&object)).collect();
    for threads in [1, 3] {
        let counts = counted(&all, with_threads(threads, 1000));
        assert_eq!([counts[0].clone(), counts[2].clone()], [(size, None), (size, None)]);
        let told = counts[1].1.clone().unwrap();
        assert_eq!(told, "cannot read s3://bucket/b.log: the store is on fire");
        assert!(counts[1].0 <= 2048);
    }
}

/// An object that is shorter than it was when it was listed is told as changed.
#[test]
fn an_object_that_became_shorter_is_told() {
    let log = TempLog::plain(lines(10));
    let size = log.path.metadata().unwrap().len();
    let files = Files(vec![log.path.clone()]);
    let objects = Objects::new(vec![info("x.log", size + 1)], files, FetchOptions::default());
    let logs = [only(&objects), Log::whole(&log.path)];
    let counts = counted(&logs, ScanOptions::default());
    let told = counts[0].1.clone().unwrap();
    assert!(
        told.starts_with("cannot open s3://") || told.starts_with("cannot read s3://"),
        "{told}"
    );
    assert!(told.ends_with("it has changed since it was listed"), "{told}");
    assert_eq!(counts[1], (size, None));
}

/// A store that does not answer until it is told to.
struct Silent {
    asked: Sender<()>,
    answer: Mutex<Receiver<()>>,
}

impl Fetch for Silent {
    fn fetch(&self, _object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        let _ = self.asked.send(());
        let _ = self.answer.lock().unwrap().recv();
        into.resize(usize::try_from(range.end - range.start).unwrap(), b'\n');
        Ok(())
    }
}

/// Who wants no more does not wait for a store that does not answer.
#[test]
fn nobody_waits_who_wants_no_more() {
    let (asked, was_asked) = channel();
    let (_answers, answer) = channel();
    let silent = Silent { asked, answer: Mutex::new(answer) };
    let infos = vec![info("x.log", 9000), info("y.log", 9000)];
    let objects = Objects::new(infos, silent, FetchOptions::default());
    let logs: Vec<_> = objects.iter().map(|object| Log::object(&object)).collect();
    let mut scan = Scan::new(&logs, Count, with_threads(2, 1000)).unwrap();
    was_asked.recv().unwrap();
    assert!(matches!(scan.next(Duration::ZERO).unwrap(), ScanStep::Pending));
    // This would wait for ever.
    drop(scan);
}

/// The parts of a rotated log are one log with it, in their order, also where it is missing; plain
/// and compressed it is the same one.
#[test]
fn parts_are_one_log() {
    let names = [
        "a/x.log",
        "a/x.part0002.log",
        "a/x.part0001.log.gz",
        "a/y.part0010.log.gz",
        "a/y.part0009.log.gz",
        "b/x.log.gz",
        "b/x.log",
    ];
    let infos = names.iter().map(|name| info(name, 1)).collect();
    let objects = Objects::new(infos, Files(Vec::new()), FetchOptions::default());
    let found: Vec<_> = logs_of(objects.iter())
        .into_iter()
        .map(|log| {
            let short = |path: &std::path::Path| {
                path.to_string_lossy().trim_start_matches("s3://bucket/").to_owned()
            };
            let files: Vec<_> = log.files.iter().map(|file| short(file.path())).collect();
            (short(&log.path), files.join(" "))
        })
        .collect();
    let expected = [
        ("a/x.log", "a/x.part0001.log.gz a/x.part0002.log a/x.log"),
        ("a/y.log", "a/y.part0009.log.gz a/y.part0010.log.gz"),
        ("b/x.log.gz", "b/x.log.gz"),
    ];
    assert_eq!(found, expected.map(|(log, files)| (log.to_owned(), files.to_owned())));
}

/// A store that notes which objects it is asked for.
struct Noting(Files, Arc<Mutex<Vec<usize>>>);

impl Fetch for Noting {
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        self.1.lock().unwrap().push(object);
        self.0.fetch(object, range, into)
    }
}

/// Of logs of which their archive tells that there are no anomalies, nothing is fetched, not ahead
/// either.
#[test]
fn logs_without_anomalies_are_not_fetched() {
    let text = action("enter", "a", "");
    let files: Vec<_> = (0..20).map(|_| TempLog::plain(&text)).collect();
    let infos = files.iter().map(|_| info("trace-1.log", text.len() as u64)).collect();
    let asked = Arc::default();
    let store =
        Noting(Files(files.iter().map(|log| log.path.clone()).collect()), Arc::clone(&asked));
    let objects = Objects::new(infos, store, FetchOptions::default());
    let hang = [3, 17];
    let logs: Vec<_> = (0..)
        .zip(objects.iter())
        .map(|(number, object)| {
            let open = u64::from(hang.contains(&number));
            Log::object(&object).from(Origin {
                host: "h".to_owned(),
                run: None,
                pid: None,
                finished: true,
                seen_s: 0.0,
                interval_s: None,
                last_record_s: None,
                counts: Counts { open, ..Counts::default() },
            })
        })
        .collect();
    let options = AnomaliesOptions {
        show_all: true,
        limit: None,
        redact: false,
        no_detail: false,
        json: false,
        as_of_s: 1.9e9,
        style: TableStyle::default(),
    };
    let report = anomalies_report(&logs, &Filter::default(), &options).unwrap();
    let (printed, _) = print(report);
    assert_eq!(printed.matches("h/trace-1.log").count(), 2, "{printed}");
    let mut asked = asked.lock().unwrap().clone();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked, hang);
}
