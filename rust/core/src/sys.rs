//! The system calls that no safe wrapper offers. The only unsafe code of the core.
#![allow(unsafe_code)]

/// Broken-down local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i64,
    pub(crate) month: i32,
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    pub(crate) utc_offset_s: i64,
}

/// `epoch_s` in the C library's local zone: the one Python's `time` and `datetime` use, which
/// follows `time.tzset()` where a time zone library of our own would not.
pub(crate) fn local_time(epoch_s: i64) -> Option<LocalTime> {
    let time: libc::time_t = epoch_s;
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and `tm` is plain data for which all zeroes
    // are a value; `localtime_r` writes nothing else.
    let tm = unsafe {
        if libc::localtime_r(&raw const time, tm.as_mut_ptr()).is_null() {
            return None;
        }
        tm.assume_init()
    };
    Some(LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: tm.tm_mon + 1,
        day: tm.tm_mday,
        hour: tm.tm_hour,
        minute: tm.tm_min,
        second: tm.tm_sec,
        utc_offset_s: tm.tm_gmtoff,
    })
}

/// The name of the C library's local zone at `epoch_s` ("UTC", "CET", "+03").
pub(crate) fn local_zone_name(epoch_s: i64) -> Option<String> {
    let time: libc::time_t = epoch_s;
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: as in `local_time`; the name that `tm_zone` points to then is one of the C library's
    // own strings, ended by a NUL, which it keeps for good.
    let name = unsafe {
        if libc::localtime_r(&raw const time, tm.as_mut_ptr()).is_null() {
            return None;
        }
        let tm = tm.assume_init();
        if tm.tm_zone.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(tm.tm_zone)
    };
    Some(name.to_string_lossy().into_owned())
}
