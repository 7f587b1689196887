//! One run: steps done on both sides, each answer compared, and all that is left in the end.

use std::fs;
use std::os::unix::fs::lchown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ninefold::{Budget, Export, ExportOptions, SecurityModel};
use rustix::fs::Mode;
use rustix::process::{getegid, geteuid, umask};
use tempfile::TempDir;

use crate::choose::Chooser;
use crate::client::Client;
use crate::common::Random;
use crate::compare::{Numbers, check};
use crate::listing::Listings;
use crate::op::{Op, Step};
use crate::reference::{Expected, Reference, Rules, State};
use crate::tree::{Attributes, Kind};
use crate::{host, server};

/// Clients that are told what to do; one more looks at everything in the end.
const CLIENTS: usize = 3;

/// A number that no step uses.
const SPARE: u32 = 900;

/// Descriptors of a run with few: fewer than clients have fids, enough for what cannot be given
/// back.
const FEW: usize = 40;

fn few_descriptors() -> bool {
    std::env::var_os("NINEFOLD_FEW_DESCRIPTORS").is_some()
}

/// Where the export of every run is made; with so few descriptors that nearly every request has to
/// have some given back, if the run is for that.
fn export(root: &Path, model: SecurityModel) -> Arc<Export> {
    let options = ExportOptions {
        descriptors: few_descriptors().then(|| Budget::new(FEW)),
        ..ExportOptions::new(model)
    };
    Arc::new(Export::open(root, &options).expect("an export"))
}

/// The server, the reference, and what connects them.
struct Play {
    reference: Reference,
    numbers: Numbers,
    listings: Listings,
    clients: Vec<Client>,
    root: PathBuf,
    _top: TempDir,
}

impl Play {
    fn new(model: SecurityModel) -> Self {
        umask(Mode::empty());
        let top = tempfile::tempdir().expect("a temporary directory");
        let root = top.path().join("export");
        fs::create_dir(&root).expect("the folder to share");
        // An earlier run has left this thread somebody's identity.
        lchown(&root, Some(geteuid().as_raw()), Some(getegid().as_raw())).expect("an owner");
        let rules = Rules {
            model,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            few_descriptors: few_descriptors(),
        };
        let attributes = Attributes {
            uid: Some(rules.uid),
            gid: Some(rules.gid),
            mode: Some(0o777),
        };
        let export = export(&root, model);
        let mut play = Self {
            reference: Reference::new(rules, CLIENTS, attributes),
            numbers: Numbers::default(),
            listings: Listings::default(),
            clients: Vec::new(),
            root,
            _top: top,
        };
        for client in 0..=CLIENTS {
            play.clients.push(Client::new(&export));
            server::send(&mut play.clients[client], &Op::Version).expect("a version");
        }
        play
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Client(client, op) => self.send(*client, op),
            Step::Host(op) => {
                if self.reference.host(op) {
                    let done = host::run(&self.root, self.reference.rules, op);
                    done.map_err(|error| format!("the host could not: {error}"))?;
                }
                Ok(())
            }
        }
    }

    fn send(&mut self, client: usize, op: &Op) -> Result<(), String> {
        if self.reference.is_open_to_choice(client, op) {
            return Ok(());
        }
        let wanted = self.reference.apply(client, op);
        if let Op::ListOn { fid, count } = *op {
            let wanted = wanted.map(|wanted| match wanted {
                Expected::Part(opening, dir) => (opening, dir),
                other => unreachable!("{other:?} is no part"),
            });
            let tree = &self.reference.tree;
            let (listings, client) = (&mut self.listings, &mut self.clients[client]);
            return listings.go_on(client, tree, (fid, count), wanted);
        }
        let came = server::send(&mut self.clients[client], op);
        let (reference, numbers) = (&self.reference, &mut self.numbers);
        check(reference, numbers, (client, op), (&wanted, &came))
    }

    /// Looks at everything: through each fid that is left, on the host, and with a new client.
    fn finish(&mut self) -> Result<(), String> {
        for client in 0..CLIENTS {
            let fids: Vec<u32> = self.reference.clients[client].keys().copied().collect();
            for fid in fids {
                let said = self.look(client, fid);
                said.map_err(|error| format!("at the end, fid {fid} of {client}: {error}"))?;
            }
        }
        self.reference.clients.push(Default::default());
        let paths = self.reference.tree.paths();
        for path in std::iter::once(String::new()).chain(paths.into_iter().map(|(path, _)| path)) {
            let said = self.visit(&path);
            said.map_err(|error| format!("at the end, {path}: {error}"))?;
        }
        host::check(&self.root, &self.reference)
    }

    /// Sees what a fid shows of its object.
    fn look(&mut self, client: usize, fid: u32) -> Result<(), String> {
        let means = &self.reference.clients[client][&fid];
        let id = means.id;
        match &means.state {
            State::Path | State::File(_) | State::Dir(_) => {}
            _ => return Ok(()),
        }
        let reads = matches!(means.state, State::File(open) if open.reads);
        let lists = matches!(means.state, State::Dir(_));
        self.send(client, &Op::Getattr { fid })?;
        if reads {
            let (offset, count) = (0, 8192);
            self.send(client, &Op::Read { fid, offset, count })?;
        }
        if lists {
            self.send(client, &Op::List { fid, count: 8192 })?;
        }
        let names = self.reference.tree.object(id).xattrs.keys();
        let known = ["user.a", "user.b", "trusted.t"].into_iter();
        let known: Vec<_> = known
            .filter(|name| names.clone().any(|key| key == name))
            .collect();
        for name in known.into_iter().chain([""]) {
            let newfid = SPARE;
            self.send(client, &Op::Xattrwalk { fid, newfid, name })?;
            let (fid, offset, count) = (SPARE, 0, 8192);
            self.send(client, &Op::Read { fid, offset, count })?;
            self.send(client, &Op::Clunk { fid })?;
        }
        Ok(())
    }

    /// Walks to a path anew and sees what is there.
    fn visit(&mut self, path: &str) -> Result<(), String> {
        let (client, fid) = (CLIENTS, 1);
        self.send(client, &Op::Attach { fid, uid: 0 })?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let steps = vec![&*name.to_owned().leak()];
            let newfid = fid;
            self.send(client, &Op::Walk { fid, newfid, steps })?;
        }
        let id = self.reference.clients[client][&fid].id;
        match self.reference.tree.object(id).kind {
            Kind::File(_) | Kind::Dir(_) => self.send(client, &Op::Lopen { fid, flags: 0 })?,
            Kind::Symlink(_) => self.send(client, &Op::Readlink { fid })?,
            Kind::Special(_) => {}
        }
        self.look(client, fid)?;
        self.send(client, &Op::Clunk { fid })
    }
}

/// Turns a panic of either side into an error.
fn caught(play: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Plays the steps of a seed. On failure, all steps up to the one that failed, and why it did.
pub fn play_seed(model: SecurityModel, seed: u64, count: usize) -> Result<(), (Vec<Step>, String)> {
    let mut steps = Vec::new();
    let done = caught(|| {
        let mut random = Random::new(seed.wrapping_mul(2_654_435_761));
        let mut play = Play::new(model);
        for _ in 0..count {
            let mut chooser = Chooser {
                random: &mut random,
                reference: &play.reference,
            };
            let step = chooser.step();
            steps.push(step.clone());
            play.step(&step)?;
        }
        play.finish()
    });
    done.map_err(|error| (steps, error))
}

/// Plays given steps.
pub fn play_steps(model: SecurityModel, steps: &[Step]) -> Result<(), String> {
    caught(|| {
        let mut play = Play::new(model);
        steps.iter().try_for_each(|step| play.step(step))?;
        play.finish()
    })
}

/// Leaves out steps for as long as it still fails; returns the rest and why it does.
pub fn shrink(
    model: SecurityModel,
    mut steps: Vec<Step>,
    mut error: String,
) -> (Vec<Step>, String) {
    // One panic has been told.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match play_steps(model, &fewer) {
                Ok(()) => at += size,
                Err(said) => (steps, error) = (fewer, said),
            }
        }
        size /= 2;
    }
    std::panic::set_hook(hook);
    (steps, error)
}
