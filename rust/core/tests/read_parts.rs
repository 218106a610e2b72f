//! Reading the parts of a rotated log: every report shows one log, and a follower misses nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod follow_support;
mod store_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use follow_support::{Watch, append};
use inspect_trace_core::analyze::diagnose;
use inspect_trace_core::read::{
    Batch, Filter, FollowEnd, FollowEvent, GONE_POLLS, Log, Records, ScanOptions, Step, TailSearch,
};
use inspect_trace_core::render::{
    self, AnomaliesOptions, DumpFormat, DumpOptions, Report, TableStyle, VerifyOptions,
};
use inspect_trace_core::store::part_path;
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, eventually, gzip, run};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn log(number: u32) -> String {
    format!("trace-{}.log", DEAD + number)
}

/// A record as it is dumped.
fn line(text: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-01-01T00:00:00+00:00\",\"level\":\"TRACE\",\"message\":\"{text}\"}}\n"
    )
}

fn action(event: &str, id: &str, second: u32) -> String {
    format!(
        "{{\"timestamp\": \"2026-01-01T00:00:{second:02}+00:00\", \"level\": \"TRACE\", \
         \"message\": \"m\", \"action\": \"A\", \"event\": \"{event}\", \"trace_id\": \"{id}\", \
         \"start_time\": {second}}}\n"
    )
}

/// A dead process's log with these files: `text` of the parts, the odd ones compressed, and of the
/// file that was written last.
fn rotated(dir: &Dir, parts: &[&str], last: &str) -> PathBuf {
    let live = dir.at(&log(1));
    for (index, text) in parts.iter().enumerate() {
        let path = part_path(&live, u32::try_from(index).unwrap() + 1);
        if index % 2 == 0 {
            fs::write(format!("{}.gz", path.display()), gzip(text.as_bytes())).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }
    fs::write(&live, last).unwrap();
    live
}

/// What a report prints, its notes, and what it tells of what was skipped.
fn output(mut report: Box<dyn Report>) -> (String, Vec<String>, Option<String>) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    while let Some(chunk) = report.next_chunk().unwrap() {
        out.extend(chunk);
        notes.extend(report.take_notes());
    }
    notes.extend(report.take_notes());
    (String::from_utf8(out).unwrap(), notes, report.skipped())
}

fn dump(logs: &[Log], limit: Option<u64>) -> (String, Vec<String>, Option<String>) {
    let options =
        DumpOptions { redact: false, no_detail: false, format: DumpFormat::JsonLines, limit };
    output(render::dump_report(logs, &Filter::default(), options).unwrap())
}

/// Records of all files come in order, as those of one log, whatever the number of threads.
#[test]
fn parts_are_dumped_as_one_log() {
    let dir = Dir::new();
    let live = rotated(&dir, &[&line("a"), &(line("b") + &line("c")), &line("d")], &line("e"));
    let all = [line("a"), line("b"), line("c"), line("d"), line("e")].concat();
    assert_eq!(dump(&[Log::with_parts(&live)], None), (all.clone(), Vec::new(), None));
    assert_eq!(dump(&[Log::with_parts(&live)], Some(2)).0, line("a") + &line("b"));
    let one_part = Log::with_parts(&part_path(&live, 2));
    assert_eq!(dump(&[one_part], None).0, line("b") + &line("c"));
    for threads in 1..4 {
        let options = ScanOptions { threads, inline_below_bytes: 0, ..ScanOptions::default() };
        let log = Log::with_parts(&live);
        let mut records = Records::open_log(&log, &Filter::default(), options).unwrap();
        let mut seen = String::new();
        while let Batch::Records(batch) = records.next_batch(Duration::from_secs(9)).unwrap() {
            seen.extend(batch.iter().map(|r| line(std::str::from_utf8(&r.message()).unwrap())));
        }
        assert_eq!(seen, all);
    }
    // Beside other logs, the rows have the log's own path.
    let other = dir.plain(&log(2), 0, &["other"]);
    let (text, ..) = dump(&Log::all_with_parts(&[live.clone(), other]), None);
    let label = format!("{{\"trace_file\":\"{}\"", live.display());
    assert_eq!(text.lines().filter(|row| row.starts_with(&label)).count(), 5);
    assert_eq!(text.lines().count(), 6);
}

/// A log of which only parts are left is read like one.
#[test]
fn parts_that_are_left_are_read() {
    let dir = Dir::new();
    let live = rotated(&dir, &[&line("a"), &line("b")], "");
    fs::remove_file(&live).unwrap();
    assert_eq!(dump(&[Log::with_parts(&live)], None).0, line("a") + &line("b"));
    let found = diagnose(&live, &Filter::default(), 0.0).unwrap();
    assert_eq!((found.process.pid, found.process.alive), (Some(DEAD + 1), Some(false)));
}

/// What is skipped is told for each file, by its own name and its own lines.
#[test]
fn skipped_lines_are_told_by_file() {
    let dir = Dir::new();
    let bad = line("a") + "bad\n";
    let live = rotated(&dir, &[&bad, &line("b")], &(bad.clone() + &bad));
    let (text, notes, summary) = dump(&[Log::with_parts(&live)], None);
    assert_eq!((text.lines().count(), summary), (4, None));
    let name = format!("trace-{}", DEAD + 1);
    let line_2 = format!("line 2, byte {}: not JSON", line("a").len());
    let expected = [
        format!("{name}.part0001.log.gz: skipped 1 line ({line_2})"),
        format!("{name}.log: skipped 2 lines (first: {line_2})"),
    ];
    assert_eq!(notes, expected);
    let diagnosis = diagnose(&live, &Filter::default(), 0.0).unwrap();
    assert_eq!(diagnosis.notes, expected);
    assert_eq!(diagnosis.skipped.lines_skipped(), 3);
    let options = VerifyOptions { limit: None, json: false, as_of_s: 0.0 };
    let (text, ..) = output(render::verify_report(&Log::all_with_parts(&[live]), options).unwrap());
    assert_eq!(text.matches(".part0001.log.gz:2: byte ").count(), 1, "{text}");
    assert_eq!(text.matches(".part0002.log: ").count(), 1, "{text}");
    assert_eq!(text.matches(&format!("{name}.log:4: byte ")).count(), 1, "{text}");
}

/// One file that cannot be read does not keep the others from being shown, but is told; actions are
/// not judged without it.
#[test]
fn unreadable_parts_are_told() {
    let dir = Dir::new();
    let live = rotated(&dir, &[&line("a")], &line("b"));
    let found = Log::with_parts(&live);
    fs::remove_file(format!("{}.gz", part_path(&live, 1).display())).unwrap();
    let options =
        DumpOptions { redact: false, no_detail: false, format: DumpFormat::JsonLines, limit: None };
    let mut report = render::dump_report(&[found], &Filter::default(), options).unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = report.next_chunk().unwrap() {
        text.extend(chunk);
    }
    assert_eq!(text, line("b").into_bytes());
    assert!(report.has_failed());
    assert!(report.take_notes()[0].contains("part0001"));
}

/// An action that ends in another part than it began in has ended; one that is open is judged by the
/// log's process, and the rows are those of one log.
#[test]
fn actions_go_through_parts() {
    let dir = Dir::new();
    let texts = [
        action("enter", "one", 1) + &action("enter", "two", 2),
        action("enter", "three", 3) + &action("exit", "one", 4),
        action("error", "three", 5),
    ];
    let [first, second, third] = &texts;
    let live = rotated(&dir, &[first, second, third], &action("enter", "four", 6));
    let found = diagnose(&live, &Filter::default(), 100.0).unwrap();
    let ids = |actions: Vec<&inspect_trace_core::analyze::DatedAction>| {
        actions
            .iter()
            .map(|action| String::from_utf8(action.action.trace_id.clone()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(found.interrupted().collect()), ["four", "two"]);
    assert_eq!(ids(found.errors.iter().collect()), ["three"]);
    assert_eq!(found.errors[0].action.start_time_s, Some(3.0));

    let options = AnomaliesOptions {
        redact: false,
        no_detail: false,
        show_all: true,
        limit: None,
        json: true,
        as_of_s: 100.0,
        style: TableStyle { width: None, color: false },
    };
    let logs = [Log::with_parts(&live)];
    let (text, ..) = output(render::anomalies_report(&logs, &Filter::default(), &options).unwrap());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["trace_file"], live.to_str().unwrap());
    assert_eq!(json["running"].as_array().unwrap().len(), 2);

    // While a process writes the log, what began in its first part runs.
    let writer = LogWriter::create_in(&dir.path(), &run("live")).unwrap();
    fs::write(part_path(writer.path(), 1), action("enter", "old", 1)).unwrap();
    writer.append(line("new").as_bytes()).unwrap();
    let found = diagnose(writer.path(), &Filter::default(), 100.0).unwrap();
    assert_eq!(ids(found.running().collect()), ["old"]);
}

/// The last records of a log may begin in any of its files.
#[test]
fn the_last_records_are_found_in_parts() {
    let dir = Dir::new();
    let texts = [line("a") + &line("b"), line("c"), line("d") + &line("e")];
    let [first, second, third] = &texts;
    let live = rotated(&dir, &[first, second, third], &line("f"));
    let all = ["a", "b", "c", "d", "e", "f"].map(line);
    for count in 0..8 {
        let mut search = TailSearch::open(&live, count, Arc::new(|_| true)).unwrap();
        let log = loop {
            if let Some(log) = search.step(Duration::from_secs(9)).unwrap() {
                break log;
            }
        };
        let expected = all[all.len().saturating_sub(count)..].concat();
        assert_eq!(dump(std::slice::from_ref(&log), None).0, expected, "{count}");
        let mut watch = Watch::of_log(&log);
        watch.end();
        let seen: String = watch.seen.iter().map(|text| line(text)).collect();
        assert_eq!(seen, expected, "{count}");
    }
}

/// A rotation, as a writer does it.
fn rotate(live: &Path, number: u32) {
    fs::rename(live, part_path(live, number)).unwrap();
    fs::write(live, "").unwrap();
}

/// Compresses a part, as housekeeping does it.
fn pack(live: &Path, number: u32) {
    let part = part_path(live, number);
    let temporary = live.with_file_name("packed");
    fs::write(&temporary, gzip(&fs::read(&part).unwrap())).unwrap();
    fs::rename(temporary, format!("{}.gz", part.display())).unwrap();
    fs::remove_file(part).unwrap();
}

/// A follower begins with the parts that there are, and goes on through rotations, also where
/// several came between two looks, and the parts are compressed by now.
#[test]
fn followers_go_through_rotations() {
    let dir = Dir::new();
    let live = dir.at("app.log");
    fs::write(part_path(&live, 1), line("a")).unwrap();
    pack(&live, 1);
    fs::write(part_path(&live, 2), line("b")).unwrap();
    fs::write(&live, line("c")).unwrap();
    let mut watch = Watch::of_log(&Log::with_parts(&live));
    assert_eq!(watch.news(), ["a", "b", "c"]);
    // One, with lines that were written right before it.
    append(&live, line("d"));
    rotate(&live, 3);
    append(&live, line("e"));
    assert_eq!(watch.news(), ["d", "e"]);
    assert_eq!(watch.events.iter().filter(|event| **event == FollowEvent::Replaced).count(), 1);
    // Compressed at once.
    append(&live, line("f"));
    rotate(&live, 4);
    pack(&live, 4);
    append(&live, line("g"));
    assert_eq!(watch.news(), ["f", "g"]);
    // Several.
    for number in 5..9 {
        append(&live, line(&format!("h{number}")));
        rotate(&live, number);
        if number % 2 == 0 {
            pack(&live, number);
        }
    }
    append(&live, line("i"));
    assert_eq!(watch.news(), ["h5", "h6", "h7", "h8", "i"]);
    // With no new file yet.
    append(&live, line("j"));
    fs::rename(&live, part_path(&live, 9)).unwrap();
    assert_eq!(watch.news(), ["j"]);
    fs::write(&live, line("k")).unwrap();
    assert_eq!(watch.news(), ["k"]);
    // What has become a part is let go of.
    assert!(watch.follower.poll().is_ok_and(|step| step == Step::Idle));
    let open = |name: &str| {
        fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok).any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|path| path.to_string_lossy().contains(name))
        })
    };
    let directory = dir.path().display().to_string();
    assert!(open(&format!("{directory}/app.log")));
    assert!(!open(&format!("{directory}/app.part")));
}

/// A writer that is held up between the two steps of a rotation does not end the following of its
/// log, be the part compressed by then or not.
#[test]
fn a_pause_within_a_rotation_is_no_end() {
    for name in ["app.log".to_owned(), format!("trace-{}.log", std::process::id())] {
        for is_packed in [false, true] {
            let dir = Dir::new();
            let live = dir.at(&name);
            fs::write(&live, line("a")).unwrap();
            let mut watch = Watch::of_log(&Log::with_parts(&live));
            assert_eq!(watch.news(), ["a"]);
            append(&live, line("b"));
            fs::rename(&live, part_path(&live, 1)).unwrap();
            if is_packed {
                pack(&live, 1);
            }
            for _ in 0..3 * GONE_POLLS {
                assert_eq!(watch.drain(), None);
            }
            // And one who begins just then.
            let mut late = Watch::of_log(&Log::with_parts(&live));
            for _ in 0..3 * GONE_POLLS {
                assert_eq!(late.drain(), None);
            }
            fs::write(&live, line("c")).unwrap();
            assert_eq!(watch.news(), ["b", "c"]);
            assert_eq!(late.news(), ["a", "b", "c"]);
        }
    }
}

/// The writer holds its part until the next file is there. When it dies before that, the log is over.
#[test]
fn a_log_whose_writer_died_within_a_rotation_ends() {
    let dir = Dir::new();
    let writer = LogWriter::open(&dir.at("app.log")).unwrap();
    writer.append(line("a").as_bytes()).unwrap();
    writer.flush().unwrap();
    let mut watch = Watch::of_log(&Log::with_parts(writer.path()));
    fs::rename(writer.path(), part_path(writer.path(), 1)).unwrap();
    for _ in 0..3 * GONE_POLLS {
        assert_eq!(watch.drain(), None);
    }
    assert_eq!(watch.news(), ["a"]);
    writer.close();
    assert_eq!(watch.end(), FollowEnd::WasRemoved);
}

/// Parts that were removed before they could be read are told, and what came after them is given.
#[test]
fn parts_that_were_removed_are_passed_over() {
    let dir = Dir::new();
    let live = dir.at("app.log");
    for number in 1..4 {
        fs::write(part_path(&live, number), line(&format!("early {number}"))).unwrap();
    }
    fs::write(&live, line("a")).unwrap();
    let mut watch = Watch::of_log(&Log::with_parts(&live));
    fs::remove_file(part_path(&live, 2)).unwrap();
    assert_eq!(watch.news(), ["early 1", "early 3", "a"]);
    let missed = |watch: &mut Watch| -> Vec<_> {
        let events = watch.events.drain(..);
        events.filter(|event| matches!(event, FollowEvent::Missed { .. })).collect()
    };
    assert_eq!(missed(&mut watch), [FollowEvent::Missed { parts: 1 }]);
    append(&live, line("b"));
    for number in 4..10 {
        rotate(&live, number);
        append(&live, line(&number.to_string()));
    }
    // Also the one that was the live one when it was last looked at: it is open.
    for number in [4, 5, 6, 8] {
        fs::remove_file(part_path(&live, number)).unwrap();
    }
    assert_eq!(watch.news(), ["b", "6", "8", "9"]);
    assert_eq!(
        missed(&mut watch),
        [FollowEvent::Missed { parts: 2 }, FollowEvent::Missed { parts: 1 }]
    );
    // All of them.
    append(&live, line("c"));
    rotate(&live, 10);
    fs::remove_file(part_path(&live, 10)).unwrap();
    append(&live, line("d"));
    assert_eq!(watch.news(), ["c", "d"]);
    assert_eq!(missed(&mut watch), []);
}

/// People are told of parts that were removed before they could be read.
#[test]
fn removed_parts_are_noted() {
    let dir = Dir::new();
    let live = dir.at("app.log");
    for number in 1..3 {
        fs::write(part_path(&live, number), line(&number.to_string())).unwrap();
    }
    fs::write(&live, line("live")).unwrap();
    let mut report =
        render::follow_report(&Log::with_parts(&live), &Filter::default(), false, false).unwrap();
    fs::remove_file(part_path(&live, 1)).unwrap();
    let (mut text, mut notes) = (Vec::new(), Vec::new());
    eventually("all lines", || {
        text.extend(report.next_chunk().unwrap().unwrap());
        notes.extend(report.take_notes());
        text.ends_with(line("live").as_bytes())
    });
    assert_eq!(text, (line("2") + &line("live")).into_bytes());
    assert_eq!(notes, ["app.log is not shown whole: 1 part was removed before being read"]);
}

/// Following one part by its name gives that part, and ends: nobody writes to it.
#[test]
fn following_a_part_ends() {
    let dir = Dir::new();
    for name in ["app.log".to_owned(), log(1)] {
        let live = dir.at(&name);
        fs::write(&live, line("live")).unwrap();
        fs::write(part_path(&live, 1), line("a")).unwrap();
        let mut watch = Watch::of_log(&Log::with_parts(&part_path(&live, 1)));
        assert_eq!(watch.end(), FollowEnd::WriterEnded);
        assert_eq!(watch.seen, ["a"]);
    }
}

/// A finished log is followed through its parts to its end.
#[test]
fn following_a_finished_log_ends() {
    let dir = Dir::new();
    let live = rotated(&dir, &[&line("a"), &line("b")], &line("c"));
    let mut watch = Watch::of_log(&Log::with_parts(&live));
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["a", "b", "c"]);
    fs::remove_file(&live).unwrap();
    let mut watch = Watch::of_log(&Log::with_parts(&live));
    watch.end();
    assert_eq!(watch.seen, ["a", "b"]);
}

/// Whatever moments a log is looked at while another thread writes to it, rotates it and compresses
/// its parts: a follower gives each line once and in order, and a dump is a beginning of the log that
/// has no gap.
#[test]
fn readers_beside_a_rotating_writer_see_every_line_once() {
    const LINES: u32 = 3_000;
    let dir = Dir::new();
    let live = dir.at("app.log");
    fs::write(&live, "").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            for index in 0..LINES {
                append(&live, line(&index.to_string()));
                if index % 7 == 6 {
                    number += 1;
                    rotate(&live, number);
                    if number > 1 && number % 2 == 0 {
                        pack(&live, number);
                        pack(&live, number - 1);
                    }
                }
            }
            is_over.store(true, Ordering::Release);
        });
        let mut watch = Watch::of_log(&Log::with_parts(&live));
        let mut dumped = 0;
        while !is_over.load(Ordering::Acquire) {
            assert_eq!(watch.drain(), None);
            let (text, notes, _) = dump(&[Log::with_parts(&live)], None);
            assert_eq!(notes, Vec::<String>::new());
            let expected: String =
                (0..text.lines().count()).map(|index| line(&index.to_string())).collect();
            assert!(text == expected, "{text}");
            assert!(text.lines().count() >= dumped);
            dumped = text.lines().count();
        }
        assert_last(&mut watch, LINES - 1);
    });
}

/// The follower has given, or gives now, the lines from 0 to this one, each once and in order.
fn assert_last(watch: &mut Watch, last: u32) {
    eventually("the last line", || {
        assert_eq!(watch.drain(), None);
        watch.seen.last() == Some(&last.to_string())
    });
    let expected: Vec<_> = (0..=last).map(|number| number.to_string()).collect();
    let wrong = watch.seen.iter().zip(&expected).position(|(seen, expected)| seen != expected);
    assert_eq!(wrong.map(|index| (&expected[index], &watch.seen[index])), None);
    assert_eq!(watch.seen.len(), expected.len());
}

/// However fast a log is rotated, a follower gives every line once and in order, also the one that was
/// written right before.
#[test]
fn followers_keep_up_with_a_storm_of_rotations() {
    const ROTATIONS: u32 = 1_000;
    let dir = Dir::new();
    let live = dir.at("app.log");
    fs::write(&live, line("0")).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = dir.at("next");
            for number in 1..=ROTATIONS {
                fs::write(&next, line(&(2 * number).to_string())).unwrap();
                append(&live, line(&(2 * number - 1).to_string()));
                fs::rename(&live, part_path(&live, number)).unwrap();
                fs::rename(&next, &live).unwrap();
            }
            is_over.store(true, Ordering::Release);
        });
        let mut watch = Watch::of_log(&Log::with_parts(&live));
        while !is_over.load(Ordering::Acquire) {
            assert_eq!(watch.drain(), None);
        }
        assert_last(&mut watch, 2 * ROTATIONS);
    });
}
