//! An archive that is being pruned: what goes, and what has become of it. Who asks the store is the
//! caller's business.

use super::catalog::{Catalog, Entry, Stored};
use super::prune::{Limits, Plan};

/// What has become of a log that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Planned,
    /// It is gone, and so many bytes with it.
    Removed(u64),
    /// It stays, as something has come to it meanwhile.
    Kept,
    /// It is there, or a part of it, for this reason.
    Failed(String),
}

/// An archive that is being pruned.
#[derive(Debug, Clone)]
pub struct Pruning {
    url: String,
    plan: Plan,
    limits: Limits,
    now_s: f64,
    outcomes: Vec<Outcome>,
    /// How large each log was right before it was to go.
    sizes: Vec<u64>,
    /// What is to be told of logs that could not be judged.
    troubles: Vec<(String, String)>,
}

impl Pruning {
    /// What goes of an archive at that moment.
    pub fn new(catalog: &Catalog, limits: Limits, now_s: f64) -> Self {
        let plan = Plan::of(catalog, limits, now_s);
        let troubled = |(directory, entry): (&str, &Entry)| {
            // One without a manifest is judged by the times of its objects.
            let trouble =
                entry.trouble().filter(|_| !matches!(entry.said, super::Said::Nothing))?;
            Some((catalog.url_of(directory), trouble))
        };
        Self {
            url: catalog.url().to_owned(),
            outcomes: vec![Outcome::Planned; plan.removals.len()],
            sizes: vec![0; plan.removals.len()],
            troubles: catalog.logs().filter_map(troubled).collect(),
            plan,
            limits,
            now_s,
        }
    }

    /// Where the archive is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What goes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the archive is kept to.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The moment that all is judged by.
    pub fn now_s(&self) -> f64 {
        self.now_s
    }

    /// What has become of each log that was to go, in their order.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The logs that stay because their manifests cannot be read: where they are, and why.
    pub fn troubles(&self) -> &[(String, String)] {
        &self.troubles
    }

    /// The names of the objects to be removed, in this order, of one of the logs that go: it looks like this
    /// right before. `None` where it stays.
    pub fn confirm(
        &mut self,
        number: usize,
        text: Option<&[u8]>,
        objects: Vec<Stored>,
    ) -> Option<Vec<String>> {
        let entry = Entry::of(text, objects);
        let found = self.plan.removals.get(number)?.confirm(&entry, self.limits, self.now_s);
        self.set(number, Outcome::Kept);
        self.sizes[number] = entry.size_bytes();
        found.map(|objects| objects.into_iter().map(|object| object.name).collect())
    }

    /// Notes that a log is gone, after [`Self::confirm`].
    pub fn removed(&mut self, number: usize) {
        let size_bytes = self.sizes.get(number).copied().unwrap_or(0);
        self.set(number, Outcome::Removed(size_bytes));
    }

    /// Notes that a log is there, or a part of it.
    pub fn failed(&mut self, number: usize, reason: &str) {
        self.set(number, Outcome::Failed(reason.to_owned()));
    }

    fn set(&mut self, number: usize, outcome: Outcome) {
        if let Some(there) = self.outcomes.get_mut(number) {
            *there = outcome;
        }
    }

    /// How much has been freed so far.
    pub fn freed_bytes(&self) -> u64 {
        self.outcomes
            .iter()
            .map(|outcome| if let Outcome::Removed(bytes) = outcome { *bytes } else { 0 })
            .sum()
    }
}
