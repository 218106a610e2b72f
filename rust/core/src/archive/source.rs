//! The plain text of a log from any place on, as if it were one file: the parts that it was rotated to,
//! plain or compressed meanwhile, and the file that is written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::file_io;
use crate::gzip_member::MAGIC;
use crate::store::log_files;
use crate::{Error, Result};

const BUFFER_BYTES: usize = 256 << 10;

/// How long the plain text of each compressed part is, by its number: it never changes.
pub(super) type KnownLengths = HashMap<u32, u64>;

/// One file of a log.
#[derive(Debug, Clone)]
struct Stretch {
    file: Arc<File>,
    is_gzip: bool,
    /// Where it ends in the plain text of the log.
    end: u64,
}

/// The plain text of a log, as long as it was when it was looked at.
#[derive(Debug, Clone)]
pub(super) struct PlainText {
    stretches: Vec<Stretch>,
    /// The one file that it is in, if that is compressed, and its length.
    pub(super) sole_gzip: Option<(Arc<File>, u64)>,
    /// When the newest file was changed, in seconds since the epoch, as gzip has it.
    pub(super) modified_s: u32,
}

impl PlainText {
    /// Opens the files of the log at `path`.
    ///
    /// # Errors
    /// One of them cannot be opened or read.
    pub(super) fn open(path: &Path, known: &mut KnownLengths) -> Result<Self> {
        let files = log_files(path);
        let mut text = Self { stretches: Vec::new(), sole_gzip: None, modified_s: 0 };
        let mut start = 0;
        for file in &files {
            let number = file.part().unwrap_or(0);
            let (opened, path) = file.open_by(|path| {
                let open = File::options()
                    .read(true)
                    .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                    .open(path);
                Ok((open.map_err(|error| Error::io("open", path, error))?, path.to_owned()))
            })?;
            let failed = |error| Error::io("read", &path, error);
            let metadata = opened.metadata().map_err(failed)?;
            let modified_s = metadata.modified().map_err(failed)?;
            let since = modified_s.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            text.modified_s = text.modified_s.max(u32::try_from(since.as_secs()).unwrap_or(0));
            let mut head = [0; MAGIC.len()];
            let read = file_io::read_full_at(&opened, &mut head, 0).map_err(failed)?;
            let file = Arc::new(opened);
            let is_gzip = &head[..read] == MAGIC;
            let length = if is_gzip {
                if files.len() == 1 {
                    text.sole_gzip = Some((Arc::clone(&file), metadata.len()));
                }
                match known.get(&number) {
                    Some(&length) => length,
                    None => {
                        *known.entry(number).or_insert(decompressed_length(&file).map_err(failed)?)
                    }
                }
            } else {
                metadata.len()
            };
            start += length;
            text.stretches.push(Stretch { file, is_gzip, end: start });
        }
        Ok(text)
    }

    /// How long it is.
    pub(super) fn length(&self) -> u64 {
        self.stretches.last().map_or(0, |last| last.end)
    }

    /// Reads from `position` on.
    pub(super) fn reader(&self, position: u64) -> PlainReader {
        let mut stretches = self.stretches.clone();
        stretches.reverse();
        PlainReader { stretches, position, start: 0, gzip: None }
    }
}

fn decompressed_length(file: &Arc<File>) -> io::Result<u64> {
    let mut decoder = decoder(file);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut length = 0;
    loop {
        match read_intact(&mut decoder, &mut buffer)? {
            0 => return Ok(length),
            read => length += read as u64,
        }
    }
}

/// What can be read of a compressed file: damage is its end.
fn read_intact(decoder: &mut Decoder, buffer: &mut [u8]) -> io::Result<usize> {
    match decoder.read(buffer) {
        Err(error) if error.raw_os_error().is_none() => Ok(0),
        outcome => outcome,
    }
}

type Decoder = MultiGzDecoder<BufReader<FileReader>>;

fn decoder(file: &Arc<File>) -> Decoder {
    let file = FileReader { file: Arc::clone(file), position: 0 };
    MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file))
}

/// Reads a file from its start, whoever else reads it.
struct FileReader {
    file: Arc<File>,
    position: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = file_io::read_at(&self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Reads the plain text of a log from some place on.
pub(super) struct PlainReader {
    /// Those that are not read to their ends yet, the next one last.
    stretches: Vec<Stretch>,
    position: u64,
    /// Where the stretch that is read begins.
    start: u64,
    /// That of a compressed file, and how much it has given.
    gzip: Option<(Box<Decoder>, u64)>,
}

impl Read for PlainReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(stretch) = self.stretches.last() else { return Ok(0) };
            if self.position >= stretch.end {
                self.start = stretch.end;
                self.gzip = None;
                self.stretches.pop();
                continue;
            }
            let there = usize::try_from(stretch.end - self.position).unwrap_or(usize::MAX);
            let within = buffer.len().min(there);
            let buffer = &mut buffer[..within];
            let at = self.position - self.start;
            let read = if stretch.is_gzip {
                let (decoder, given) =
                    self.gzip.get_or_insert_with(|| (Box::new(decoder(&stretch.file)), 0));
                let mut passed = vec![0; BUFFER_BYTES];
                while *given < at {
                    let wanted = usize::try_from(at - *given).unwrap_or(usize::MAX);
                    let wanted = wanted.min(BUFFER_BYTES);
                    match read_intact(decoder, &mut passed[..wanted])? {
                        0 => return Err(shorter()),
                        read => *given += read as u64,
                    }
                }
                let read = read_intact(decoder, buffer)?;
                *given += read as u64;
                read
            } else {
                file_io::read_at(&stretch.file, buffer, at)?
            };
            if read == 0 && within > 0 {
                return Err(shorter());
            }
            self.position += read as u64;
            return Ok(read);
        }
    }
}

fn shorter() -> io::Error {
    io::Error::other("it became shorter while it was read")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::write::gzip::compress;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(plain, &mut out, 0).unwrap();
        out
    }

    proptest! {
        /// Whatever the files of a log are, its text is that of all of them, from any place on.
        #[test]
        fn text_is_that_of_all_files(
            files in prop::collection::vec(("[ab\n]{0,60}", any::<bool>()), 1..5),
            from in any::<prop::sample::Index>(),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let log = directory.path().join("trace-7.log");
            let last = files.len() - 1;
            for (number, (text, is_gzip)) in files.iter().enumerate() {
                let ending = if *is_gzip { ".gz" } else { "" };
                let name = if number == last {
                    format!("trace-7.log{ending}")
                } else {
                    format!("trace-7.part{:04}.log{ending}", number + 1)
                };
                let bytes = if *is_gzip { gzip(text.as_bytes()) } else { text.clone().into_bytes() };
                fs::write(directory.path().join(name), bytes).unwrap();
            }
            let whole: String = files.iter().map(|(text, _)| text.as_str()).collect();
            let mut known = KnownLengths::new();
            for _ in 0..2 {
                let text = PlainText::open(&log, &mut known).unwrap();
                prop_assert_eq!(text.length(), whole.len() as u64);
                let from = from.index(whole.len() + 1);
                let mut read = String::new();
                text.reader(from as u64).read_to_string(&mut read).unwrap();
                prop_assert_eq!(&read, &whole[from..]);
            }
        }
    }

    /// Of a damaged file there is what can be read; a file that becomes shorter is told.
    #[test]
    fn damage_is_an_end_and_a_shorter_file_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("x.log");
        let gz = [gzip(b"a\n"), gzip(&b"b\n".repeat(500))].concat();
        fs::write(directory.path().join("x.log.gz"), &gz[..gz.len() - 4]).unwrap();
        let text = PlainText::open(&log, &mut KnownLengths::new()).unwrap();
        let mut read = Vec::new();
        text.reader(0).read_to_end(&mut read).unwrap();
        assert!(read.starts_with(b"a\n"));
        assert_eq!(read.len() as u64, text.length());

        fs::write(&log, "one\ntwo\n").unwrap();
        let text = PlainText::open(&log, &mut KnownLengths::new()).unwrap();
        fs::write(&log, "one\n").unwrap();
        let told = text.reader(2).read_to_end(&mut Vec::new()).unwrap_err();
        assert!(told.to_string().contains("shorter"));
    }
}
