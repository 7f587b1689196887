//! Any bytes, in any dialect, as everything that the codec decodes.

#![no_main]

#[path = "../../crates/ninefold-wire/tests/oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    let dialect = oracle::DIALECTS[usize::from(choice) % oracle::DIALECTS.len()];
    oracle::examine(bytes, dialect);
    // A wrong size field hides all other faults.
    let mut framed = bytes.to_vec();
    oracle::set_size(&mut framed);
    oracle::examine(&framed, dialect);
});
