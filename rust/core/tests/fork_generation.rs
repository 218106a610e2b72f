//! How a forked child tells that it is not its parent.
#![allow(clippy::unwrap_used, unsafe_code)]

use inspect_trace_core::write::fork::generation;

/// Runs `in_child` in a forked child, and waits for its end.
fn forked(in_child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child allocates nothing that a lost thread's lock could guard beyond what the C
    // library itself makes safe in a child, and leaves without running anybody's exit handlers.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let is_well = in_child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!is_well)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for a child of this process; `status` is valid for the call.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status == 0
        }
    }
}

/// Each fork on the way to a process is counted in it, and none in those that forked.
#[test]
fn each_fork_is_counted_in_the_child_alone() {
    let mine = generation();
    assert!(forked(|| generation() == mine + 1 && forked(|| generation() == mine + 2)));
    assert_eq!(generation(), mine);
}
