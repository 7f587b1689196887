//! Whether an answer is the expected one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ninefold::Errno;
use ninefold_wire::{Attr, Qid, Statfs, flags};

use crate::op::Op;
use crate::reference::{Expect, Expected, Reference};
use crate::server::Answer;
use crate::tree::{Id, Kind};

/// The numbers by which the server knows the objects: each its own.
#[derive(Default)]
pub struct Numbers(HashMap<u64, Id>);

type Checked = Result<(), String>;

macro_rules! equal {
    ($what:expr, $came:expr, $wanted:expr) => {
        let (came, wanted) = ($came, $wanted);
        if came != wanted {
            return Err(format!("{}: expected {wanted:?}, came {came:?}", $what));
        }
    };
}

impl Numbers {
    fn check_path(&mut self, reference: &Reference, qid: Qid, id: Id) -> Checked {
        let known = self.0.insert(qid.path, id);
        match known.filter(|known| *known != id && reference.is_alive(*known)) {
            Some(known) => Err(format!("{qid:?} is of object {known} and of {id}")),
            None => Ok(()),
        }?;
        let others = self.0.iter().filter(|(_, other)| **other == id).count();
        equal!(format!("numbers of object {id}"), others, 1);
        Ok(())
    }

    fn check(&mut self, reference: &Reference, qid: Qid, id: Id) -> Checked {
        let kind = match reference.tree.object(id).kind {
            Kind::Dir(_) => flags::qid::DIR,
            Kind::Symlink(_) => flags::qid::SYMLINK,
            _ => flags::qid::FILE,
        };
        equal!(format!("type of {qid:?}"), qid.kind, kind);
        self.check_path(reference, qid, id)
    }
}

/// Compares an answer with what the reference says, which is in the state after the step.
pub fn check(
    reference: &Reference,
    numbers: &mut Numbers,
    (client, op): (usize, &Op),
    (wanted, came): (&Expect, &Result<Answer, Errno>),
) -> Checked {
    let (wanted, came) = match (wanted, came) {
        (Ok(wanted), Ok(came)) => (wanted, came),
        (Err(wanted), Err(came)) if wanted == came => return Ok(()),
        _ => return Err(format!("expected {wanted:?}, came {came:?}")),
    };
    match (wanted, came) {
        (Expected::Done, _) => Ok(()),
        (Expected::Qids(ids), Answer::Qids(qids)) => {
            equal!("steps", qids.len(), ids.len());
            let mut pairs = qids.iter().zip(ids);
            pairs.try_for_each(|(qid, id)| numbers.check(reference, *qid, *id))
        }
        (Expected::Attr(id), Answer::Attr(attr)) => {
            numbers.check(reference, attr.qid, *id)?;
            check_attr(reference, attr, *id)
        }
        (Expected::Names(names, offset, count), Answer::Data(data)) => {
            check_names(names, (*offset, *count), data)
        }
        (Expected::Entries(id), Answer::Entries(entries)) => {
            check_entries(reference, numbers, *id, entries)
        }
        (Expected::Blocker(id), Answer::Blocker(said)) => {
            let Op::Getlock {
                kind,
                start,
                length,
                process,
                ..
            } = *op
            else {
                return Err(format!("{op:?} asks for no lock"));
            };
            // Asking about no lock at all is asking about a write lock.
            let kind = kind.min(1);
            let asked = ((client, process), kind, (start, length));
            reference.locks.check_blocker(*id, asked, *said)
        }
        _ => check_value(wanted, came),
    }
}

fn check_value(wanted: &Expected, came: &Answer) -> Checked {
    match (wanted, came) {
        (Expected::Data(wanted), Answer::Data(came)) => {
            equal!("data", came, wanted);
        }
        (Expected::Count(wanted), Answer::Count(came)) => {
            equal!("count", came, wanted);
        }
        (Expected::Size(wanted), Answer::Size(came)) => {
            equal!("size", came, wanted);
        }
        (Expected::Status(wanted), Answer::Status(came)) => {
            equal!("status", came, wanted);
        }
        (Expected::Figures, Answer::Figures(figures)) => return check_figures(figures),
        _ => return Err(format!("expected {wanted:?}, came {came:?}")),
    }
    Ok(())
}

/// Figures change while the test runs, limits do not.
fn check_figures(figures: &Statfs) -> Checked {
    equal!("longest name", figures.namelen, 255);
    if figures.bsize == 0 || figures.bfree > figures.blocks {
        return Err(format!("{figures:?}"));
    }
    Ok(())
}

fn check_attr(reference: &Reference, attr: &Attr, id: Id) -> Checked {
    let object = reference.tree.object(id);
    equal!("type", attr.mode & libc::S_IFMT, object.type_bits());
    equal!("links", attr.nlink, reference.tree.nlink(id));
    if !object.hazy {
        equal!("mode", attr.mode & 0o7777, object.mode());
        equal!("owner", attr.uid, object.uid());
        equal!("group", attr.gid, object.gid());
    }
    if let Some(size) = object.size() {
        equal!("size", attr.size, size);
    }
    if matches!(object.type_bits(), libc::S_IFCHR | libc::S_IFBLK) {
        equal!("device", attr.rdev, object.rdev);
    }
    if object.is_dir() && reference.rules.by_file() {
        // The hidden directory is an entry too.
        return Ok(());
    }
    if let Some(time) = object.atime {
        equal!("atime", (attr.atime_sec, attr.atime_nsec), time);
    }
    if let Some(time) = object.mtime {
        equal!("mtime", (attr.mtime_sec, attr.mtime_nsec), time);
    }
    Ok(())
}

/// Names of a list, each ended by a NUL. The host may have some of its own.
fn check_names(names: &[String], (offset, count): (u64, u32), data: &[u8]) -> Checked {
    if offset > 0 || data.len() == count as usize {
        return Ok(());
    }
    let came = data.split(|byte| *byte == 0).filter_map(|name| {
        let name = std::str::from_utf8(name).ok()?;
        (!name.is_empty() && !name.starts_with("security.")).then_some(name)
    });
    let came: BTreeSet<_> = came.collect();
    let wanted: BTreeSet<_> = names.iter().map(String::as_str).collect();
    equal!("names", came, wanted);
    Ok(())
}

fn check_entries(
    reference: &Reference,
    numbers: &mut Numbers,
    dir: Id,
    came: &BTreeMap<String, (Qid, u8)>,
) -> Checked {
    let tree = &reference.tree;
    let mut wanted = BTreeMap::from([
        (".".to_owned(), dir),
        ("..".to_owned(), tree.object(dir).parent),
    ]);
    let entries = tree.object(dir).entries();
    wanted.extend(entries.map(|(name, entry)| (name.clone(), entry.id)));
    let (names, expected): (Vec<_>, Vec<_>) = (came.keys().collect(), wanted.keys().collect());
    equal!("names", names, expected);
    for (name, (qid, kind)) in came {
        let id = wanted[name];
        let bits = tree.object(id).type_bits();
        let known = bits == libc::S_IFDIR || !reference.rules.is_mapped();
        let wanted = if known { bits >> 12 } else { 0 };
        equal!(format!("type of {name}"), u32::from(*kind), wanted);
        numbers.check_path(reference, *qid, id)?;
    }
    Ok(())
}
