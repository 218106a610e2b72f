//! What commands print: records and findings become JSON or text, as a stream of chunks.

mod anomalies;
mod diff;
mod diff_table;
mod dump;
mod export;
mod export_csv;
mod export_lanes;
mod export_otlp;
mod export_perfetto;
mod follow;
mod http;
mod json;
mod list;
mod list_columns;
mod live;
mod live_changes;
mod live_frame;
mod logs;
mod members;
mod output;
mod parents;
mod place;
mod report;
mod spans;
mod stack;
mod stats;
mod stats_scan;
mod stats_table;
mod table;
mod terminal;
mod time;
mod timeline;
mod tree;
mod tree_rows;
mod verify;

pub use anomalies::{
    AnomaliesOptions, Diagnosed, anomalies_json, anomalies_report, anomalies_table,
};
pub use diff::{DiffOptions, diff_report};
pub use dump::{DumpFormat, DumpOptions, dump_report, dump_report_with, write_record};
pub use export::{ExportFormat, ExportOptions, export_report};
pub use follow::follow_report;
pub use http::{HttpOptions, http_report, http_report_with};
pub use list::{ListOptions, list_report};
pub use live::{CounterCells, LiveCells, counter_cells, live_cells, live_details, live_records};
pub use live_changes::{LiveChanges, LiveFormat};
pub use live_frame::live_frame;
pub use output::Output;
pub use report::Report;
pub use stats::{StatsReportOptions, stats_report};
pub use table::TableStyle;
pub use terminal::{shell_quote, terminal_safe};
pub use timeline::{DEFAULT_TIMELINE_LIMIT, MAX_TIMELINE_BYTES, TimelineOptions, timeline_report};
pub use tree::{TreeOptions, tree_report};
pub use verify::{VerifyOptions, verify_report};
