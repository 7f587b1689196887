//! The bare server: the null responder, which makes the system calls of the floor as well, as the requests come.
//!
//! The floor is the sum of two parts that are measured one after the other, each with the caches to itself and the null
//! responder with larger batches than a server gets that has something to do. This is both in one process and under the same
//! load as the others: what is left of a server that keeps no fids, checks nothing and cannot refuse.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use ninefold_wire::IO_HEADER_LEN;
use ninefold_wire::Request;

use crate::plain::Plain;
use crate::row::Row;
use crate::tree;
use crate::work::Work;

/// What is done for the requests of a row.
pub struct Bare {
    pub row: Row,
    /// The tree in which it is done.
    pub tree: PathBuf,
    pub entries: u64,
}

impl Bare {
    /// Whether there is anything to do for this kind of work that the plain calls are a measure of.
    pub fn does(work: Work) -> bool {
        !matches!(
            work,
            Work::List { .. } | Work::Fids { .. } | Work::BesideSlow
        )
    }

    /// The same for the requests of one connection.
    pub fn doing(&self) -> Result<Doing> {
        let work = self.row.work;
        if let Work::ReadOnwards | Work::ReadAnywhere | Work::WriteOnwards = work {
            let big = self.tree.join(tree::BIG);
            let file = File::options().read(true).write(true).open(big)?;
            return Ok(Doing::Data(file));
        }
        let count = self.row.msize - IO_HEADER_LEN;
        let plain = Plain::new(work, &self.tree, self.entries, count)?;
        Ok(Doing::Calls(Calls {
            work,
            plain: plain.context("no calls to make")?,
            ahead: 0,
        }))
    }
}

/// What is done beside answering.
pub enum Doing {
    /// Nothing: that is the null responder.
    Nothing,
    /// Reads and writes of one file, whatever the fid.
    Data(File),
    /// The plain calls of each operation.
    Calls(Calls),
}

/// The plain calls of operations.
pub struct Calls {
    work: Work,
    plain: Plain,
    /// Operations to come of which the calls have been made already.
    ahead: u64,
}

impl Doing {
    /// Brings the data that a Tread asks for.
    pub fn read(&mut self, offset: u64, data: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Data(file) => file.read_exact_at(data, offset),
            Self::Nothing | Self::Calls(_) => Ok(()),
        }
    }

    /// Does what there is to do for a request of any other kind.
    pub fn act(&mut self, request: &Request<'_>) -> std::io::Result<()> {
        match (self, request) {
            (Self::Data(file), Request::Write { offset, data, .. }) => {
                file.write_all_at(data.0, *offset)
            }
            (Self::Calls(calls), request) if is_counted(calls.work, request) => calls.make(),
            _ => Ok(()),
        }
    }
}

impl Calls {
    fn make(&mut self) -> std::io::Result<()> {
        if self.ahead == 0 {
            self.ahead = self.plain.once()?;
        }
        self.ahead -= 1;
        Ok(())
    }
}

/// Whether it is the request of which each operation has one.
fn is_counted(work: Work, request: &Request<'_>) -> bool {
    match work {
        Work::OpenRead => matches!(request, Request::Lopen { .. }),
        Work::CreateWrite => matches!(request, Request::Lcreate { .. }),
        Work::Rename => matches!(request, Request::Renameat { .. }),
        Work::MakeDir => matches!(request, Request::Mkdir { .. }),
        Work::SymbolicLink => matches!(request, Request::Symlink { .. }),
        Work::XattrSet => matches!(request, Request::Xattrcreate { .. }),
        Work::XattrGet => matches!(request, Request::Xattrwalk { .. }),
        _ => matches!(request, Request::Getattr { .. }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ninefold_wire::Data;

    use super::*;
    use crate::connection;
    use crate::row;

    fn doing(dir: &tempfile::TempDir, name: &str) -> Doing {
        let row = row::all().into_iter().find(|row| row.name == name);
        let bare = Bare {
            row: row.unwrap(),
            tree: dir.path().to_owned(),
            entries: 1,
        };
        bare.doing().unwrap()
    }

    #[test]
    fn data_goes_to_the_file_and_comes_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let big = dir.path().join(tree::BIG);
        fs::write(&big, b"0123456789").unwrap();
        let mut doing = doing(&dir, "sequential write, msize 8K, depth 1");
        let write = Request::Write {
            fid: 1,
            offset: 3,
            data: Data(b"abc"),
        };
        doing.act(&write).unwrap();
        assert_eq!(fs::read(&big).unwrap(), b"012abc6789");
        let mut data = [0; 4];
        doing.read(5, &mut data).unwrap();
        assert_eq!(&data, b"c678");
    }

    #[test]
    fn calls_are_made_for_each_operation_and_not_for_each_message() {
        let dir = tempfile::tempdir().unwrap();
        let mut doing = doing(&dir, "rename, depth 16");
        let name = connection::name("x").unwrap();
        let rename = Request::Renameat {
            olddirfid: 0,
            oldname: name,
            newdirfid: 0,
            newname: name,
        };
        // There and back again at once.
        for ahead in [0, 1, 0, 1] {
            doing.act(&Request::Clunk { fid: 1 }).unwrap();
            let Doing::Calls(calls) = &doing else {
                panic!("no calls");
            };
            assert_eq!(calls.ahead, ahead);
            doing.act(&rename).unwrap();
        }
    }

    #[test]
    fn every_row_that_it_is_for_has_calls() {
        let dir = tempfile::tempdir().unwrap();
        tree::make(dir.path()).unwrap();
        tree::widen(dir.path(), 100).unwrap();
        let rows = row::all();
        let rows = rows
            .iter()
            .filter(|row| row.is_for(crate::server::Peer::Bare));
        let names: Vec<_> = rows.map(|row| row.name.as_str()).collect();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            doing(&dir, name);
        }
    }
}
