//! What the fuzz targets share: logs made of few bytes, and all that reading one gives.

use inspect_trace_core::analyze::{Anomalies, AnomaliesPartial, Partial as _};
use inspect_trace_core::read::{Block, Filter, LineCursor, Skipped};
use inspect_trace_core::record::Record;
use inspect_trace_core::render::{DumpFormat, write_record};

/// Pieces of logs, as they are written and as they should not be.
#[rustfmt::skip]
const PIECES: [&[u8]; 96] = [
    b"{\"timestamp\": \"2026-11-23T10:22:25.5+00:00\", \"level\": \"TRACE\", \"message\": \"m\"",
    b"{\"timestamp\": \"2026-11-23T10:22:26+00:00\", \"level\": \"INFO\", \"message\": \"",
    b", \"action\": \"Model\", \"detail\": \"d\", \"event\": \"",
    b"enter\"", b"exit\"", b"cancel\"", b"error\"", b"timeout\"", b"e\\u006eter\"", b"pause\"",
    b", \"trace_id\": \"a\"", b", \"trace_id\": \"b\"", b", \"trace_id\": \"\\u0061\"",
    b", \"trace_id\": \"", b", \"start_time\": ", b", \"duration\": ", b", \"pid\": 7",
    b", \"pid\": 4294967296", b", \"error\": \"", b", \"error_type\": \"", b", \"stacktrace\": \"",
    b", \"task\": ", b", \"sample_id\": ", b", \"epoch\": ", b", \"module\": \"m\", \"function\": \"f\", \"line\": 1",
    b"}\n", b"}", b"\n", b"\r\n", b"\r", b"\0", b"\0\0\0\0", b"\"}\n", b"\"", b", ", b",", b": ", b":", b"\"x\": ",
    b"{", b"[", b"]", b"[]", b"{}", b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity",
    b"0", b"-0", b"1", b"1.5", b"1e5", b"1E+5", b"1e999", b"01", b".5", b"123456789012345678901234567890",
    b"\"1.5\"", b"\" 1_0 \"", b"\"nan\"", b"\\", b"\\\\", b"\\\"", b"\\n", b"\\/", b"\\u0041", b"\\ud83d",
    b"\\ude00", b"\\ud83d\\ude00", b"\\u12", b"\\x", b"\xc3\xa9", b"\xff", b"\xe2\x80", b"\x7f", b"\x1b", b"\t", b" ",
    b"\xef\xbb\xbf", b"\x1e", b"{\"timestamp\"", b"\"timestamp\": \"t\"", b"\"level\": \"l\"", b"\"message\": \"m\"",
    b"\"mess\\u0061ge\": \"m\"", b"\"message\"", b"{\"timestamp\": \"no time\", \"level\": \"TRACE\", \"message\": \"m\"",
    b"\"action\"", b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    b"aaaaaaa", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\", b"not JSON",
];

/// A log of the bytes of an input: as they are where the first is odd, or with pieces of logs in the
/// place of the low ones.
pub fn log_of(input: &[u8]) -> Vec<u8> {
    let Some((&mode, bytes)) = input.split_first() else { return Vec::new() };
    if mode % 2 == 1 {
        return bytes.to_vec();
    }
    let mut log = Vec::new();
    for byte in bytes {
        match PIECES.get(usize::from(*byte)) {
            Some(piece) => log.extend_from_slice(piece),
            None => log.push(*byte),
        }
    }
    log
}

/// All that a record tells, as a text to compare: also how it is printed.
pub fn describe(record: &Record<'_>) -> String {
    let fields: Vec<_> = record
        .fields()
        .map(|(key, value)| (key.into_owned(), value.kind(), value.raw().to_vec()))
        .collect();
    let mut printed = [Vec::new(), Vec::new()];
    write_record(&mut printed[0], record, DumpFormat::JsonLines);
    write_record(&mut printed[1], record, DumpFormat::JsonArray);
    let [compact, indented] = printed.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    format!(
        "{} {:?} {:?} {:?} {:?} {:?} {:?} {fields:?} {compact} {indented}",
        record.offset(),
        record.json(),
        record.action_kind(),
        record.is_repaired(),
        record.trace_id(),
        record.start_time_s().map(f64::to_bits),
        record.pid(),
    )
}

/// All that a cursor tells of a block.
pub fn records(mut cursor: LineCursor, block: &Block) -> (Vec<String>, Skipped) {
    let mut skipped = Skipped::default();
    let mut records = Vec::new();
    while let Some(record) = cursor.next(block, &mut skipped) {
        records.push(describe(&record));
    }
    (records, skipped)
}

/// The anomalies of a block, record by record: the definition.
pub fn anomalies(block: &Block, start: u64) -> Anomalies {
    let mut partial = AnomaliesPartial::at_start(&Filter::default());
    let (mut cursor, mut skipped) = (LineCursor::new(), Skipped::default());
    while let Some(record) = cursor.next(block, &mut skipped) {
        if record.offset() >= start {
            partial.observe(&record, record.offset());
        }
    }
    partial.finish(skipped)
}

/// Pieces of what secrets stand in, and are made of.
#[rustfmt::skip]
const SECRET_PIECES: [&[u8]; 96] = [
    b"token", b"Token", b"api_key", b"apiKey", b"--api-key", b"--token", b"password", b"secret", b"PASSWORD",
    b"secret_access_key", b"access_key_id", b"private_key", b"passphrase", b"pwd=", b"authorization", b"Authorization",
    b"cookie", b"Set-Cookie", b"Bearer ", b"bearer", b"Basic ", b"sk-", b"sk-ant-", b"AIza", b"AKIA", b"hf_", b"ghp_",
    b"github_pat_", b"xoxb-", b"eyJh", b"gsk_", b"glpat-", b"://", b"//", b"@", b":", b": ", b"=", b" = ", b"=>", b" ",
    b"  ", b"\t", b"\"", b"'", b"\\", b"\\\"", b"\\'", b",", b", ", b"&", b"&amp;", b"?", b"?key=", b"&sig=",
    b"X-Amz-Signature=", b"x-goog-credential", b"x-api-key", b"'x-api-key', '", b"b'", b"(", b")", b"[", b"]", b"{", b"}",
    b"\n", b"\r", b"-", b"_", b".", b"/", b"#", b"%20", b";", b"<", b">", b"|", b"abc", b"x1", b"0123456789abcdef",
    b"ABCDEFGHIJKLMNOP", b"\xc3\xa9", b"\xe6\x97\xa5", b"\xf0\x9f\x98\x80", b"\xff", b"\xed\xa0\x80", b"REDACTED",
    b"REDAC", b"None", b"https://", b"-----BEGIN PRIVATE KEY-----", b"-----END", b"\\u0074", b"\\u00e9", b"\0",
];

/// The bytes of an input: as they are where the first is odd, or with pieces of secrets in the place of
/// the low ones.
pub fn text_with_secrets(input: &[u8]) -> Vec<u8> {
    let Some((&mode, bytes)) = input.split_first() else { return Vec::new() };
    if mode % 2 == 1 {
        return bytes.to_vec();
    }
    let mut text = Vec::new();
    for byte in bytes {
        match SECRET_PIECES.get(usize::from(*byte)) {
            Some(piece) => text.extend_from_slice(piece),
            None => text.push(*byte),
        }
    }
    text
}
