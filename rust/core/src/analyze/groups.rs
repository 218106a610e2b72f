//! Actions counted by what they have in common: their kind, their task, their model.

use hashbrown::HashTable;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::{Event, Text};

use super::durations::Durations;
use super::ids::hash_id;
use super::is_few;
use super::over_time::OverTime;
use super::slowest::cut;

/// What some actions amount to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Begun, and not ended in their log.
    pub open: u64,
    /// Ended well.
    pub exits: u64,
    /// Ended by an exception.
    pub errors: u64,
    /// Timed out.
    pub timeouts: u64,
    /// Cancelled.
    pub cancels: u64,
    /// How long those took that ended, as far as their records tell.
    pub durations: Durations,
    /// When they ended.
    pub over_time: OverTime,
}

impl Tally {
    /// All of them.
    pub fn count(&self) -> u64 {
        self.open + self.ended()
    }

    /// Those that ended, however they did.
    pub fn ended(&self) -> u64 {
        self.exits + self.cancels + self.failed()
    }

    /// Those that ended by an exception or timed out.
    pub fn failed(&self) -> u64 {
        self.errors + self.timeouts
    }

    /// Which share of those that ended failed.
    #[allow(clippy::cast_precision_loss)]
    pub fn error_rate(&self) -> Option<f64> {
        (self.ended() > 0).then(|| self.failed() as f64 / self.ended() as f64)
    }

    /// Takes in an action that ended.
    pub(crate) fn end(&mut self, event: Event, duration_s: Option<f64>, ended_s: Option<f64>) {
        match event {
            Event::Enter => return,
            Event::Exit => self.exits += 1,
            Event::Cancel => self.cancels += 1,
            Event::Error => self.errors += 1,
            Event::Timeout => self.timeouts += 1,
        }
        if let Some(duration_s) = duration_s {
            self.durations.observe(duration_s);
        }
        if let Some(ended_s) = ended_s {
            self.over_time.observe(ended_s);
        }
    }

    fn is_sound(&self) -> bool {
        let counts = [self.open, self.exits, self.errors, self.timeouts, self.cancels];
        counts.into_iter().all(is_few) && self.durations.is_sound() && self.over_time.is_sound()
    }

    fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.exits += other.exits;
        self.errors += other.errors;
        self.timeouts += other.timeouts;
        self.cancels += other.cancels;
        self.durations.merge(&other.durations);
        self.over_time.merge(&other.over_time);
    }
}

/// Actions that have something in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    hash: u64,
    /// What they have in common, cut; `None` of those whose records do not say.
    pub key: Option<Box<[u8]>>,
    /// The same as it is shown, without secrets.
    pub name: Option<Text>,
    /// What they amount to.
    pub tally: Tally,
}

/// Groups in the order in which they were first seen, no more than `most`; what belongs to others is
/// tallied together. Only the state at the start of a log may be bounded: which groups were seen first
/// is not known in the middle.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    most: usize,
    list: Vec<Group>,
    places: HashTable<usize>,
    others: Tally,
}

/// Which of the groups, or beyond their number all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupAt(usize);

impl GroupAt {
    /// Its place among the groups; beyond the end for others.
    #[cfg(test)]
    pub(crate) fn place(self) -> usize {
        self.0
    }
}

impl Groups {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, list: Vec::new(), places: HashTable::new(), others: Tally::default() }
    }

    /// The group of that key, which may be new: then `name` tells how it is shown.
    pub(crate) fn at(&mut self, key: Option<&[u8]>, name: impl FnOnce(&[u8]) -> Text) -> GroupAt {
        let cut_key = key.map(cut);
        let hash = hash_id(cut_key.unwrap_or_default());
        self.find(hash, cut_key).unwrap_or_else(|| {
            self.add(Group {
                hash,
                key: cut_key.map(Box::from),
                name: key.map(|key| cut(&name(key)).to_vec()),
                tally: Tally::default(),
            })
        })
    }

    pub(crate) fn tally(&mut self, at: GroupAt) -> &mut Tally {
        self.list.get_mut(at.0).map_or(&mut self.others, |group| &mut group.tally)
    }

    /// Takes in those that were seen later; tells where each of them is now.
    pub(crate) fn merge(&mut self, later: Self) -> impl Fn(GroupAt) -> GroupAt + use<> {
        self.others.merge(&later.others);
        let mut places = Vec::with_capacity(later.list.len());
        for group in later.list {
            let at = self.find(group.hash, group.key.as_deref());
            places.push(match at {
                Some(at) => {
                    self.tally(at).merge(&group.tally);
                    at
                }
                None => self.add(group),
            });
        }
        move |at| places.get(at.0).copied().unwrap_or(GroupAt(usize::MAX))
    }

    /// The groups, and what belongs to others.
    pub(crate) fn into_parts(self) -> (Vec<Group>, Tally) {
        (self.list, self.others)
    }

    fn find(&self, hash: u64, key: Option<&[u8]>) -> Option<GroupAt> {
        let is_it = |&at: &usize| self.list[at].key.as_deref() == key;
        self.places.find(hash, is_it).map(|&at| GroupAt(at))
    }

    /// Adds a group that is not there, if there is room for it.
    fn add(&mut self, group: Group) -> GroupAt {
        if self.list.len() >= self.most {
            self.others.merge(&group.tally);
            return GroupAt(usize::MAX);
        }
        let at = self.list.len();
        let list = &self.list;
        self.places.insert_unique(group.hash, at, |&at| list[at].hash);
        self.list.push(group);
        GroupAt(at)
    }
}

/// In their order, without hashes, which are this process's own.
impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups: Vec<_> =
            self.list.iter().map(|group| (&group.key, &group.name, &group.tally)).collect();
        (groups, &self.others).serialize(serializer)
    }
}

/// One without a bound on how many groups there are: such states were not bounded.
impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Told = (Option<Box<[u8]>>, Option<Text>, Tally);
        let (told, others) = <(Vec<Told>, Tally)>::deserialize(deserializer)?;
        let mut groups = Self { others, ..Self::new(usize::MAX) };
        for (key, name, tally) in told {
            let hash = hash_id(key.as_deref().unwrap_or_default());
            if groups.find(hash, key.as_deref()).is_some() || !tally.is_sound() {
                return Err(D::Error::custom("a group of actions is not as it can be"));
            }
            groups.add(Group { hash, key, name, tally });
        }
        if groups.others.is_sound() { Ok(groups) } else { Err(D::Error::custom("no such tally")) }
    }
}
