//! What is said of a log in the archive: its manifest, and the labels of its pieces.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ArchivedLog;
use crate::archive::key::Identity;
use crate::archive::manifest::{Counts, MAX_TASKS, Manifest};
use crate::archive::piece::{Amount, Piece};

impl ArchivedLog {
    /// What the manifest has to say now; `None` where it is not known what the store has.
    pub fn manifest(&self, now_s: f64, interval_s: Option<f64>) -> Option<Manifest> {
        let shipped = self.shipped.as_ref()?;
        let amount = shipped.amount.as_ref()?;
        let Identity { host, pid, run, started_s } = self.identity.clone();
        Some(Manifest {
            host,
            pid,
            run,
            is_child: self.is_child,
            command: self.command.clone(),
            tasks: tasks_of(amount),
            versions: versions(),
            log: shipped.log.clone(),
            started_at: started_s,
            last_record_at: amount.last_s,
            finished: self.standing.is_finished && shipped.end() == self.length,
            shipped_at: now_s,
            interval: interval_s,
            counts: counts_of(amount),
            bytes: shipped.end(),
            objects: shipped.objects.clone(),
        })
    }

    /// What the object of a piece is labelled with: short texts in ASCII, which every store takes.
    pub fn labels(&self, piece: &Piece) -> BTreeMap<&'static str, String> {
        let mut amount = self.shipped.as_ref().and_then(|s| s.amount.clone()).unwrap_or_default();
        amount.merge(piece.amount.clone());
        let counts = counts_of(&amount);
        let identity = &self.identity;
        let text = |text: &str| -> String {
            text.chars().take(200).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
        };
        let mut labels = BTreeMap::from([
            ("host", text(&identity.host)),
            ("pid", identity.pid.unwrap_or(0).to_string()),
            ("run", text(identity.run.as_deref().unwrap_or("0"))),
            ("started-at", identity.started_s.to_string()),
            ("open", counts.open.to_string()),
            ("failed", (counts.errors + counts.timeouts + counts.cancels).to_string()),
            ("start", piece.start.to_string()),
            ("end", piece.end.to_string()),
            ("sha256", piece.sha256.clone()),
            ("versions", format!("inspect-trace {}", env!("CARGO_PKG_VERSION"))),
        ]);
        let optional = [
            ("ended-at", amount.last_s.map(|last_s| last_s.to_string())),
            ("task", tasks_of(&amount).first().map(|task| text(task))),
            ("command", self.command.as_ref().map(|words| text(&words.join(" ")))),
        ];
        labels.extend(optional.into_iter().filter_map(|(name, text)| Some((name, text?))));
        labels
    }
}

fn versions() -> BTreeMap<String, String> {
    BTreeMap::from([("inspect_trace".to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
}

fn tasks_of(amount: &Amount) -> Vec<String> {
    let text = |json: &Arc<[u8]>| match serde_json::from_slice(json) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::from_utf8_lossy(json).into_owned(),
    };
    amount.totals.tasks.iter().take(MAX_TASKS).map(text).collect()
}

fn counts_of(amount: &Amount) -> Counts {
    let totals = &amount.totals;
    Counts {
        records: totals.records,
        open: totals.open() as u64,
        exits: totals.exits,
        errors: totals.errors,
        timeouts: totals.timeouts,
        cancels: totals.cancels,
    }
}
