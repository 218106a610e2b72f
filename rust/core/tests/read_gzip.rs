//! Compressed logs, whole and damaged: nothing that is intact is lost, nothing panics.
#![allow(clippy::unwrap_used)]

mod read_support;

use std::collections::HashSet;

use flate2::{Decompress, FlushDecompress};
use inspect_trace_core::record::OwnedRecord;
use read_support::{Log, gzip, line, read};

fn lines(messages: impl IntoIterator<Item = String>) -> String {
    messages.into_iter().map(|message| line(&message) + "\n").collect()
}

/// Lines that don't compress away, so that a file has some length.
fn varied(name: &str, count: usize) -> Vec<String> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    (0..count)
        .map(|index| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{name}{index}-{state:016x}")
        })
        .collect()
}

/// What can be decompressed of the first `length` bytes of a single member.
fn decompressed_before(member: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    if length > 10 {
        let _ = Decompress::new(false).decompress_vec(
            &member[10..length],
            &mut out,
            FlushDecompress::None,
        );
    }
    out
}

/// The messages of the whole lines in `text`.
fn whole_messages(text: &[u8], known: &[String]) -> HashSet<String> {
    let text = String::from_utf8_lossy(text);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines: HashSet<&str> = whole.split('\n').collect();
    known.iter().filter(|message| lines.contains(line(message).as_str())).cloned().collect()
}

/// Members one behind the other are one log, lines across their borders included.
#[test]
fn concatenated_members_are_one_log() {
    let text = lines(varied("m", 100));
    let bytes = text.as_bytes();
    for cut in [1, 50, line("").len() + 22, bytes.len() / 2, bytes.len() - 1] {
        let file = [gzip(&bytes[..cut]), gzip(""), gzip(&bytes[cut..])].concat();
        let (messages, skipped) = Log::compressed(file).messages();
        assert_eq!(messages, varied("m", 100));
        assert_eq!(skipped.summary("x".as_ref()), None);
    }
}

/// Optional parts of a header are passed over.
#[test]
fn optional_header_fields_are_passed_over() {
    use std::io::Write as _;
    let mut encoder = flate2::GzBuilder::new()
        .filename("trace-1.log")
        .comment("a comment")
        .extra(vec![1; 300])
        .mtime(7)
        .write(Vec::new(), flate2::Compression::new(1));
    encoder.write_all(lines(varied("m", 3)).as_bytes()).unwrap();
    let (messages, skipped) = Log::compressed(encoder.finish().unwrap()).messages();
    assert_eq!(messages, varied("m", 3));
    assert_eq!(skipped.gzip_damaged, 0);
}

/// Zeros behind the end are padding, nothing to tell of.
#[test]
fn zero_padding_is_ignored() {
    for zeros in [1, 1000, 300_000] {
        let file = [gzip(lines(varied("m", 3))), vec![0; zeros]].concat();
        let (messages, skipped) = Log::compressed(file).messages();
        assert_eq!(messages.len(), 3);
        assert_eq!(skipped.summary("x".as_ref()), None);
    }
}

/// A file cut off anywhere gives every whole line before the cut, and says that it was cut.
#[test]
fn truncated_files_give_all_before_the_cut() {
    let messages = varied("m", 25);
    let file = gzip(lines(messages.clone()));
    for length in 2..file.len() {
        let (read, skipped) = Log::compressed(&file[..length]).messages();
        let expected = whole_messages(&decompressed_before(&file, length), &messages);
        assert!(read.len() >= expected.len(), "cut at {length}");
        assert_eq!(read, messages[..read.len()], "cut at {length}");
        assert_eq!(skipped.gzip_damaged, 1, "cut at {length}");
        let (_, reason) = skipped.first_damage.unwrap();
        assert_eq!(reason, "the file ends early", "cut at {length}");
    }
}

/// A damaged byte anywhere loses nothing that is intact before it, and is told of wherever it can
/// be noticed at all.
#[test]
fn damage_at_every_byte_loses_nothing_before_it() {
    let messages = varied("m", 25);
    let text = lines(messages.clone());
    let file = gzip(&text);
    for at in 0..file.len() {
        for flip in [0x01, 0x90] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            let (read, skipped) = Log::compressed(damaged).messages();
            let read: HashSet<_> = read.into_iter().collect();
            let expected = whole_messages(&decompressed_before(&file, at), &messages);
            let lost: Vec<_> = expected.difference(&read).collect();
            assert!(lost.is_empty(), "byte {at} ^ {flip:#x}: {lost:?} lost");
            // Some bytes of the header, and the bits that fill up the last byte of the data, mean
            // nothing: there is no damage then.
            let is_noted = skipped.gzip_damaged > 0;
            assert!(is_noted || read.len() == messages.len(), "byte {at} ^ {flip:#x} unnoticed");
        }
    }
}

/// Behind a damaged member, wherever the damage is, all intact members are read in full.
#[test]
fn intact_members_behind_damage_are_read() {
    let first = gzip(lines(varied("first", 8)));
    let rest = [gzip(lines(varied("second", 8))), gzip(lines(varied("third", 5)))].concat();
    let expected: Vec<_> = varied("second", 8).into_iter().chain(varied("third", 5)).collect();
    for at in 0..first.len() {
        for flip in [0x01, 0x90] {
            let mut damaged = first.clone();
            damaged[at] ^= flip;
            damaged.extend_from_slice(&rest);
            let (read, _) = Log::compressed(damaged).messages();
            assert!(read.ends_with(&expected), "byte {at} ^ {flip:#x}: {read:?}");
        }
        // Bytes missing: what a torn write leaves when another writer goes on behind it.
        let torn = [&first[..at], &rest].concat();
        let (read, skipped) = Log::compressed(torn).messages();
        assert!(read.ends_with(&expected), "cut at {at}: {read:?}");
        assert!(skipped.gzip_damaged > 0 || at == 0, "cut at {at}");
    }
}

/// A checksum that does not match costs no record.
#[test]
fn a_wrong_checksum_costs_nothing() {
    let mut file = gzip(lines(varied("m", 20)));
    let end = file.len();
    file[end - 6] ^= 1;
    let log = Log::compressed(file);
    let (messages, skipped) = log.messages();
    assert_eq!(messages.len(), 20);
    let note = skipped.summary(&log.path).unwrap();
    let place = end - 8;
    assert_eq!(
        note,
        format!(
            "trace-1.log.gz: compressed data damaged at byte {place} (the checksum does not match)"
        )
    );
}

/// Bytes behind the last member are told of, and cost nothing.
#[test]
fn trailing_garbage_costs_nothing() {
    for garbage in [&b"garbage"[..], b"\x1f\x8b", b"\x1f\x8b\x08\xff", b"\x1f"] {
        let file = [&gzip(lines(varied("m", 20))), garbage].concat();
        let (messages, skipped) = Log::compressed(file).messages();
        assert_eq!(messages.len(), 20);
        assert_eq!(skipped.gzip_damaged, 1, "{garbage:?}");
    }
}

/// A member behind megabytes of noise is found.
#[test]
fn a_member_behind_noise_is_found() {
    let noise: Vec<u8> = varied("", 70_000).concat().into_bytes();
    for padding in 0..5 {
        let file =
            [gzip(lines(varied("a", 5))), noise[padding..].to_vec(), gzip(lines(varied("b", 5)))]
                .concat();
        let (messages, skipped) = Log::compressed(file).messages();
        assert_eq!(messages, [varied("a", 5), varied("b", 5)].concat());
        assert_eq!(skipped.gzip_damaged, 1);
    }
}

/// The lines on the two sides of a damage are not joined into one.
#[test]
fn lines_are_not_joined_across_damage() {
    let text = line("joined");
    let (head, tail) = text.as_bytes().split_at(70);
    let file = [&gzip(head), &b"noise"[..], &gzip([tail, b"\n"].concat())].concat();
    let (messages, skipped) = Log::compressed(file).messages();
    assert!(messages.is_empty());
    assert_eq!((skipped.torn_lines, skipped.not_json, skipped.gzip_damaged), (1, 1, 1));
}

/// Many members, and many blocks, are read in full.
#[test]
fn large_compressed_logs_are_read() {
    let text = lines(varied("m", 20_000));
    let members: Vec<_> = text.as_bytes().chunks(100_000).map(gzip).collect();
    let log = Log::compressed(members.concat());
    let (records, skipped) = read(&log.path);
    assert_eq!(records.len(), 20_000);
    assert_eq!(skipped.summary("x".as_ref()), None);
    let offsets: Vec<_> = records.iter().map(OwnedRecord::offset).collect();
    assert_eq!(offsets[1], text.find('\n').unwrap() as u64 + 1);
    assert!(offsets.is_sorted());
}
