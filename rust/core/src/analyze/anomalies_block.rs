//! Some consecutive blocks of a log, scanned for anomalies at once: what begins and ends in them never
//! leaves them.
//!
//! The state that comes out is the one that [`AnomaliesPartial::observe`](super::Partial::observe)
//! gives record by record, which is the definition (and tested against). It is much faster, as it
//! copies little of the actions that end in a block, and looks at the time of the last record only.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::read::{Block, Filter, Kind, LineCursor, Skipped};
use crate::record::{Event, Name, RawValue, Record};
use crate::timestamp;

use super::Outcomes;
use super::anomalies_partial::{AnomaliesPartial, Kept, Times};
use super::ids::hash_id;

/// What a thread has found since the start of the part that it is at; and memory to be used again.
#[derive(Default)]
pub(super) struct BlockScan {
    cursor: LineCursor,
    partial: Option<AnomaliesPartial>,
    actions: HashTable<InPart>,
    /// Texts that do not stand in the block, or will have to outlast it.
    texts: Vec<u8>,
}

/// An action in the part.
struct InPart {
    hash: u64,
    id: Place,
    /// Whether it was closed in the part, once at least.
    closed: bool,
    /// Its `enter` record, while it is open.
    open: Option<Open>,
    /// The last record that tells where it waits.
    stall: Option<Box<[u8]>>,
}

struct Open {
    line: Place,
    /// The JSON text of its start time, and what that is.
    start_time: Option<(Place, Kind)>,
    offset: u64,
    place: u64,
}

/// Where a text stands.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    in_block: bool,
}

/// The texts that places are in.
#[derive(Clone, Copy)]
struct Texts<'a> {
    block: &'a [u8],
    others: &'a [u8],
}

impl<'a> Texts<'a> {
    fn at(self, place: Place) -> &'a [u8] {
        let texts = if place.in_block { self.block } else { self.others };
        &texts[place.start..place.end]
    }
}

impl BlockScan {
    /// Takes in the records of `block` from `start` (an offset in the log) on. Each record that counts
    /// and tells that an action ended, whether or not that is wanted, is given to `ended`.
    pub(super) fn take_in(
        &mut self,
        filter: &Filter,
        outcomes: Outcomes,
        start: u64,
        block: &Block,
        skipped: &mut Skipped,
        mut ended: impl FnMut(&Record<'_>, Event),
    ) {
        let Self { cursor, partial, actions, texts } = self;
        let partial = partial.get_or_insert_with(|| AnomaliesPartial::in_the_middle(filter));
        let mut times = LastTimes::default();
        while let Some(record) = cursor.next(block, skipped) {
            if record.offset() < start {
                continue;
            }
            times.observe(&record, block, texts);
            let Some(mut event) = record.event() else {
                if record.is_stall() {
                    observe_stall(actions, texts, block, &record);
                }
                continue;
            };
            let is_unwanted = match outcomes {
                Outcomes::All => false,
                Outcomes::OpenAndCancelled => matches!(event, Event::Error | Event::Timeout),
                Outcomes::Open => event != Event::Enter,
            };
            if filter.matches_action_record(&record) {
                if event != Event::Enter {
                    ended(&record, event);
                }
                if is_unwanted {
                    // It has ended: that is all that is wanted of it.
                    event = Event::Exit;
                }
                observe(actions, texts, partial, block, &record, event);
            }
        }
        let all = Texts { block: &block.bytes, others: texts };
        partial.times.merge(times.finish(start, block, all, cursor));
        for action in actions.iter_mut() {
            action.outlast(&block.bytes, texts);
        }
    }

    /// The state after what was taken in, which is forgotten then.
    pub(super) fn finish(&mut self) -> Option<AnomaliesPartial> {
        let mut partial = self.partial.take()?;
        let texts = Texts { block: &[], others: &self.texts };
        for action in self.actions.drain() {
            let id = texts.at(action.id);
            if action.closed {
                partial.put_closed(action.hash, id);
            }
            let may_be_open = action.open.is_some() || !action.closed;
            if let Some(open) = action.open {
                let kept = Kept {
                    line: texts.at(open.line).into(),
                    offset: open.offset,
                    start_time_s: open.start_time_s(texts),
                    place: open.place,
                    awaits_start: false,
                };
                partial.put_running(action.hash, id, kept);
            }
            if let Some(stall) = action.stall.filter(|_| may_be_open) {
                partial.put_stall(action.hash, id, &stall);
            }
        }
        self.texts.clear();
        Some(partial)
    }
}

impl InPart {
    /// Moves its texts out of the block.
    fn outlast(&mut self, block: &[u8], texts: &mut Vec<u8>) {
        let mut keep = |place: &mut Place| {
            if place.in_block {
                let start = texts.len();
                texts.extend_from_slice(&block[place.start..place.end]);
                *place = Place { start, end: texts.len(), in_block: false };
            }
        };
        keep(&mut self.id);
        if let Some(open) = &mut self.open {
            keep(&mut open.line);
            if let Some((start_time, _)) = &mut open.start_time {
                keep(start_time);
            }
        }
    }
}

/// Takes in a record that counts.
fn observe(
    actions: &mut HashTable<InPart>,
    texts: &mut Vec<u8>,
    partial: &mut AnomaliesPartial,
    block: &Block,
    record: &Record<'_>,
    event: Event,
) {
    let Some(id_text) = record.trace_id() else { return };
    let id = place_of(&id_text, block, texts);
    let hash = hash_id(&id_text);
    let all = Texts { block: &block.bytes, others: texts };
    let entry = actions.entry(hash, |other| all.at(other.id) == &*id_text, |other| other.hash);
    let action = match entry {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            entry.insert(InPart { hash, id, closed: false, open: None, stall: None }).into_mut()
        }
    };
    action.stall = None;
    if event == Event::Enter {
        let place = partial.place();
        // Where it is open already, the new record takes the place of the old one.
        let place = action.open.as_ref().map_or(place, |open| open.place);
        let line = place_of(record.json(), block, texts);
        let start_time = record
            .value(Name::StartTime)
            .map(|value| (place_of(value.raw(), block, texts), value.kind()));
        action.open = Some(Open { line, start_time, offset: record.offset(), place });
        return;
    }
    let opened = action.open.take();
    let closed_here = std::mem::replace(&mut action.closed, true);
    if event == Event::Exit {
        return;
    }
    let kept = Kept {
        line: record.json().into(),
        offset: record.offset(),
        start_time_s: match &opened {
            Some(open) => open.start_time_s(all),
            None => record.start_time_s(),
        },
        place: partial.place(),
        awaits_start: opened.is_none() && !closed_here,
    };
    partial.put_ended(hash, &id_text, event, kept);
}

/// Takes in a record that tells where an action waits.
fn observe_stall(
    actions: &mut HashTable<InPart>,
    texts: &mut Vec<u8>,
    block: &Block,
    record: &Record<'_>,
) {
    let Some(id_text) = record.trace_id() else { return };
    let id = place_of(&id_text, block, texts);
    let hash = hash_id(&id_text);
    let all = Texts { block: &block.bytes, others: texts };
    let stall = Some(record.json().into());
    match actions.entry(hash, |other| all.at(other.id) == &*id_text, |other| other.hash) {
        Entry::Occupied(entry) => entry.into_mut().stall = stall,
        Entry::Vacant(entry) => {
            entry.insert(InPart { hash, id, closed: false, open: None, stall });
        }
    }
}

/// Where a text of a record stands, in the block if it is a part of that.
fn place_of(text: &[u8], block: &Block, texts: &mut Vec<u8>) -> Place {
    let length = text.len();
    // By address: a text that begins within the block and ends there is a part of it.
    let distance = text.as_ptr().addr().checked_sub(block.bytes.as_ptr().addr());
    if let Some(start) = distance.filter(|start| start + length <= block.bytes.len()) {
        return Place { start, end: start + length, in_block: true };
    }
    let start = texts.len();
    texts.extend_from_slice(text);
    Place { start, end: start + length, in_block: false }
}

impl Open {
    fn start_time_s(&self, texts: Texts<'_>) -> Option<f64> {
        let (place, kind) = self.start_time?;
        RawValue::new(texts.at(place), kind).number()
    }
}

/// The times of a block's records, most of which need not be read.
#[derive(Default)]
struct LastTimes {
    /// Those of records that name a process: these are rare, and read at once.
    by_pid: Times,
    records: u64,
    /// The timestamp of the last record that names none.
    main: Option<Place>,
    /// Whether it came after all that name one.
    main_is_last: bool,
}

impl LastTimes {
    fn observe(&mut self, record: &Record<'_>, block: &Block, texts: &mut Vec<u8>) {
        self.records += 1;
        if record.pid().is_none() {
            self.main = Some(place_of(&record.timestamp(), block, texts));
            self.main_is_last = true;
        } else if self.by_pid.observe(record) {
            self.main_is_last = false;
        }
    }

    fn finish(self, start: u64, block: &Block, texts: Texts<'_>, cursor: &mut LineCursor) -> Times {
        let mut times = Times { records: self.records, ..self.by_pid };
        let Some(main) = self.main else { return times };
        if let Some(epoch_s) = timestamp::parse_epoch_s(texts.at(main)) {
            times.last_main_s = Some(epoch_s);
            if self.main_is_last {
                times.last_s = Some(epoch_s);
            }
            return times;
        }
        // It is no time: an earlier one has to be found.
        let mut times = Times { records: self.records, ..Times::default() };
        let mut skipped = Skipped::default();
        while let Some(record) = cursor.next(block, &mut skipped) {
            if record.offset() >= start {
                times.observe(&record);
            }
        }
        times
    }
}
