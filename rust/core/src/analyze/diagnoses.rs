//! Diagnoses of many logs, several at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::read::{Filter, Log, Progress, ScanOptions};

use super::{AnomaliesScanOptions, Diagnosis, DiagnosisScan};

/// A log below this size is read by one thread: there are others that want the cores, too.
const SMALL_BYTES: u64 = 32 << 20;
/// How often a thread looks whether it should stop.
const WAIT: Duration = Duration::from_millis(50);

type Found = Vec<Option<Result<Diagnosis>>>;

struct Shared {
    logs: Vec<Log>,
    filter: Filter,
    as_of_s: f64,
    options: AnomaliesScanOptions,
    next: AtomicUsize,
    stop: AtomicBool,
    done_bytes: AtomicU64,
    /// By the number of the log; and how many are there.
    found: Mutex<(Found, usize)>,
    ready: Condvar,
}

/// A scan for the diagnoses of many logs.
pub struct DiagnosesScan {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    total_bytes: u64,
    pid: u32,
}

impl DiagnosesScan {
    /// Begins to look for the anomalies of `logs` that `filter` selects, as of a moment (seconds
    /// since the epoch).
    pub fn new(logs: &[Log], filter: &Filter, as_of_s: f64, options: AnomaliesScanOptions) -> Self {
        let shared = Arc::new(Shared {
            logs: logs.to_vec(),
            filter: filter.clone(),
            as_of_s,
            options,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            done_bytes: AtomicU64::new(0),
            found: Mutex::new((logs.iter().map(|_| None).collect(), 0)),
            ready: Condvar::new(),
        });
        let workers = (0..options.scan.threads.min(logs.len())).filter_map(|_| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("inspect-trace-logs".to_owned());
            builder.spawn(move || while shared.diagnose_next() {}).ok()
        });
        let workers = workers.collect();
        let total_bytes = logs.iter().map(Log::size_bytes).sum();
        Self { shared, workers, total_bytes, pid: std::process::id() }
    }

    /// Goes on a bit, waiting no longer than `wait`; false once all is found.
    pub fn step(&mut self, wait: Duration) -> bool {
        if self.workers.is_empty() {
            // There are no threads to be had.
            return self.shared.diagnose_next();
        }
        let found = self.shared.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.1 == self.shared.logs.len() {
            return false;
        }
        let waited = self.shared.ready.wait_timeout(found, wait);
        let (found, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_done = found.1 == self.shared.logs.len();
        drop(found);
        if self.workers.iter().all(JoinHandle::is_finished) {
            for worker in self.workers.drain(..) {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
            }
            return false;
        }
        !is_done
    }

    /// How far it has come: whole logs count.
    pub fn progress(&self) -> Progress {
        Progress {
            done_bytes: self.shared.done_bytes.load(Ordering::Relaxed),
            total_bytes: Some(self.total_bytes),
        }
    }

    /// What was found in each log, once all is.
    pub fn finish(self) -> Vec<Result<Diagnosis>> {
        let mut found = self.shared.found.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut found.0).into_iter().flatten().collect()
    }
}

impl Drop for DiagnosesScan {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            // A forked child has none of the threads.
            std::mem::forget(std::mem::take(&mut self.workers));
            return;
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Looks at the next log; false if there is none.
    fn diagnose_next(&self) -> bool {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(log) = self.logs.get(index) else { return false };
        let Some(outcome) = self.diagnose(log).transpose() else { return false };
        self.done_bytes.fetch_add(log.size_bytes(), Ordering::Relaxed);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0[index] = Some(outcome);
        found.1 += 1;
        self.ready.notify_all();
        true
    }

    /// `None` where it was told to stop.
    fn diagnose(&self, log: &Log) -> Result<Option<Diagnosis>> {
        let threads = if log.size_bytes() < SMALL_BYTES { 1 } else { self.options.scan.threads };
        let scan = ScanOptions { threads, ..self.options.scan };
        let options = AnomaliesScanOptions { scan, ..self.options };
        let mut scan = DiagnosisScan::open(log, &self.filter, options)?;
        while scan.step(WAIT)? {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some(scan.finish(self.as_of_s)))
    }
}
