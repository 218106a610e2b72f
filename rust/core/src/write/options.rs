//! What can be chosen about writing a log.

/// How a log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// The size of the buffer between the program and the disk, a power of two; 0: none, each line
    /// is written by a system call of its own.
    pub buffer_bytes: usize,
    /// What happens to a line when the disk is so slow that the buffer is full.
    pub on_full: OnFull,
    /// What a line survives whose appending returned.
    pub durability: Durability,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: 4 << 20,
            on_full: OnFull::default(),
            durability: Durability::default(),
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
