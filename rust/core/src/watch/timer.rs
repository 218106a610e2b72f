//! A thread that looks at something now and then, and that costs nothing in between.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::futex::{self, Flags, Timespec};

use crate::sys;

/// There is no thread.
const NONE: u32 = 0;
/// It sleeps until it is woken.
const RESTING: u32 = 1;
/// It sleeps until it is time to look.
const WAITING: u32 = 2;
/// It is to work out anew how long it sleeps.
const HURRIED: u32 = 3;
/// It looks.
const LOOKING: u32 = 4;
/// It looks for the last time.
const STOPPING: u32 = 5;
/// There is none, and there will be none.
const STOPPED: u32 = 6;

/// The thread, of which there is one at most, from when it is first wanted.
///
/// A fork at any moment harms nothing: a child has none, until it wants one of its own, see
/// [`forget_after_fork`](Self::forget_after_fork).
#[derive(Debug)]
pub struct Timer {
    state: AtomicU32,
    /// It never sleeps longer, unless it rests.
    longest_ns: AtomicU64,
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer {
    /// No thread yet.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(NONE), longest_ns: AtomicU64::new(u64::MAX) }
    }

    /// Whether [`start`](Self::start) has nothing to do.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) > RESTING
    }

    /// Has `look` called by the thread, again and again: after as long as it said the last time, but
    /// no later than [`limit`](Self::limit) says.
    ///
    /// If it said None after it had called [`rest`](Self::rest), the thread rests until this is called
    /// again. It calls that while it holds what keeps others from wanting the thread: whoever does
    /// afterwards finds it at rest, and wakes it.
    #[cold]
    pub fn start(&'static self, look: impl Fn() -> Option<Duration> + Send + 'static) {
        if self.change(RESTING, WAITING) {
            return self.wake();
        }
        if !self.change(NONE, WAITING) {
            return;
        }
        let spawned = std::thread::Builder::new()
            .name("inspect-trace-w".into())
            // Python code runs there.
            .stack_size(1 << 20)
            .spawn(move || self.run(look));
        if spawned.is_err() {
            // One who has no room for a thread is not to try with each action.
            self.state.store(STOPPED, Ordering::Relaxed);
        }
    }

    /// Sees to it that the thread never sleeps longer than that, unless it rests.
    pub fn limit(&self, pause: Duration) {
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let before_ns = self.longest_ns.fetch_min(pause_ns, Ordering::AcqRel);
        if pause_ns < before_ns && self.change(WAITING, HURRIED) {
            self.wake();
        }
    }

    /// The thread, which is looking, will have nothing to look at.
    pub fn rest(&self) {
        self.change(LOOKING, RESTING);
    }

    /// Whether the thread is asked to look for the last time.
    pub fn is_stopping(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), STOPPING | STOPPED)
    }

    /// No thread looks from now on, nor is one started. Waits, if one looks, for no longer than that;
    /// false: it still does.
    pub fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let state = self.state.load(Ordering::Acquire);
            match state {
                STOPPED => return true,
                LOOKING => {
                    self.change(LOOKING, STOPPING);
                }
                STOPPING => {
                    let rest = deadline.saturating_duration_since(Instant::now());
                    if rest.is_zero() {
                        return false;
                    }
                    self.wait(STOPPING, Some(rest));
                }
                _ => {
                    if self.change(state, STOPPED) {
                        self.wake();
                        return true;
                    }
                }
            }
        }
    }

    /// To be called in a forked child, while it has a single thread.
    pub fn forget_after_fork(&self) {
        if !self.is_stopping() {
            self.state.store(NONE, Ordering::Relaxed);
        }
    }

    fn run(&self, look: impl Fn() -> Option<Duration>) {
        sys::block_signals();
        let mut pause = None;
        while self.sleep(pause) {
            pause = look();
            // It may have gone to rest, and have been woken from that already.
            if !self.change(LOOKING, WAITING) && self.change(STOPPING, STOPPED) {
                return self.wake();
            }
        }
    }

    /// Sleeps for so long, or while it rests; true: it is time to look.
    fn sleep(&self, pause: Option<Duration>) -> bool {
        let mut pause = pause.unwrap_or(Duration::MAX);
        let mut since = Instant::now();
        loop {
            match self.state.load(Ordering::Acquire) {
                RESTING => {
                    self.wait(RESTING, None);
                    (since, pause) = (Instant::now(), Duration::MAX);
                }
                HURRIED => {
                    since = Instant::now();
                    self.change(HURRIED, WAITING);
                }
                WAITING => {
                    let longest = Duration::from_nanos(self.longest_ns.load(Ordering::Acquire));
                    let rest = pause.min(longest).saturating_sub(since.elapsed());
                    if !rest.is_zero() {
                        self.wait(WAITING, Some(rest));
                    } else if self.change(WAITING, LOOKING) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn wait(&self, state: u32, patience: Option<Duration>) {
        let patience = patience.and_then(|patience| {
            let tv_sec = i64::try_from(patience.as_secs()).ok()?;
            Some(Timespec { tv_sec, tv_nsec: patience.subsec_nanos().into() })
        });
        // Whatever the answer, the caller looks again.
        let _ = futex::wait(&self.state, Flags::PRIVATE, state, patience.as_ref());
    }

    fn wake(&self) {
        let _ = futex::wake(&self.state, Flags::PRIVATE, u32::MAX >> 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);
    const SOON: Duration = Duration::from_millis(1);

    fn timer() -> &'static Timer {
        Box::leak(Box::new(Timer::new()))
    }

    /// Has it look, each time with what comes for an answer.
    fn started(timer: &'static Timer) -> (Receiver<()>, Sender<Option<Duration>>) {
        let ((looked, looks), (answer, answers)) = (channel(), channel());
        timer.start(move || {
            looked.send(()).unwrap();
            let answer: Option<Duration> = answers.recv().unwrap_or(None);
            if answer.is_none() {
                timer.rest();
            }
            answer
        });
        (looks, answer)
    }

    /// It looks again and again, rests when there is nothing to look at, and goes on when it is woken.
    #[test]
    fn looking_and_resting() {
        let timer = timer();
        timer.limit(SOON);
        assert!(!timer.is_on());
        let (looks, answer) = started(timer);
        for next in [Some(SOON), Some(DEADLINE), None] {
            looks.recv_timeout(DEADLINE).unwrap();
            assert!(timer.is_on());
            answer.send(next).unwrap();
        }
        while timer.is_on() {
            std::thread::yield_now();
        }
        assert!(looks.try_recv().is_err());
        timer.start(|| unreachable!("there is a thread"));
        assert!(timer.is_on());
        looks.recv_timeout(DEADLINE).unwrap();
        drop(answer);
        assert!(timer.stop(DEADLINE));
    }

    /// One that sleeps for long does not when it is told to sleep no longer than a moment.
    #[test]
    fn a_shorter_limit_counts_at_once() {
        let timer = timer();
        let (looks, answer) = started(timer);
        timer.limit(SOON);
        looks.recv_timeout(DEADLINE).unwrap();
        drop(answer);
        assert!(timer.stop(DEADLINE));
    }

    /// Stopping waits while it looks, but no longer than it is told to; afterwards nothing starts it.
    #[test]
    fn stopping() {
        let timer = timer();
        timer.limit(SOON);
        let (looks, answer) = started(timer);
        looks.recv_timeout(DEADLINE).unwrap();
        assert!(!timer.stop(SOON));
        assert!(timer.is_stopping());
        answer.send(Some(SOON)).unwrap();
        assert!(timer.stop(DEADLINE));
        timer.start(|| unreachable!("it is stopped"));
        timer.forget_after_fork();
        timer.start(|| unreachable!("it is stopped"));
        assert!(looks.recv_timeout(DEADLINE).is_err(), "the thread is gone, and what it had");
    }

    /// One that sleeps is stopped at once, and one that never began never begins.
    #[test]
    fn stopping_at_once() {
        for begins in [false, true] {
            let timer = timer();
            let looks = begins.then(|| started(timer).0);
            assert!(timer.stop(Duration::ZERO));
            assert!(looks.is_none_or(|looks| looks.recv_timeout(DEADLINE).is_err()));
        }
    }

    /// A child has no thread, and may have one of its own.
    #[test]
    fn after_a_fork() {
        let timer = timer();
        let (_looks, _answer) = started(timer);
        timer.forget_after_fork();
        assert!(!timer.is_on());
    }
}
