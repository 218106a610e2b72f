//! Where in the store a log goes: directories that sort by date, and name host, process and run.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Names of hosts are cut after so many characters, and ids of runs.
const MAX_HOST_CHARS: usize = 63;
const MAX_RUN_CHARS: usize = 16;

/// What tells a log from any other.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The machine that it was written on.
    pub host: String,
    /// The process that wrote it, as the name of the log tells.
    pub pid: Option<u32>,
    /// The run that is noted on it.
    pub run: Option<String>,
    /// When it began, in seconds since the epoch.
    pub started_s: f64,
}

impl Identity {
    /// The directory of the log, below the prefix, without a slash at the end:
    /// `<YYYY>/<MM>/<DD>/<host>/<HHMMSS>-<pid>-<run>` in UTC. `attempt` counts those that are other
    /// logs' already, which began in the same second in a process of the same id and run.
    pub fn directory(&self, attempt: u32) -> String {
        // What no date of four digits can show counts as the epoch.
        let moment = (self.started_s.is_finite())
            .then(|| truncated_micros(self.started_s))
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .map(|moment| moment.to_zoned(TimeZone::UTC))
            .filter(|moment| moment.year() >= 0)
            .unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC));
        let host = safe(&self.host, MAX_HOST_CHARS, "unknown");
        let run = safe(self.run.as_deref().unwrap_or_default(), MAX_RUN_CHARS, "0");
        let again = if attempt == 0 { String::new() } else { format!(".{}", attempt + 1) };
        let pid = self.pid.unwrap_or(0);
        format!(
            "{}/{host}/{}-{pid}-{run}{again}",
            moment.strftime("%Y/%m/%d"),
            moment.strftime("%H%M%S")
        )
    }
}

/// Whether a place ends as the directories of logs do.
pub(super) fn is_log_directory(place: &str) -> bool {
    let digits = |text: &str, least: usize| {
        text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut segments = place.rsplit('/');
    let mut next = || segments.next().unwrap_or_default();
    let (name, host, day, month, year) = (next(), next(), next(), next(), next());
    let mut parts = name.splitn(3, '-');
    let mut part = || parts.next().unwrap_or_default();
    let (time, pid, run) = (part(), part(), part());
    let is_two = |text: &str| text.len() == 2 && digits(text, 2);
    digits(year, 4)
        && is_two(month)
        && is_two(day)
        && !host.is_empty()
        && time.len() == 6
        && digits(time, 6)
        && digits(pid, 1)
        && !run.is_empty()
}

#[allow(clippy::cast_possible_truncation)] // What is no moment saturates, and is none of jiff's.
fn truncated_micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// A text as one segment of a key that every store, shell and file system takes.
pub(super) fn safe(text: &str, max_chars: usize, instead: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let text: String =
        text.chars().take(max_chars).map(|c| if is_kept(c) { c } else { '-' }).collect();
    // `.` and `..` are directories of their own, and what begins with a dot is hidden.
    let text = text.trim_start_matches('.');
    if text.is_empty() { instead.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(host: &str, run: Option<&str>, started_s: f64) -> Identity {
        Identity { host: host.to_owned(), pid: Some(42), run: run.map(str::to_owned), started_s }
    }

    /// The date and the time are those of UTC; the id of the run is cut, and 0 where there is none.
    #[test]
    fn keys_sort_by_date() {
        let run = Some("abcdefghijklmnopqrstuv");
        let key = identity("box.lan", run, 1_795_425_745.25).directory(0);
        assert_eq!(key, "2026/11/23/box.lan/092225-42-abcdefghijklmnop");
        assert_eq!(identity("h", None, 0.0).directory(1), "1970/01/01/h/000000-42-0.2");
        let before_our_era = identity("h", None, -65_644_528_995.8);
        assert_eq!(before_our_era.directory(0), "1970/01/01/h/000000-42-0");
    }

    /// What is no directory of a log is not taken for one.
    #[test]
    fn other_directories_are_told() {
        assert!(is_log_directory("s3://b/t/2026/11/23/box/092225-42-0.2"));
        for place in [
            "",
            "s3://b/t",
            "s3://b/t/2026/11/23/box",
            "s3://b/2026/11/23/box/092225-42",
            "s3://b/2026/11/23/box/092225-x-0",
            "s3://b/2026/11/3/box/092225-42-0",
            "s3://b/26/11/23/box/092225-42-0",
            "s3://b/2026/11/23//092225-42-0",
            "s3://b/2026/11/23/box/0922-42-0",
        ] {
            assert!(!is_log_directory(place), "{place}");
        }
    }

    proptest! {
        /// Whatever the names, a key has six segments of harmless characters.
        #[test]
        fn keys_are_harmless(host in any::<String>(), run in any::<Option<String>>(), started_s in any::<f64>()) {
            let key = identity(&host, run.as_deref(), started_s).directory(0);
            prop_assert!(is_log_directory(&key), "{}", key);
            let segments: Vec<_> = key.split('/').collect();
            prop_assert_eq!(segments.len(), 5, "{}", key);
            for segment in segments {
                prop_assert!(!segment.is_empty() && !segment.starts_with('.'));
                prop_assert!(segment.len() < 100);
                prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
            }
        }
    }
}
