//! (module id)
