//! Which of the logs in an archive are wanted, as far as their manifests tell.

use super::manifest::{MAX_TASKS, Manifest};
use super::origin::Origin;

/// What is asked for: each condition that is given has to hold, in a list one of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Something in it was made or under way at that time or later, seconds since the epoch.
    pub since_s: Option<f64>,
    /// It began before that time, seconds since the epoch.
    pub until_s: Option<f64>,
    /// It was written on one of these machines.
    pub hosts: Vec<String>,
    /// One of these tasks is named in it.
    pub tasks: Vec<String>,
    /// It has actions that have not ended.
    pub open: bool,
    /// It has actions that failed, by an error or a timeout.
    pub failed: bool,
}

/// Whether a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It is.
    Yes,
    /// It may be: not all of its tasks are in the manifest.
    Maybe,
    /// It is not.
    No,
}

impl Choice {
    /// Whether a log is wanted whose manifest that is.
    pub fn of(&self, manifest: &Manifest, now_s: f64) -> Chosen {
        let counts = manifest.counts;
        let is_late =
            self.since_s.is_none_or(|since_s| !Origin::of(manifest).is_over_before(since_s, now_s));
        let is_early = self.until_s.is_none_or(|until_s| manifest.started_at < until_s);
        let is_of_host = self.hosts.is_empty() || self.hosts.contains(&manifest.host);
        let is_open = !self.open || counts.open > 0;
        let has_failed = !self.failed || counts.errors > 0 || counts.timeouts > 0;
        if !(is_late && is_early && is_of_host && is_open && has_failed) {
            return Chosen::No;
        }
        if self.tasks.is_empty() || manifest.tasks.iter().any(|task| self.tasks.contains(task)) {
            Chosen::Yes
        } else if manifest.tasks.len() >= MAX_TASKS {
            Chosen::Maybe
        } else {
            Chosen::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::test_support::manifest;

    /// Each condition alone lets some through and others not.
    #[test]
    fn conditions_hold() {
        let log = Manifest {
            started_at: 100.0,
            last_record_at: Some(200.0),
            tasks: vec!["a".to_owned()],
            ..manifest("box", true)
        };
        let of = |choice: &Choice| choice.of(&log, 1e6);
        let all = Choice::default();
        assert_eq!(of(&all), Chosen::Yes);
        for (choice, chosen) in [
            (Choice { since_s: Some(200.0), ..all.clone() }, Chosen::Yes),
            (Choice { since_s: Some(200.1), ..all.clone() }, Chosen::No),
            (Choice { until_s: Some(100.1), ..all.clone() }, Chosen::Yes),
            (Choice { until_s: Some(100.0), ..all.clone() }, Chosen::No),
            (Choice { hosts: vec!["x".into(), "box".into()], ..all.clone() }, Chosen::Yes),
            (Choice { hosts: vec!["bo".into()], ..all.clone() }, Chosen::No),
            (Choice { tasks: vec!["a".into()], ..all.clone() }, Chosen::Yes),
            (Choice { tasks: vec!["b".into()], ..all.clone() }, Chosen::No),
            (Choice { open: true, ..all.clone() }, Chosen::No),
            (Choice { failed: true, ..all.clone() }, Chosen::No),
        ] {
            assert_eq!(of(&choice), chosen, "{choice:?}");
        }
    }

    /// What is open in a log that may still run is under way now; a failure is an error or a timeout.
    #[test]
    fn open_and_failed_actions_count() {
        let mut log = manifest("box", false);
        log.counts.open = 1;
        log.last_record_at = Some(200.0);
        let late = Choice { since_s: Some(300.0), open: true, ..Choice::default() };
        assert_eq!(late.of(&log, 1e6), Chosen::Yes);
        let failed = Choice { failed: true, ..Choice::default() };
        log.counts.cancels = 1;
        assert_eq!(failed.of(&log, 1e6), Chosen::No);
        log.counts.timeouts = 1;
        assert_eq!(failed.of(&log, 1e6), Chosen::Yes);
    }

    /// A manifest that has no room for more tasks does not tell that a task is not there.
    #[test]
    fn tasks_that_had_no_room_are_not_missed() {
        let mut log = manifest("box", true);
        log.tasks = (0..MAX_TASKS).map(|number| number.to_string()).collect();
        let choice = |task: &str| Choice { tasks: vec![task.to_owned()], ..Choice::default() };
        assert_eq!(choice("3").of(&log, 0.0), Chosen::Yes);
        assert_eq!(choice("x").of(&log, 0.0), Chosen::Maybe);
        log.tasks.pop();
        assert_eq!(choice("x").of(&log, 0.0), Chosen::No);
    }
}
