//! What is known to be in the archive, in a small file beside the logs: it spares asking the store about
//! logs that are finished, and tells others how far a log has been shipped. It may be lost.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

const FORMAT: &str = "inspect-trace-archive-state/1";
const FILE: &str = ".tmp/archive.json";

/// How far a log has been shipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Known {
    /// When the log was last written then.
    pub(crate) mtime_s: f64,
    /// So much of its plain text is in the store.
    pub(crate) bytes: u64,
    /// Whether that is all there will be.
    pub(crate) finished: bool,
}

/// How far the logs of a directory have been shipped to one place.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    to: String,
    logs: BTreeMap<String, Known>,
}

impl State {
    /// Of the logs in `directory`, if they go to `to`; wherever they go without it.
    pub(crate) fn load(directory: &Path, to: Option<&str>) -> Self {
        let found = fs::read(directory.join(FILE)).ok().and_then(|text| Self::parse(&text));
        match (found, to) {
            (Some(state), None) => state,
            (Some(state), Some(to)) if state.to == to => state,
            (_, to) => Self { to: to.unwrap_or_default().to_owned(), logs: BTreeMap::new() },
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        if value.get("format")?.as_str()? != FORMAT {
            return None;
        }
        let known = |(name, value): (&String, &Value)| {
            let known = Known {
                mtime_s: value.get("mtime")?.as_f64()?,
                bytes: value.get("bytes")?.as_u64()?,
                finished: value.get("finished")?.as_bool()?,
            };
            Some((name.clone(), known))
        };
        let logs = value.get("logs")?.as_object()?.iter().filter_map(known).collect();
        Some(Self { to: value.get("to")?.as_str()?.to_owned(), logs })
    }

    /// Puts it beside the logs, in one step.
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        let logs: serde_json::Map<_, _> = self
            .logs
            .iter()
            .map(|(name, Known { mtime_s, bytes, finished })| {
                (name.clone(), json!({"mtime": mtime_s, "bytes": bytes, "finished": finished}))
            })
            .collect();
        let value = json!({"format": FORMAT, "to": self.to, "logs": logs});
        let new: PathBuf = directory.join(format!("{FILE}.next"));
        write_private(&new, value.to_string().as_bytes())?;
        fs::rename(&new, directory.join(FILE))
    }

    /// What is known of the log of that name, which is its name before it is compressed.
    pub(crate) fn get(&self, name: &str) -> Option<Known> {
        self.logs.get(name).copied()
    }

    /// Whether all of that log is in the store, if it was last written then. Compressing it keeps its time.
    pub(crate) fn is_settled(&self, name: &str, mtime_s: f64) -> bool {
        self.get(name).is_some_and(|known| known.finished && same_time(known.mtime_s, mtime_s))
    }

    pub(crate) fn note(&mut self, name: &str, known: Known) {
        self.logs.insert(name.to_owned(), known);
    }

    /// Forgets logs that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.logs.retain(|name, _| is_there(name));
    }
}

/// A microsecond is what is left of a time in a float.
pub(super) fn same_time(one_s: f64, other_s: f64) -> bool {
    (one_s - other_s).abs() < 2e-6
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is saved is known to the next one, of that place alone; damage is as if there were nothing.
    #[test]
    fn state_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".tmp")).unwrap();
        let mut state = State::load(directory.path(), Some("s3://a"));
        state.note("trace-1.log", Known { mtime_s: 1.25, bytes: 9, finished: true });
        state.note("trace-2.log", Known { mtime_s: 2.5, bytes: 9, finished: false });
        state.save(directory.path()).unwrap();
        let load = |to| State::load(directory.path(), to);
        assert_eq!(load(Some("s3://a")), state);
        assert_eq!(load(None), state);
        assert!(state.is_settled("trace-1.log", 1.25) && !state.is_settled("trace-1.log", 1.5));
        assert!(!state.is_settled("trace-2.log", 2.5) && !state.is_settled("trace-3.log", 2.5));
        assert!(load(Some("s3://b")).get("trace-1.log").is_none());
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert!(load(None).get("trace-1.log").is_none());
    }
}
