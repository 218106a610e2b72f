//! The logs of a trace directory as a table or as JSON.

use crate::store::TraceFile;

use super::json::{new_line, write_number, write_text};
use super::table::{Column, TableStyle, layout};
use super::terminal::{cell, shell_quote};
use super::time::local_day_and_time;

/// The logs as a JSON array, ended by a newline: `file` and `mtime` as the reference has them,
/// then `size`, `pid`, `alive`, `run_id`, `is_child`, `parts`.
pub fn list_json(files: &[TraceFile]) -> String {
    let mut out = vec![b'['];
    for (index, file) in files.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        new_line(&mut out, 1);
        out.push(b'{');
        let mut first = true;
        let mut member = |out: &mut Vec<u8>, key: &str, write: &dyn Fn(&mut Vec<u8>)| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            new_line(out, 2);
            out.extend_from_slice(format!("\"{key}\": ").as_bytes());
            write(out);
        };
        let plain = |text: Option<String>| {
            let text = text.unwrap_or_else(|| "null".to_owned());
            move |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes())
        };
        member(&mut out, "file", &|out| {
            write_text(out, file.path.as_os_str().as_encoded_bytes());
        });
        member(&mut out, "mtime", &|out| write_number(out, file.mtime_s));
        member(&mut out, "size", &plain(Some(file.size_bytes.to_string())));
        member(&mut out, "pid", &plain(file.pid.map(|pid| pid.to_string())));
        member(&mut out, "alive", &plain(file.alive.map(|alive| alive.to_string())));
        member(&mut out, "run_id", &|out| match &file.run_id {
            Some(run_id) => write_text(out, run_id.as_bytes()),
            None => out.extend_from_slice(b"null"),
        });
        member(&mut out, "is_child", &plain(Some(file.is_child.to_string())));
        member(&mut out, "parts", &plain(Some(file.parts.to_string())));
        new_line(&mut out, 1);
        out.push(b'}');
    }
    if !files.is_empty() {
        new_line(&mut out, 0);
    }
    out.extend_from_slice(b"]\n");
    String::from_utf8_lossy(&out).into_owned()
}

/// The logs as a table, each row ended by a newline: when they were last written, their paths
/// (quoted for the shell), and which of them are being written.
pub fn list_table(files: &[TraceFile], style: TableStyle) -> String {
    if files.is_empty() {
        return "No trace files.\n".to_owned();
    }
    let mut rows = vec![vec!["Time".to_owned(), "Trace File".to_owned(), String::new()]];
    for file in files {
        let path = file.path.to_string_lossy();
        let state = if file.alive == Some(true) { "running" } else { "" };
        let time = local_day_and_time(file.mtime_s).unwrap_or_else(|| "-".to_owned());
        rows.push(vec![time, cell(shell_quote(&path).as_bytes()), state.to_owned()]);
    }
    // Paths are there to be copied: they never wrap.
    let unwrapped = TableStyle { width: None, ..style };
    let text = layout(&[Column::Left; 3], &rows, unwrapped);
    match text.split_once('\n') {
        Some((head, rest)) => format!("{}\n{rest}", style.bold(head)),
        None => text,
    }
}
