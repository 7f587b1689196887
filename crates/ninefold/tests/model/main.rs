//! The server against a model of a POSIX tree in memory: clients and the host do thousands of random
//! things, and every answer has to be the model's.
//!
//! One thread, no sockets, the same for the same seed. `NINEFOLD_MODEL_SEEDS=n` runs n seeds instead
//! of the usual number, `NINEFOLD_MODEL_SEED=s` only that one. A failure is told with its seed and
//! the shortest list of steps found that still fails.

mod choose;
#[allow(dead_code, reason = "it serves other tests too")]
#[path = "../conversations/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod content;
mod host;
mod listing;
mod locks;
mod names;
mod op;
mod play;
mod reference;
mod server;
mod tree;
mod xattrs;

use ninefold::SecurityModel;

/// Runs of each model, and steps of each run.
const SEEDS: u64 = 300;
const STEPS: usize = 300;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: expected a number, came {text}")),
    )
}

fn run(model: SecurityModel) {
    if !model.is_mapped() && !rustix::process::geteuid().is_root() {
        eprintln!("not proven: only root may give files away");
        return;
    }
    let seeds = match setting("NINEFOLD_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("NINEFOLD_MODEL_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let Err((steps, error)) = play::play_seed(model, seed, STEPS) else {
            continue;
        };
        eprintln!("{model:?}, seed {seed}, {} steps: {error}", steps.len());
        let (steps, error) = play::shrink(model, steps, error);
        for step in &steps {
            eprintln!("  {step:?},");
        }
        panic!("{model:?}, NINEFOLD_MODEL_SEED={seed}: {error}");
    }
}

#[test]
fn passthrough() {
    run(SecurityModel::Passthrough);
}

#[test]
fn none() {
    run(SecurityModel::None);
}

#[test]
fn mapped_xattr() {
    run(SecurityModel::MappedXattr);
}

#[test]
fn mapped_file() {
    run(SecurityModel::MappedFile);
}
