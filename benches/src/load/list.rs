//! Directories listed from beginning to end, each entry looked at on the way or not. An operation is an entry.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use ninefold_wire::Dirents;
use ninefold_wire::IO_HEADER_LEN;
use ninefold_wire::Reply;
use ninefold_wire::Request;

use super::Load;
use super::Outcome;
use super::Until;
use super::drive::Slot;
use super::slots;
use super::slots::SHARED;
use crate::connection::Connection;
use crate::row::Row;
use crate::tree;

/// The fid that is open.
const OPEN: u32 = 2;
const FIRST_FID: u32 = 100;

/// Lists the wide directory.
pub struct List {
    connection: Connection,
    /// Where to read on.
    offset: u64,
    attributes: bool,
    depth: u16,
}

impl List {
    /// With `attributes`, each entry is walked to, looked at and clunked, as many at a time as the row is deep.
    pub fn new(mut connection: Connection, attributes: bool, row: &Row) -> Result<Self> {
        connection.walk(SHARED, &[tree::WIDE])?;
        connection.open_file(OPEN, &[tree::WIDE], 0)?;
        Ok(Self {
            connection,
            offset: 0,
            attributes,
            depth: row.depth,
        })
    }

    /// Goes on by one Treaddir; behind the last entry, at the first one again.
    fn go_on(&mut self, outcome: &mut Outcome) -> Result<()> {
        let (names, last) = self.read(self.offset, outcome)?;
        let Some(last) = last else {
            self.connection.call(&Request::Clunk { fid: OPEN })?;
            self.connection.open_file(OPEN, &[tree::WIDE], 0)?;
            self.offset = 0;
            return Ok(());
        };
        self.offset = last;
        if self.attributes {
            self.look_at(names, outcome)?;
        }
        Ok(())
    }

    /// One Treaddir: the names that came, if they are wanted, and where to go on.
    fn read(
        &mut self,
        offset: u64,
        outcome: &mut Outcome,
    ) -> Result<(VecDeque<String>, Option<u64>)> {
        let count = self.connection.msize - IO_HEADER_LEN;
        let since = Instant::now();
        let request = Request::Readdir {
            fid: OPEN,
            offset,
            count,
        };
        let Reply::Readdir { data } = self.connection.call(&request)? else {
            bail!("expected an Rreaddir");
        };
        let (mut names, mut last) = (VecDeque::new(), None);
        for entry in Dirents::new(data.0) {
            let entry = entry.map_err(|error| anyhow::anyhow!("not an entry: {error:?}"))?;
            last = Some(entry.offset);
            if !self.attributes {
                outcome.operations += 1;
            } else if !entry.name.starts_with(b".") {
                names.push_back(String::from_utf8_lossy(entry.name).into_owned());
            }
        }
        if !self.attributes {
            outcome.times.record_span(since.elapsed());
        }
        Ok((names, last))
    }

    fn look_at(&mut self, mut names: VecDeque<String>, outcome: &mut Outcome) -> Result<()> {
        let mut due = Vec::new();
        let mut slots = Vec::new();
        for tag in 0..self.depth {
            let Some(name) = names.pop_front() else { break };
            slots.push(slot(tag, &name, &mut due)?);
        }
        let mut busy = slots.len();
        while busy > 0 {
            self.connection.stream.write_all(&due)?;
            due.clear();
            let count = self.connection.inbox.fill(&mut self.connection.stream)?;
            ensure!(count > 0, "the server closed the connection");
            let now = Instant::now();
            while let Some(frame) = self.connection.inbox.frame() {
                let slot_there = super::drive::slot_of(&mut slots, frame)?;
                if !slot_there.take(frame)? {
                    slot_there.put(&mut due);
                    continue;
                }
                outcome.operations += 1;
                outcome.times.record_span(now - slot_there.since);
                match names.pop_front() {
                    Some(name) => *slot_there = slot(slot_there.tag(), &name, &mut due)?,
                    None => busy -= 1,
                }
            }
        }
        Ok(())
    }
}

/// A slot that looks at one entry, its first message sent.
fn slot(tag: u16, name: &str, due: &mut Vec<u8>) -> Result<Slot> {
    let fid = FIRST_FID + u32::from(tag);
    let mut slot = Slot::new(tag)
        .then(&slots::walk_entry(fid, name)?)?
        .then(&slots::getattr_of(fid))?
        .then(&Request::Clunk { fid })?
        .end();
    slot.put(due);
    Ok(slot)
}

impl Load for List {
    /// Goes on where the run before has ended.
    fn run(&mut self, until: Until) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let begin = Instant::now();
        while outcome.operations == 0 || !until.is_over(outcome.operations, Instant::now()) {
            self.go_on(&mut outcome)?;
        }
        outcome.elapsed = begin.elapsed();
        Ok(outcome)
    }
}
