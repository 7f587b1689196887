//! A read-only export.

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::{classic_open as bits, dm};
use ninefold_wire::{Dialect, Stat};

use super::ALL;
use super::verbs::untouched;
use crate::share::{Share, one_of_each};

/// A stat that would change something, for each thing to change.
fn changes(dialect: Dialect) -> Vec<Stat<'static>> {
    let no = untouched(dialect);
    let mut all = vec![
        Stat { mode: 0o600, ..no },
        Stat { atime: 1, ..no },
        Stat { mtime: 1, ..no },
        Stat { length: 0, ..no },
        Stat { name: b"new", ..no },
        Stat { gid: b"1", ..no },
    ];
    if let Some(unix) = no.unix {
        for (n_uid, n_gid) in [(1, u32::MAX), (u32::MAX, 1)] {
            let unix = Some(ninefold_wire::StatUnix {
                n_uid,
                n_gid,
                ..unix
            });
            all.push(Stat { unix, ..no });
        }
    }
    all
}

#[test]
fn every_change_is_refused() {
    for dialect in ALL {
        let share = Share::with(SecurityModel::None, true, one_of_each);
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        let before = client.stat(1).expect("a stat");
        for mode in [
            bits::WRITE,
            bits::RDWR,
            bits::READ | bits::TRUNC,
            bits::EXEC | bits::TRUNC,
            bits::WRITE | bits::APPEND,
            bits::READ | bits::RCLOSE,
        ] {
            assert_eq!(
                client.topen(1, mode).map(drop),
                Err(Errno::ROFS),
                "{mode:x}"
            );
        }
        for perm in [0o644, dm::DIR | 0o755, dm::SYMLINK, dm::NAMED_PIPE] {
            let made = client.create_at_root(2, "new", perm, bits::READ);
            assert_eq!(made.map(drop), Err(Errno::ROFS), "{perm:x}");
            client.clunk(2).expect("a clunk");
        }
        for change in changes(dialect) {
            assert_eq!(client.wstat(1, change), Err(Errno::ROFS), "{change:?}");
        }
        client
            .wstat(1, untouched(dialect))
            .expect("it touches nothing");
        client.walk(1, 3, &[]).expect("a clone");
        assert_eq!(client.remove(3), Err(Errno::ROFS));
        assert!(client.is_gone(3));
        assert_eq!(client.stat(1), Ok(before));
        client.topen(1, bits::READ).expect("an open");
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
        client.clunk(1).expect("a clunk");
        assert!(share.exists("file") && !share.exists("new"));
    }
}
