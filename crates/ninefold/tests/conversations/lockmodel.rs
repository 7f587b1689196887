//! Locks taken and given back at random, by clients and by the host, against a map of bytes.
//!
//! After each step the host has to see at each byte the strongest lock of any client, no more and no
//! less, and each request must have been granted just when nobody was in its way.

use ninefold_wire::flags::lock::{BLOCKED, SUCCESS};

use crate::client::Client;
use crate::foreign::Foreigner;
use crate::share::{Share, model, one_of_each};
use crate::verbs::{RDWR, range};

const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

/// Bytes that are looked at; the last stands for all behind it.
const BYTES: usize = 20;
/// Clients, with two open files each and two processes.
const CLIENTS: usize = 2;
const FIDS: usize = 2;
const PROCESSES: usize = 2;
const STEPS: usize = 4000;

/// First and last byte.
type Span = (usize, usize);

/// A sequence that looks random and is always the same (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let next = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        usize::try_from(next >> 33).expect("31 bits") % end
    }

    fn span(&mut self) -> Span {
        let (one, other) = (self.below(BYTES), self.below(BYTES));
        match self.below(6) {
            0 => (0, BYTES - 1),
            _ => (one.min(other), one.max(other)),
        }
    }
}

/// Who locks: a process of a client, through one of its open files.
#[derive(Clone, Copy, Debug)]
struct Who {
    client: usize,
    fid: usize,
    process: usize,
}

impl Who {
    fn any(random: &mut Random) -> Self {
        Self {
            client: random.below(CLIENTS),
            fid: random.below(FIDS),
            process: random.below(PROCESSES),
        }
    }

    fn owner(self) -> usize {
        self.client * PROCESSES + self.process
    }
}

/// One owner's bytes: kind, and through which open file.
type Held = [Option<(u8, usize)>; BYTES];

/// What should be.
#[derive(Default)]
struct Model {
    clients: [Held; CLIENTS * PROCESSES],
    host: [Option<u8>; BYTES],
}

impl Model {
    fn conflict(one: Option<u8>, other: u8) -> bool {
        one.is_some_and(|one| one == WRITE || other == WRITE)
    }

    /// Whether no client is in the way, but for one owner.
    fn clients_let(&self, owner: Option<usize>, kind: u8, (first, last): Span) -> bool {
        let all = self.clients.iter().enumerate();
        let mut others = all.filter(|(other, _)| Some(*other) != owner);
        let hinders = |held: &Option<(u8, usize)>| Self::conflict(held.map(|(kind, _)| kind), kind);
        !others.any(|(_, held)| held[first..=last].iter().any(hinders))
    }

    fn host_lets(&self, kind: u8, (first, last): Span) -> bool {
        let mut held = self.host[first..=last].iter();
        !held.any(|held| Self::conflict(*held, kind))
    }

    fn set(&mut self, who: Who, kind: u8, (first, last): Span) {
        let held = (kind != UNLOCK).then_some((kind, who.fid));
        self.clients[who.owner()][first..=last].fill(held);
    }

    /// The strongest lock of any client.
    fn at(&self, byte: usize) -> Option<u8> {
        let held = self.clients.iter().filter_map(|held| held[byte]);
        held.map(|(kind, _)| kind).max()
    }

    /// An open file is closed.
    fn close(&mut self, client: usize, fid: usize) {
        let owners = &mut self.clients[client * PROCESSES..(client + 1) * PROCESSES];
        for held in owners.iter_mut().flatten() {
            held.take_if(|(_, through)| *through == fid);
        }
    }
}

/// First byte and length as a message says it.
fn said((first, last): Span) -> (u64, u64) {
    let length = if last == BYTES - 1 {
        0
    } else {
        last - first + 1
    };
    (first as u64, length as u64)
}

fn number(fid: usize) -> u32 {
    u32::try_from(fid).expect("a small number") + 1
}

struct Play {
    clients: Vec<Client>,
    host: Foreigner,
    model: Model,
    random: Random,
}

impl Play {
    fn client_locks(&mut self) {
        let who = Who::any(&mut self.random);
        let span = self.random.span();
        let kind = [READ, WRITE, UNLOCK][self.random.below(3)];
        let clients_let = self.model.clients_let(Some(who.owner()), kind, span);
        let free = kind == UNLOCK || (clients_let && self.model.host_lets(kind, span));
        let (start, length) = said(span);
        let process = number(who.process);
        let wanted = range(start, length, process);
        let done = self.clients[who.client].lock(number(who.fid), kind, 0, wanted);
        let expected = if free { SUCCESS } else { BLOCKED };
        assert_eq!(done, Ok(expected), "{who:?} {kind} {span:?}");
        if free {
            self.model.set(who, kind, span);
        }
    }

    fn host_locks(&mut self) {
        let span = self.random.span();
        let kind = [READ, WRITE, UNLOCK, UNLOCK][self.random.below(4)];
        let free = kind == UNLOCK || self.model.clients_let(None, kind, span);
        let (start, length) = said(span);
        assert_eq!(self.host.lock(kind, start, length), free, "{kind} {span:?}");
        if free {
            let held = (kind != UNLOCK).then_some(kind);
            self.model.host[span.0..=span.1].fill(held);
        }
    }

    fn client_closes(&mut self) {
        let who = Who::any(&mut self.random);
        let client = &mut self.clients[who.client];
        client.clunk(number(who.fid)).expect("a clunk");
        client.open(number(who.fid), "file", RDWR);
        self.model.close(who.client, who.fid);
    }

    fn check(&self) {
        for byte in 0..BYTES {
            let expected = self.model.at(byte);
            assert_eq!(self.host.at(byte as u64), expected, "byte {byte}");
        }
    }
}

#[test]
fn the_host_has_the_strongest_lock_at_each_byte() {
    let share = Share::with(model(), false, one_of_each);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| share.client()).collect();
    for client in &mut clients {
        for fid in 0..FIDS {
            client.open(number(fid), "file", RDWR);
        }
    }
    let mut play = Play {
        clients,
        host: Foreigner::open(&share.path("file")),
        model: Model::default(),
        random: Random(0x9e37_79b9_7f4a_7c15),
    };
    let (mut granted, mut seen) = (0, 0);
    for _ in 0..STEPS {
        match play.random.below(20) {
            0 => play.client_closes(),
            1..6 => play.host_locks(),
            _ => play.client_locks(),
        }
        play.check();
        granted += usize::from(play.model.clients.iter().flatten().any(Option::is_some));
        seen += usize::from(play.model.host.iter().any(Option::is_some));
    }
    assert!(granted > STEPS / 2 && seen > STEPS / 5, "{granted} {seen}");
}
