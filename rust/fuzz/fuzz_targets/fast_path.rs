//! Any log: the fast path and the full parser agree on every record, on how it is printed and on
//! what is skipped.
#![no_main]

use inspect_trace_core::read::{Block, LineCursor};
use inspect_trace_fuzz::{log_of, records};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let block = Block { offset: 7, bytes: log_of(input) };
    let fast = records(LineCursor::new(), &block);
    let full = records(LineCursor::with_full_parser_only(), &block);
    assert_eq!(fast, full);
});
