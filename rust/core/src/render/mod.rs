//! What commands print: records and findings become JSON or text, as a stream of chunks.

mod anomalies;
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
mod logs;
mod output;
mod place;
mod report;
mod spans;
mod stack;
mod table;
mod terminal;
mod time;
mod tree;
mod tree_rows;
mod verify;

pub use anomalies::{
    AnomaliesOptions, Diagnosed, anomalies_json, anomalies_report, anomalies_table,
};
pub use dump::{DumpFormat, DumpOptions, dump_report, dump_report_with, write_record};
pub use export::{ExportFormat, ExportOptions, export_report};
pub use follow::follow_report;
pub use http::{HttpOptions, http_report, http_report_with};
pub use list::{ListOptions, list_report};
pub use output::Output;
pub use report::Report;
pub use table::TableStyle;
pub use terminal::{shell_quote, terminal_safe};
pub use tree::{TreeOptions, tree_report};
pub use verify::{VerifyOptions, verify_report};
