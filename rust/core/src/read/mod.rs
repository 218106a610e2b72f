//! (module read)
