//! What blocks of a log tell a live view: which actions are open, and how those went that ended.

use crate::read::{Block, BlockMap, Filter, Log, Skipped};
use crate::record::{Event, Name, Record};

use super::anomalies_block::BlockScan;
use super::anomalies_partial::AnomaliesPartial;
use super::ids::{IdMap, hash_id};
use super::{Durations, Outcomes, Partial as _};

/// How often the actions of one kind ended in which way, and how long they took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ended {
    pub(super) exits: u64,
    pub(super) errors: u64,
    pub(super) timeouts: u64,
    pub(super) cancels: u64,
    /// Of all of them that tell.
    pub(super) durations: Durations,
}

impl Ended {
    fn observe(&mut self, record: &Record<'_>, event: Event) {
        match event {
            Event::Enter => return,
            Event::Exit => self.exits += 1,
            Event::Error => self.errors += 1,
            Event::Timeout => self.timeouts += 1,
            Event::Cancel => self.cancels += 1,
        }
        if let Some(duration_s) = record.duration_s() {
            self.durations.observe(duration_s);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.exits += other.exits;
        self.errors += other.errors;
        self.timeouts += other.timeouts;
        self.cancels += other.cancels;
        self.durations.merge(&other.durations);
    }

    pub(super) fn count(&self) -> u64 {
        self.exits + self.errors + self.timeouts + self.cancels
    }
}

/// How an action that was open ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) id: Box<[u8]>,
    pub(super) event: Event,
    pub(super) duration_s: Option<f64>,
    pub(super) error: Option<Vec<u8>>,
    pub(super) error_type: Option<Vec<u8>>,
}

/// What some consecutive records tell.
pub(super) struct LivePartial {
    pub(super) open: AnomaliesPartial,
    /// By the kind of action.
    pub(super) ended: IdMap<Ended>,
    /// Of actions that took long enough to be told one by one, in the order of the log.
    pub(super) endings: Vec<Ending>,
}

impl LivePartial {
    /// The state before the first record of a log.
    pub(super) fn at_start(filter: &Filter) -> Self {
        let open = AnomaliesPartial::at_start(filter);
        Self { open, ended: IdMap::default(), endings: Vec::new() }
    }

    /// Takes in what follows.
    pub(super) fn merge(&mut self, later: Self) {
        self.open.merge(later.open);
        merge_ended(&mut self.ended, &later.ended);
        self.endings.extend(later.endings);
    }
}

pub(super) fn merge_ended(ended: &mut IdMap<Ended>, later: &IdMap<Ended>) {
    for (hash, action, theirs) in later.rows() {
        ended.entry(hash, action).merge(theirs);
    }
}

/// What a thread has found since the start of the part that it is at.
#[derive(Default)]
pub(super) struct LiveScratch {
    blocks: BlockScan,
    ended: IdMap<Ended>,
    endings: Vec<Ending>,
}

/// What is done with each block.
pub(super) struct LiveMap {
    filter: Filter,
    /// Of each file, where to begin.
    starts: Vec<u64>,
    /// Endings of actions that took so long, or longer, are told one by one.
    min_told_s: Option<f64>,
}

impl LiveMap {
    /// For logs that are read as a whole: endings are only counted.
    pub(super) fn of_logs(logs: &[Log], filter: &Filter) -> Self {
        let starts = logs.iter().flat_map(Log::starts).collect();
        Self { filter: filter.clone(), starts, min_told_s: None }
    }

    /// For what is appended to a log.
    pub(super) fn of_appended(filter: &Filter, min_told_s: Option<f64>) -> Self {
        Self { filter: filter.clone(), starts: vec![0], min_told_s }
    }

    /// What one block tells.
    pub(super) fn of_block(
        &self,
        scratch: &mut LiveScratch,
        block: &Block,
        skipped: &mut Skipped,
    ) -> Option<LivePartial> {
        let mut partial = None;
        self.map(0, scratch, block, skipped, &mut partial);
        self.end_part(scratch, &mut partial);
        partial
    }
}

impl BlockMap for LiveMap {
    type Scratch = LiveScratch;
    type Output = Option<LivePartial>;

    fn map(
        &self,
        file: usize,
        scratch: &mut LiveScratch,
        block: &Block,
        skipped: &mut Skipped,
        _output: &mut Option<LivePartial>,
    ) {
        let LiveScratch { blocks, ended, endings } = scratch;
        let start = self.starts[file];
        blocks.take_in(&self.filter, Outcomes::Open, start, block, skipped, |record, event| {
            if let Some(action) = record.text(Name::Action) {
                ended.entry(hash_id(&action), &action).observe(record, event);
            }
            let Some(min_told_s) = self.min_told_s else { return };
            if record.duration_s().is_none_or(|duration_s| duration_s >= min_told_s) {
                endings.extend(Ending::of(record, event));
            }
        });
    }

    fn end_part(&self, scratch: &mut LiveScratch, output: &mut Option<LivePartial>) {
        *output = scratch.blocks.finish().map(|open| LivePartial {
            open,
            ended: std::mem::take(&mut scratch.ended),
            endings: std::mem::take(&mut scratch.endings),
        });
    }
}

impl Ending {
    fn of(record: &Record<'_>, event: Event) -> Option<Self> {
        let text = |name| record.text(name).map(std::borrow::Cow::into_owned);
        Some(Self {
            id: record.trace_id()?.into(),
            event,
            duration_s: record.duration_s().filter(|duration_s| duration_s.is_finite()),
            error: text(Name::Error),
            error_type: text(Name::ErrorType),
        })
    }
}
