//! A live view of logs: what runs at this moment, and how what ended did.
//!
//! What is there is scanned once, on all cores; after that only what was appended is read. At any time
//! the view is what a fresh reading would give: a log that was truncated, or replaced by another one,
//! is read anew, one that was rotated or compressed is gone on with, and of a directory logs that
//! appear are taken in and those that go are dropped.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::read::{Filter, Log, Progress, Scan, ScanOptions, ScanStep};
use crate::store;
use crate::{Error, Result};

use super::AnomaliesScanOptions;
use super::live_blocks::{LiveMap, LivePartial, LiveScratch};
use super::live_log::{LiveLog, ReadOn, Ways};

/// How a live view is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveOptions {
    /// Without secrets.
    pub redact: bool,
    /// Without what was said, and with short names.
    pub no_detail: bool,
    /// Actions that took so long, or longer, are told one by one as they end: see
    /// [`super::LiveSnapshot::ended`]. `None`: none are.
    pub min_ended_s: Option<f64>,
    /// How what is there is read.
    pub scan: ScanOptions,
}

impl Default for LiveOptions {
    fn default() -> Self {
        let scan = AnomaliesScanOptions::default().scan;
        Self { redact: true, no_detail: false, min_ended_s: None, scan }
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LivePlace {
    /// A log.
    Log(PathBuf),
    /// All logs in a directory, as they come and go.
    Directory(PathBuf),
}

impl LivePlace {
    /// What names stand for: see [`store::resolve`]. No name: the newest log.
    ///
    /// # Errors
    /// A name stands for nothing, or for what cannot be looked at again (a pipe).
    pub fn resolve_all(names: &[PathBuf], directory: &Path, cwd: &Path) -> Result<Vec<Self>> {
        let of_log = |path: PathBuf| match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => Err(Error::NotSeekable { path }),
            // Of a log of which only parts are left there is no file of that name.
            _ => Ok(Self::Log(path)),
        };
        if names.is_empty() {
            return Ok(vec![of_log(store::resolve(None, directory, cwd)?)?]);
        }
        let mut places = Vec::new();
        for name in names {
            places.push(match store::resolve(Some(name), directory, cwd) {
                Err(Error::NotAFile { path, kind: "directory" }) => Self::Directory(path),
                found => of_log(found?)?,
            });
        }
        Ok(places)
    }
}

/// A live view of logs.
pub struct LiveView {
    places: Vec<LivePlace>,
    options: LiveOptions,
    pub(super) logs: Vec<LiveLog>,
    pub(super) ways: Ways,
    scanning: Option<Scanning>,
    refresh: Refresh,
    /// Where one log is all that is looked at, what goes wrong with it is an error.
    is_single: bool,
    notes: Vec<String>,
    progress: Option<Progress>,
    /// Whether all was read once that there was.
    has_read: bool,
    /// When the last snapshot was made.
    pub(super) last_snapshot: Option<Instant>,
}

/// Logs that are read for the first time.
struct Scanning {
    scan: Scan<LiveMap>,
    /// Which they are, and the state of each.
    logs: Vec<(usize, LivePartial)>,
    /// Of each file, its number in its log.
    files: Vec<usize>,
}

/// How far a refresh has come.
enum Refresh {
    /// It has not begun.
    Due,
    /// The log of this number is next.
    At(usize),
}

impl LiveView {
    /// Begins to look. Nothing is read yet.
    ///
    /// # Errors
    /// The only log cannot be opened, or a directory not be read.
    pub fn open(places: Vec<LivePlace>, filter: &Filter, options: LiveOptions) -> Result<Self> {
        let is_single = matches!(places[..], [LivePlace::Log(_)]);
        let mut view = Self {
            places,
            options,
            logs: Vec::new(),
            ways: Ways {
                filter: filter.clone(),
                redact: options.redact,
                no_detail: options.no_detail,
                appended: LiveMap::of_appended(filter, options.min_ended_s),
                scratch: LiveScratch::default(),
                next_number: 0,
            },
            scanning: None,
            refresh: Refresh::Due,
            is_single,
            notes: Vec::new(),
            progress: None,
            has_read: false,
            last_snapshot: None,
        };
        view.find_logs()?;
        Ok(view)
    }

    /// Goes on reading a bit, waiting no longer than `wait`; false once all is read that there was when
    /// the first of these steps was taken. The next step begins to look for what came since.
    ///
    /// # Errors
    /// The only log cannot be read, a directory is gone; or it is a forked child that asks.
    pub fn step(&mut self, wait: Duration) -> Result<bool> {
        if self.scanning.is_some() {
            self.scan_on(wait)?;
            return Ok(true);
        }
        let index = match self.refresh {
            Refresh::Due => {
                if self.has_read {
                    self.find_logs()?;
                }
                self.refresh = Refresh::At(0);
                return Ok(true);
            }
            Refresh::At(index) => index,
        };
        let until = Instant::now() + wait;
        for index in index..self.logs.len() {
            self.logs[index].judge();
            match self.logs[index].read_on(&mut self.ways, until) {
                Ok(ReadOn::Idle) => {}
                Ok(ReadOn::More) => {
                    self.refresh = Refresh::At(index);
                    return Ok(true);
                }
                Ok(ReadOn::Renewed) => {
                    let path = self.logs[index].path.clone();
                    self.drop_notes(index);
                    let opened = self.open_log(&path, false)?;
                    self.logs[index] = opened.0;
                    self.refresh = Refresh::At(index);
                    self.scan(opened.1.map(|log| (index, log)).into_iter().collect())?;
                    return Ok(true);
                }
                Err(error) if self.is_single => return Err(error),
                Err(error) => {
                    self.notes.push(error.to_string());
                    self.logs[index] = LiveLog::failed(&self.logs[index].path);
                }
            }
            if Instant::now() >= until && index + 1 < self.logs.len() {
                self.refresh = Refresh::At(index + 1);
                return Ok(true);
            }
        }
        self.refresh = Refresh::Due;
        self.has_read = true;
        Ok(false)
    }

    /// How far the reading of what was there has come; `None` once that is done.
    pub fn progress(&self) -> Option<Progress> {
        self.progress
    }

    /// What happened since this was last asked, in lines for people.
    pub fn take_notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.logs.iter_mut().flat_map(LiveLog::take_notes));
        notes
    }

    /// What was skipped so far: a line for each file of which there is something to tell.
    pub fn skipped(&self) -> Vec<String> {
        self.logs.iter().flat_map(LiveLog::skipped).collect()
    }

    /// Whether nothing will come any more: of each log it is known that nobody writes it. Of a
    /// directory, logs may come until there was one that was written while this view looked.
    pub fn is_over(&self) -> bool {
        let has_directory =
            self.places.iter().any(|place| matches!(place, LivePlace::Directory(_)));
        self.logs.iter().all(|log| log.is_written == Some(false))
            && (!has_directory || self.logs.iter().any(|log| log.was_written))
    }

    fn drop_notes(&mut self, index: usize) {
        let log = &mut self.logs[index];
        self.notes.extend(log.take_notes());
        self.notes.extend(log.skipped());
    }

    /// Takes in logs that are new, and drops those that are gone.
    fn find_logs(&mut self) -> Result<()> {
        let mut wanted: Vec<PathBuf> = Vec::new();
        for place in &self.places {
            match place {
                LivePlace::Log(path) => wanted.push(path.clone()),
                LivePlace::Directory(path) => {
                    if !path.is_dir() {
                        let name = path.display().to_string();
                        return Err(Error::NotFound { searched: name.clone(), name });
                    }
                    wanted.extend(store::log_paths(path)?);
                }
            }
        }
        let mut known: Vec<_> = std::mem::take(&mut self.logs).into_iter().map(Some).collect();
        let mut to_scan = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for path in wanted {
            let name = plain_name(&path);
            if !seen.insert(name.clone()) {
                continue;
            }
            let same = |log: &Option<LiveLog>| {
                log.as_ref().is_some_and(|log| plain_name(&log.path) == name)
            };
            let index = self.logs.len();
            if let Some(at) = known.iter().position(same) {
                self.logs.extend(known[at].take());
            } else {
                let (log, scan) = self.open_log(&path, self.has_read)?;
                self.logs.push(log);
                to_scan.extend(scan.map(|log| (index, log)));
            }
        }
        self.scan(to_scan)
    }

    /// Opens a log. One of several that cannot be opened is told of, and has nothing in it.
    fn open_log(&mut self, path: &Path, is_new: bool) -> Result<(LiveLog, Option<Log>)> {
        match LiveLog::open(path, is_new) {
            Err(error) if !self.is_single => {
                // One that has just been removed is none.
                if !error.is_not_found() {
                    self.notes.push(error.to_string());
                }
                Ok((LiveLog::failed(path), None))
            }
            opened => opened,
        }
    }

    /// Begins to read logs for the first time.
    fn scan(&mut self, logs: Vec<(usize, Log)>) -> Result<()> {
        if logs.is_empty() {
            return Ok(());
        }
        let at_start = || LivePartial::at_start(&self.ways.filter);
        let files = logs.iter().flat_map(|(_, log)| 0..log.files.len()).collect();
        let indices = logs.iter().map(|(index, _)| (*index, at_start())).collect();
        let logs: Vec<_> = logs.into_iter().map(|(_, log)| log).collect();
        let map = LiveMap::of_logs(&logs, &self.ways.filter);
        let scan = Scan::new(&logs, map, self.options.scan)?;
        self.progress = Some(scan.progress());
        self.scanning = Some(Scanning { scan, logs: indices, files });
        Ok(())
    }

    fn scan_on(&mut self, wait: Duration) -> Result<()> {
        let Some(scanning) = &mut self.scanning else { return Ok(()) };
        match scanning.scan.next(wait)? {
            ScanStep::Part(part) => {
                let (index, partial) = &mut scanning.logs[part.log];
                let log = &mut self.logs[*index];
                log.skip(scanning.files[part.file], &part.skipped);
                if let Some(error) = part.error {
                    if self.is_single {
                        return Err(error);
                    }
                    self.notes.push(error.to_string());
                }
                if let Some(later) = part.output {
                    partial.merge(later);
                }
                if part.last {
                    let whole =
                        std::mem::replace(partial, LivePartial::at_start(&self.ways.filter));
                    log.take_in(whole, &mut self.ways, false);
                }
                self.progress = Some(scanning.scan.progress());
            }
            ScanStep::Pending => self.progress = Some(scanning.scan.progress()),
            ScanStep::End => {
                self.scanning = None;
                self.progress = None;
            }
        }
        Ok(())
    }
}

/// What a log is called, compressed or not.
fn plain_name(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|ending| ending == "gz") {
        path.with_extension("")
    } else {
        path.to_owned()
    }
}
