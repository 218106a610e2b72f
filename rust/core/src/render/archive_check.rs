//! What is wrong with an archive, as lines or as JSON.

use serde::Serialize;

use crate::archive::{Check, Fault};
use crate::read::skipped::count;

use super::Report;
use super::archive_list::to_json;
use super::report::Told;
use super::terminal::terminal_safe;
use super::units::human_bytes;

#[derive(Serialize)]
struct Problem<'f> {
    url: String,
    object: Option<&'f str>,
    kind: &'f str,
    reason: String,
}

#[derive(Serialize)]
struct Checked<'f> {
    as_of: f64,
    url: &'f str,
    checksums: bool,
    logs: u64,
    objects: u64,
    size: u64,
    problems: Vec<Problem<'f>>,
}

/// A line for each thing that is wrong and one that sums it up, or a JSON object. It has failed if there is
/// any.
pub fn archive_check_report(
    check: &Check,
    checksums: bool,
    json: bool,
    as_of_s: f64,
) -> Box<dyn Report> {
    let catalog = check.catalog();
    let faults = check.faults();
    let (mut logs, mut objects, mut size) = (0, 0, 0_u64);
    for (_, entry) in catalog.logs() {
        logs += 1;
        objects += entry.objects.len() as u64;
        size = size.saturating_add(entry.size_bytes());
    }
    let chunk = if json {
        let problems = faults.iter().map(|Fault { directory, object, kind }| Problem {
            url: catalog.url_of(directory),
            object: object.as_deref(),
            kind: kind.word(),
            reason: kind.reason(),
        });
        let problems = problems.collect();
        let url = catalog.url();
        to_json(&Checked { as_of: as_of_s, url, checksums, logs, objects, size, problems })
    } else {
        let lines: String = faults.iter().map(|fault| line(check, fault)).collect();
        let what = count(logs, "log", "logs");
        let amount = format!("{}, {}", count(objects, "object", "objects"), human_bytes(size));
        let looked = if checksums { "read and compared" } else { "looked at, not read" };
        let mut wrong: Vec<_> = faults.iter().map(|fault| &fault.directory).collect();
        wrong.dedup();
        let problems = match faults.len() as u64 {
            0 => "no problems".to_owned(),
            number => {
                let logs = count(wrong.len() as u64, "log", "logs");
                format!("{} in {logs}", count(number, "problem", "problems"))
            }
        };
        let could_read = !checksums && faults.is_empty() && logs > 0;
        let hint = if could_read { "Pass --checksums to read all of it.\n" } else { "" };
        let text = format!("{lines}{what} ({amount}), {looked}: {problems}\n{hint}");
        text.into_bytes()
    };
    Box::new(Told { chunk: Some(chunk), has_failed: !faults.is_empty(), ..Told::default() })
}

fn line(check: &Check, fault: &Fault) -> String {
    let url = check.catalog().url_of(&fault.directory);
    let place = match &fault.object {
        None => url,
        Some(object) => format!("{url}/{object}"),
    };
    format!(
        "{}: {}\n",
        terminal_safe(place.as_bytes()),
        terminal_safe(fault.kind.reason().as_bytes())
    )
}
