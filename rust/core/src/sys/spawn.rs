//! Starting a process that is nobody's child: whoever waits for the children of this process never meets
//! it, and the end of this process does not touch it.
//!
//! `fork` would run the program's fork handlers and copy its page tables, which takes long where it has
//! much memory. So two processes are made that borrow the memory of the calling thread, one after the
//! other (`CLONE_VFORK`: the maker waits): the first makes the second and is gone; the second becomes the
//! program. The first ends without a signal, so that only those who ask for such children find it
//! (`__WCLONE`): we do.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::AsRawFd as _;

/// Of each of the two; they call a handful of system calls.
const STACK_BYTES: usize = 32 << 10;

/// What the processes have to know, all of it made before: they must not allocate.
struct Plan {
    program: CString,
    /// Each ends with a null pointer.
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    directory: CString,
    null: c_int,
    inner_stack: *mut c_void,
    /// Why it could not be started; 0: it was.
    error: c_int,
}

/// Starts `program` with these arguments (the first is its name) and this environment, in `directory`, in a
/// session of its own, with nothing open but /dev/null for its standard streams. (A low priority is up to the
/// program: here, whoever waits would wait for it.)
pub(crate) fn spawn_detached(
    program: &CString,
    arguments: &[CString],
    environment: &[CString],
    directory: &CString,
) -> io::Result<()> {
    // Open for both, and with a number above those that it is copied to.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = rustix::io::fcntl_dupfd_cloexec(&null, 3)?;
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let mut outer = vec![0_u128; STACK_BYTES / 16];
    let mut inner = vec![0_u128; STACK_BYTES / 16];
    let mut plan = Plan {
        program: program.clone(),
        arguments: pointers(arguments),
        environment: pointers(environment),
        directory: directory.clone(),
        null: null.as_raw_fd(),
        inner_stack: inner.as_mut_ptr_range().end.cast(),
        error: 0,
    };
    let outer_stack: *mut c_void = outer.as_mut_ptr_range().end.cast();
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut old = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the sets are valid, and filled in by the calls before they are read. With all signals blocked
    // no handler of the program runs in the new processes, which share its memory. `clone` gets the upper
    // end of a stack that nobody else uses, aligned to 16 bytes, and a plan that lives until both processes
    // are done with it: `CLONE_VFORK` has this thread wait until the first one has ended, which in turn
    // waits until the second has become another program or has ended. Neither allocates, locks or unwinds.
    let outcome = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        let pid = libc::clone(
            first,
            outer_stack,
            libc::CLONE_VM | libc::CLONE_VFORK,
            (&raw mut plan).cast(),
        );
        let outcome = if pid == -1 { Err(io::Error::last_os_error()) } else { reap(pid) };
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut());
        outcome
    };
    outcome?;
    // SAFETY: it is ours, and read as another process may have written it.
    match unsafe { std::ptr::read_volatile(&raw const plan.error) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Waits for a process that ends without a signal.
fn reap(pid: libc::pid_t) -> io::Result<()> {
    loop {
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WCLONE) } != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // The program does not want to know of its children (SIGCHLD is ignored).
            Some(libc::ECHILD) => return Ok(()),
            _ => return Err(error),
        }
    }
}

/// The first process: makes the second.
extern "C" fn first(plan: *mut c_void) -> c_int {
    let plan: *mut Plan = plan.cast();
    // SAFETY: as in `spawn_detached`; the plan is alive, and nobody else uses it meanwhile.
    unsafe {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        if libc::clone(second, (*plan).inner_stack, flags, plan.cast()) == -1 {
            (*plan).error = *libc::__errno_location();
        }
        libc::_exit(0)
    }
}

/// The second process: becomes the program.
extern "C" fn second(plan: *mut c_void) -> c_int {
    let plan: *mut Plan = plan.cast();
    // SAFETY: as above. Handlers become the default by `sigaction`, which changes this process's own table
    // alone (there is no `CLONE_SIGHAND`); only then are signals let through.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        libc::setsid();
        libc::umask(0o077);
        let is_ready = libc::chdir((*plan).directory.as_ptr()) == 0
            && (0..3).all(|stream| libc::dup2((*plan).null, stream) == stream);
        if is_ready {
            // Where the kernel has no such call, what is not closed on exec stays open.
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            libc::execve(
                (*plan).program.as_ptr(),
                (*plan).arguments.as_ptr(),
                (*plan).environment.as_ptr(),
            );
        }
        (*plan).error = *libc::__errno_location();
        libc::_exit(127)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use super::*;

    fn text(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    /// The process runs with what it was given, in a session of its own, and is nobody's child here.
    #[test]
    fn a_detached_process_is_no_child() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let path = text(fifo.to_str().unwrap());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &*path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let script = r#"echo "$X $(pwd) $(ps -o sid= -p $$) $$ $(ls /proc/$$/fd | wc -l)" > fifo"#;
        spawn_detached(
            &text("/bin/sh"),
            &[text("sh"), text("-c"), text(script)],
            &[text("X=given"), text("PATH=/usr/bin:/bin")],
            &text(directory.path().to_str().unwrap()),
        )
        .unwrap();
        let mut said = String::new();
        std::fs::File::open(&fifo).unwrap().read_to_string(&mut said).unwrap();
        let words: Vec<_> = said.split_whitespace().collect();
        assert_eq!(words[0], "given");
        assert_eq!(words[1], directory.path().canonicalize().unwrap().to_str().unwrap());
        let pid: i32 = words.iter().rev().nth(1).unwrap().parse().unwrap();
        // SAFETY: no status is asked for.
        let waited =
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
        assert_eq!((waited, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ECHILD)));
    }

    /// What cannot be started is told.
    #[test]
    fn failures_are_told() {
        let outcome = |program, directory| {
            spawn_detached(&text(program), &[text("x")], &[], &text(directory))
        };
        assert_eq!(outcome("/no/such", "/").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(outcome("/bin/sh", "/no/such").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(outcome("/etc", "/").unwrap_err().raw_os_error(), Some(libc::EACCES));
    }
}
