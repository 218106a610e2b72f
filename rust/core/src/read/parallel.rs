//! The one scan: logs are read on all cores, block by block, and what each block gives comes out in
//! the order of the logs.
//!
//! Work is dealt out in *parts*: a range of a plain log, a member of a compressed one that tells
//! where the next begins, or the next blocks of a stream (other compressed logs, pipes), which one
//! thread at a time decompresses while others work on what came before. A part's result waits until
//! those before it have been taken; how many may wait is limited, so memory is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::analyze::Outcomes;
use crate::archive::Origin;
use crate::clock;
use crate::remote::Object;
use crate::store::{LogFile, PartSearch};
use crate::{Error, Result};

use super::dealer::Dealer;
use super::worker::{Shared, State, Worker};
use super::{Block, Filter, Skipped};

/// What is done with each block.
pub trait BlockMap: Send + Sync + 'static {
    /// What a thread keeps from block to block.
    type Scratch: Default + Send;
    /// What some consecutive blocks give.
    type Output: Default + Send + 'static;

    /// Adds what `block` gives, of the file of that number among those of all logs, to what the blocks
    /// before it gave, and counts what is skipped.
    fn map(
        &self,
        file: usize,
        scratch: &mut Self::Scratch,
        block: &Block,
        skipped: &mut Skipped,
        output: &mut Self::Output,
    );

    /// Adds what the scratch holds back, if anything: the next block is not the one that follows.
    fn end_part(&self, _scratch: &mut Self::Scratch, _output: &mut Self::Output) {}
}

/// A log to be scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Where it is, and what it is called.
    pub path: PathBuf,
    /// Where to begin in the first of its files: the start of a record, in bytes of the (decompressed)
    /// file. What is before does not count; of plain files it is not even read.
    pub start: u64,
    /// Whether somebody else reads what is before `start`, which is any byte then: the first line is the
    /// one that begins there, or behind. Of a log that is not plain the other one reads all.
    pub continues: bool,
    /// Where to end in the last of its files, likewise, if it is a plain one; what is behind does not
    /// count, but for the rest of a line that begins before. `None`: at its end.
    pub end: Option<u64>,
    /// What its archive tells of it, if it is from one.
    pub origin: Option<Arc<Origin>>,
    /// The files that are read, in this order; one at least. A log that was rotated has several.
    pub files: Vec<LogFile>,
}

impl Log {
    /// The whole of the one file at a path.
    pub fn whole(path: &Path) -> Self {
        Self::of_files(path, vec![LogFile::at(path)])
    }

    /// The whole of the log that is called so, and has these files.
    pub(crate) fn of_files(path: &Path, files: Vec<LogFile>) -> Self {
        Self { path: path.to_owned(), start: 0, continues: false, end: None, origin: None, files }
    }

    /// The whole of an object.
    pub fn object(object: &Object) -> Self {
        Self::of_files(object.path(), vec![LogFile::of_object(object)])
    }

    /// The whole of the log at a path, with its parts: see [`crate::store::log_files`].
    pub fn with_parts(path: &Path) -> Self {
        Self::with_parts_of(path, &mut PartSearch::default())
    }

    /// The whole of the logs at some paths, with their parts.
    pub fn all_with_parts(paths: &[impl AsRef<Path>]) -> Vec<Self> {
        let mut search = PartSearch::default();
        paths.iter().map(|path| Self::with_parts_of(path.as_ref(), &mut search)).collect()
    }

    fn with_parts_of(path: &Path, search: &mut PartSearch) -> Self {
        Self::of_files(path, search.files(path))
    }

    /// The same with what its archive tells of it.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin: Some(Arc::new(origin)), ..self }
    }

    /// The same, or nothing of it where all is known to be over before the time that `filter` asks for.
    #[must_use]
    pub(crate) fn as_far_as_wanted(&self, filter: &Filter) -> Self {
        let origin = self.origin.as_ref();
        if origin.is_some_and(|origin| origin.is_before(filter, clock::now_s())) {
            return self.unread();
        }
        self.clone()
    }

    /// The same, or nothing of it where it is known that a search for anomalies finds none.
    #[must_use]
    pub(crate) fn as_far_as_anomalous(&self, filter: &Filter, outcomes: Outcomes) -> Self {
        let origin = self.origin.as_ref();
        if origin.is_some_and(|origin| origin.has_no_anomalies(outcomes)) {
            return self.unread();
        }
        self.as_far_as_wanted(filter)
    }

    /// The same, nothing of which is read.
    #[must_use]
    pub(crate) fn unread(&self) -> Self {
        self.files.iter().filter_map(LogFile::object).for_each(Object::skip);
        Self { files: Vec::new(), ..self.clone() }
    }

    /// The log with the files that it has got since these were looked for.
    #[must_use]
    pub(crate) fn looked_for_again(&self) -> Self {
        let mut files = self.files.clone();
        while let Some(last) = files.pop_if(|last| last.has_become_part()) {
            let first = last.part();
            let found = PartSearch::default().files(&self.path);
            files.extend(found.into_iter().filter(|file| file.part() >= first));
        }
        // Gone altogether: that is told when it is opened.
        if files.is_empty() { self.clone() } else { Self { files, ..self.clone() } }
    }

    /// Whether it is in no file system: nobody here can tell whether its process lives.
    pub(crate) fn is_remote(&self) -> bool {
        self.files.iter().any(|file| file.object().is_some())
    }

    /// Where each of its files is begun at.
    pub(crate) fn starts(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.start).chain(std::iter::repeat(0)).take(self.files.len())
    }

    /// Where each of its files is ended at.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Option<u64>> {
        let before = self.files.len().saturating_sub(1);
        std::iter::repeat_n(None, before).chain(std::iter::once(self.end)).take(self.files.len())
    }

    /// How much lies on the disk.
    pub fn size_bytes(&self) -> u64 {
        let size = |file: &LogFile| match file.object() {
            Some(object) => object.info().size_bytes,
            None => std::fs::metadata(file.path()).map_or(0, |found| found.len()),
        };
        self.files.iter().map(size).sum()
    }
}

/// How logs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions {
    /// How many threads work; with one, the caller's own does. Where pipes are read, there are two
    /// at least.
    pub threads: usize,
    /// About how large the ranges of a plain log are.
    pub block_bytes: u64,
    /// Logs of fewer bytes in all are read on the caller's own thread.
    pub inline_below_bytes: u64,
}

/// More threads than these gain little, and each has its buffers.
const MAX_THREADS: usize = 16;
/// Below that many bytes of logs, starting threads costs more than it gains.
const SMALL_BYTES: u64 = 1 << 20;

impl Default for ScanOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: threads.min(MAX_THREADS),
            block_bytes: 1 << 20,
            inline_below_bytes: SMALL_BYTES,
        }
    }
}

/// What some consecutive blocks of a log gave.
#[derive(Debug)]
pub struct Part<O> {
    /// Which of the logs.
    pub log: usize,
    /// Which of the files of all logs.
    pub file: usize,
    /// What the blocks gave.
    pub output: O,
    /// What was skipped in them.
    pub skipped: Skipped,
    /// Whether it is the last part of the file; there always is one.
    pub ends_file: bool,
    /// Whether it is the last part of the log.
    pub last: bool,
    /// Why the file could not be read on, in its last part.
    pub error: Option<Error>,
}

/// What [`Scan::next`] gives.
#[derive(Debug)]
pub enum ScanStep<O> {
    /// The next part.
    Part(Box<Part<O>>),
    /// Nothing yet.
    Pending,
    /// That was all.
    End,
}

/// How far a scan has come, in bytes of the files as they lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What was read.
    pub done_bytes: u64,
    /// What there is to read; `None` where that is not known (a pipe).
    pub total_bytes: Option<u64>,
}

/// A scan over logs.
pub struct Scan<M: BlockMap> {
    shared: Arc<Shared<M>>,
    /// The log of each file.
    owners: Vec<usize>,
    workers: Vec<JoinHandle<()>>,
    /// Where the caller's own thread does the work.
    inline: Option<Worker<M>>,
    total_bytes: Option<u64>,
    /// The files that are none.
    objects: Vec<Object>,
    /// The process whose threads they are. A forked child has none of them.
    pid: u32,
}

impl<M: BlockMap> Scan<M> {
    /// Begins to scan `logs`, in this order.
    ///
    /// # Errors
    /// There is just one file, and it cannot be opened. One of several that cannot be opened is told
    /// of in its part.
    pub fn new(logs: &[Log], map: M, options: ScanOptions) -> Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut dealer = Dealer::new(logs, options.block_bytes, &stop);
        let owners: Vec<_> = logs
            .iter()
            .enumerate()
            .flat_map(|(index, log)| std::iter::repeat_n(index, log.files.len()))
            .collect();
        if owners.len() == 1 {
            dealer.open_first()?;
        }
        let total_bytes = total_bytes(logs);
        let threads = match total_bytes {
            Some(bytes) if bytes < options.inline_below_bytes => 1,
            Some(_) => options.threads.clamp(1, MAX_THREADS),
            // Who waits for a pipe cannot do what else there is to do, and not hear Ctrl-C.
            None => options.threads.clamp(2, MAX_THREADS),
        };
        // Nor who waits for a network.
        let is_remote = logs.iter().any(Log::is_remote);
        let threads = if is_remote { threads.max(2) } else { threads };
        let state = State {
            dealer,
            done: BTreeMap::new(),
            outstanding: 0,
            next: (0, 0),
            blocks: VecDeque::new(),
            spare_blocks: Vec::new(),
            spare: Vec::new(),
            panicked: false,
        };
        let shared = Arc::new(Shared {
            map,
            state: Mutex::new(state),
            ready: Condvar::new(),
            work: Condvar::new(),
            stop,
            done_bytes: AtomicU64::new(0),
            window: 2 * threads + 1,
        });
        let pid = std::process::id();
        let files = logs.iter().flat_map(|log| &log.files);
        let objects = files.filter_map(|file| file.object().cloned()).collect();
        let (workers, inline) = (Vec::new(), None);
        let mut scan = Self { shared, owners, workers, inline, total_bytes, objects, pid };
        if threads > 1 {
            for _ in 0..threads {
                let mut worker = Worker::new(&scan.shared);
                let spawned = std::thread::Builder::new()
                    .name("inspect-trace-scan".to_owned())
                    .spawn(move || worker.run());
                // Where there are no threads to be had, fewer do, or the caller's own.
                scan.workers.extend(spawned);
            }
        }
        if scan.workers.is_empty() {
            scan.inline = Some(Worker::new(&scan.shared));
        }
        Ok(scan)
    }

    /// The next part, for which it waits no longer than `wait` (a bit longer where the caller's own
    /// thread does the work).
    ///
    /// # Errors
    /// It is a forked child that asks: the threads that read are its parent's.
    pub fn next(&mut self, wait: Duration) -> Result<ScanStep<M::Output>> {
        if self.is_inherited() {
            return Err(Error::Forked);
        }
        Ok(self.next_part(wait))
    }

    fn next_part(&mut self, wait: Duration) -> ScanStep<M::Output> {
        if let Some(worker) = &mut self.inline {
            let state = self.shared.lock();
            let is_ready = state.done.contains_key(&state.next);
            drop(state);
            if !is_ready && !worker.step() {
                return ScanStep::End;
            }
        }
        let mut state = self.shared.lock();
        loop {
            let next = state.next;
            if let Some(mut part) = state.done.remove(&next) {
                state.outstanding -= 1;
                state.next = if part.ends_file { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
                part.log = self.owners[part.file];
                part.last = part.ends_file && self.owners.get(part.file + 1) != Some(&part.log);
                if part.error.is_some() {
                    state.dealer.abandon(next.0);
                    state.forget(next);
                }
                self.shared.work.notify_all();
                return ScanStep::Part(Box::new(part));
            }
            if next.0 == self.owners.len() {
                return ScanStep::End;
            }
            assert!(!state.panicked, "a thread that reads logs panicked");
            if self.inline.is_some() {
                return ScanStep::Pending;
            }
            let (guard, timeout) =
                self.shared.ready.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() && !state.done.contains_key(&state.next) {
                return ScanStep::Pending;
            }
        }
    }

    /// Whether a forked child has it from its parent, but not the threads. There, not even the lock may
    /// be touched: a thread that is not there may hold it.
    fn is_inherited(&self) -> bool {
        !self.workers.is_empty() && self.pid != std::process::id()
    }

    /// Gives back an output, emptied by the caller, for its memory to be used again.
    pub fn recycle(&mut self, output: M::Output) {
        if self.is_inherited() {
            return;
        }
        let mut state = self.shared.lock();
        if state.spare.len() < self.shared.window {
            state.spare.push(output);
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            done_bytes: self.shared.done_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes,
        }
    }
}

impl<M: BlockMap> Drop for Scan<M> {
    fn drop(&mut self) {
        if self.is_inherited() {
            // Nobody to wait for.
            std::mem::forget(std::mem::take(&mut self.workers));
            return;
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        // Whoever waits for the network may have the lock meanwhile.
        for object in &self.objects {
            object.interrupt();
        }
        // Under the lock, so that nobody misses it between looking and waiting.
        drop(self.shared.lock());
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has told so already.
            let _ = worker.join();
        }
    }
}

fn total_bytes(logs: &[Log]) -> Option<u64> {
    let mut total: u64 = 0;
    for file in logs.iter().flat_map(|log| &log.files) {
        if let Some(object) = file.object() {
            total += object.info().size_bytes;
            continue;
        }
        match std::fs::metadata(file.path()) {
            Ok(metadata) if metadata.is_file() => total += metadata.len(),
            Ok(_) => return None,
            // It will be told of.
            Err(_) => {}
        }
    }
    Some(total)
}
