//! Logs on their way into an archive, with a store in memory, and an archiver that dies anywhere.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use inspect_trace_core::archive::{
    Archive, ArchivedLog, MANIFEST_NAME, Manifest, Resumed, is_archived, is_archiving,
};
use inspect_trace_core::store::{RunInfo, housekeep, housekeep_archived};
use inspect_trace_core::write::writer::LogWriter;
use proptest::prelude::*;

const HOST: &str = "box";
const TO: &str = "memory://";

/// Objects by their keys, and how many more requests the archiver lives for.
#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Vec<u8>>,
    lives_for: usize,
    puts: Vec<String>,
}

/// The archiver has died.
struct Dead;

impl Store {
    fn endless() -> Self {
        Self { lives_for: usize::MAX, ..Self::default() }
    }

    fn request(&mut self) -> Result<(), Dead> {
        self.lives_for = self.lives_for.checked_sub(1).ok_or(Dead)?;
        Ok(())
    }

    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Dead> {
        self.request()?;
        Ok(self.objects.get(key).cloned())
    }

    fn list(&mut self, directory: &str) -> Result<Vec<(String, u64)>, Dead> {
        self.request()?;
        let below = format!("{directory}/");
        let listed = self.objects.iter().filter_map(|(key, object)| {
            Some((key.strip_prefix(&below)?.to_owned(), object.len() as u64))
        });
        Ok(listed.collect())
    }

    /// It is there by the time that the archiver dies, or not.
    fn put(&mut self, key: String, bytes: Vec<u8>) -> Result<(), Dead> {
        self.request()?;
        self.puts.push(key.clone());
        self.objects.insert(key, bytes);
        self.request()
    }

    fn manifests(&self) -> Vec<(String, Manifest)> {
        let manifest = |(key, text): (&String, &Vec<u8>)| {
            let directory = key.strip_suffix(&format!("/{MANIFEST_NAME}"))?;
            Some((directory.to_owned(), Manifest::parse(text).unwrap()))
        };
        self.objects.iter().filter_map(manifest).collect()
    }

    /// The plain text of a log, of the pieces that its manifest names.
    fn text_of(&self, directory: &str, manifest: &Manifest) -> Vec<u8> {
        let mut text = Vec::new();
        for object in &manifest.objects {
            let bytes = &self.objects[&format!("{directory}/{}", object.name)];
            assert_eq!(bytes.len() as u64, object.size_bytes);
            assert_eq!(text.len() as u64, object.start);
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text.len() as u64, object.end);
        }
        text
    }
}

/// What an archiver does about one log.
fn ship(log: &mut ArchivedLog, store: &mut Store) -> Result<(), Dead> {
    while !log.is_resumed() {
        let manifest = store.get(&format!("{}/{MANIFEST_NAME}", log.directory()))?;
        let listed = store.list(&log.directory())?;
        let Resumed::Adopt(names) = log.resume(manifest.as_deref(), &listed).unwrap() else {
            continue;
        };
        for name in names {
            let bytes = store.get(&format!("{}/{name}", log.directory()))?.unwrap();
            if log.adopt(&name, &bytes).unwrap() == Resumed::Taken {
                break;
            }
        }
    }
    if log.is_settled() {
        return Ok(());
    }
    log.look().unwrap();
    while let Some(piece) = log.next_piece().unwrap() {
        let key = format!("{}/{}", log.directory(), piece.name);
        assert!(!store.objects.contains_key(&key), "{key} is put twice");
        for (name, text) in log.labels(&piece) {
            assert!(text.is_ascii() && text.len() < 300, "{name}: {text}");
        }
        store.put(key, piece.bytes.clone())?;
        log.acknowledge(&piece);
    }
    let manifest = log.manifest(1.0, Some(60.0)).unwrap();
    store.put(format!("{}/{MANIFEST_NAME}", log.directory()), manifest.to_json())?;
    log.manifest_written(&manifest);
    Ok(())
}

fn sweep(archive: &mut Archive, store: &mut Store) -> Result<(), Dead> {
    let (logs, _) = archive.look().unwrap();
    for log in logs {
        let mut log = log.lock().unwrap();
        ship(&mut log, store)?;
        archive.note(&log);
        archive.save();
    }
    Ok(())
}

fn open(directory: &Path) -> Archive {
    Archive::open(directory, HOST, TO).unwrap().unwrap()
}

/// A new archiver that sweeps once.
fn sweep_once(directory: &Path, store: &mut Store) -> Result<(), Dead> {
    sweep(&mut open(directory), store)
}

fn line(n: usize) -> String {
    let event = ["enter", "exit", "error", "cancel", "timeout"][n % 5];
    format!(
        r#"{{"timestamp": "2026-11-23T10:22:{:02}+00:00", "level": "TRACE", "message": "m", "action": "A", "event": "{event}", "trace_id": "{}", "task": "t{}"}}"#,
        n % 60,
        n - usize::from(event == "exit"),
        n % 3,
    ) + "\n"
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(line).collect()
}

fn traces() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Of a process that is gone for sure.
const GONE: &str = "trace-4194304.log";

/// A finished log is one object; a compressed one as it is, byte for byte.
#[test]
fn finished_logs_are_one_object() {
    let directory = traces();
    let text = lines(0..20);
    fs::write(directory.path().join(GONE), &text).unwrap();
    let mut gz = Vec::new();
    inspect_trace_core::write::gzip::compress(text.as_bytes(), &mut gz, 7).unwrap();
    let later = lines(1..20);
    let mut later_gz = Vec::new();
    inspect_trace_core::write::gzip::compress(later.as_bytes(), &mut later_gz, 7).unwrap();
    fs::write(directory.path().join("trace-4194304-1.log.gz"), &later_gz).unwrap();
    let mut store = Store::endless();
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    let manifests = store.manifests();
    assert_eq!(manifests.len(), 2);
    assert_eq!(manifests[0].0, "2026/11/23/box/102200-4194304-0");
    let (key, manifest) = &manifests[0];
    assert_eq!(manifest.objects[0].name, "trace-4194304.log.gz");
    assert_eq!(store.text_of(key, manifest), text.as_bytes());
    assert!(manifest.finished);
    assert_eq!((manifest.started_at, manifest.log.as_str()), (1_795_429_320.0, GONE));
    assert_eq!(manifest.last_record_at, Some(1_795_429_339.0));
    let counts = manifest.counts;
    assert_eq!((counts.records, counts.exits, counts.errors), (20, 4, 4));
    assert_eq!((counts.timeouts, counts.cancels, counts.open), (4, 4, 0));
    assert_eq!(manifest.tasks, ["t0", "t1", "t2"]);
    let (key, manifest) = &manifests[1];
    assert_eq!(key, "2026/11/23/box/102201-4194304-0");
    assert_eq!(store.objects[&format!("{key}/trace-4194304-1.log.gz")], later_gz);
    assert_eq!(store.text_of(key, manifest), later.as_bytes());
    // Nothing is left to do, also for one that knows nothing; and nothing is asked for by one that does.
    let before = store.puts.len();
    store.lives_for = 0;
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    fs::remove_file(directory.path().join(".tmp/archive.json")).unwrap();
    store.lives_for = usize::MAX;
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    assert_eq!(store.puts.len(), before);
}

/// A log that is written is shipped in pieces of whole lines, of which none is shipped twice; who has it is
/// noted, and that it is finished once its writer is gone.
#[test]
fn live_logs_are_shipped_in_pieces() {
    let directory = traces();
    let run = RunInfo::new("the-run_of-22-characters", true).with_command(&[
        b"python".to_vec(),
        b"--api-key".to_vec(),
        b"hunter2-hunter2".to_vec(),
    ]);
    let writer = LogWriter::create_in(directory.path(), &run).unwrap();
    let append = |range| {
        for n in range {
            writer.append(line(n).as_bytes()).unwrap();
        }
        writer.flush().unwrap();
    };
    let mut store = Store::endless();
    let mut archive = open(directory.path());
    assert!(sweep(&mut archive, &mut store).is_ok());
    assert!(store.puts.is_empty(), "nothing is in it");
    append(0..7);
    assert!(sweep(&mut archive, &mut store).is_ok());
    append(7..11);
    assert!(sweep(&mut archive, &mut store).is_ok());
    let (key, manifest) = store.manifests().remove(0);
    let pid = std::process::id();
    assert_eq!(key, format!("2026/11/23/box/102200-{pid}-the-run_of-22-ch"));
    let names: Vec<_> = manifest.objects.iter().map(|object| object.name.clone()).collect();
    let part = |n| format!("trace-{pid}.part{n:04}.log.gz");
    assert_eq!(names, [part(1), part(2)]);
    assert!(!manifest.finished && manifest.is_child);
    assert_eq!(manifest.command.as_ref().unwrap()[2], "REDACTED");
    assert_eq!(manifest.counts.open, 1);
    assert!(!archive.is_idle(&[]).unwrap());
    let path = writer.path().to_owned();
    assert_eq!(archive.live_logs().unwrap(), [format!("trace-{pid}.log")]);
    append(11..13);
    writer.close();
    assert!(!archive.is_idle(&[]).unwrap() && !is_archived(&path));
    assert!(archive.is_idle(std::slice::from_ref(&path)).unwrap());
    assert!(sweep(&mut archive, &mut store).is_ok());
    assert!(archive.is_idle(&[]).unwrap() && is_archived(&path));
    let (_, manifest) = store.manifests().remove(0);
    assert_eq!(manifest.objects[2].name, part(3));
    assert!(manifest.finished);
    assert_eq!(store.text_of(&key, &manifest), lines(0..13).as_bytes());
    // Another run of the process id has the log move aside; it is the same log.
    let next = LogWriter::create_in(directory.path(), &RunInfo::new("next", false)).unwrap();
    next.append(line(13).as_bytes()).unwrap();
    next.close();
    drop(archive);
    housekeep(directory.path(), 10);
    fs::remove_file(directory.path().join(".tmp/archive.json")).unwrap();
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    let finished: Vec<_> = store.manifests();
    assert_eq!(finished.len(), 2);
    assert!(finished.iter().any(|(_, manifest)| manifest.objects.len() == 3));
    assert_eq!(store.puts.iter().filter(|key| key.contains(".log.gz")).count(), 4);
}

/// A rotated log is shipped in its order, wherever its parts are compressed meanwhile.
#[test]
fn rotated_logs_are_one() {
    let directory = traces();
    let part =
        |n: usize, ending: &str| directory.path().join(format!("trace-4194304.part{n:04}{ending}"));
    fs::write(part(1, ".log"), lines(0..5)).unwrap();
    fs::write(directory.path().join(GONE), lines(5..8)).unwrap();
    let mut store = Store::endless();
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    let (key, manifest) = store.manifests().remove(0);
    assert_eq!(manifest.objects.len(), 1);
    assert_eq!(store.text_of(&key, &manifest), lines(0..8).as_bytes());
}

/// What another process has begun in the same second, with the same id and run, does not get into this log's way.
#[test]
fn logs_of_the_same_second_are_kept_apart() {
    let directory = traces();
    let stamped = |fraction: &str| line(0).replace(":00+00:00", &format!(":00.{fraction}+00:00"));
    fs::write(directory.path().join(GONE), stamped("25")).unwrap();
    fs::write(directory.path().join("trace-4194304-1.log"), stamped("75")).unwrap();
    let mut store = Store::endless();
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    let mut keys: Vec<_> = store.manifests().into_iter().map(|(key, _)| key).collect();
    keys.sort();
    assert_eq!(keys, ["2026/11/23/box/102200-4194304-0", "2026/11/23/box/102200-4194304-0.2"]);
}

/// One archiver takes care of a directory at a time, and others can tell.
#[test]
fn one_archiver_at_a_time() {
    let directory = traces();
    assert!(!is_archiving(directory.path()));
    let mut first = open(directory.path());
    assert!(is_archiving(directory.path()));
    assert!(Archive::open(directory.path(), HOST, TO).unwrap().is_none());
    first.release();
    assert!(!is_archiving(directory.path()));
    assert!(first.take().unwrap());
    drop(first);
    assert!(Archive::open(directory.path(), HOST, TO).unwrap().is_some());
    assert!(Archive::open(&directory.path().join("none"), HOST, TO).is_err());
}

/// Where there is an archive, no log is removed that is not known to be in it; once it is, it goes, compressed or
/// not.
#[test]
fn what_is_not_archived_is_kept() {
    let directory = traces();
    for pid in 0..4 {
        let path = directory.path().join(format!("trace-419430{pid}.log"));
        fs::write(path, lines(pid..pid + 9)).unwrap();
    }
    assert_eq!(housekeep_archived(directory.path(), 1, true).removed, 0);
    let mut store = Store { lives_for: 8, ..Store::default() };
    assert!(sweep_once(directory.path(), &mut store).is_err());
    assert_eq!(store.manifests().len(), 1);
    assert_eq!(housekeep_archived(directory.path(), 0, true).removed, 1);
    store.lives_for = usize::MAX;
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    assert_eq!(housekeep_archived(directory.path(), 1, true).removed, 2);
    let left = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("trace-")
    });
    assert_eq!(left.count(), 1);
}

/// What in the store is not as the manifest says, a log that has become shorter, and one that grew after all of
/// it was shipped are told, and nothing is written over.
#[test]
fn contradictions_are_told() {
    let directory = traces();
    let log = directory.path().join(GONE);
    fs::write(&log, lines(0..20)).unwrap();
    let mut store = Store::endless();
    assert!(sweep_once(directory.path(), &mut store).is_ok());
    let (key, _) = store.manifests().remove(0);
    let object = format!("{key}/trace-4194304.log.gz");
    let told = |store: &Store| {
        let _ = fs::remove_file(directory.path().join(".tmp/archive.json"));
        let mut archive = open(directory.path());
        let (logs, _) = archive.look().unwrap();
        let mut log = logs[0].lock().unwrap();
        let listed: Vec<_> = store
            .objects
            .iter()
            .map(|(key, object)| (key.rsplit('/').next().unwrap().to_owned(), object.len() as u64))
            .collect();
        let manifest = store.objects.get(&format!("{key}/{MANIFEST_NAME}"));
        match log.resume(manifest.map(Vec::as_slice), &listed) {
            Ok(_) => log.next_piece().map(|_| ()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let whole = store.objects[&object].clone();
    store.objects.insert(object.clone(), whole[1..].to_vec());
    assert!(told(&store).contains("trace-4194304.log.gz in the archive: it is missing, or not"));
    store.objects.insert(object, whole);
    fs::write(&log, lines(0..10)).unwrap();
    assert!(told(&store).contains("it is shorter than what has been archived"));
    fs::write(&log, lines(0..30)).unwrap();
    assert!(told(&store).contains("the log has grown since all of it was shipped"));
    store.objects.insert(format!("{key}/{MANIFEST_NAME}"), b"{".to_vec());
    assert!(told(&store).contains("manifest.json in the archive: it is no JSON"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Wherever archivers die, and whatever is written, rotated and compressed in between, the last one
    /// completes the archive: all of the log, in its order, no piece put twice.
    #[test]
    fn nothing_is_lost_or_shipped_twice(
        steps in prop::collection::vec((1..6_usize, 0..9_usize, any::<bool>(), any::<bool>()), 1..8),
    ) {
        let directory = traces();
        let log = directory.path().join(GONE);
        let mut store = Store::default();
        let (mut written, mut parts) = (0, 0);
        for (count, lives_for, rotates, forgets) in steps {
            // A log of a process that lives: this one holds it open.
            let writer = LogWriter::open(&log).unwrap();
            for n in written..written + count {
                writer.append(line(n).as_bytes()).unwrap();
            }
            writer.flush().unwrap();
            written += count;
            store.lives_for = lives_for;
            let _ = sweep_once(directory.path(), &mut store);
            if forgets {
                let _ = fs::remove_file(directory.path().join(".tmp/archive.json"));
            }
            if rotates {
                parts += 1;
                fs::rename(&log, directory.path().join(format!("trace-4194304.part{parts:04}.log"))).unwrap();
            }
            // It does not look closed, as a log in between does not.
            fs::OpenOptions::new().append(true).create(true).open(&log).unwrap().write_all(b"").unwrap();
        }
        housekeep(directory.path(), 10);
        store.lives_for = usize::MAX;
        prop_assert!(sweep_once(directory.path(), &mut store).is_ok());
        let manifests = store.manifests();
        prop_assert_eq!(manifests.len(), 1);
        let (key, manifest) = &manifests[0];
        let text = store.text_of(key, manifest);
        prop_assert_eq!(String::from_utf8(text).unwrap(), lines(0..written));
        prop_assert_eq!(manifest.counts.records, written as u64);
        prop_assert!(manifest.finished);
        let objects = store.objects.keys().filter(|key| key.contains(".log.gz")).count();
        prop_assert_eq!(objects, manifest.objects.len());
    }
}
