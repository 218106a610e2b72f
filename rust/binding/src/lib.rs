//! The border between Python and the core: classes, conversions, the one error mapping.
//!
//! Nothing here decides anything about logs; it turns Python objects into what the core takes and
//! the core's answers into Python objects. On the way in it also tells, from the state that
//! `logging` is in, whether a record may go straight to a log: see `logging`.

// A converted argument is always a value of our own.
#![allow(clippy::needless_pass_by_value)]

use pyo3::prelude::*;

mod action;
mod anomalies;
mod archive;
mod archive_contents;
mod checked;
mod context;
mod emit;
mod error;
mod filter;
mod follow;
mod guarded;
mod handle;
mod helpers;
mod known_record;
mod live;
mod log_record;
mod logging;
mod logs;
mod native_record;
mod partial;
mod percent;
mod plain_record;
mod plan;
mod raw;
mod record;
mod redact;
mod remote;
mod report;
mod route;
mod sites;
mod span;
mod store;
mod value;
mod watch;
mod words;
mod writer;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::action::{TraceAction, start_action, trace_message};
    #[pymodule_export]
    use super::anomalies::{Action, Anomalies, anomalies};
    #[pymodule_export]
    use super::archive::{
        Archive, ArchiveLog, ArchiveManifest, ArchivePiece, is_archived, is_archiving,
        parse_duration, spawn_archiver,
    };
    #[pymodule_export]
    use super::archive_contents::{
        ArchiveCatalog, ArchiveCheck, ArchivePruning, parse_moment, parse_size,
    };
    #[pymodule_export]
    use super::checked::{know_last_resort, know_trace_handler};
    #[pymodule_export]
    use super::context::{ContextFields, know_context};
    #[pymodule_export]
    use super::filter::Filter;
    #[pymodule_export]
    use super::follow::{FollowedRecords, follow};
    #[pymodule_export]
    use super::handle::handle_record;
    #[pymodule_export]
    use super::helpers::know_action_helpers;
    #[pymodule_export]
    use super::live::{LiveAction, LiveCounter, LiveSnapshot, LiveView};
    #[pymodule_export]
    use super::log_record::{format_record, new_trace_id};
    #[pymodule_export]
    use super::logging::use_fast_path;
    #[pymodule_export]
    use super::partial::{
        PartialState, Question, anomalies_answer, diff_answer, failed_state, http_answer,
        partial_state, plan_tasks, stats_answer,
    };
    #[pymodule_export]
    use super::record::{Records, TraceRecord, scan};
    #[pymodule_export]
    use super::redact::redact;
    #[pymodule_export]
    use super::remote::RemoteLogs;
    #[pymodule_export]
    use super::report::{
        Report, anomalies_report, diff_report, dump_report, export_report, follow_report,
        http_report, list_report, stats_report, terminal_safe, timeline_report, tree_report,
        verify_report,
    };
    #[pymodule_export]
    use super::span::ActionSpan;
    #[pymodule_export]
    use super::store::{
        HousekeepingReport, TraceFile, housekeep, list_trace_files, resolve_trace_file,
        resolve_trace_files, spawn_housekeeping,
    };
    #[pymodule_export]
    use super::watch::{open_action_ids, stop_watching, watch_after_fork};
    #[pymodule_export]
    use super::writer::LogWriter;

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // Python's name for it
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
