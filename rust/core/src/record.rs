//! (module record)
