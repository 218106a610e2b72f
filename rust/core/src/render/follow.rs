//! The records of a log as they are written, as JSON Lines.

use crate::Result;
use crate::read::{Filter, FollowedRecords, Log};

use super::Report;
use crate::redact::redact_from;

use super::dump::{DumpFormat, write_metadata, write_record};

/// The records that `filter` wants of a log from its start on, and then those that are appended to it, as JSON Lines like those of
/// [`super::dump_report`]; where `redact` says so, without the secrets in them, and
/// without texts where `no_detail` does.
///
/// A chunk comes at least ten times a second, an empty one where there is nothing new. The report
/// ends when nothing more can come.
///
/// # Errors
/// The log cannot be opened.
pub fn follow_report(
    log: &Log,
    filter: &Filter,
    redact: bool,
    no_detail: bool,
) -> Result<Box<dyn Report>> {
    Ok(Box::new(Follow { records: FollowedRecords::open_log(log, filter)?, redact, no_detail }))
}

struct Follow {
    records: FollowedRecords,
    redact: bool,
    no_detail: bool,
}

impl Report for Follow {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let more = self.records.visit(|record| {
            let start = out.len();
            if self.no_detail {
                write_metadata(&mut out, record, DumpFormat::JsonLines, None);
            } else {
                write_record(&mut out, record, DumpFormat::JsonLines);
            }
            if self.redact {
                redact_from(&mut out, start);
            }
            out.push(b'\n');
        })?;
        Ok(more.then_some(out))
    }

    fn take_notes(&mut self) -> Vec<String> {
        self.records.take_notes()
    }

    fn skipped(&self) -> Option<String> {
        self.records.skipped()
    }
}
