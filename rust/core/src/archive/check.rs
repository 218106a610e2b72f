//! Whether an archive has what its manifests say.

use std::collections::HashMap;

use super::catalog::{Catalog, Entry, Said};
use super::log::piece_number;
use super::manifest::ShippedObject;

/// An archiver that has put a piece there and not written the manifest yet is taken to be at work for so
/// long.
const AT_WORK_S: f64 = 600.0;

/// What is wrong with a log in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The directory of the log.
    pub directory: String,
    /// The object; `None` where it is the manifest, or all of it.
    pub object: Option<String>,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// Ways in which an object may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no manifest, or it cannot be read, or not understood; says why.
    Manifest(String),
    /// It is not there.
    Missing,
    /// It is not as long as noted.
    Size {
        /// As the manifest says.
        noted: u64,
        /// As it is.
        there: u64,
    },
    /// It is a piece of a finished log that the manifest does not know.
    Unknown,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// Its bytes are not those that were put there.
    Checksum,
}

impl FaultKind {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "manifest",
            Self::Missing => "missing",
            Self::Size { .. } => "size",
            Self::Unknown => "unknown",
            Self::Unreadable(_) => "unreadable",
            Self::Checksum => "checksum",
        }
    }

    /// What is wrong, for people.
    pub fn reason(&self) -> String {
        match self {
            Self::Manifest(why) => why.clone(),
            Self::Missing => "it is missing".to_owned(),
            Self::Size { noted, there } => {
                format!("it has {there} bytes, where the manifest says {noted}")
            }
            Self::Unknown => "the manifest does not know it".to_owned(),
            Self::Unreadable(why) => format!("it cannot be read: {why}"),
            Self::Checksum => "its bytes are not those that were put there (sha256)".to_owned(),
        }
    }
}

/// What was found when an object was read: its checksum, or why it could not be.
pub type Read = Result<String, String>;

/// Looks at an archive.
#[derive(Debug, Clone)]
pub struct Check {
    catalog: Catalog,
    now_s: f64,
    read: HashMap<(String, String), Read>,
}

impl Check {
    /// An archive at that moment.
    pub fn new(catalog: Catalog, now_s: f64) -> Self {
        Self { catalog, now_s, read: HashMap::new() }
    }

    /// What is known of the archive.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The same, to take in more.
    pub fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// The logs that have to be looked at once more before anything is said of them: a manifest may be
    /// newer than the listing that it is held against.
    pub fn in_doubt(&self) -> Vec<String> {
        let mut found: Vec<_> = self.faults().into_iter().map(|fault| fault.directory).collect();
        found.dedup();
        found
    }

    /// The objects that are there as they should be, to be read for their checksums: where they are below
    /// the URL, by directory and name.
    pub fn to_read(&self) -> Vec<(String, String)> {
        let pieces = |(directory, entry): (&str, &Entry)| {
            let noted = entry.manifest().map_or(&[][..], |manifest| &manifest.objects);
            let sound = noted.iter().filter(|piece| fault_of(entry, piece).is_none());
            sound.map(|piece| (directory.to_owned(), piece.name.clone())).collect::<Vec<_>>()
        };
        self.catalog.logs().flat_map(pieces).collect()
    }

    /// Takes in what came of reading an object.
    pub fn tell(&mut self, directory: &str, name: &str, read: Read) {
        self.read.insert((directory.to_owned(), name.to_owned()), read);
    }

    /// All that is wrong, in the order of the directories.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (directory, entry) in self.catalog.logs() {
            let mut add = |object: Option<&str>, kind: FaultKind| {
                let object = object.map(str::to_owned);
                faults.push(Fault { directory: directory.to_owned(), object, kind });
            };
            let Some(manifest) = entry.manifest() else {
                let is_at_work = entry.said == Said::Nothing
                    && entry.modified_s().is_some_and(|put_s| self.now_s - put_s < AT_WORK_S);
                if let (false, Some(why)) = (is_at_work, entry.trouble()) {
                    add(None, FaultKind::Manifest(why));
                }
                continue;
            };
            for piece in &manifest.objects {
                let kind = fault_of(entry, piece).or_else(|| self.fault_in(directory, piece));
                if let Some(kind) = kind {
                    add(Some(&piece.name), kind);
                }
            }
            // As long as a log is not finished the next archiver takes such a piece in.
            for object in entry.objects.iter().filter(|_| manifest.finished) {
                let is_known = || manifest.objects.iter().any(|piece| piece.name == object.name);
                if piece_number(&object.name).is_some() && !is_known() {
                    add(Some(&object.name), FaultKind::Unknown);
                }
            }
        }
        faults
    }

    fn fault_in(&self, directory: &str, piece: &ShippedObject) -> Option<FaultKind> {
        match self.read.get(&(directory.to_owned(), piece.name.clone()))? {
            Err(why) => Some(FaultKind::Unreadable(why.clone())),
            Ok(sha256) => (*sha256 != piece.sha256).then_some(FaultKind::Checksum),
        }
    }
}

/// What a listing tells of a piece.
fn fault_of(entry: &Entry, piece: &ShippedObject) -> Option<FaultKind> {
    match entry.object(&piece.name) {
        None => Some(FaultKind::Missing),
        Some(there) if there.size_bytes != piece.size_bytes => {
            Some(FaultKind::Size { noted: piece.size_bytes, there: there.size_bytes })
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::catalog::Stored;
    use crate::archive::test_support::{add_piece, manifest};

    const LOG: &str = "2026/11/23/box/092225-42-0";
    const NOW_S: f64 = 5000.0;

    fn check_of(finished: bool, objects: &[(&str, u64)], has_manifest: bool) -> Check {
        let mut log = manifest("box", finished);
        add_piece(&mut log, 10);
        add_piece(&mut log, 20);
        let stored = |&(name, size_bytes): &(&str, u64)| Stored {
            name: name.to_owned(),
            size_bytes,
            modified_s: Some(NOW_S - AT_WORK_S),
        };
        let mut catalog = Catalog::new("s3://b");
        let text = log.to_json();
        catalog.look_again(
            LOG,
            has_manifest.then_some(&text[..]),
            objects.iter().map(stored).collect(),
        );
        Check::new(catalog, NOW_S)
    }

    fn words(check: &Check) -> Vec<(Option<String>, &'static str)> {
        let faults = check.faults().into_iter();
        faults.map(|fault| (fault.object, fault.kind.word())).collect()
    }

    const ONE: &str = "trace-1.part0001.log.gz";
    const TWO: &str = "trace-1.part0002.log.gz";
    const MANIFEST: (&str, u64) = ("manifest.json", 99);

    /// What is there as noted is no fault; what is missing, longer, or of a finished log and not noted is
    /// one each.
    #[test]
    fn listings_are_held_against_manifests() {
        let found = |finished, objects: &[(&str, u64)]| words(&check_of(finished, objects, true));
        let fault = |name: &str, word| (Some(name.to_owned()), word);
        assert_eq!(found(true, &[(ONE, 10), (TWO, 20), MANIFEST, ("notes.txt", 1)]), []);
        assert_eq!(found(true, &[(TWO, 20), MANIFEST]), [fault(ONE, "missing")]);
        assert_eq!(found(true, &[(ONE, 10), (TWO, 21), MANIFEST]), [fault(TWO, "size")]);
        let more = [(ONE, 10), (TWO, 20), ("trace-1.part0003.log.gz", 1), MANIFEST];
        assert_eq!(found(true, &more), [fault("trace-1.part0003.log.gz", "unknown")]);
        assert_eq!(found(false, &more), []);
        assert_eq!(words(&check_of(true, &[(ONE, 10)], false)), [(None, "manifest")]);
    }

    /// Who has just put the first piece there is about to write the manifest.
    #[test]
    fn an_archiver_at_work_is_no_fault() {
        let check = check_of(false, &[(ONE, 10)], false);
        let earlier = Check::new(check.catalog().clone(), NOW_S - 1.0);
        assert_eq!(earlier.faults(), []);
        assert_eq!(check.faults().len(), 1);
    }

    /// Of pieces that are there as noted the bytes are compared.
    #[test]
    fn bytes_are_compared() {
        let mut check = check_of(true, &[(ONE, 10), (TWO, 20), MANIFEST], true);
        let read = check.to_read();
        assert_eq!(read, [(LOG.to_owned(), ONE.to_owned()), (LOG.to_owned(), TWO.to_owned())]);
        check.tell(LOG, ONE, Ok("ab".repeat(32)));
        assert_eq!(check.faults(), []);
        check.tell(LOG, ONE, Ok("cd".repeat(32)));
        check.tell(LOG, TWO, Err("the store refuses".to_owned()));
        let fault = |name: &str, word| (Some(name.to_owned()), word);
        assert_eq!(words(&check), [fault(ONE, "checksum"), fault(TWO, "unreadable")]);
        let short = check_of(true, &[(ONE, 9), (TWO, 20), MANIFEST], true);
        assert_eq!(short.to_read().len(), 1);
    }
}
