//! The threads of a scan: what they share, and what each does.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Error;

use super::blocks::open_file;
use super::dealer::{Dealer, MemberAt, Room, Task, TaskSource, Ticket};
use super::members::{MemberDecoder, plain_length};
use super::parallel::{BlockMap, Part};
use super::plain::PlainLog;
use super::ranges::{Lines, read_range};
use super::stored::Stored;
use super::zeros::resize_zeroed;
use super::{Block, Blocks, Skipped};

/// How much of a range is worked on at a time: it is still in a near cache when it is.
const STEP_BYTES: u64 = 512 << 10;

/// What the threads share under a lock.
pub(super) struct State<O> {
    pub(super) dealer: Dealer,
    /// Results by log and number of the part.
    pub(super) done: BTreeMap<(usize, u64), Part<O>>,
    /// How many parts are dealt out and not yet taken.
    pub(super) outstanding: usize,
    /// The part that is taken next.
    pub(super) next: (usize, u64),
    /// Blocks of streams, read and to be worked on by whoever has time.
    pub(super) blocks: VecDeque<(Ticket, Block, Skipped)>,
    /// Blocks that have been worked on.
    pub(super) spare_blocks: Vec<Block>,
    /// Emptied outputs.
    pub(super) spare: Vec<O>,
    pub(super) panicked: bool,
}

impl<O> State<O> {
    /// The next part to be read, if there is one and room for it.
    fn deal(&mut self, window: usize) -> Option<Task> {
        let room = if self.outstanding >= window {
            Room::None
        } else if self.outstanding >= window / 2 {
            Room::First
        } else {
            Room::All
        };
        let task = self.dealer.deal(self.next, room)?;
        self.outstanding += 1;
        Some(task)
    }

    /// Drops the results of a part and those behind it in its log.
    pub(super) fn forget(&mut self, (log, part): (usize, u64)) {
        let void: Vec<_> =
            self.done.range((log, part)..(log + 1, 0)).map(|(&key, _)| key).collect();
        for key in void {
            self.done.remove(&key);
            self.outstanding -= 1;
        }
    }
}

/// What the threads share.
pub(super) struct Shared<M: BlockMap> {
    pub(super) map: M,
    pub(super) state: Mutex<State<M::Output>>,
    /// A part is done.
    pub(super) ready: Condvar,
    /// There is room for more parts, or a stream has come back.
    pub(super) work: Condvar,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) done_bytes: AtomicU64,
    pub(super) window: usize,
}

impl<M: BlockMap> Shared<M> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<M::Output>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_on(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn deliver(&self, ticket: Ticket, done: Done<M::Output>) {
        let Done { output, skipped, last, error } = done;
        // A part that failed is the last one.
        let ends_file = last || error.is_some();
        let (log, file) = (ticket.log, ticket.log);
        let part = Part { log, file, output, skipped, ends_file, last: ends_file, error };
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

    /// A member of a part has to be read as a stream, and all that follows: as the parts from `first`
    /// on, which is that part or the next.
    fn restart(&self, ticket: Ticket, first: Ticket, file: Stored, at: &MemberAt) {
        let mut state = self.lock();
        // Another part, further on, may have been the cause of a restart already.
        if state.dealer.is_valid(ticket) {
            state.dealer.restart(first, file, at);
            state.forget((first.log, first.part));
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
pub(super) struct Worker<M: BlockMap> {
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
    pub(super) fn new(shared: &Arc<Shared<M>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            scratch: M::Scratch::default(),
            block: Block::default(),
            compressed: Vec::new(),
            decoder: MemberDecoder::new(),
        }
    }

    pub(super) fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _guard = TellOfPanic(&*shared);
        while self.step() {}
    }

    /// Does one part; false if there are none left.
    pub(super) fn step(&mut self) -> bool {
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
            TaskSource::Unopened(file) => {
                let opened = open_file(&file);
                self.shared.lock().dealer.opened(ticket, opened);
                self.shared.take_back(done.output);
                return None;
            }
            TaskSource::Failed(error) => done.error = Some(error),
            TaskSource::Nothing => {}
        }
        self.shared.map.end_part(&mut self.scratch, &mut done.output);
        Some(done)
    }

    /// Works on the lines that begin in a range, some at a time.
    fn read_ranges(
        &mut self,
        ticket: Ticket,
        file: &PlainLog,
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
        file: &Stored,
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
        file: &Stored,
        member: &MemberAt,
        any: bool,
        mut done: Done<M::Output>,
    ) -> Option<Done<M::Output>> {
        done.last = false;
        match file.try_clone() {
            Ok(file) if any => {
                self.shared.restart(ticket, ticket.behind(), file, member);
                Some(done)
            }
            Ok(file) => {
                self.shared.restart(ticket, ticket, file, member);
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
    fn decode(&mut self, file: &Stored, member: &MemberAt, is_last: bool) -> io::Result<bool> {
        let length = member.length as usize;
        resize_zeroed(&mut self.compressed, length);
        let mut read = 0;
        while read < length {
            let position = member.position + read as u64;
            match file.read_at(&mut self.compressed[read..], position)? {
                0 => return Ok(false),
                more => read += more,
            }
        }
        self.block.offset = member.offset;
        let Some(plain_bytes) = plain_length(&self.compressed) else { return Ok(false) };
        // What is there already need not be filled with zeros.
        resize_zeroed(&mut self.block.bytes, plain_bytes);
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
