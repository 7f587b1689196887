//! The device as a guest's driver sees it: a ring in shared memory, and a VMM that sets it up.

mod conversation;
mod hostile;
mod life;
mod vm;
