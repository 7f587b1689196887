//! What becomes of a frame just received.

use ninefold_wire::message::number;
use ninefold_wire::{Dialect, HEADER_LEN, Header, NOFID, Request};

use super::{Admission, State, Table, Tickets, Wait};

/// Bytes of a Tclunk or Tremove: the header and `fid[4]`.
const LAST_LEN: usize = HEADER_LEN + 4;

/// The fids a request is about, as far as they stand at a fixed place.
pub(super) fn fids_of(header: Header, frame: &[u8]) -> [u32; 2] {
    let word = |at: usize| {
        let bytes = frame.get(HEADER_LEN + at..HEADER_LEN + at + 4);
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(NOFID, u32::from_le_bytes)
    };
    match header.number {
        number::VERSION | number::AUTH | number::FLUSH => [NOFID; 2],
        number::RENAME | number::XATTRWALK | number::LINK | number::WALK => [word(0), word(4)],
        _ => [word(0), NOFID],
    }
}

impl Table {
    /// Forgets what has not begun and silences what has. True when nothing is left.
    pub(super) fn abandon(&mut self, cancel: impl Fn(Wait) -> bool) -> bool {
        for ready in std::mem::take(&mut self.ready) {
            self.open.remove(ready.ticket.tag);
            self.kept.take_ready(&ready);
        }
        let kept = &mut self.kept;
        self.open.retain(|entry| {
            entry.silent = true;
            entry.flushes.clear();
            let stays = match entry.state {
                State::Running => true,
                // A wait that cannot be cancelled ends at this moment.
                State::Parked(wait, _) => !cancel(wait),
                State::Ready | State::Waiting(_) | State::Flushing => false,
            };
            if !stays {
                kept.take_entry(entry);
            }
            stays
        });
        self.waiting = 0;
        self.open.is_empty()
    }

    fn admit_version(
        &mut self,
        header: Header,
        frame: &[u8],
        cancel: impl Fn(Wait) -> bool,
    ) -> Admission {
        self.resetting = true;
        if self.abandon(cancel) {
            return Admission::Run(self.issue(header, frame, State::Running));
        }
        self.version = Some(frame.to_vec());
        Admission::Waits
    }

    fn admit_flush(
        &mut self,
        header: Header,
        frame: &[u8],
        cancel: impl Fn(Wait) -> bool,
    ) -> Admission {
        let oldtag = frame
            .get(HEADER_LEN..HEADER_LEN + 2)
            .and_then(|tag| tag.try_into().ok());
        let oldtag = oldtag.map_or(header.tag, u16::from_le_bytes);
        let over = self.open.get(oldtag).is_none_or(|entry| match entry.state {
            State::Waiting(_) => true,
            // Others may wait for its end already.
            State::Ready => entry.flushes.is_empty(),
            State::Parked(wait, _) => cancel(wait),
            State::Running | State::Flushing => false,
        });
        if over {
            self.remove(oldtag);
            self.promote();
            return Admission::Run(self.issue(header, frame, State::Running));
        }
        if let Some(target) = self.open.get_mut(oldtag) {
            target.flushes.push(header.tag);
        }
        self.issue(header, frame, State::Flushing);
        Admission::Waits
    }

    fn admit_last(&mut self, header: Header, frame: &[u8]) -> Admission {
        let [fid, _] = fids_of(header, frame);
        // A frame that waits is kept: only one that is sound, for that one is short.
        if frame.len() == LAST_LEN && self.is_busy(fid, u64::MAX) {
            self.issue(header, frame, State::Waiting(frame.to_vec()));
            return Admission::Waits;
        }
        Admission::Run(self.issue(header, frame, State::Running))
    }
}

impl Tickets {
    #[inline]
    pub(in crate::session) fn admit(
        &self,
        frame: &[u8],
        cancel: impl Fn(Wait) -> bool,
    ) -> Admission {
        let Some(header) = Header::peek(frame) else {
            return Admission::Violation;
        };
        let is_about_others = matches!(header.number, number::VERSION | number::FLUSH);
        if !is_about_others {
            if let Some(ticket) = self.alone.enter(header, frame) {
                return Admission::Run(ticket);
            }
        }
        self.admit_among_others(header, frame, cancel)
    }

    fn admit_among_others(
        &self,
        header: Header,
        frame: &[u8],
        cancel: impl Fn(Wait) -> bool,
    ) -> Admission {
        let mut table = self.table();
        if table.closed {
            return Admission::Violation;
        }
        if table.resetting {
            return Admission::Hold;
        }
        // A Tversion that is none is refused like any other message, and ends nothing.
        if header.number == number::VERSION && Request::decode(frame, Dialect::Linux).is_ok() {
            return table.admit_version(header, frame, cancel);
        }
        if table.open.contains(header.tag) {
            return Admission::Violation;
        }
        if table.kept.is_full() && matches!(header.number, number::READ | number::WRITE) {
            return Admission::Hold;
        }
        match header.number {
            number::FLUSH => table.admit_flush(header, frame, cancel),
            number::CLUNK | number::REMOVE => table.admit_last(header, frame),
            _ => Admission::Run(table.issue(header, frame, State::Running)),
        }
    }
}
