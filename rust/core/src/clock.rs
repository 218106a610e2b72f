//! (module clock)
