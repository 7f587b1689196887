//! The messages of 9P2000 and 9P2000.u.

mod create;
mod dir;
mod mixes;
mod open;
mod rclose;
mod readonly;
mod stat;
mod verbs;
mod wstat;

use ninefold_wire::Dialect;

/// The dialects that have nothing else.
const CLASSIC: [Dialect; 2] = [Dialect::Legacy, Dialect::Unix];

const ALL: [Dialect; 3] = [Dialect::Legacy, Dialect::Unix, Dialect::Linux];
