//! What is wrong with a log is told exactly, in order, however the log is read.
#![allow(clippy::unwrap_used)]

mod read_support;

use std::path::Path;
use std::time::Duration;

use inspect_trace_core::read::{
    Block, LineCursor, LogTotals, MAX_LINE_BYTES, Problem, ProblemKind, ScanOptions, Skipped,
    VerifyScan, VerifyStep,
};
use inspect_trace_core::write::gzip::compress;
use proptest::collection::vec;
use proptest::prelude::*;
use read_support::{Log, action, gzip, line, read};

/// All that is told of one log.
fn verify_with(path: &Path, options: ScanOptions) -> (Vec<Problem>, LogTotals) {
    let mut scan = VerifyScan::with_options(&[path], options).unwrap();
    let (mut problems, mut totals) = (Vec::new(), None);
    loop {
        match scan.next(Duration::from_secs(9)).unwrap() {
            VerifyStep::Verified(verified) => {
                assert!(verified.error.is_none() && verified.log == 0 && totals.is_none());
                problems.extend(verified.problems);
                totals = verified.end;
            }
            VerifyStep::Pending => {}
            VerifyStep::End => return (problems, totals.unwrap()),
        }
    }
}

/// One thread, and as much at a time as can be.
const SIMPLE: ScanOptions =
    ScanOptions { threads: 1, block_bytes: u64::MAX, inline_below_bytes: 1 << 20 };

fn verify(path: &Path) -> (Vec<Problem>, LogTotals) {
    verify_with(path, SIMPLE)
}

/// A plain log whose name tells no process that might live and write it.
fn plain(content: impl AsRef<[u8]>) -> Log {
    Log::new("damaged.log", content)
}

/// Line, byte, length and reason of each problem of a plain log.
fn told(content: impl AsRef<[u8]>) -> Vec<(u64, u64, u64, String)> {
    let (problems, totals) = verify(&plain(content).path);
    assert_eq!(totals.counts.all(), problems.len() as u64);
    problems
        .into_iter()
        .map(|problem| (problem.line.unwrap(), problem.byte, problem.length, problem.reason()))
        .collect()
}

fn told_one(content: impl AsRef<[u8]>) -> (u64, u64, u64, String) {
    let told = told(content);
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().unwrap()
}

fn compressed_by_us(content: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    compress(content, &mut file, 0).unwrap();
    file
}

/// A whole log has no problems, nor has one with the oddities that readers take as they are.
#[test]
fn a_whole_log_has_no_problems() {
    let a = line("a");
    let exit = action("exit", "never-entered", r#", "duration": 1.0"#);
    let enter = action("enter", "twice", r#", "start_time": 1.0"#);
    for content in [
        String::new(),
        format!("{a}\n{a}\n"),
        format!("{a}\r\n\n \t\n\u{1e}{a}\n{a}"),
        format!("\u{feff}{a}\r{a}\n"),
        format!("{exit}{enter}{enter}"),
    ] {
        assert_eq!(told(&content), [], "{content:?}");
        assert_eq!(told(gzip(&content)), [], "{content:?}");
    }
}

/// Lines that are no records are told with their line, their first byte and their length.
#[test]
fn lines_that_are_no_records_are_told() {
    let a = line("a");
    let (start, next) = (a.len() as u64 + 1, format!("\n{a}\n"));
    let at = |text: &str| told_one(format!("{a}\n{text}{next}"));
    assert_eq!(at("  words "), (2, start + 2, 5, "not JSON (5 bytes)".to_owned()));
    assert_eq!(at("[1]"), (2, start, 3, "not a JSON object (3 bytes)".to_owned()));
    let missing = |text: &str, reason: &str| {
        assert_eq!(at(text), (2, start, text.len() as u64, reason.to_owned()));
    };
    missing("{}", "no timestamp, no level, no message");
    missing(r#"{"timestamp": "t", "level": 1, "message": "m"}"#, "level is not a text");
    missing(r#"{"timestamp": "t",  "level": "INFO"}"#, "no message");
}

/// A line that the log's end cuts off is told apart from others.
#[test]
fn a_cut_line_is_told() {
    let a = line("a");
    let start = a.len() as u64 + 1;
    let content = format!("{a}\n{}", &a[..30]);
    assert_eq!(told_one(content), (2, start, 30, "cut off after 30 bytes".to_owned()));
    // One that another writer went on behind is not at the end.
    let content = format!("{a}\n{}{a}", &a[..30]);
    assert_eq!(told_one(content), (2, start, 30, "not JSON (30 bytes)".to_owned()));
}

/// An action that is not understood is told with the reason; its record is counted as one.
#[test]
fn an_invalid_action_is_told() {
    let log = plain(format!("\n{}", action("leave", "1", "")));
    let (problems, totals) = verify(&log.path);
    assert_eq!((totals.records, totals.lines), (1, 2));
    let [problem] = problems[..] else { panic!("{problems:?}") };
    assert_eq!((problem.line, problem.byte), (Some(2), 1));
    assert_eq!(problem.kind, ProblemKind::InvalidAction("unknown event"));
}

/// Invalid UTF-8 is told by its first byte, once for each record, and the record is kept.
#[test]
fn invalid_utf8_is_told() {
    let before = br#"{"timestamp": "t", "level": "INFO", "message": "x"#;
    let record = [&before[..], b"\xe2\x82 \xff\"}\n"].concat();
    let log = plain([line("a").as_bytes(), b"\n", &record].concat());
    let (problems, totals) = verify(&log.path);
    assert_eq!(totals.records, 2);
    let start = line("a").len() as u64 + 1;
    let byte = start + before.len() as u64;
    let kind = ProblemKind::InvalidUtf8;
    assert_eq!(problems, [Problem { line: Some(2), byte, length: 2, kind }]);
}

/// An action that is not understood in a record with invalid UTF-8 is told, too.
#[test]
fn two_problems_of_one_record_are_told() {
    let mut record = action("leave", "1", "").into_bytes();
    let at = record.iter().position(|&byte| byte == b'M').unwrap();
    record[at] = 0x80;
    let told: Vec<_> = told(record).iter().map(|told| (told.0, told.1, told.2)).collect();
    assert_eq!(told[..], [(1, 0, action("leave", "1", "").len() as u64 - 1), (1, at as u64, 1)]);
}

/// Each run of NUL bytes is one problem, in order with those of the text around it.
#[test]
fn runs_of_nul_bytes_are_told() {
    let a = line("a");
    let length = a.len() as u64;
    let told = told(format!("\0\0{a}\0\0\0\n\0x\0\0y\n{a}\0"));
    let reasons: Vec<_> =
        told.iter().map(|(line, byte, _, reason)| (*line, *byte, &**reason)).collect();
    let second = length + 6;
    assert_eq!(
        reasons,
        [
            (1, 0, "2 NUL bytes"),
            (1, 2 + length, "3 NUL bytes"),
            (2, second, "1 NUL byte"),
            (2, second + 1, "not JSON (1 byte)"),
            (2, second + 2, "2 NUL bytes"),
            (2, second + 4, "not JSON (1 byte)"),
            (3, second + 6 + length, "1 NUL byte"),
        ]
    );
}

/// A hole over many parts of the log is one run.
#[test]
fn a_large_hole_is_one_problem() {
    let content = [line("a").as_bytes(), b"\n", &vec![0; 3 << 20], line("b").as_bytes()].concat();
    let byte = line("a").len() as u64 + 1;
    let expected = [Problem { line: Some(2), byte, length: 3 << 20, kind: ProblemKind::NulBytes }];
    let logs = [
        plain(&content),
        Log::compressed(gzip(&content)),
        Log::compressed(compressed_by_us(&content)),
    ];
    for log in logs {
        for threads in [1, 4] {
            let options =
                ScanOptions { threads, block_bytes: 64 << 10, inline_below_bytes: 1 << 20 };
            let (problems, totals) = verify_with(&log.path, options);
            assert_eq!(problems, expected);
            assert_eq!((totals.records, totals.lines), (2, 2));
        }
    }
}

/// An overlong line is told with its length, whatever ends it, and lines are still counted right.
#[test]
fn overlong_lines_are_told_with_their_length() {
    let a = line("a");
    for (over, end) in
        [(1, "\n"), (1, "\0"), (1, ""), (700_001, "\n"), (2 << 20, "\0"), (3 << 20, "")]
    {
        let length = MAX_LINE_BYTES + over;
        let behind = if end.is_empty() { String::new() } else { format!("{a}\nx\n") };
        let content =
            [format!("{a}\n").as_bytes(), &vec![b'x'; length], end.as_bytes(), behind.as_bytes()]
                .concat();
        let byte = a.len() as u64 + 1;
        let newline = end == "\n";
        let kind = ProblemKind::TooLong { newline };
        let mut expected = vec![Problem { line: Some(2), byte, length: length as u64, kind }];
        let lines = if end.is_empty() { 2 } else { 3 + u64::from(newline) };
        if !end.is_empty() {
            let byte = (content.len() - 2) as u64;
            expected.push(Problem {
                line: Some(lines),
                byte,
                length: 1,
                kind: ProblemKind::NotJson,
            });
        }
        for log in [plain(&content), Log::compressed(gzip(&content))] {
            let ways = [(1, 4 << 20), (3, 1 << 20)].map(|(threads, block_bytes)| ScanOptions {
                threads,
                block_bytes,
                inline_below_bytes: 1 << 20,
            });
            for options in ways {
                let (problems, totals) = verify_with(&log.path, options);
                assert_eq!(problems, expected, "{over} {end:?} {options:?}");
                assert_eq!(totals.lines, lines, "{over} {end:?} {options:?}");
            }
        }
    }
}

/// Damage to a compressed log is told with its place in the file, between what it damages.
#[test]
fn gzip_damage_is_told_in_its_place() {
    let text = format!("{}\n{}", line("a"), &line("b")[..20]);
    let whole = gzip(&text);
    let next = gzip(format!("{}\nx\n", line("c")));
    let mut damaged = whole.clone();
    damaged.truncate(whole.len() - 3);
    let file = [&damaged[..], &next].concat();
    let (problems, totals) = verify(&Log::compressed(&file).path);
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind.name()).collect();
    assert_eq!(kinds, ["cut_off", "gzip_damage", "not_json"]);
    assert_eq!(problems[1].byte, text.len() as u64);
    assert_eq!(problems[1].line, None);
    // The trailer takes its missing bytes from what follows.
    let ProblemKind::GzipDamage { compressed_byte, reason } = problems[1].kind else { panic!() };
    assert_eq!(compressed_byte, whole.len() as u64 - 8);
    assert_eq!(reason, "the checksum does not match");
    assert_eq!((totals.records, totals.lines), (2, 3));
}

/// Counts of `totals` are those that any reader has.
fn assert_counts_agree(path: &Path, problems: &[Problem], totals: &LogTotals) {
    let (records, skipped) = read(path);
    assert_eq!(totals.records, records.len() as u64);
    let count = |name| problems.iter().filter(|p| p.kind.name() == name).count() as u64;
    assert_eq!(count("not_json"), skipped.not_json);
    assert_eq!(count("cut_off"), skipped.torn_lines);
    assert_eq!(count("not_object"), skipped.not_object);
    assert_eq!(count("missing_fields"), skipped.missing_fields);
    assert_eq!(count("invalid_action"), skipped.invalid_actions);
    assert_eq!(count("invalid_utf8"), skipped.repaired_utf8);
    assert_eq!(count("gzip_damage"), skipped.gzip_damaged);
    let nuls = problems.iter().filter(|p| p.kind == ProblemKind::NulBytes).map(|p| p.length);
    assert_eq!(nuls.sum::<u64>(), skipped.nul_bytes);
    assert_eq!(totals.counts.all(), problems.len() as u64);
}

/// A log that is cut off after any of its bytes has at most that to tell, or is whole.
#[test]
fn truncation_anywhere_is_told() {
    let content = format!("{}\n{}\n", line("a"), line("b"));
    for length in 0..=content.len() {
        let (problems, _) = verify(&plain(&content[..length]).path);
        let start = content[..length].rfind('\n').map_or(0, |at| at + 1);
        let has_record = content[start..length].ends_with('}');
        if start == length || has_record {
            assert_eq!(problems, []);
        } else {
            let (byte, taken) = (start as u64, content[start..length].trim_end().len() as u64);
            let line = Some(if start == 0 { 1 } else { 2 });
            assert_eq!(
                problems,
                [Problem { line, byte, length: taken, kind: ProblemKind::CutOff }]
            );
        }
    }
}

/// A compressed log that is cut off after any of its bytes has exactly one damage, and that comes
/// last; alike in each way of reading.
#[test]
fn truncation_of_a_compressed_log_anywhere_is_told() {
    let content: String =
        (0..9).map(|index| line(&format!("{:x}", index * 7_654_321)) + "\n").collect();
    for whole in [gzip(&content), compressed_by_us(content.as_bytes())] {
        for length in 0..=whole.len() {
            let log = Log::compressed(&whole[..length]);
            let (problems, totals) = verify(&log.path);
            assert_counts_agree(&log.path, &problems, &totals);
            if length == 0 || length == whole.len() {
                assert_eq!(problems, []);
                continue;
            }
            let (last, before) = problems.split_last().unwrap();
            assert!(matches!(last.kind, ProblemKind::GzipDamage { .. }), "{length}: {last:?}");
            assert!(before.len() <= 1, "{length}: {before:?}");
            assert!(before.iter().all(|problem| problem.kind == ProblemKind::CutOff));
            let small = ScanOptions { threads: 1, block_bytes: 1, inline_below_bytes: 1 << 20 };
            assert_eq!(verify_with(&log.path, small), (problems, totals));
        }
    }
}

/// A log that is no log at all is told of, without end or failure.
#[test]
fn noise_is_told() {
    let noise: Vec<u8> =
        (0..40_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    for log in [plain(&noise), Log::compressed(&noise)] {
        let (problems, totals) = verify(&log.path);
        assert!(!problems.is_empty());
        assert_counts_agree(&log.path, &problems, &totals);
    }
}

/// The last line of a log whose writer lives may be half written: that is told as such, and is no
/// failure; it is one once the writer has gone.
#[test]
fn a_line_being_written_is_no_failure() {
    // Our own process is the one in the name.
    let name = format!("trace-{}.log", std::process::id());
    let content = format!("x\n{}\n{}", line("a"), &line("b")[..30]);
    let log = Log::new(&name, &content);
    for options in [SIMPLE, ScanOptions { threads: 1, block_bytes: 7, inline_below_bytes: 1 << 20 }]
    {
        let (problems, totals) = verify_with(&log.path, options);
        let kinds: Vec<_> = problems.iter().map(|problem| problem.kind.name()).collect();
        assert_eq!(kinds, ["not_json", "unfinished"]);
        assert_eq!((totals.counts.failures(), totals.counts.all()), (1, 2));
    }
    // Nothing comes behind an end that is no part of a line.
    std::fs::write(&log.path, format!("{content}\0")).unwrap();
    let (problems, _) = verify(&log.path);
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind.name()).collect();
    assert_eq!(kinds, ["not_json", "not_json", "nul_bytes"]);
    let (problems, totals) = verify(&Log::new("trace-4194399.log", &content).path);
    assert_eq!(problems.last().unwrap().kind, ProblemKind::CutOff);
    assert_eq!(totals.counts.failures(), 2);
}

/// The pieces that damaged logs are made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let a = line("a");
    let repaired = [&a.as_bytes()[..a.len() - 2], b"\xff\"}"].concat();
    prop_oneof![
        8 => Just((line("m") + "\n").into_bytes()),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"\x1e".to_vec()),
        1 => Just("\u{feff}".as_bytes().to_vec()),
        2 => (1usize..9).prop_map(|count| vec![0; count]),
        2 => Just(b"x".to_vec()),
        1 => Just(b"[1]\n".to_vec()),
        1 => Just(b"{\"level\": 1}\n".to_vec()),
        2 => Just(action("leave", "1", "").into_bytes()),
        1 => Just(repaired),
        2 => (0..a.len()).prop_map(move |cut| a.as_bytes()[..cut].to_vec()),
        1 => vec(any::<u8>(), 0..9),
    ]
}

fn ways() -> impl Iterator<Item = ScanOptions> {
    [1, 2, 7, 64, 300, 4096]
        .map(|block_bytes| ScanOptions { threads: 1, block_bytes, inline_below_bytes: 1 << 20 })
        .into_iter()
}

/// What the lines of a log have, read by one cursor in one block.
fn by_one_cursor(content: &[u8]) -> (Vec<Problem>, u64) {
    let block = Block { offset: 0, bytes: content.to_vec() };
    let (mut cursor, mut records) = (LineCursor::with_full_parser_only(), 0);
    let mut skipped = Skipped { lists_lines: true, ..Skipped::default() };
    while cursor.next(&block, &mut skipped).is_some() {
        records += 1;
    }
    (skipped.problems, records)
}

proptest! {
    /// However a damaged log is parted, the same is told of it, and it is what one cursor finds that
    /// reads it in one piece.
    #[test]
    fn parts_do_not_matter(pieces in vec(piece(), 0..40)) {
        let content = pieces.concat();
        let log = plain(&content);
        let (problems, totals) = verify(&log.path);
        assert_counts_agree(&log.path, &problems, &totals);
        let lines: Vec<_> =
            problems.iter().filter(|p| p.kind != ProblemKind::NulBytes).copied().collect();
        prop_assert_eq!(by_one_cursor(&content), (lines, totals.records));
        let newlines = content.iter().filter(|&&byte| byte == b'\n').count();
        let open = content.last().is_some_and(|&byte| byte != b'\n');
        prop_assert_eq!(totals.lines, (newlines + usize::from(open)) as u64);
        for problem in &problems {
            let before = &content[..usize::try_from(problem.byte).unwrap()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
            prop_assert_eq!(problem.line, Some(line));
        }
        for options in ways() {
            prop_assert_eq!(verify_with(&log.path, options), (problems.clone(), totals));
        }
        let log = Log::compressed(gzip(&content));
        for options in ways().chain([SIMPLE]) {
            prop_assert_eq!(verify_with(&log.path, options), (problems.clone(), totals));
        }
    }

    /// Nor does it matter how a compressed log of several members is read that is damaged itself.
    #[test]
    fn parts_of_damaged_members_do_not_matter(
        members in vec((vec(piece(), 0..30), any::<bool>()), 1..6),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = Vec::new();
        for (pieces, ours) in members {
            let content = pieces.concat();
            file.extend(if ours { compressed_by_us(&content) } else { gzip(&content) });
        }
        for (at, byte) in damages {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.map_or(file.len(), |cut| cut.index(file.len())));
        let log = Log::compressed(&file);
        let (problems, totals) = verify(&log.path);
        assert_counts_agree(&log.path, &problems, &totals);
        let places: Vec<_> = problems.iter().map(|problem| problem.byte).collect();
        prop_assert!(places.is_sorted(), "{:?}", problems);
        for options in ways() {
            prop_assert_eq!(verify_with(&log.path, options), (problems.clone(), totals));
        }
    }
}

/// Several threads find what one finds, in the same order, in logs long enough for several.
#[test]
fn threads_do_not_matter() {
    let mut content = Vec::new();
    let mut state: u32 = 1;
    while content.len() < 5 << 20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 24 {
            0..4 => content.extend(vec![0; (state >> 8 & 0xff) as usize]),
            4..8 => {
                content.extend_from_slice(&line("torn").as_bytes()[..(state >> 8 & 0x3f) as usize])
            }
            8..10 => content.extend_from_slice(b"\xff\xfe\n"),
            10..12 => content.extend(action("leave", "1", "").into_bytes()),
            _ => content.extend((line("m") + "\n").into_bytes()),
        }
    }
    let whole = compressed_by_us(&content);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x55;
    let last = damaged.len() - 6;
    damaged[last] ^= 0x55;
    let mut single = gzip(&content);
    let intact = Log::compressed(&single);
    let at = single.len() / 3;
    single[at] ^= 0x55;
    let logs = [
        plain(&content),
        Log::compressed(&whole),
        intact,
        Log::compressed(&damaged),
        Log::compressed(&single),
    ];
    let known = verify(&logs[0].path);
    assert!(known.0.len() > 1000);
    for (index, log) in logs.iter().enumerate() {
        let expected = verify(&log.path);
        assert_eq!(expected == known, index < 3, "{index}");
        assert_counts_agree(&log.path, &expected.0, &expected.1);
        for (threads, block_bytes) in [(2, 1 << 20), (3, 4096), (4, 100_000), (4, 1 << 30)] {
            let found = verify_with(
                &log.path,
                ScanOptions { threads, block_bytes, inline_below_bytes: 1 << 20 },
            );
            assert!(found == expected, "{index}: {threads} threads, {block_bytes} bytes");
        }
    }
}
