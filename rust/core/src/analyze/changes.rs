//! What has changed from one run to another, group by group.

use std::collections::HashMap;

use crate::record::Text;

use super::groups::Group;
use super::{Stats, Tally};

/// What has changed of a group of actions.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What they have in common, as it is shown.
    pub name: Option<Text>,
    /// What they amounted to; `None`: there were none.
    pub before: Option<Tally>,
    /// What they amount to; `None`: there are none.
    pub after: Option<Tally>,
    /// How much it is, from 0 to 1: see [`changes`].
    pub share: f64,
}

/// What has changed from `before` to `after`, most first.
///
/// A change is measured by what it makes of the whole: by how much the number of actions of a group,
/// the time they took, and the number of those that failed, have become more or less, each as a share
/// of that of all actions (of the run that has more of it). The greatest of the three counts. So what
/// is rare or quick matters little, however much it differs, and nothing matters more than what is new
/// and all of a run.
pub fn changes(before: Stats, after: Stats) -> Vec<Change> {
    let wholes = [whole(&before), whole(&after)];
    let mut earlier: HashMap<Option<Box<[u8]>>, Group> =
        before.groups.into_iter().map(|group| (group.key.clone(), group)).collect();
    let mut found: Vec<_> =
        after.groups.into_iter().map(|group| (earlier.remove(&group.key), Some(group))).collect();
    found.extend(earlier.into_values().map(|group| (Some(group), None)));
    let mut changed: Vec<_> = found
        .into_iter()
        .map(|(before, after)| {
            let parts = [&before, &after]
                .map(|group| group.as_ref().map_or([0.0; 3], |group| measures(&group.tally)));
            let share = (0..3).map(|at| {
                let most = wholes[0][at].max(wholes[1][at]);
                if most > 0.0 { (parts[1][at] - parts[0][at]).abs() / most } else { 0.0 }
            });
            let share = share.fold(0.0, f64::max);
            let key = after.as_ref().or(before.as_ref()).and_then(|group| group.key.clone());
            let name = after.as_ref().or(before.as_ref()).and_then(|group| group.name.clone());
            let tally = |group: Option<Group>| group.map(|group| group.tally);
            (key, Change { name, before: tally(before), after: tally(after), share })
        })
        .collect();
    changed.sort_by(|(key, a), (other_key, b)| {
        b.share.total_cmp(&a.share).then_with(|| key.cmp(other_key))
    });
    changed.into_iter().map(|(_, change)| change).collect()
}

/// What changes are shares of.
fn whole(stats: &Stats) -> [f64; 3] {
    let tallies = stats.groups.iter().map(|group| &group.tally).chain([&stats.others]);
    tallies
        .map(measures)
        .fold([0.0; 3], |sum, more| [sum[0] + more[0], sum[1] + more[1], sum[2] + more[2]])
}

#[allow(clippy::cast_precision_loss)]
fn measures(tally: &Tally) -> [f64; 3] {
    [tally.count() as f64, tally.durations.total_s(), tally.failed() as f64]
}
