//! Guests that break the rules.
