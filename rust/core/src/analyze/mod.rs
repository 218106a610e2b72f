//! (module analyze)
