//! Any bytes as a guest's descriptors: no chain leads out of its memory.

#![no_main]

#[path = "../../crates/ninefold-vhost/tests/oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use vm_memory::GuestMemoryMmap;

thread_local! {
    static MEMORY: GuestMemoryMmap<()> = oracle::memory();
}

fuzz_target!(|input: &[u8]| {
    MEMORY.with(|memory| oracle::examine(memory, input));
});
