//! What is in an archive, as far as a listing of its objects and the manifests tell: which directories are
//! those of logs, and what is known of each. No log is opened for it.

use std::collections::BTreeMap;

use super::key::is_log_directory;
use super::log::piece_number;
use super::manifest::{MANIFEST_NAME, Manifest};
use super::origin::Origin;

/// An object, as it was listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its name in its directory.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// When it was put there, in seconds since the epoch, if the store tells.
    pub modified_s: Option<f64>,
}

/// What the manifest of a directory tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// There is none.
    Nothing,
    /// What a manifest has to tell.
    Manifest(Box<Manifest>),
    /// There is one that cannot be understood, for this reason.
    Broken(String),
    /// There is one that the store did not give, for this reason.
    Unread(String),
}

/// What is known of a directory in an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The objects right in it, in the order of their names.
    pub objects: Vec<Stored>,
    /// What its manifest tells.
    pub said: Said,
}

impl Entry {
    /// What its manifest tells, if that can be understood.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.said {
            Said::Manifest(manifest) => Some(manifest),
            _ => None,
        }
    }

    /// How long its objects are together.
    pub fn size_bytes(&self) -> u64 {
        self.objects.iter().fold(0, |sum, object| sum.saturating_add(object.size_bytes))
    }

    /// The object of that name.
    pub(super) fn object(&self, name: &str) -> Option<&Stored> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// When the last of its objects was put there; `None` where the store does not tell that of each.
    pub(super) fn modified_s(&self) -> Option<f64> {
        let times = self.objects.iter().map(|object| object.modified_s);
        times.reduce(|one, other| Some(one?.max(other?))).flatten()
    }

    /// Why nothing is known of a log that is there; `None` where all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.said {
            Said::Manifest(_) => None,
            Said::Nothing => Some(format!("there is no {MANIFEST_NAME}")),
            Said::Broken(why) => Some(format!("{MANIFEST_NAME} is no manifest: {why}")),
            Said::Unread(why) => Some(format!("{MANIFEST_NAME} cannot be read: {why}")),
        }
    }
}

/// When a log was written last, in seconds since the epoch: what the newest and the oldest ones are told by.
pub(crate) fn last_s(manifest: &Manifest) -> f64 {
    manifest.last_record_at.unwrap_or(manifest.started_at)
}

/// What is in an archive.
#[derive(Debug, Clone)]
pub struct Catalog {
    url: String,
    /// By where they are below the URL.
    directories: BTreeMap<String, Entry>,
}

impl Catalog {
    /// Of the archive at `url`, which has no slash at its end: nothing is known yet.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), directories: BTreeMap::new() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a directory is.
    pub fn url_of(&self, directory: &str) -> String {
        if directory.is_empty() { self.url.clone() } else { format!("{}/{directory}", self.url) }
    }

    /// Takes in an object, at `path` below the URL.
    pub fn add(&mut self, path: &str, size_bytes: u64, modified_s: Option<f64>) {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entry = self.directories.entry(directory.to_owned()).or_insert_with(Entry::empty);
        let object = Stored { name: name.to_owned(), size_bytes, modified_s };
        match entry.objects.binary_search_by(|other| other.name.as_str().cmp(name)) {
            Ok(at) => entry.objects[at] = object,
            Err(at) => entry.objects.insert(at, object),
        }
    }

    /// The directories whose manifests have to be read, when all objects are listed.
    pub fn to_read(&self) -> Vec<String> {
        let has_manifest = |(directory, entry): (&String, &Entry)| {
            entry.object(MANIFEST_NAME).map(|_| directory.clone())
        };
        self.directories.iter().filter_map(has_manifest).collect()
    }

    /// Takes in the text of a manifest; `None`: it is not there any more.
    pub fn read(&mut self, directory: &str, text: Option<&[u8]>) {
        self.say(directory, said(text));
    }

    /// Notes that the store did not give a manifest.
    pub fn unread(&mut self, directory: &str, reason: &str) {
        self.say(directory, Said::Unread(reason.to_owned()));
    }

    /// Takes in what a directory looks like by now, all of it.
    pub fn look_again(&mut self, directory: &str, text: Option<&[u8]>, objects: Vec<Stored>) {
        let entry = Entry::of(text, objects);
        if entry.objects.is_empty() {
            self.directories.remove(directory);
        } else {
            self.directories.insert(directory.to_owned(), entry);
        }
    }

    fn say(&mut self, directory: &str, said: Said) {
        if let Some(entry) = self.directories.get_mut(directory) {
            entry.said = said;
        }
    }

    /// The directories of logs, in the order of their names, which is that of their dates.
    pub fn logs(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.directories
            .iter()
            .filter(|(directory, entry)| self.is_log(directory, entry))
            .map(|(directory, entry)| (directory.as_str(), entry))
    }

    /// What is known of the log in a directory.
    pub fn log(&self, directory: &str) -> Option<&Entry> {
        let entry = self.directories.get(directory)?;
        self.is_log(directory, entry).then_some(entry)
    }

    /// Others may keep things of their own there, and call them as they like.
    fn is_log(&self, directory: &str, entry: &Entry) -> bool {
        let has_ours = || {
            entry
                .objects
                .iter()
                .any(|object| object.name == MANIFEST_NAME || piece_number(&object.name).is_some())
        };
        match entry.said {
            Said::Manifest(_) | Said::Unread(_) => true,
            Said::Nothing | Said::Broken(_) => {
                is_log_directory(&self.url_of(directory)) && has_ours()
            }
        }
    }
}

impl Entry {
    fn empty() -> Self {
        Self { objects: Vec::new(), said: Said::Nothing }
    }

    /// What the text of a manifest and the objects in a directory tell of it.
    pub fn of(text: Option<&[u8]>, mut objects: Vec<Stored>) -> Self {
        objects.sort_by(|one, other| one.name.cmp(&other.name));
        Self { objects, said: said(text) }
    }

    /// Where the log comes from.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.manifest().map(Origin::of)
    }
}

fn said(text: Option<&[u8]>) -> Said {
    match text.map(Manifest::parse) {
        None => Said::Nothing,
        Some(Ok(manifest)) => Said::Manifest(Box::new(manifest)),
        Some(Err(why)) => Said::Broken(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026/11/23/box/092225-42-0";

    fn listed(paths: &[&str]) -> Catalog {
        let mut catalog = Catalog::new("s3://b/t");
        for path in paths {
            catalog.add(path, 10, Some(5.0));
        }
        catalog
    }

    /// Directories of logs are told from others by their names, or by a manifest; of others a file of the
    /// same name is no manifest.
    #[test]
    fn directories_of_logs_are_told() {
        let manifest = format!("{LOG}/manifest.json");
        let piece = format!("{LOG}.2/trace-42.log.gz");
        let mut catalog =
            listed(&[&piece, "site/manifest.json", "x/y.log.gz", &manifest, "readme"]);
        assert_eq!(catalog.to_read(), [LOG, "site"]);
        catalog.read(LOG, Some(b"{"));
        catalog.read("site", Some(br#"{"name": "a page"}"#));
        let found: Vec<_> =
            catalog.logs().map(|(directory, entry)| (directory, entry.trouble())).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, LOG);
        assert!(found[0].1.as_ref().is_some_and(|why| why.contains("no JSON")), "{found:?}");
        assert_eq!(found[1].1.as_deref(), Some("there is no manifest.json"));
        catalog.look_again(LOG, None, Vec::new());
        assert!(catalog.log(LOG).is_none());
        assert_eq!(catalog.logs().count(), 1);
    }

    /// The directory of a log may be all that is looked at.
    #[test]
    fn one_log_is_an_archive() {
        let mut catalog = Catalog::new(&format!("s3://b/t/{LOG}"));
        catalog.add("trace-42.log.gz", 10, None);
        let urls: Vec<_> = catalog.logs().map(|(directory, _)| catalog.url_of(directory)).collect();
        assert_eq!(urls, [format!("s3://b/t/{LOG}")]);
    }
}
