//! Which logs of an archive go, for it to be kept small.

use super::catalog::{Catalog, Entry, Said, Stored, last_s};
use super::manifest::MANIFEST_NAME;

/// What an archive is kept to; without any of the two nothing goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Logs whose last record was made longer ago go.
    pub older_than_s: Option<f64>,
    /// The oldest logs go until all others are not larger together.
    pub max_bytes: Option<u64>,
}

/// Why a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is too old.
    Age,
    /// All together are too large, and it is the oldest.
    Size,
    /// All of it but its manifest is gone already: somebody was interrupted.
    Rest,
}

impl Why {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
            Self::Rest => "rest",
        }
    }
}

/// A log that goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// Its directory.
    pub directory: String,
    /// Why it goes.
    pub why: Why,
    /// What is known of it.
    pub entry: Entry,
}

/// What is to be done about an archive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What goes, the oldest first.
    pub removals: Vec<Removal>,
    /// How many logs there are.
    pub logs: u64,
    /// How large they are together.
    pub size_bytes: u64,
}

impl Plan {
    /// What goes of an archive at that moment.
    pub fn of(catalog: &Catalog, limits: Limits, now_s: f64) -> Self {
        let mut plan = Self::default();
        let mut logs = Vec::new();
        for (directory, entry) in catalog.logs() {
            plan.logs += 1;
            plan.size_bytes = plan.size_bytes.saturating_add(entry.size_bytes());
            if is_removable(entry, limits, now_s) {
                logs.push((age_key_s(entry), directory, entry));
            }
        }
        logs.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(other.1)));
        // What goes in any case leaves room for others.
        let certain = |entry: &Entry| certain_reason(entry, limits, now_s);
        let going = logs.iter().filter(|(_, _, entry)| certain(entry).is_some());
        let mut left = going
            .fold(plan.size_bytes, |left, (_, _, entry)| left.saturating_sub(entry.size_bytes()));
        for (_, directory, entry) in logs {
            let why = certain(entry).or_else(|| {
                let is_over = limits.max_bytes.is_some_and(|max_bytes| left > max_bytes);
                if is_over {
                    left = left.saturating_sub(entry.size_bytes());
                }
                is_over.then_some(Why::Size)
            });
            plan.removals.extend(why.map(|why| Removal {
                directory: directory.to_owned(),
                why,
                entry: entry.clone(),
            }));
        }
        plan
    }

    /// How large what goes is.
    pub fn removed_bytes(&self) -> u64 {
        self.removals.iter().map(|removal| removal.entry.size_bytes()).sum()
    }
}

impl Removal {
    /// The objects to be removed, in this order, of a log that looks like this by now, right before it
    /// goes; `None` where it has to stay, because something has come to it since it was chosen.
    ///
    /// The manifest is the last: as long as it is there, who was interrupted is followed by another one.
    pub fn confirm(&self, now: &Entry, limits: Limits, now_s: f64) -> Option<Vec<Stored>> {
        let still = match self.why {
            Why::Size => is_removable(now, limits, now_s) && now.said == self.entry.said,
            Why::Age | Why::Rest => certain_reason(now, limits, now_s).is_some(),
        };
        let (last, mut first): (Vec<_>, Vec<_>) =
            now.objects.iter().cloned().partition(|object| object.name == MANIFEST_NAME);
        first.extend(last);
        still.then_some(first)
    }
}

/// When a log was written last: the oldest go first.
fn age_key_s(entry: &Entry) -> f64 {
    let found = entry.manifest().map(last_s).or_else(|| entry.modified_s());
    found.unwrap_or(f64::INFINITY)
}

/// Whether a log may go at all: it is finished, or nobody has been heard of for longer than logs are kept.
fn is_removable(entry: &Entry, limits: Limits, now_s: f64) -> bool {
    let is_older = |moment_s: f64| is_older(moment_s, limits, now_s);
    match &entry.said {
        Said::Manifest(manifest) if manifest.finished => true,
        Said::Manifest(manifest) => {
            let is_alive = entry.origin().and_then(|origin| origin.is_alive(now_s));
            is_alive != Some(true) && is_older(manifest.shipped_at.max(last_s(manifest)))
        }
        // Somebody may be about to write the manifest.
        Said::Nothing => entry.modified_s().is_some_and(is_older),
        Said::Broken(_) | Said::Unread(_) => false,
    }
}

/// Why a log goes whatever the others are like.
fn certain_reason(entry: &Entry, limits: Limits, now_s: f64) -> Option<Why> {
    if !is_removable(entry, limits, now_s) {
        return None;
    }
    if is_rest(entry) {
        return Some(Why::Rest);
    }
    let is_old = is_older(age_key_s(entry), limits, now_s);
    is_old.then_some(Why::Age)
}

fn is_older(moment_s: f64, limits: Limits, now_s: f64) -> bool {
    limits.older_than_s.is_some_and(|older_than_s| now_s - moment_s > older_than_s)
}

/// Whether there were pieces, and none of them is left.
fn is_rest(entry: &Entry) -> bool {
    entry.manifest().is_some_and(|manifest| {
        let is_gone = |name: &str| entry.object(name).is_none();
        let mut pieces = manifest.objects.iter();
        !manifest.objects.is_empty() && pieces.all(|piece| is_gone(&piece.name))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::manifest::Manifest;
    use crate::archive::test_support::{add_piece, manifest};

    const NOW_S: f64 = 1000.0;

    fn objects_of(manifest: &Manifest, modified_s: f64) -> Vec<Stored> {
        let pieces = manifest.objects.iter().map(|piece| (piece.name.as_str(), piece.size_bytes));
        pieces
            .chain([(MANIFEST_NAME, 1)])
            .map(|(name, size_bytes)| Stored {
                name: name.to_owned(),
                size_bytes,
                modified_s: Some(modified_s),
            })
            .collect()
    }

    /// A log as some directory might have it: its age, whether it is finished, what is broken.
    fn entries() -> impl Strategy<Value = Entry> {
        let times = (0.0..2.0 * NOW_S, 0.0..2.0 * NOW_S, prop::option::of(0.0..NOW_S));
        let sizes = prop::collection::vec(0_u64..100, 0..4);
        (times, sizes, any::<bool>(), prop::option::of(0.1..300.0_f64), 0..8_u8).prop_map(
            |((started_at, shipped_at, last_record_at), sizes, finished, interval, kind)| {
                let mut manifest = Manifest {
                    started_at,
                    last_record_at,
                    shipped_at,
                    interval,
                    ..manifest("h", finished)
                };
                for size_bytes in sizes {
                    add_piece(&mut manifest, size_bytes);
                }
                let mut objects = objects_of(&manifest, shipped_at);
                let said = match kind {
                    0 => {
                        objects.pop();
                        Said::Nothing
                    }
                    1 => Said::Broken("it is no JSON".to_owned()),
                    2 => Said::Unread("the store refuses".to_owned()),
                    3 => {
                        objects.retain(|object| object.name == MANIFEST_NAME);
                        Said::Manifest(Box::new(manifest))
                    }
                    _ => Said::Manifest(Box::new(manifest)),
                };
                Entry { objects, said }
            },
        )
    }

    fn catalog_of(entries: &[Entry]) -> Catalog {
        let mut catalog = Catalog::new("s3://b");
        for (number, entry) in entries.iter().enumerate() {
            let directory = format!("2026/11/23/h/000000-{number}-0");
            for Stored { name, size_bytes, modified_s } in &entry.objects {
                catalog.add(&format!("{directory}/{name}"), *size_bytes, *modified_s);
            }
            match &entry.said {
                Said::Manifest(manifest) => catalog.read(&directory, Some(&manifest.to_json())),
                Said::Broken(_) => catalog.read(&directory, Some(b"{")),
                Said::Unread(why) => catalog.unread(&directory, why),
                Said::Nothing => {}
            }
        }
        catalog
    }

    fn limits() -> impl Strategy<Value = Limits> {
        (prop::option::of(0.0..NOW_S), prop::option::of(0_u64..1000))
            .prop_map(|(older_than_s, max_bytes)| Limits { older_than_s, max_bytes })
    }

    /// What is said of when a log may go, in other words.
    fn may_go(entry: &Entry, limits: Limits) -> bool {
        let is_quiet = |moment_s: f64| match limits.older_than_s {
            Some(older_than_s) => moment_s < NOW_S - older_than_s,
            None => false,
        };
        match &entry.said {
            Said::Manifest(manifest) => {
                let promised_s = manifest.interval.map_or(f64::INFINITY, |interval_s| {
                    manifest.shipped_at + 2.0 * interval_s + 30.0
                });
                let is_heard_of = promised_s.is_finite() && NOW_S <= promised_s;
                manifest.finished
                    || (!is_heard_of
                        && is_quiet(manifest.shipped_at)
                        && is_quiet(manifest.last_record_at.unwrap_or(manifest.started_at)))
            }
            Said::Nothing => {
                entry.objects.iter().all(|object| object.modified_s.is_some_and(&is_quiet))
            }
            Said::Broken(_) | Said::Unread(_) => false,
        }
    }

    proptest! {
        /// What has to stay stays, each log goes once, the oldest first and none without need; and then the
        /// limits hold, or nothing is left that may go.
        #[test]
        fn what_goes_is_what_has_to(
            entries in prop::collection::vec(entries(), 0..12), limits in limits(),
        ) {
            let catalog = catalog_of(&entries);
            let plan = Plan::of(&catalog, limits, NOW_S);
            let gone: HashSet<_> =
                plan.removals.iter().map(|removal| removal.directory.as_str()).collect();
            prop_assert_eq!(gone.len(), plan.removals.len());
            let mut left_bytes = 0;
            for (directory, entry) in catalog.logs() {
                let goes = gone.contains(directory);
                prop_assert!(!goes || may_go(entry, limits), "{:?}", entry);
                left_bytes += if goes { 0 } else { entry.size_bytes() };
                let is_old = limits.older_than_s.is_some_and(|older_than_s| {
                    age_key_s(entry) < NOW_S - older_than_s
                });
                prop_assert!(goes || !(is_old && may_go(entry, limits)), "{:?}", entry);
            }
            prop_assert_eq!(plan.size_bytes - plan.removed_bytes(), left_bytes);
            let stays = || catalog.logs().filter(|(directory, _)| !gone.contains(directory));
            if limits.max_bytes.is_some_and(|max_bytes| left_bytes > max_bytes) {
                prop_assert!(!stays().any(|(_, entry)| may_go(entry, limits)));
            }
            let mut for_size = plan.removals.iter().filter(|removal| removal.why == Why::Size);
            if let Some(newest) = for_size.next_back() {
                let max_bytes = limits.max_bytes.unwrap();
                prop_assert!(left_bytes + newest.entry.size_bytes() > max_bytes);
                for (_, entry) in stays().filter(|(_, entry)| may_go(entry, limits)) {
                    prop_assert!(age_key_s(entry) >= age_key_s(&newest.entry));
                }
            }
            let ages: Vec<_> = plan.removals.iter().map(|each| age_key_s(&each.entry)).collect();
            prop_assert!(ages.is_sorted());
        }

        /// What has not changed is removed as planned, the manifest last; interrupted anywhere, the next
        /// one goes on until nothing is left of it.
        #[test]
        fn an_interrupted_removal_is_completed(
            entry in entries(), limits in limits(), interrupted in any::<prop::sample::Index>(),
        ) {
            let plan = Plan::of(&catalog_of(std::slice::from_ref(&entry)), limits, NOW_S);
            let Some(removal) = plan.removals.first() else { return Ok(()) };
            let objects = removal.confirm(&removal.entry, limits, NOW_S).unwrap();
            prop_assert_eq!(objects.len(), removal.entry.objects.len());
            let at = objects.iter().position(|object| object.name == MANIFEST_NAME);
            prop_assert!(at.is_none_or(|at| at + 1 == objects.len()));
            // All pieces of most logs go by one request.
            let pieces = objects.len() - usize::from(at.is_some());
            let removed = if at.is_some() { pieces } else { interrupted.index(pieces.max(1)) };
            let rest = Entry { objects: objects[removed..].to_vec(), ..removal.entry.clone() };
            let is_left = !rest.objects.is_empty();
            let again = Plan::of(&catalog_of(&[rest]), limits, NOW_S);
            let goes_again = again.removals.len() == 1;
            let is_known = removal.entry.manifest().is_some_and(|known| !known.objects.is_empty());
            prop_assert!(goes_again || !is_left || (removal.why == Why::Size && !is_known));
        }

        /// A log that has got something since it was chosen stays.
        #[test]
        fn what_has_changed_stays(entry in entries(), limits in limits()) {
            let plan = Plan::of(&catalog_of(std::slice::from_ref(&entry)), limits, NOW_S);
            let Some(removal) = plan.removals.first() else { return Ok(()) };
            let mut grown = manifest("h", false);
            (grown.shipped_at, grown.interval) = (NOW_S, Some(60.0));
            let objects = objects_of(&grown, NOW_S);
            let grown = Entry { objects, said: Said::Manifest(Box::new(grown)) };
            prop_assert_eq!(removal.confirm(&grown, limits, NOW_S), None);
        }
    }

    /// A log whose pieces are gone goes even if the limit holds; one that has lost some of them does not.
    #[test]
    fn rests_are_told_from_damage() {
        let mut log = manifest("h", true);
        add_piece(&mut log, 5);
        add_piece(&mut log, 5);
        let whole = Entry { objects: objects_of(&log, 0.0), said: Said::Manifest(Box::new(log)) };
        let rest = |from: usize| Entry { objects: whole.objects[from..].to_vec(), ..whole.clone() };
        let limits = Limits { max_bytes: Some(1000), older_than_s: None };
        let reasons = |entry: Entry| -> Vec<Why> {
            let plan = Plan::of(&catalog_of(&[entry]), limits, NOW_S);
            plan.removals.iter().map(|removal| removal.why).collect()
        };
        assert_eq!(reasons(rest(0)), []);
        assert_eq!(reasons(rest(1)), []);
        assert_eq!(reasons(rest(2)), [Why::Rest]);
    }
}
