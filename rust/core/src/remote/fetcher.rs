//! The threads that fetch chunks of objects, and those who wait for them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::{Found, Key, Queue};
use super::{Fetch, Object, ObjectInfo};

/// So much is fetched by one request, at most.
pub const CHUNK_BYTES: u64 = 4 << 20;

/// So long a thread that has nothing to fetch waits for more: starting one for each chunk costs more.
const PATIENCE: Duration = Duration::from_millis(500);

/// How objects are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchOptions {
    /// How many requests are made at a time.
    pub connections: usize,
    /// How much a request asks for, at most.
    pub chunk_bytes: u64,
    /// How many chunks are kept, or on their way.
    pub max_chunks: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { connections: 16, chunk_bytes: CHUNK_BYTES, max_chunks: 24 }
    }
}

/// Objects that are read in this order, more or less: what comes next is fetched ahead.
#[derive(Clone)]
pub struct Objects(Arc<Shared>);

pub(super) struct Shared {
    fetch: Box<dyn Fetch>,
    infos: Vec<ObjectInfo>,
    options: FetchOptions,
    state: Mutex<State>,
    /// A chunk has come, or somebody is to wait no longer.
    changed: Condvar,
    /// A chunk is wanted, or none will be.
    wanted: Condvar,
    requests: AtomicU64,
    fetched_bytes: AtomicU64,
}

struct State {
    queue: Queue,
    /// How many threads fetch. They end when nothing has been wanted for a while.
    threads: usize,
    /// How many of them have nothing to fetch.
    idle: usize,
    /// Whether they end as soon as nothing is wanted.
    is_closed: bool,
    /// Of each object, how often those who waited for it were told not to.
    interrupts: Vec<u32>,
    /// Of each object, whether nobody will read it: it is not fetched ahead.
    unwanted: Vec<bool>,
}

impl Objects {
    /// Objects that `fetch` gets.
    pub fn new(infos: Vec<ObjectInfo>, fetch: impl Fetch, options: FetchOptions) -> Self {
        let state = State {
            // At least what is waited for, and what comes next.
            queue: Queue::new(options.max_chunks.max(2)),
            threads: 0,
            idle: 0,
            is_closed: false,
            interrupts: vec![0; infos.len()],
            unwanted: vec![false; infos.len()],
        };
        Self(Arc::new(Shared {
            fetch: Box::new(fetch),
            infos,
            options: FetchOptions {
                connections: options.connections.max(1),
                chunk_bytes: options.chunk_bytes.max(1),
                ..options
            },
            state: Mutex::new(state),
            changed: Condvar::new(),
            wanted: Condvar::new(),
            requests: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
        }))
    }

    /// What they are.
    pub fn infos(&self) -> &[ObjectInfo] {
        &self.0.infos
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Object> + '_ {
        (0..self.0.infos.len()).map(|number| Object { objects: self.clone(), number })
    }

    /// How many requests were made so far, and how many bytes came.
    pub fn traffic(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.0.requests), load(&self.0.fetched_bytes))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    pub(super) fn read_at(
        &self,
        object: usize,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<usize> {
        let Shared { infos, options, changed, .. } = &*self.0;
        if position >= infos[object].size_bytes || buffer.is_empty() {
            return Ok(0);
        }
        let key = (object, position / options.chunk_bytes);
        let mut state = self.0.lock();
        let interrupts = state.interrupts[object];
        let bytes = loop {
            match state.queue.look(key) {
                Found::Ready(bytes) => break bytes,
                Found::Failed(error) => return Err(error),
                Found::NotYet { asked } => {
                    if !asked {
                        state.queue.want_now(key);
                        self.fetch_ahead(&mut state, key);
                    }
                    if state.threads == 0 {
                        // There are none to be had.
                        state = self.0.fetch_wanted(state);
                        continue;
                    }
                    state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    if state.interrupts[object] != interrupts {
                        return Err(io::Error::other("reading was stopped"));
                    }
                }
            }
        };
        let start = usize::try_from(position - key.1 * options.chunk_bytes).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if length == rest.len() {
            state.queue.is_read(key);
        }
        self.fetch_ahead(&mut state, key);
        drop(state);
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    pub(super) fn interrupt(&self, object: usize) {
        self.0.lock().interrupts[object] += 1;
        self.0.changed.notify_all();
    }

    pub(super) fn skip(&self, object: usize) {
        self.0.lock().unwanted[object] = true;
    }

    /// Nobody wants anything any more: what is not on its way yet is not fetched.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.queue.forget_wanted();
        state.is_closed = true;
        drop(state);
        self.0.wanted.notify_all();
        // Who waits for it all the same has it fetched again.
        self.0.changed.notify_all();
    }

    /// Has what follows a chunk fetched, in this object and the next ones, as far as there is room.
    fn fetch_ahead(&self, state: &mut State, key: Key) {
        let mut key = key;
        for _ in 0..self.0.options.connections {
            let Some(next) = self.0.after(key, &state.unwanted) else { break };
            key = next;
            if !state.queue.want_soon(key) {
                break;
            }
        }
        let wanted = state.queue.wanted();
        for _ in 0..wanted.min(state.idle) {
            self.0.wanted.notify_one();
        }
        let more = wanted.saturating_sub(state.idle);
        for _ in 0..more.min(self.0.options.connections - state.threads) {
            let shared = Arc::clone(&self.0);
            let builder = std::thread::Builder::new().name("inspect-trace-fetch".to_owned());
            if builder.spawn(move || shared.fetch_until_idle()).is_err() {
                break;
            }
            state.threads += 1;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunk that follows, in this object or the next wanted one that has any.
    fn after(&self, (object, chunk): Key, unwanted: &[bool]) -> Option<Key> {
        let has_more = (chunk + 1) * self.options.chunk_bytes < self.infos[object].size_bytes;
        if has_more {
            return Some((object, chunk + 1));
        }
        let mut later = (object + 1..).zip(&self.infos[object + 1..]);
        let next = later.find(|(number, info)| info.size_bytes > 0 && !unwanted[*number])?;
        Some((next.0, 0))
    }

    /// What a thread does: fetches what is wanted, until nothing has been for a while.
    fn fetch_until_idle(&self) {
        let mut state = self.lock();
        loop {
            state = self.fetch_wanted(state);
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let waited = self.wanted.wait_timeout(state, PATIENCE);
            let timeout;
            (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            if timeout.timed_out() && state.queue.wanted() == 0 {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Fetches until nothing is wanted.
    fn fetch_wanted<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while let Some(key) = state.queue.take() {
            let buffer = state.queue.spare_buffer();
            drop(state);
            let fetched = self.fetch_chunk(key, buffer);
            state = self.lock();
            state.queue.put(key, fetched);
            self.changed.notify_all();
        }
        state
    }

    fn fetch_chunk(&self, (object, chunk): Key, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let start = chunk * self.options.chunk_bytes;
        let end = self.infos[object].size_bytes.min(start + self.options.chunk_bytes);
        self.requests.fetch_add(1, Ordering::Relaxed);
        bytes.reserve_exact(usize::try_from(end - start).unwrap_or(0));
        self.fetch.fetch(object, start..end, &mut bytes)?;
        self.fetched_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes.len() as u64 == end - start {
            return Ok(bytes);
        }
        let (expected, came) = (end - start, bytes.len());
        Err(io::Error::other(format!(
            "{expected} bytes were asked for, from byte {start} on, and {came} came: it has changed \
             since it was listed"
        )))
    }
}
