//! The load: slots that each repeat one operation, and the loop that keeps them all outstanding on a connection.
//!
//! An operation may be several messages; the next one of a slot is sent when the reply of the one before has come.
//! All that is due leaves in one write, but for long messages, which each leave in one from where they are; and one read
//! takes all the replies that are there.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use ninefold_wire::Header;
use ninefold_wire::Request;

use super::Outcome;
use super::Until;
use crate::connection;
use crate::connection::Connection;
use crate::tree;

/// A message from this length on is not copied to be sent.
const COPY_MAX: usize = 16 << 10;

/// Where the offset stands in a Tread and in a Twrite.
const OFFSET: std::ops::Range<usize> = 11..19;

/// Where a Twalk has its newfid.
const NEWFID: std::ops::Range<usize> = 11..15;

/// What changes in a frame from one turn to the next.
#[derive(Clone)]
pub enum Vary {
    /// Nothing.
    Nothing,
    /// The offset moves on by `stride` and starts again from `first` where it would pass `end`.
    Onwards { first: u64, stride: u64, end: u64 },
    /// The offset is any multiple of `len` below `len * blocks`.
    Anywhere { len: u64, blocks: u64, seed: u64 },
    /// The name at the end of a Twalk is that of any of so many entries.
    Entry { entries: u64, seed: u64 },
    /// A Twalk's newfid is `stride` higher each time, and its name that of one entry after the other.
    NewFid { entries: u64, stride: u32 },
}

/// One message of an operation.
#[derive(Clone)]
pub struct Step {
    frame: Vec<u8>,
    vary: Vary,
    /// Whether its reply completes an operation.
    ends: bool,
}

impl Step {
    fn advance(&mut self) {
        let offset = match &mut self.vary {
            Vary::Nothing => return,
            Vary::Entry { entries, seed } => {
                let entry = random(seed) % *entries;
                return self.rename(entry);
            }
            Vary::NewFid { entries, stride } => {
                let fid = self.frame[NEWFID].try_into().map_or(0, u32::from_le_bytes) + *stride;
                let entry = u64::from(fid) % *entries;
                self.frame[NEWFID].copy_from_slice(&fid.to_le_bytes());
                return self.rename(entry);
            }
            Vary::Onwards { first, stride, end } => {
                let next = self.frame[OFFSET].try_into().map_or(0, u64::from_le_bytes) + *stride;
                if next + *stride > *end { *first } else { next }
            }
            Vary::Anywhere { len, blocks, seed } => (random(seed) % *blocks) * *len,
        };
        self.frame[OFFSET].copy_from_slice(&offset.to_le_bytes());
    }

    fn rename(&mut self, entry: u64) {
        let name = tree::entry_name(entry);
        let start = self.frame.len() - name.len();
        self.frame[start..].copy_from_slice(name.as_bytes());
    }
}

/// Xorshift: the order is the same in every run.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// One of the operations that are under way at the same time. Its tag is its place among the slots.
#[derive(Clone)]
pub struct Slot {
    tag: u16,
    steps: Vec<Step>,
    at: usize,
    /// When its operation began.
    pub since: Instant,
}

impl Slot {
    /// Its place among the slots.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// Without a step.
    pub fn new(tag: u16) -> Self {
        Self {
            tag,
            steps: Vec::new(),
            at: 0,
            since: Instant::now(),
        }
    }

    /// A further message of the operation.
    pub fn then(self, request: &Request<'_>) -> Result<Self> {
        self.step(request, Vary::Nothing)
    }

    /// The same, and its offset changes from turn to turn.
    pub fn step(mut self, request: &Request<'_>, vary: Vary) -> Result<Self> {
        let mut frame = Vec::new();
        connection::encode(&mut frame, self.tag, request)?;
        self.steps.push(Step {
            frame,
            vary,
            ends: false,
        });
        Ok(self)
    }

    /// The messages up to here are an operation; those that follow are another one.
    pub fn end(mut self) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.ends = true;
        }
        self
    }

    /// Adds the message that is due to what is to be sent.
    pub fn put(&mut self, to: &mut Vec<u8>) {
        let step = &mut self.steps[self.at];
        to.extend_from_slice(&step.frame);
        step.advance();
    }

    /// The same, except that a long message is sent at once, behind what waits.
    fn put_or_send(&mut self, to: &mut Vec<u8>, stream: &mut UnixStream) -> Result<()> {
        let step = &mut self.steps[self.at];
        if step.frame.len() < COPY_MAX {
            self.put(to);
            return Ok(());
        }
        stream.write_all(to)?;
        to.clear();
        stream.write_all(&step.frame)?;
        step.advance();
        Ok(())
    }

    /// Takes a reply. Whether it completes an operation.
    pub fn take(&mut self, frame: &[u8]) -> Result<bool> {
        let step = &self.steps[self.at];
        let expected = step.frame[4] + 1;
        connection::check(frame, expected)?;
        let ends = step.ends;
        self.at = (self.at + 1) % self.steps.len();
        Ok(ends)
    }
}

/// Runs all `slots` on `connection` until the end, and on until each has completed what it began.
pub fn drive(connection: &mut Connection, slots: &mut [Slot], until: Until) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let begin = Instant::now();
    let mut due = Vec::new();
    let mut begun = 0;
    let mut busy = 0usize;
    for slot in slots.iter_mut() {
        slot.since = begin;
        slot.put_or_send(&mut due, &mut connection.stream)?;
        begun += 1;
        busy += 1;
    }
    while busy > 0 {
        connection.stream.write_all(&due)?;
        due.clear();
        let count = connection.inbox.fill(&mut connection.stream)?;
        ensure!(count > 0, "the server closed the connection");
        let now = Instant::now();
        while let Some(frame) = connection.inbox.frame() {
            let slot = slot_of(slots, frame)?;
            if slot.take(frame)? {
                outcome.operations += 1;
                let nanos = now.duration_since(slot.since).as_nanos();
                outcome
                    .times
                    .record(u64::try_from(nanos).unwrap_or(u64::MAX));
                if until.is_over(begun, now) {
                    busy -= 1;
                    continue;
                }
                begun += 1;
                slot.since = now;
            }
            slot.put_or_send(&mut due, &mut connection.stream)?;
        }
    }
    outcome.elapsed = begin.elapsed();
    Ok(outcome)
}

/// The slot that a reply is for.
pub fn slot_of<'a>(slots: &'a mut [Slot], frame: &[u8]) -> Result<&'a mut Slot> {
    let header = Header::peek(frame).context("a frame has a header")?;
    slots
        .get_mut(usize::from(header.tag))
        .with_context(|| format!("a reply with tag {}, which nothing has", header.tag))
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::null;

    fn connect() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let place = socket.clone();
        // It serves until the test's process ends.
        thread::spawn(move || null::serve(&place, 10, None));
        while !socket.exists() {
            thread::sleep(Duration::from_millis(1));
        }
        // The socket is there a moment before it listens.
        thread::sleep(Duration::from_millis(10));
        let connection = Connection::open(&socket, 8192, "").unwrap();
        (dir, connection)
    }

    fn chain(tag: u16) -> Slot {
        Slot::new(tag)
            .then(&Request::Clunk { fid: 1 })
            .and_then(|slot| slot.then(&Request::Clunk { fid: 1 }))
            .unwrap()
            .end()
    }

    #[test]
    fn counts_operations_not_messages() {
        let (_dir, mut connection) = connect();
        let mut slots: Vec<_> = (0..7).map(chain).collect();
        let outcome = drive(&mut connection, &mut slots, Until::Count(100)).unwrap();
        assert_eq!(outcome.operations, 100);
        assert!(outcome.times.quantile(1000).is_some());
    }

    #[test]
    fn an_error_ends_the_row() {
        let (_dir, mut connection) = connect();
        // The null responder knows no Tstatfs.
        let refused = Slot::new(0)
            .then(&Request::Statfs { fid: 1 })
            .unwrap()
            .end();
        assert!(drive(&mut connection, &mut [refused], Until::Count(1)).is_err());
    }

    fn read(vary: Vary) -> Step {
        let request = Request::Read {
            fid: 1,
            offset: 0,
            count: 10,
        };
        Slot::new(0).step(&request, vary).unwrap().steps.remove(0)
    }

    fn offset(step: &mut Step) -> u64 {
        step.advance();
        u64::from_le_bytes(step.frame[OFFSET].try_into().unwrap())
    }

    #[test]
    fn onwards_starts_again_before_the_end() {
        let mut step = read(Vary::Onwards {
            first: 0,
            stride: 10,
            end: 35,
        });
        let offsets: Vec<_> = (0..5).map(|_| offset(&mut step)).collect();
        assert_eq!(offsets, [10, 20, 0, 10, 20]);
    }

    #[test]
    fn anywhere_stays_inside() {
        let mut step = read(Vary::Anywhere {
            len: 10,
            blocks: 4,
            seed: 1,
        });
        let mut offsets: Vec<_> = (0..100).map(|_| offset(&mut step)).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets, [0, 10, 20, 30]);
    }

    #[test]
    fn new_fids_are_new() {
        let first = tree::entry_name(3);
        let request = Request::Walk {
            fid: 1,
            newfid: 103,
            steps: connection::steps(&[&first]).unwrap(),
        };
        let vary = Vary::NewFid {
            entries: 100,
            stride: 16,
        };
        let mut step = Slot::new(0).step(&request, vary).unwrap().steps.remove(0);
        step.advance();
        let second = tree::entry_name(19);
        let wanted = Request::Walk {
            fid: 1,
            newfid: 119,
            steps: connection::steps(&[&second]).unwrap(),
        };
        let mut frame = Vec::new();
        connection::encode(&mut frame, 0, &wanted).unwrap();
        assert_eq!(step.frame, frame);
    }
}
