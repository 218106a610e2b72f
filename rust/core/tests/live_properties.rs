//! A live view is what a fresh reading gives, however the log came to what it is.
#![allow(clippy::unwrap_used)]

mod live_support;
#[allow(unused_imports)] // not all of it is wanted here
mod scan_support;

use std::fs::{self, File};
use std::io::Write as _;

use inspect_trace_core::analyze::LivePlace;
use inspect_trace_core::read::{Filter, FilterOptions, Log};
use inspect_trace_core::store::part_path;
use live_support::{counts, counts_afresh, look, open_texts, open_texts_afresh, view_with};
use proptest::collection::vec;
use proptest::prelude::*;
use scan_support::{any_log, any_way, our_members};

/// What happens to a log.
#[derive(Debug, Clone)]
enum Change {
    /// Lines are appended, in pieces of any size.
    Append(Vec<u8>, Vec<prop::sample::Index>),
    /// It becomes a part, perhaps a compressed one, and begins anew with these lines.
    Rotate(Vec<u8>, bool),
    /// It is cut off, and begins anew.
    Truncate(Vec<u8>),
    /// Another one takes its place.
    Replace(Vec<u8>),
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    // What stands behind the last newline is a line for who reads a file as a whole, and not yet one
    // for who waits for its end.
    any_log().prop_map(|mut text| {
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text
    })
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = vec(any::<prop::sample::Index>(), 0..4);
    prop_oneof![
        6 => (lines(), pieces).prop_map(|(text, pieces)| Change::Append(text, pieces)),
        2 => (lines(), any::<bool>()).prop_map(|(text, gzip)| Change::Rotate(text, gzip)),
        1 => lines().prop_map(Change::Truncate),
        1 => lines().prop_map(Change::Replace),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let with = |options| Filter::of(options).unwrap();
    prop_oneof![
        3 => Just(Filter::default()),
        1 => Just(with(FilterOptions { samples: vec!["3".into()], ..FilterOptions::default() })),
        1 => Just(with(FilterOptions { level: Some("INFO".into()), ..FilterOptions::default() })),
        1 => Just(with(FilterOptions { min_duration_s: Some(1e9), ..FilterOptions::default() })),
    ]
}

/// One case makes some twenty files.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(4), failure_persistence: None, ..config }
}

proptest! {
    #![proptest_config(config())]

    /// After any sequence of appends, rotations, truncations and replacements, looked at whenever,
    /// a view shows the open actions and the counts that a fresh reading gives.
    #[test]
    fn a_view_is_a_fresh_reading(
        first in lines(),
        changes in vec((change(), any::<bool>()), 0..6),
        filter in any_filter(),
        scan in any_way(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        fs::write(&path, &first).unwrap();
        let mut view = view_with(LivePlace::Log(path.clone()), &filter, scan);
        let mut parts = 0;
        for (change, looks) in changes {
            match change {
                Change::Append(text, pieces) => {
                    let mut file = File::options().append(true).open(&path).unwrap();
                    let mut cuts: Vec<_> =
                        pieces.iter().map(|at| at.index(text.len())).collect();
                    cuts.sort_unstable();
                    let mut start = 0;
                    for cut in cuts.into_iter().chain([text.len()]) {
                        file.write_all(&text[start..cut]).unwrap();
                        start = cut;
                        if looks {
                            look(&mut view);
                        }
                    }
                }
                Change::Rotate(text, gzip) => {
                    parts += 1;
                    let part = part_path(&path, parts);
                    fs::rename(&path, &part).unwrap();
                    fs::write(&path, text).unwrap();
                    if gzip {
                        let plain = fs::read(&part).unwrap();
                        let name = format!("{}.gz", part.display());
                        fs::write(name, our_members(&plain)).unwrap();
                        fs::remove_file(&part).unwrap();
                    }
                }
                Change::Truncate(text) => {
                    // What was read before is not there again at its place: a follower looks at the
                    // last 256 bytes of that.
                    let size = fs::metadata(&path).unwrap().len();
                    look(&mut view);
                    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
                    if size > 0 {
                        look(&mut view);
                    }
                    File::options().append(true).open(&path).unwrap().write_all(&text).unwrap();
                }
                Change::Replace(text) => {
                    look(&mut view);
                    let other = dir.path().join("other");
                    fs::write(&other, text).unwrap();
                    fs::rename(&path, dir.path().join("old")).unwrap();
                    fs::rename(&other, &path).unwrap();
                    // Who replaces a file twice between two looks, or replaces and rotates it, is not
                    // seen to.
                    look(&mut view);
                }
            }
            if looks {
                look(&mut view);
            }
        }
        let snapshot = look(&mut view);
        prop_assert_eq!(open_texts(&snapshot), open_texts_afresh(&[&path], &filter));
        prop_assert_eq!(counts(&snapshot), counts_afresh(&[&path], &filter));
        // A new view of the same is the same.
        let place = LivePlace::Log(Log::whole(&path).path);
        let anew = look(&mut view_with(place, &filter, scan));
        prop_assert_eq!(open_texts(&snapshot), open_texts(&anew));
        prop_assert_eq!(counts(&snapshot), counts(&anew));
        prop_assert_eq!(snapshot.records, anew.records);
        prop_assert_eq!(snapshot.running, anew.running);
    }
}
