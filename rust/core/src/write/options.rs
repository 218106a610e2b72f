//! What can be chosen about writing a log.

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// The size of the buffer between the program and the disk; 0: none, each line is written by a
    /// system call of its own. Taken up to a power of two, within [`MIN_BUFFER_BYTES`] and
    /// [`MAX_BUFFER_BYTES`].
    pub buffer_bytes: usize,
    /// What happens to a line when the disk is so slow that the buffer is full.
    pub on_full: OnFull,
    /// What a line survives whose appending returned.
    pub durability: Durability,
    /// A log that has reached this size becomes a part, and a new one is begun.
    pub max_bytes: Option<u64>,
    /// Whether secrets are taken out of the lines.
    pub redact: bool,
}

/// The smallest buffer.
pub const MIN_BUFFER_BYTES: usize = 64 << 10;

/// The largest buffer.
pub const MAX_BUFFER_BYTES: usize = 1 << 30;

impl WriterOptions {
    /// The size of the ring.
    pub(super) fn ring_bytes(&self) -> usize {
        self.buffer_bytes.clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES).next_power_of_two()
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: 4 << 20,
            on_full: OnFull::default(),
            durability: Durability::default(),
            max_bytes: None,
            redact: false,
        }
    }
}

/// What happens to a line when the disk is so slow that the buffer is full. (While the disk refuses,
/// rather than being slow, lines are dropped and counted in either case.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// Its thread waits until there is room.
    #[default]
    Block,
    /// It is dropped and counted.
    Drop,
}

/// What a line survives whose appending returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process, however it dies.
    #[default]
    Process,
    /// The death of the machine, too: appending waits until the line is on the disk. Threads that
    /// wait at the same time share one synchronisation of the file.
    Fsync,
}
