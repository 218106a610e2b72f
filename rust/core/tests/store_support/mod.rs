//! What the tests of logs and their directory share: directories with logs of every kind, and
//! helper processes that have logs open, fork, and are killed.
//!
//! A helper is this test program run again, for its one test `helper`, which does what it reads
//! from its standard input and answers on its standard output.
#![allow(clippy::unwrap_used, unsafe_code, dead_code, unreachable_pub, missing_docs)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use inspect_trace_core::read::{Batch, Blocks, Filter, Records};
use inspect_trace_core::store::{self, RunInfo};
use inspect_trace_core::write::options::WriterOptions;
use inspect_trace_core::write::writer::LogWriter;
use rustix::fs::XattrFlags;

/// No process has an id like this: it is above what Linux gives out.
pub const DEAD: u32 = 5_000_000;

/// A user without privileges.
pub const NOBODY: u32 = 65_534;

const HELPER: &str = "INSPECT_TRACE_TEST_HELPER";

pub fn line(text: &str) -> String {
    format!(
        "{{\"timestamp\": \"2026-01-01T00:00:00+00:00\", \"level\": \"TRACE\", \"message\": \"{text}\"}}\n"
    )
}

pub fn run(run_id: &str) -> RunInfo {
    RunInfo::new(run_id, false)
}

/// A trace directory.
pub struct Dir {
    root: tempfile::TempDir,
}

impl Dir {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("traces")).unwrap();
        Self { root }
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("traces")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A place beside the directory.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A plain log, last written so many seconds ago.
    pub fn plain(&self, name: &str, age_s: u64, lines: &[&str]) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, lines.iter().map(|text| line(text)).collect::<String>()).unwrap();
        set_age(&path, age_s);
        path
    }

    /// A compressed log, last written so many seconds ago.
    pub fn compressed(&self, name: &str, age_s: u64, lines: &[&str]) -> PathBuf {
        let path = self.at(name);
        let content = lines.iter().map(|text| line(text)).collect::<String>();
        fs::write(&path, gzip(content.as_bytes())).unwrap();
        set_age(&path, age_s);
        path
    }

    /// The names in the directory, `.tmp` apart.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".tmp")
            .collect();
        names.sort();
        names
    }

    /// The files in `.tmp`.
    pub fn temporaries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.at(".tmp")).map_or_else(
            |_| Vec::new(),
            |entries| {
                entries
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| path.file_name().unwrap() != "housekeeping.lock")
                    .collect()
            },
        )
    }

    /// The lines of all logs that a reader sees, sorted.
    pub fn visible(&self) -> Vec<String> {
        let mut lines: Vec<_> = store::list(&self.path())
            .unwrap()
            .iter()
            .flat_map(|file| read_lines(&file.path))
            .collect();
        lines.sort();
        lines
    }
}

pub fn set_age(path: &Path, age_s: u64) {
    let modified = SystemTime::now() - Duration::from_secs(age_s);
    File::options().append(true).open(path).unwrap().set_modified(modified).unwrap();
}

/// Notes a run on a log, as the writer does.
pub fn set_run(path: &Path, run_id: &str, is_child: bool) {
    let set = |name: &str, value: &str| {
        rustix::fs::setxattr(path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
    };
    set("user.inspect_trace.run", run_id);
    if is_child {
        set("user.inspect_trace.child", "1");
    }
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// All lines of a log, plain or compressed by its name. Fails on damage.
/// The lines of a log, with those that are beside it.
pub fn read_lines(path: &Path) -> Vec<String> {
    let mut blocks = Blocks::open(path).unwrap();
    let mut bytes = Vec::new();
    while let Some(block) = blocks.next_block().unwrap() {
        bytes.extend(block.bytes);
    }
    let text = String::from_utf8(bytes).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// The messages of a log with its parts, as a scan gives them.
pub fn scanned_messages(path: &Path) -> Vec<String> {
    let mut records = Records::open(path, &Filter::default()).unwrap();
    let mut messages = Vec::new();
    while let Batch::Records(batch) = records.next_batch(Duration::from_secs(60)).unwrap() {
        messages.extend(
            batch.iter().map(|record| String::from_utf8_lossy(&record.message()).into_owned()),
        );
    }
    messages
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

pub fn make_fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

/// Waits for what the system offers no event for.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A process that dies with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A helper process.
pub struct Helper {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    pub fn start() -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()))
    }

    /// A helper that is process 1 of its own process id namespace, as in a container; None where
    /// the system does not let us make one.
    pub fn start_in_container() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
        let may = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "true"])
            .stderr(Stdio::null())
            .status();
        if !may.is_ok_and(|status| status.success()) {
            return None;
        }
        command.arg(std::env::current_exe().unwrap());
        Some(Self::start_by(command))
    }

    fn start_by(mut command: Command) -> Self {
        let mut child = command
            .args(["--exact", "helper", "--nocapture", "--test-threads=1"])
            .env(HELPER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { process: Process(child), input, output }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Asks for something and waits for the answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer().unwrap_or_else(|| panic!("the helper died of: {command}"))
    }

    /// Asks for something without waiting.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    /// The next answer; None once the helper has ended.
    pub fn answer(&mut self) -> Option<String> {
        loop {
            let mut text = String::new();
            if self.output.read_line(&mut text).unwrap() == 0 {
                return None;
            }
            // The test program itself talks too.
            if let Some((_, answer)) = text.trim_end().split_once("@@") {
                return Some(answer.to_owned());
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its state as in /proc/<pid>/stat.
    pub fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    }

    /// Kills it as the kernel does when memory runs out, and waits until it is gone.
    pub fn kill(mut self) -> BufReader<ChildStdout> {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.output
    }

    pub fn kill_but_leave_zombie(&mut self) {
        self.process.0.kill().unwrap();
        eventually("a zombie", || self.state() == 'Z');
    }

    /// Lets it end by itself.
    pub fn finish(mut self) {
        drop(self.input);
        assert!(self.process.0.wait().unwrap().success());
    }
}

/// The test `helper` of each test program: does nothing unless it is run as a helper.
pub fn helper_main() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let mut writer = None;
    for command in std::io::stdin().lines() {
        let command = command.unwrap();
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        if !serve(verb, rest, &mut writer) {
            break;
        }
    }
}

fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@@{text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The log that a helper has from now on.
fn opened(verb: &str, rest: &str) -> Option<LogWriter> {
    match verb {
        // create <run id> <directory>
        "create" | "create-child" => {
            let (run_id, directory) = rest.split_once(' ').unwrap();
            let run = RunInfo::new(run_id, verb == "create-child");
            let log = LogWriter::create_in(Path::new(directory), &run).unwrap();
            answer(log.path().to_str().unwrap());
            Some(log)
        }
        "open" | "open-direct" | "open-small" => match LogWriter::open_with(
            Path::new(rest),
            WriterOptions {
                buffer_bytes: match verb {
                    "open" => 4 << 20,
                    "open-small" => 64 << 10,
                    _ => 0,
                },
                ..WriterOptions::default()
            },
        ) {
            Ok(log) => {
                answer(log.path().to_str().unwrap());
                Some(log)
            }
            Err(error) => {
                answer(&format!("error: {error}"));
                None
            }
        },
        _ => unreachable!("{verb}"),
    }
}

fn append(verb: &str, rest: &str, writer: &LogWriter) {
    match verb {
        "append" => {
            let result = writer.append(line(rest).as_bytes());
            match result {
                Ok(()) => answer("ok"),
                Err(error) => answer(&format!("error: {error}; first: {}", error.first)),
            }
        }
        // append-many <count> <padding> <text>
        "append-many" => {
            let mut parts = rest.splitn(3, ' ');
            let count: u32 = parts.next().unwrap().parse().unwrap();
            let padding = "x".repeat(parts.next().unwrap().parse().unwrap());
            let text = parts.next().unwrap();
            for number in 0..count {
                let text = line(&format!("{text} {number} {padding}"));
                writer.append(text.as_bytes()).unwrap();
            }
            answer("ok");
        }
        // Appends and tells each, until it is killed.
        "append-for-ever" => {
            for number in 0.. {
                writer.append(line(&format!("{rest} {number}")).as_bytes()).unwrap();
                answer(&number.to_string());
            }
        }
        _ => unreachable!("{verb}"),
    }
}

/// Opens logs that it closes at once.
fn visit(verb: &str, rest: &str) {
    match verb {
        // Opens, appends a line and closes, again and again; so many times.
        "visit" => {
            let (count, path) = rest.split_once(' ').unwrap();
            for number in 0..count.parse().unwrap() {
                let log = LogWriter::open(Path::new(path)).unwrap();
                let moment = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
                let text = line(&format!("visit {} {number} {moment}", std::process::id()));
                log.append(text.as_bytes()).unwrap();
            }
            answer("ok");
        }
        // Creates a log in a directory, appends a line and closes; so many times.
        "runs" => {
            let (count, directory) = rest.split_once(' ').unwrap();
            for number in 0..count.parse().unwrap() {
                let run = run(&format!("{}-{number}", std::process::id()));
                let log = LogWriter::create_in(Path::new(directory), &run).unwrap();
                let text = line(&format!("run {} {number}", std::process::id()));
                log.append(text.as_bytes()).unwrap();
                log.close();
            }
            answer("ok");
        }
        _ => unreachable!("{verb}"),
    }
}

fn serve(verb: &str, rest: &str, writer: &mut Option<LogWriter>) -> bool {
    match verb {
        "create" | "create-child" | "open" | "open-direct" | "open-small" => {
            if let Some(log) = opened(verb, rest) {
                *writer = Some(log);
            }
        }
        "append" | "append-many" | "append-for-ever" => {
            append(verb, rest, writer.as_ref().unwrap());
        }
        "visit" | "runs" => visit(verb, rest),
        "flush" => match writer.as_ref().unwrap().flush() {
            Ok(()) => answer("ok"),
            Err(error) => answer(&format!("error: {}", inspect_trace_core::error::reason(&error))),
        },
        "dropped" => answer(&writer.as_ref().unwrap().dropped().to_string()),
        "close" => {
            writer.as_ref().unwrap().close();
            answer("ok");
        }
        // Becomes a user without privileges.
        "become-nobody" => {
            // SAFETY: changes the user of this process, which has nothing to lose.
            assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
            answer("ok");
        }
        // Limits the size of files: a disk that is full for this process.
        "limit" => {
            limit_file_size(if rest.is_empty() { None } else { Some(rest.parse().unwrap()) });
            answer("ok");
        }
        // housekeep <keep runs> <directory>
        "housekeep" => {
            let (keep_runs, directory) = rest.split_once(' ').unwrap();
            let report = store::housekeep(Path::new(directory), keep_runs.parse().unwrap());
            answer(&format!("{report:?}"));
        }
        "fork" => fork(writer.as_ref().unwrap(), Path::new(rest)),
        "fork-while-writing" => fork_while_writing(writer.as_ref().unwrap(), rest.parse().unwrap()),
        "exec" => {
            // It outlives the helper, and ends by itself.
            #[allow(clippy::zombie_processes)]
            let child = Command::new("sleep").arg("20").stdin(Stdio::null()).spawn().unwrap();
            answer(&child.id().to_string());
        }
        "daemonise" => daemonise(writer.as_ref().unwrap(), Path::new(rest)),
        _ => panic!("the helper does not know {verb}"),
    }
    true
}

fn limit_file_size(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // SAFETY: ignoring a signal runs no code. (By default this one kills; Python ignores it too.)
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
}

/// Forks a child that makes the writer its own, tells its id, waits until `gate` (a FIFO) is opened
/// and closed for writing, appends a line and ends.
fn fork(writer: &LogWriter, gate: &Path) {
    // SAFETY: the helper has one thread besides libtest's main one, which only waits; the child
    // uses nothing that could be locked by it.
    match unsafe { libc::fork() } {
        0 => {
            writer.after_fork_in_child();
            writer.append(line("child begins").as_bytes()).unwrap();
            answer(&std::process::id().to_string());
            wait_at(gate);
            writer.append(line("child ends").as_bytes()).unwrap();
            // SAFETY: ends the child at once, without the test program's exit work.
            unsafe { libc::_exit(0) };
        }
        child => assert!(child > 0),
    }
}

/// Forks a child that does not know of us at all: it keeps what it inherited open until the gate is
/// passed.
fn daemonise(_writer: &LogWriter, gate: &Path) {
    // SAFETY: as above.
    match unsafe { libc::fork() } {
        0 => {
            answer(&std::process::id().to_string());
            wait_at(gate);
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        child => assert!(child > 0),
    }
}

fn wait_at(gate: &Path) {
    // If the test fails, nobody opens the gate.
    // SAFETY: asks for a signal that ends this process later.
    unsafe { libc::alarm(60) };
    let mut nothing = Vec::new();
    File::open(gate).unwrap().read_to_end(&mut nothing).unwrap();
}

/// Lets children through that wait at a gate.
pub fn open_gate(gate: &Path) {
    drop(File::options().write(true).open(gate).unwrap());
}

/// Forks again and again while other threads append; each child appends a line of its own.
fn fork_while_writing(writer: &LogWriter, forks: u32) {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut number = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        let text = line(&format!("thread {thread} {number}"));
                        writer.append(text.as_bytes()).unwrap();
                        number += 1;
                    }
                    number
                })
            })
            .collect();
        let mut failed = 0;
        for fork in 0..forks {
            let text = line(&format!("fork {fork}"));
            // SAFETY: the child only appends, which takes no lock, and ends.
            match unsafe { libc::fork() } {
                0 => {
                    writer.after_fork_in_child();
                    let is_written = writer.append(text.as_bytes()).is_ok();
                    writer.close();
                    let is_closed = writer.append(text.as_bytes()).is_err();
                    // Nor does a thread that the child does not have keep its log open.
                    let is_gone =
                        store::writer_alive(writer.path(), std::process::id()) == Some(false);
                    let is_right = is_written && is_closed && is_gone && writer.dropped() == 1;
                    let status = i32::from(!is_right);
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(status) };
                }
                child => {
                    let mut status = 0;
                    // SAFETY: waits for the child just made; `status` is valid for the call.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    failed += u32::from(status != 0);
                }
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(failed, 0, "of {forks} forked children");
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    answer(&written.to_string());
}
