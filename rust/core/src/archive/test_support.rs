//! What the tests of this module share: manifests.

use std::collections::BTreeMap;

use super::manifest::{Counts, Manifest, ShippedObject};

/// That of a log that began and ended at 0, with nothing in it.
pub(super) fn manifest(host: &str, finished: bool) -> Manifest {
    Manifest {
        host: host.to_owned(),
        pid: Some(1),
        run: None,
        is_child: false,
        command: None,
        tasks: Vec::new(),
        versions: BTreeMap::new(),
        log: "trace-1.log".to_owned(),
        started_at: 0.0,
        last_record_at: None,
        finished,
        shipped_at: 0.0,
        interval: None,
        counts: Counts::default(),
        bytes: 0,
        objects: Vec::new(),
    }
}

/// A piece of so many bytes, plain and compressed, behind the others.
pub(super) fn add_piece(manifest: &mut Manifest, size_bytes: u64) {
    let name = format!("trace-1.part{:04}.log.gz", manifest.objects.len() + 1);
    let start = manifest.bytes;
    manifest.bytes += size_bytes;
    let end = manifest.bytes;
    manifest.objects.push(ShippedObject { name, size_bytes, start, end, sha256: "ab".repeat(32) });
}
