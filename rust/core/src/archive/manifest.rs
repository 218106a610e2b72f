//! `manifest.json`: what is in the archive of a log, and what the log amounts to, so that a question can
//! pass over logs without opening them. Written by the archiver, read by whoever looks for logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The name of the object, in the directory of each log.
pub const MANIFEST_NAME: &str = "manifest.json";

/// So many tasks are named in a manifest, at most.
pub(super) const MAX_TASKS: usize = 20;

const FORMAT: &str = "inspect-trace-archive/1";
/// One that is longer is none of ours.
const MAX_MANIFEST_BYTES: usize = 64 << 20;

/// What a log amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records of any kind.
    pub records: u64,
    /// Actions that were begun and have not ended.
    pub open: u64,
    /// Actions that ended well.
    pub exits: u64,
    /// Actions that were cut short by an error.
    pub errors: u64,
    /// Actions that timed out.
    pub timeouts: u64,
    /// Actions that were cancelled.
    pub cancels: u64,
}

/// An object with a piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedObject {
    /// Its name in the directory of the log.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// Where the piece begins in the plain text of the log.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Of the object, in hexadecimal digits.
    pub sha256: String,
}

/// What is in the archive of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The machine that the log was written on.
    pub host: String,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// Whether its process was started by another one of the run.
    pub is_child: bool,
    /// The command line of the process, without secrets.
    pub command: Option<Vec<String>>,
    /// The first tasks that are named.
    pub tasks: Vec<String>,
    /// Of the programs that had to do with it.
    pub versions: BTreeMap<String, String>,
    /// The name of the log in its trace directory.
    pub log: String,
    /// When the first record was made, in seconds since the epoch.
    pub started_at: f64,
    /// When the last one was made that is in the archive.
    pub last_record_at: Option<f64>,
    /// Whether nobody writes the log any more, and all of it is in the archive.
    pub finished: bool,
    /// When this was written.
    pub shipped_at: f64,
    /// After how many seconds it is written anew, as long as the log is not finished; `None` where nobody
    /// has promised that.
    pub interval: Option<f64>,
    /// What the pieces amount to.
    pub counts: Counts,
    /// So much of the plain text is there.
    pub bytes: u64,
    /// The pieces, in their order; each begins where the one before ends.
    pub objects: Vec<ShippedObject>,
}

impl Manifest {
    /// The text of the object.
    pub fn to_json(&self) -> Vec<u8> {
        let Counts { records, open, exits, errors, timeouts, cancels } = self.counts;
        let objects: Vec<_> = self
            .objects
            .iter()
            .map(|object| {
                let ShippedObject { name, size_bytes, start, end, sha256 } = object;
                json!({"name": name, "size_bytes": size_bytes, "start": start, "end": end,
                       "sha256": sha256})
            })
            .collect();
        let value = json!({
            "format": FORMAT, "host": self.host, "pid": self.pid, "run": self.run,
            "is_child": self.is_child, "command": self.command, "tasks": self.tasks,
            "versions": self.versions, "log": self.log, "started_at": self.started_at,
            "last_record_at": self.last_record_at, "finished": self.finished,
            "shipped_at": self.shipped_at, "interval": self.interval, "records": records,
            "open": open, "exits": exits, "errors": errors, "timeouts": timeouts,
            "cancels": cancels, "bytes": self.bytes, "objects": objects,
        });
        let mut text = value.to_string().into_bytes();
        text.push(b'\n');
        text
    }

    /// Reads the text of such an object.
    ///
    /// # Errors
    /// It is none, or not of this version; says why, as the end of a sentence.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(format!("it is longer than {MAX_MANIFEST_BYTES} bytes"));
        }
        let value: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let Value::Object(map) = value else { return Err("it is no JSON object".to_owned()) };
        let fields = Fields(&map);
        let format = fields.text("format")?;
        if format != FORMAT {
            return Err(format!("its format is {format:?}, and not {FORMAT:?}"));
        }
        let manifest = Self {
            host: fields.text("host")?,
            pid: fields.optional("pid", Value::as_u64)?.and_then(|pid| u32::try_from(pid).ok()),
            run: fields.optional("run", |value| value.as_str().map(str::to_owned))?,
            is_child: fields.required("is_child", Value::as_bool)?,
            command: fields.optional("command", texts)?,
            tasks: fields.required("tasks", texts)?,
            versions: fields.required("versions", |value| {
                let pair = |(name, version): (&String, &Value)| {
                    Some((name.clone(), version.as_str()?.to_owned()))
                };
                value.as_object()?.iter().map(pair).collect()
            })?,
            log: fields.text("log")?,
            started_at: fields.required("started_at", Value::as_f64)?,
            last_record_at: fields.optional("last_record_at", Value::as_f64)?,
            finished: fields.required("finished", Value::as_bool)?,
            shipped_at: fields.required("shipped_at", Value::as_f64)?,
            interval: fields.optional("interval", Value::as_f64)?,
            counts: Counts {
                records: fields.number("records")?,
                open: fields.number("open")?,
                exits: fields.number("exits")?,
                errors: fields.number("errors")?,
                timeouts: fields.number("timeouts")?,
                cancels: fields.number("cancels")?,
            },
            bytes: fields.number("bytes")?,
            objects: fields
                .required("objects", |value| Some(value.as_array()?.clone()))?
                .iter()
                .map(object_of)
                .collect::<Result<_, _>>()?,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether the pieces follow one another and have names of files.
    fn check(&self) -> Result<(), String> {
        let mut end = 0;
        for object in &self.objects {
            if object.name.is_empty() || object.name.contains('/') || object.name.starts_with('.') {
                return Err(format!("{:?} is no name of an object", object.name));
            }
            if object.start != end || object.end < object.start {
                return Err(format!(
                    "{:?} does not begin where the piece before ends",
                    object.name
                ));
            }
            end = object.end;
        }
        if end == self.bytes { Ok(()) } else { Err("its bytes are not those of its pieces".into()) }
    }
}

fn object_of(value: &Value) -> Result<ShippedObject, String> {
    let map = value.as_object().ok_or("one of its objects is none")?;
    let fields = Fields(map);
    Ok(ShippedObject {
        name: fields.text("name")?,
        size_bytes: fields.number("size_bytes")?,
        start: fields.number("start")?,
        end: fields.number("end")?,
        sha256: fields.text("sha256")?,
    })
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn required<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T, String> {
        let value = self.0.get(name).ok_or_else(|| format!("it has no {name:?}"))?;
        read(value).ok_or_else(|| format!("its {name:?} is {value}"))
    }

    /// One that may be null or absent.
    fn optional<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.required(name, read).map(Some),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        self.required(name, |value| value.as_str().map(str::to_owned))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.required(name, Value::as_u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn manifests() -> impl Strategy<Value = Manifest> {
        let texts = || prop::collection::vec(any::<String>(), 0..4);
        let who = (any::<String>(), any::<Option<u32>>(), any::<Option<String>>(), any::<bool>());
        let what = (prop::option::of(texts()), texts(), any::<String>(), any::<bool>());
        let times = (0.0..4e9_f64, prop::option::of(0.0..4e9_f64), prop::option::of(0.1..1e4_f64));
        let sizes = prop::collection::vec((0..1_u64 << 40, 0..1_u64 << 20), 0..5);
        (who, what, times, sizes, any::<[u64; 6]>()).prop_map(
            |(who, what, times, sizes, counts)| {
                let mut bytes = 0;
                let mut object = |(number, (plain, size_bytes)): (usize, (u64, u64))| {
                    let start = bytes;
                    bytes += plain;
                    let name = format!("trace-1.part{number:04}.log.gz");
                    ShippedObject { name, size_bytes, start, end: bytes, sha256: "ab".repeat(32) }
                };
                let objects = sizes.into_iter().enumerate().map(&mut object).collect();
                let [records, open, exits, errors, timeouts, cancels] = counts;
                Manifest {
                    host: who.0,
                    pid: who.1,
                    run: who.2,
                    is_child: who.3,
                    command: what.0,
                    tasks: what.1,
                    versions: BTreeMap::from([("inspect_trace".to_owned(), "0.1.0".to_owned())]),
                    log: what.2,
                    started_at: times.0,
                    last_record_at: times.1,
                    finished: what.3,
                    shipped_at: times.0,
                    interval: times.2,
                    counts: Counts { records, open, exits, errors, timeouts, cancels },
                    bytes,
                    objects,
                }
            },
        )
    }

    proptest! {
        /// What is written is read back.
        #[test]
        fn manifests_read_back(manifest in manifests()) {
            prop_assert_eq!(Manifest::parse(&manifest.to_json()).unwrap(), manifest);
        }

        /// A manifest of which a byte is missing or changed is refused or read, and never a panic.
        #[test]
        fn damage_is_told(manifest in manifests(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut text = manifest.to_json();
            let at = at.index(text.len());
            text[at] = byte;
            let _ = Manifest::parse(&text);
            prop_assert!(Manifest::parse(&text[..at]).is_err() || at + 1 == text.len());
        }
    }

    /// What is no manifest is refused with the reason.
    #[test]
    fn others_are_refused() {
        for (text, reason) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "no \"format\""),
            (r#"{"format": "inspect-trace-archive/2"}"#, "inspect-trace-archive/2"),
            (r#"{"format": "inspect-trace-archive/1", "host": 3}"#, "its \"host\" is 3"),
        ] {
            let told = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }

    /// Pieces with a gap between them, or with names that lead elsewhere, are no manifest.
    #[test]
    fn pieces_follow_one_another() {
        let whole = |name: &str, start: u64, bytes: u64| {
            let object =
                json!({"name": name, "size_bytes": 1, "start": start, "end": 9, "sha256": ""});
            json!({
                "format": FORMAT, "host": "", "is_child": false, "tasks": [], "versions": {},
                "log": "", "started_at": 0, "finished": true, "shipped_at": 0, "records": 0,
                "open": 0, "exits": 0, "errors": 0, "timeouts": 0, "cancels": 0, "bytes": bytes,
                "objects": [object],
            })
            .to_string()
        };
        assert!(Manifest::parse(whole("a", 0, 9).as_bytes()).is_ok());
        for text in [whole("a", 1, 9), whole("a", 0, 8), whole("../a", 0, 9), whole("", 0, 9)] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
