//! Which chunks are there, which are wanted, and which have to go: the bookkeeping, without threads.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

/// A chunk: the number of the object, and its own in it.
pub(super) type Key = (usize, u64);

enum Chunk {
    /// Somebody wants it.
    Queued,
    /// A thread asks for it.
    Loading,
    Ready {
        bytes: Arc<Vec<u8>>,
        used: u64,
    },
    /// Until somebody was told.
    Failed(io::ErrorKind, String),
}

/// What looking for a chunk gave.
pub(super) enum Found {
    Ready(Arc<Vec<u8>>),
    Failed(io::Error),
    /// It is on its way, or would be if it was asked for.
    NotYet {
        asked: bool,
    },
}

/// The chunks.
pub(super) struct Queue {
    chunks: HashMap<Key, Chunk>,
    /// Those that are queued, the next one first.
    wanted: VecDeque<Key>,
    /// So many are kept, or on their way, at most; what is waited for comes in addition.
    max_chunks: usize,
    clock: u64,
}

impl Queue {
    pub(super) fn new(max_chunks: usize) -> Self {
        Self { chunks: HashMap::new(), wanted: VecDeque::new(), max_chunks, clock: 0 }
    }

    /// What there is of a chunk. A failure is told once: who asks again has it tried again.
    pub(super) fn look(&mut self, key: Key) -> Found {
        match self.chunks.get_mut(&key) {
            None => Found::NotYet { asked: false },
            Some(Chunk::Queued | Chunk::Loading) => Found::NotYet { asked: true },
            Some(Chunk::Ready { bytes, used }) => {
                self.clock += 1;
                *used = self.clock;
                Found::Ready(Arc::clone(bytes))
            }
            Some(Chunk::Failed(kind, reason)) => {
                let error = io::Error::new(*kind, std::mem::take(reason));
                self.chunks.remove(&key);
                Found::Failed(error)
            }
        }
    }

    /// Has a chunk fetched next, as somebody waits for it.
    pub(super) fn want_now(&mut self, key: Key) {
        match self.chunks.get(&key) {
            None => {
                self.make_room();
                self.chunks.insert(key, Chunk::Queued);
            }
            Some(Chunk::Queued) => self.wanted.retain(|&other| other != key),
            Some(_) => return,
        }
        self.wanted.push_front(key);
    }

    /// Has a chunk fetched that will be wanted, if there is room; false if there is none.
    pub(super) fn want_soon(&mut self, key: Key) -> bool {
        if self.chunks.contains_key(&key) {
            return true;
        }
        if !self.make_room() {
            return false;
        }
        self.chunks.insert(key, Chunk::Queued);
        self.wanted.push_back(key);
        true
    }

    /// What to fetch next.
    pub(super) fn take(&mut self) -> Option<Key> {
        let key = self.wanted.pop_front()?;
        self.chunks.insert(key, Chunk::Loading);
        Some(key)
    }

    /// How many chunks are queued.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// Has none fetched that is not on its way.
    pub(super) fn forget_wanted(&mut self) {
        for key in self.wanted.drain(..) {
            self.chunks.remove(&key);
        }
    }

    /// What fetching gave.
    pub(super) fn put(&mut self, key: Key, fetched: io::Result<Vec<u8>>) {
        self.clock += 1;
        let chunk = match fetched {
            Ok(bytes) => Chunk::Ready { bytes: Arc::new(bytes), used: self.clock },
            Err(error) => Chunk::Failed(error.kind(), error.to_string()),
        };
        self.chunks.insert(key, chunk);
    }

    /// Drops what was used the longest time ago; false if nothing can go, and there is no room.
    fn make_room(&mut self) -> bool {
        if self.chunks.len() < self.max_chunks {
            return true;
        }
        let used = |(key, chunk): (&Key, &Chunk)| match chunk {
            Chunk::Ready { used, .. } => Some((*used, *key)),
            Chunk::Failed(..) => Some((0, *key)),
            Chunk::Queued | Chunk::Loading => None,
        };
        let Some((_, oldest)) = self.chunks.iter().filter_map(used).min() else { return false };
        self.chunks.remove(&oldest);
        true
    }
}
