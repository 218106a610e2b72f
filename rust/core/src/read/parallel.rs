//! The one scan: logs are read on all cores, block by block, and what each block gives comes out in
//! the order of the logs.
//!
//! Work is dealt out in *parts*: a range of a plain log, a member of a compressed one that tells
//! where the next begins, or the next blocks of a stream (other compressed logs, pipes), which one
//! thread at a time decompresses while others work on what came before. A part's result waits until
//! those before it have been taken; how many may wait is limited, so memory is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Error, Result};

use super::dealer::{Dealer, MemberAt, Task, TaskSource, Ticket};
use super::input::read_at;
use super::members::{MemberDecoder, plain_length};
use super::ranges::{Lines, read_range};
use super::{Block, Blocks, Skipped};

/// What is done with each block.
pub trait BlockMap: Send + Sync + 'static {
    /// What a thread keeps from block to block.
    type Scratch: Default + Send;
    /// What some consecutive blocks give.
    type Output: Default + Send + 'static;

    /// Adds what `block` gives, of the log of that number, to what the blocks before it gave, and
    /// counts what is skipped.
    fn map(
        &self,
        log: usize,
        scratch: &mut Self::Scratch,
        block: &Block,
        skipped: &mut Skipped,
        output: &mut Self::Output,
    );

    /// Adds what the scratch holds back, if anything: the next block is not the one that follows.
    fn end_part(&self, _scratch: &mut Self::Scratch, _output: &mut Self::Output) {}
}

/// A log to be scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// Where to begin: the start of a record, in bytes of the (decompressed) log. What is before
    /// does not count; of plain files it is not even read.
    pub start: u64,
}

impl Log {
    /// The whole of a log.
    pub fn whole(path: &Path) -> Self {
        Self { path: path.to_owned(), start: 0 }
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

/// How much of a range is worked on at a time: it is still in a near cache when it is.
const STEP_BYTES: u64 = 512 << 10;
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
    /// What the blocks gave.
    pub output: O,
    /// What was skipped in them.
    pub skipped: Skipped,
    /// Whether it is the last part of the log; there always is one.
    pub last: bool,
    /// Why the log could not be read on, in its last part.
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

struct State<O> {
    dealer: Dealer,
    /// Results by log and number of the part.
    done: BTreeMap<(usize, u64), Part<O>>,
    /// How many parts are dealt out and not yet taken.
    outstanding: usize,
    /// The part that is taken next.
    next: (usize, u64),
    /// Blocks of streams, read and to be worked on by whoever has time.
    blocks: VecDeque<(Ticket, Block, Skipped)>,
    /// Blocks that have been worked on.
    spare_blocks: Vec<Block>,
    /// Emptied outputs.
    spare: Vec<O>,
    panicked: bool,
}

impl<O> State<O> {
    /// The next part to be read, if there is one and room for it.
    fn deal(&mut self, window: usize) -> Option<Task> {
        let task = self.dealer.deal(self.next, self.outstanding < window)?;
        self.outstanding += 1;
        Some(task)
    }

    /// Drops the results of a part and those behind it in its log.
    fn forget(&mut self, (log, part): (usize, u64)) {
        let void: Vec<_> =
            self.done.range((log, part)..(log + 1, 0)).map(|(&key, _)| key).collect();
        for key in void {
            self.done.remove(&key);
            self.outstanding -= 1;
        }
    }
}

struct Shared<M: BlockMap> {
    map: M,
    state: Mutex<State<M::Output>>,
    /// A part is done.
    ready: Condvar,
    /// There is room for more parts, or a stream has come back.
    work: Condvar,
    stop: Arc<AtomicBool>,
    done_bytes: AtomicU64,
    window: usize,
}

/// A scan over logs.
pub struct Scan<M: BlockMap> {
    shared: Arc<Shared<M>>,
    workers: Vec<JoinHandle<()>>,
    /// Where the caller's own thread does the work.
    inline: Option<Worker<M>>,
    total_bytes: Option<u64>,
    /// The process whose threads they are. A forked child has none of them.
    pid: u32,
}

impl<M: BlockMap> Scan<M> {
    /// Begins to scan `logs`, in this order.
    ///
    /// # Errors
    /// There is just one log, and it cannot be opened. One of several that cannot be opened is told
    /// of in its part.
    pub fn new(logs: &[Log], map: M, options: ScanOptions) -> Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut dealer = Dealer::new(logs, options.block_bytes, &stop);
        if let [_] = logs {
            dealer.open_first()?;
        }
        let total_bytes = total_bytes(logs);
        let threads = match total_bytes {
            Some(bytes) if bytes < options.inline_below_bytes => 1,
            Some(_) => options.threads.clamp(1, MAX_THREADS),
            // Who waits for a pipe cannot do what else there is to do, and not hear Ctrl-C.
            None => options.threads.clamp(2, MAX_THREADS),
        };
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
        let mut scan = Self { shared, workers: Vec::new(), inline: None, total_bytes, pid };
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
            if let Some(part) = state.done.remove(&next) {
                state.outstanding -= 1;
                state.next = if part.last { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
                if part.error.is_some() {
                    state.dealer.abandon(next.0);
                    state.forget(next);
                }
                self.shared.work.notify_all();
                return ScanStep::Part(Box::new(part));
            }
            if next.0 == state.dealer.logs() {
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
    for log in logs {
        match std::fs::metadata(&log.path) {
            Ok(metadata) if metadata.is_file() => total += metadata.len(),
            Ok(_) => return None,
            // It will be told of.
            Err(_) => {}
        }
    }
    Some(total)
}

impl<M: BlockMap> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M::Output>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_on(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn deliver(&self, ticket: Ticket, done: Done<M::Output>) {
        let Done { output, skipped, last, error } = done;
        // A part that failed is the last one.
        let last = last || error.is_some();
        let part = Part { log: ticket.log, output, skipped, last, error };
        let mut state = self.lock();
        if state.dealer.is_valid(ticket) {
            state.done.insert((ticket.log, ticket.part), part);
            self.ready.notify_all();
        } else {
            state.outstanding -= 1;
            self.work.notify_all();
        }
    }

    /// A stream has more to give, and what it gave is to be worked on.
    fn give_back(
        &self,
        ticket: Ticket,
        mut blocks: Box<Blocks>,
        block: Block,
        done: Done<M::Output>,
    ) {
        let mut state = self.lock();
        state.spare.push(done.output);
        if let Some(spare) = state.spare_blocks.pop() {
            blocks.recycle(spare);
        }
        state.dealer.give_back(ticket, blocks);
        state.blocks.push_back((ticket, block, done.skipped));
        drop(state);
        self.work.notify_all();
    }

    /// A stream has ended.
    fn end(&self, ticket: Ticket) {
        self.lock().dealer.end(ticket);
        self.work.notify_all();
    }

    /// A member has to be read as a stream, and all that follows, as the parts from `ticket` on.
    fn restart(&self, ticket: Ticket, file: File, at: &MemberAt) {
        let mut state = self.lock();
        if state.dealer.is_valid(ticket) {
            state.dealer.restart(ticket, file, at);
            state.forget((ticket.log, ticket.part));
        }
        drop(state);
        self.work.notify_all();
    }

    /// A part turned out to be none.
    fn take_back(&self, output: M::Output) {
        let mut state = self.lock();
        state.outstanding -= 1;
        state.spare.push(output);
        drop(state);
        self.work.notify_all();
    }
}

/// One thread's share of the work.
struct Worker<M: BlockMap> {
    shared: Arc<Shared<M>>,
    scratch: M::Scratch,
    block: Block,
    compressed: Vec<u8>,
    decoder: MemberDecoder,
}

/// What there is to do.
enum Work {
    Task(Task),
    Block((Ticket, Block, Skipped)),
}

/// What reading a part gave.
struct Done<O> {
    output: O,
    skipped: Skipped,
    last: bool,
    error: Option<Error>,
}

impl<M: BlockMap> Worker<M> {
    fn new(shared: &Arc<Shared<M>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            scratch: M::Scratch::default(),
            block: Block::default(),
            compressed: Vec::new(),
            decoder: MemberDecoder::new(),
        }
    }

    fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _guard = TellOfPanic(&*shared);
        while self.step() {}
    }

    /// Does one part; false if there are none left.
    fn step(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let work = loop {
            if shared.stop.load(Ordering::Relaxed) {
                return false;
            }
            // Reading a stream is what others wait for. But what was read has to be worked on, too.
            let has_enough = state.blocks.len() >= shared.window / 2;
            if !has_enough && let Some(task) = state.deal(shared.window) {
                break Work::Task(task);
            }
            if let Some(block) = state.blocks.pop_front() {
                break Work::Block(block);
            }
            if state.dealer.is_done() {
                return false;
            }
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let output = state.spare.pop().unwrap_or_default();
        drop(state);
        match work {
            Work::Task(Task { ticket, last, source }) => {
                if let Some(done) = self.read(ticket, last, source, output) {
                    shared.deliver(ticket, done);
                }
            }
            Work::Block((ticket, block, skipped)) => {
                self.block = block;
                let mut done = Done { output, skipped, last: false, error: None };
                self.map(ticket.log, &mut done);
                shared.map.end_part(&mut self.scratch, &mut done.output);
                shared.deliver(ticket, done);
                // The one who reads the stream can use the memory.
                let block = std::mem::take(&mut self.block);
                shared.lock().spare_blocks.push(block);
            }
        }
        true
    }

    /// Reads a part. `None` if it has to be read in another way.
    fn read(
        &mut self,
        ticket: Ticket,
        last: bool,
        source: TaskSource,
        output: M::Output,
    ) -> Option<Done<M::Output>> {
        let mut done = Done { output, skipped: Skipped::default(), last, error: None };
        match source {
            TaskSource::Range { file, range, from_start } => {
                self.read_ranges(ticket, &file, &range, from_start, &mut done);
            }
            TaskSource::Members { file, members } => {
                let intact = self.read_members(ticket, &file, &members, &mut done);
                if let Some(member) = members.get(intact)
                    && done.error.is_none()
                {
                    self.shared.map.end_part(&mut self.scratch, &mut done.output);
                    return self.go_on_as_stream(ticket, &file, member, intact > 0, done);
                }
            }
            TaskSource::Stream(mut blocks) => {
                let position = blocks.position();
                let next = blocks.next_block();
                done.skipped = blocks.take_skipped();
                self.shared.read_on(blocks.position().saturating_sub(position));
                match next {
                    Ok(Some(block)) => {
                        self.shared.give_back(ticket, blocks, block, done);
                        return None;
                    }
                    Ok(None) => {
                        self.shared.end(ticket);
                        done.last = true;
                    }
                    Err(error) => {
                        self.shared.end(ticket);
                        done.last = true;
                        done.error = Some(error);
                    }
                }
            }
            TaskSource::Failed(error) => done.error = Some(error),
        }
        self.shared.map.end_part(&mut self.scratch, &mut done.output);
        Some(done)
    }

    /// Works on the lines that begin in a range, some at a time.
    fn read_ranges(
        &mut self,
        ticket: Ticket,
        file: &File,
        range: &Range<u64>,
        from_start: bool,
        done: &mut Done<M::Output>,
    ) {
        let mut start = range.start;
        // Once at least: a log of no bytes may have got some by now.
        loop {
            let end = range.end.min(start + STEP_BYTES);
            let lines = Lines {
                range: start..end,
                from_start: from_start && start == range.start,
                to_end: done.last && end == range.end,
            };
            match read_range(file, &lines, &mut self.block, &self.shared.stop) {
                Ok(behind) => {
                    self.map(ticket.log, done);
                    done.skipped.merge(&behind);
                }
                Err(error) => return self.fail(ticket, done, error),
            }
            self.shared.read_on(end - start);
            start = end;
            if start == range.end {
                return;
            }
        }
    }

    /// Works on members, up to the first that is not what its header promised, or whose text is not
    /// whole lines; returns how many it was.
    fn read_members(
        &mut self,
        ticket: Ticket,
        file: &File,
        members: &[MemberAt],
        done: &mut Done<M::Output>,
    ) -> usize {
        for (index, member) in members.iter().enumerate() {
            let is_last = done.last && index == members.len() - 1;
            match self.decode(file, member, is_last) {
                Ok(true) => self.map(ticket.log, done),
                Ok(false) => return index,
                Err(error) => {
                    self.fail(ticket, done, error);
                    return index;
                }
            }
            self.shared.read_on(u64::from(member.length));
        }
        members.len()
    }

    /// Has a log read as a stream from a member on; what there is of the part before it, if there is
    /// `any`, is a part of its own.
    fn go_on_as_stream(
        &self,
        ticket: Ticket,
        file: &File,
        member: &MemberAt,
        any: bool,
        mut done: Done<M::Output>,
    ) -> Option<Done<M::Output>> {
        done.last = false;
        match file.try_clone() {
            Ok(file) if any => {
                self.shared.restart(ticket.behind(), file, member);
                Some(done)
            }
            Ok(file) => {
                self.shared.restart(ticket, file, member);
                self.shared.take_back(done.output);
                None
            }
            Err(error) => {
                self.fail(ticket, &mut done, error);
                Some(done)
            }
        }
    }

    fn map(&mut self, log: usize, done: &mut Done<M::Output>) {
        let mut skipped = Skipped::default();
        self.shared.map.map(log, &mut self.scratch, &self.block, &mut skipped, &mut done.output);
        done.skipped.merge(&skipped);
    }

    /// Makes a part the last one of its log, for a failure.
    fn fail(&self, ticket: Ticket, done: &mut Done<M::Output>, error: io::Error) {
        let path = self.shared.lock().dealer.path(ticket.log).to_owned();
        done.error = Some(Error::io("read", path, error));
    }

    /// Decompresses a member into the block; false if it is not what its header promised, or its text
    /// is not whole lines.
    fn decode(&mut self, file: &File, member: &MemberAt, is_last: bool) -> io::Result<bool> {
        let length = member.length as usize;
        self.compressed.resize(length, 0);
        let mut read = 0;
        while read < length {
            let position = member.position + read as u64;
            match read_at(file, &mut self.compressed[read..], position)? {
                0 => return Ok(false),
                more => read += more,
            }
        }
        self.block.offset = member.offset;
        let Some(plain_bytes) = plain_length(&self.compressed) else { return Ok(false) };
        // What is there already need not be filled with zeros.
        self.block.bytes.resize(plain_bytes, 0);
        let is_intact = self.decoder.decode_into(&self.compressed, &mut self.block.bytes);
        Ok(is_intact && (is_last || self.block.bytes.ends_with(b"\n")))
    }
}

/// Lets whoever waits for a thread's work know that it failed.
struct TellOfPanic<'a, M: BlockMap>(&'a Shared<M>);

impl<M: BlockMap> Drop for TellOfPanic<'_, M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
            self.0.ready.notify_all();
        }
    }
}
