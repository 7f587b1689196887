//! A 9P file server library.
