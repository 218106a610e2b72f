//! Which chunks are there, which are wanted, and which have to go: the bookkeeping, without threads.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

/// A chunk: the number of the object, and its own in it.
pub(super) type Key = (usize, u64);

/// A chunk is forgotten once so many times as many others came since as are kept.
const FORGOTTEN_AFTER: u64 = 16;

enum Chunk {
    /// Somebody wants it.
    Queued,
    /// A thread asks for it.
    Loading,
    Ready {
        bytes: Arc<Vec<u8>>,
        used: u64,
        /// Whether somebody has had its last byte.
        is_read: bool,
        /// How many chunks had come by the time that it did, or was last looked at.
        came_before: u64,
    },
    /// Until somebody was told.
    Failed(io::ErrorKind, String),
}

/// So many buffers of chunks that have gone are kept for those that come: memory that is given back
/// and asked for anew has to be zeroed by the system each time, and is left in holes by the allocator.
const MAX_SPARE: usize = 4;

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
    /// How many chunks came so far.
    chunks_came: u64,
    spare: Vec<Vec<u8>>,
}

impl Queue {
    pub(super) fn new(max_chunks: usize) -> Self {
        Self {
            chunks: HashMap::new(),
            wanted: VecDeque::new(),
            max_chunks,
            clock: 0,
            chunks_came: 0,
            spare: Vec::new(),
        }
    }

    /// What there is of a chunk. A failure is told once: who asks again has it tried again.
    pub(super) fn look(&mut self, key: Key) -> Found {
        match self.chunks.get_mut(&key) {
            None => Found::NotYet { asked: false },
            Some(Chunk::Queued | Chunk::Loading) => Found::NotYet { asked: true },
            Some(Chunk::Ready { bytes, used, came_before, .. }) => {
                self.clock += 1;
                (*used, *came_before) = (self.clock, self.chunks_came);
                Found::Ready(Arc::clone(bytes))
            }
            Some(Chunk::Failed(kind, reason)) => {
                let error = io::Error::new(*kind, std::mem::take(reason));
                self.chunks.remove(&key);
                Found::Failed(error)
            }
        }
    }

    /// Somebody has read a chunk to its end.
    pub(super) fn is_read(&mut self, key: Key) {
        if let Some(Chunk::Ready { is_read, .. }) = self.chunks.get_mut(&key) {
            *is_read = true;
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
        // Some room is left for those that were read to their ends: another thread may be about to read
        // their beginnings.
        let is_read = |chunk: &&Chunk| matches!(chunk, Chunk::Ready { is_read: true, .. });
        let ahead = self.chunks.len() - self.chunks.values().filter(is_read).count();
        if ahead >= self.max_chunks - self.max_chunks / 4 || !self.make_room() {
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

    /// An empty buffer for a chunk.
    pub(super) fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
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
        self.chunks_came += 1;
        let chunk = match fetched {
            Ok(bytes) => Chunk::Ready {
                bytes: Arc::new(bytes),
                used: self.clock,
                is_read: false,
                came_before: self.chunks_came,
            },
            Err(error) => Chunk::Failed(error.kind(), error.to_string()),
        };
        self.chunks.insert(key, chunk);
    }

    /// Drops what was used the longest time ago of what is not needed any more: what was read to its
    /// end, or what so many others came after that nobody seems to want it; false if there is no room
    /// then. What was fetched ahead has been used by nobody, but will be: where several logs are read at a
    /// time, none takes the place of what another one is about to need.
    fn make_room(&mut self) -> bool {
        let forgotten = FORGOTTEN_AFTER * self.max_chunks as u64;
        // Who only looks at the beginnings of many objects may fill twice the room, no more.
        let is_full = self.chunks.len() >= 2 * self.max_chunks;
        while self.chunks.len() >= self.max_chunks {
            let used = |(key, chunk): (&Key, &Chunk)| match chunk {
                Chunk::Ready { used, is_read, came_before, .. } => {
                    let is_forgotten = self.chunks_came - came_before > forgotten;
                    (*is_read || is_forgotten || is_full).then_some((*used, *key))
                }
                Chunk::Failed(..) => Some((0, *key)),
                Chunk::Queued | Chunk::Loading => None,
            };
            let Some((_, oldest)) = self.chunks.iter().filter_map(used).min() else { return false };
            if let Some(Chunk::Ready { bytes, .. }) = self.chunks.remove(&oldest)
                && self.spare.len() < MAX_SPARE
                && let Ok(mut buffer) = Arc::try_unwrap(bytes)
            {
                buffer.clear();
                self.spare.push(buffer);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(queue: &mut Queue, keys: impl IntoIterator<Item = usize>) {
        for number in keys {
            assert!(queue.want_soon((number, 0)));
            assert_eq!(queue.take(), Some((number, 0)));
            queue.put((number, 0), Ok(vec![0]));
        }
    }

    fn is_there(queue: &mut Queue, number: usize) -> bool {
        matches!(queue.look((number, 0)), Found::Ready(_))
    }

    /// What was fetched ahead, and nobody has read yet, stays as long as something else can go.
    #[test]
    fn what_was_read_goes_first() {
        let mut queue = Queue::new(8);
        fetched(&mut queue, 0..6);
        for number in 0..3 {
            assert!(is_there(&mut queue, number));
            queue.is_read((number, 0));
        }
        fetched(&mut queue, 6..9);
        for number in 3..9 {
            assert!(is_there(&mut queue, number), "{number}");
        }
    }

    /// Two logs that are read at a time leave each other what was fetched ahead.
    #[test]
    fn what_is_fetched_ahead_is_left_to_who_wants_it() {
        let mut queue = Queue::new(4);
        fetched(&mut queue, 0..3);
        assert!(!queue.want_soon((9, 0)));
        queue.want_now((9, 0));
        assert_eq!(queue.take(), Some((9, 0)));
        queue.put((9, 0), Ok(vec![0]));
        for number in [0, 1, 2, 9] {
            assert!(is_there(&mut queue, number), "{number}");
        }
    }

    /// What was fetched, but is read by nobody, takes no room for ever.
    #[test]
    fn what_nobody_reads_goes_at_last() {
        let mut queue = Queue::new(4);
        fetched(&mut queue, 0..3);
        for number in 4..200 {
            queue.want_now((number, 0));
            assert_eq!(queue.take(), Some((number, 0)));
            queue.put((number, 0), Ok(vec![0]));
            assert!(is_there(&mut queue, number));
            queue.is_read((number, 0));
        }
        fetched(&mut queue, 200..203);
        assert!((0..3).all(|number| !is_there(&mut queue, number)));
    }

    /// A chunk of which one thread has read the end stays for the one that is to read its beginning.
    #[test]
    fn room_is_left_for_what_was_read() {
        let mut queue = Queue::new(8);
        fetched(&mut queue, 0..2);
        queue.is_read((0, 0));
        queue.is_read((1, 0));
        fetched(&mut queue, 2..8);
        assert!(!queue.want_soon((8, 0)));
        assert!(is_there(&mut queue, 0) && is_there(&mut queue, 1));
    }

    /// Who looks at the beginnings of many objects, and reads none, has no more kept than others.
    #[test]
    fn what_is_only_looked_at_is_not_kept() {
        let mut queue = Queue::new(4);
        for number in 0..100 {
            queue.want_now((number, 0));
            assert_eq!(queue.take(), Some((number, 0)));
            queue.put((number, 0), Ok(vec![0]));
            assert!(is_there(&mut queue, number));
        }
        assert!(queue.chunks.len() <= 8);
    }
}
