//! A client and its session in one thread.
//!
//! [`Wire`] does what a connection does on the sending side: it retires a request at the moment
//! when it sends the reply, and keeps what it sent, in order. What the messages mean is elsewhere.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use ninefold::{Admission, Errno, Export, Outlet, Served, Session, SessionOptions, Ticket};
use ninefold_wire::{Dialect, HEADER_LEN, Header, NOTAG, Reply, Request};

/// The largest msize that these sessions agree to.
pub const MSIZE_MAX: u32 = 1 << 20;

/// One client.
pub struct Client {
    session: Arc<Session>,
    wire: Arc<Wire>,
    outlet: Arc<dyn Outlet>,
    tag: u16,
    /// How the next reply is read.
    pub dialect: Dialect,
    held: VecDeque<Vec<u8>>,
    reply: Vec<u8>,
    scratch: Vec<u8>,
}

/// The way back.
#[derive(Default)]
struct Wire {
    session: OnceLock<Weak<Session>>,
    sent: Mutex<Vec<Vec<u8>>>,
}

impl Wire {
    fn finish(&self, ticket: Ticket, reply: &[u8]) {
        let session = self.session.get().and_then(Weak::upgrade);
        let Some(session) = session else {
            return;
        };
        let retired = session.retire(ticket);
        let mut sent = self.sent.lock().expect("no panic meanwhile");
        if !retired.silent && !reply.is_empty() {
            sent.push(reply.to_vec());
        }
        for tag in retired.flushed {
            let mut frame = vec![0; HEADER_LEN];
            Reply::Flush {}
                .encode(tag, &mut frame)
                .expect("seven bytes");
            sent.push(frame);
        }
    }

    fn take(&self) -> Vec<Vec<u8>> {
        mem::take(&mut *self.sent.lock().expect("no panic meanwhile"))
    }
}

impl Outlet for Wire {
    fn complete(&self, ticket: Ticket, reply: &[u8]) {
        self.finish(ticket, reply);
    }

    fn resume(&self, ticket: Ticket) {
        if let Some(session) = self.session.get().and_then(Weak::upgrade) {
            session.resume(ticket);
        }
    }
}

/// A request as one frame.
pub fn frame(tag: u16, request: &Request<'_>) -> Vec<u8> {
    // Most are short, and clearing much memory takes longer than the rest.
    let mut frame = vec![0; 4096];
    let len = request.encode(tag, &mut frame).unwrap_or_else(|_| {
        frame = vec![0; 2 << 20];
        request.encode(tag, &mut frame).expect("a frame")
    });
    frame.truncate(len);
    frame
}

/// A frame of any number and body, sound or not.
pub fn raw_frame(tag: u16, number: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER_LEN + body.len()).expect("a length");
    let head = [&size.to_le_bytes()[..], &[number], &tag.to_le_bytes()].concat();
    [&head, body].concat()
}

/// What a frame says, when it is a reply of .L.
pub fn outcome<T>(frame: &[u8], take: impl FnOnce(Reply<'_>) -> Option<T>) -> Result<T, Errno> {
    outcome_in(Dialect::Linux, frame, take)
}

/// The error that C calls so: all that a client of 9P2000 has.
fn errno_of(text: &[u8]) -> Errno {
    let says = |raw: &i32| {
        let words = std::io::Error::from_raw_os_error(*raw).to_string();
        words.split(" (os error").next().map(str::as_bytes) == Some(text)
    };
    let raw = (1..134).find(says);
    let raw = raw.unwrap_or_else(|| panic!("no error: {:?}", String::from_utf8_lossy(text)));
    Errno::from_raw_os_error(raw)
}

/// What a frame says, when it is a reply of that dialect, in which errors have one form.
pub fn outcome_in<T>(
    dialect: Dialect,
    frame: &[u8],
    take: impl FnOnce(Reply<'_>) -> Option<T>,
) -> Result<T, Errno> {
    let number = |ecode| Errno::from_raw_os_error(i32::try_from(ecode).expect("an error number"));
    match Reply::decode(frame, dialect).expect("a sound reply").1 {
        Reply::Lerror { ecode } => {
            assert_eq!(dialect, Dialect::Linux, "an Rlerror");
            Err(number(ecode))
        }
        Reply::Error { ename, errno } => {
            assert_ne!(dialect, Dialect::Linux, "an Rerror");
            let said = errno_of(ename);
            assert!(errno.is_none_or(|errno| number(errno) == said), "{said}");
            Err(said)
        }
        reply => {
            let text = format!("{reply:?}");
            Ok(take(reply).unwrap_or_else(|| panic!("another reply: {text}")))
        }
    }
}

impl Client {
    pub fn new(export: &Arc<Export>) -> Self {
        let options = SessionOptions {
            msize_max: MSIZE_MAX,
        };
        let session = Arc::new(Session::new(Arc::clone(export), options));
        let wire = Arc::<Wire>::default();
        wire.session
            .set(Arc::downgrade(&session))
            .expect("set once");
        Self {
            session,
            outlet: Arc::<Wire>::clone(&wire),
            wire,
            tag: 0,
            dialect: Dialect::Linux,
            held: VecDeque::new(),
            reply: vec![0; MSIZE_MAX as usize],
            scratch: Vec::new(),
        }
    }

    /// The longest frame that the server takes now.
    pub fn frame_max(&self) -> u32 {
        self.session.frame_max()
    }

    /// Registers a request and does no more.
    pub fn admit(&mut self, frame: &[u8]) -> Admission {
        self.session.admit(frame)
    }

    /// Runs a request that [`Client::admit`] said to run.
    pub fn serve(&mut self, ticket: Ticket, frame: &[u8]) {
        let (reply, scratch) = (&mut self.reply, &mut self.scratch);
        let served = self
            .session
            .serve(ticket, frame, reply, scratch, &self.outlet);
        // What a test does itself, it does as itself.
        ninefold::act_as_server().expect("the way back");
        match served {
            Served::Reply(len) | Served::Placed(len) => {
                self.wire.finish(ticket, &self.reply[..len]);
            }
            Served::Dropped => self.wire.finish(ticket, &[]),
            Served::Later => {}
        }
    }

    /// Runs what waited and may run now.
    pub fn run_ready(&mut self) {
        loop {
            while let Some((ticket, frame)) = self.session.take_ready() {
                self.serve(ticket, &frame);
            }
            let Some(frame) = self.held.pop_front() else {
                return;
            };
            match self.admit(&frame) {
                Admission::Run(ticket) => self.serve(ticket, &frame),
                Admission::Hold => return self.held.push_front(frame),
                Admission::Waits => {}
                Admission::Violation => panic!("held and then a violation: {frame:?}"),
            }
        }
    }

    /// A frame has come. False when it broke the protocol, so that the connection is to be closed.
    pub fn receive(&mut self, frame: &[u8]) -> bool {
        match self.admit(frame) {
            Admission::Run(ticket) => self.serve(ticket, frame),
            Admission::Hold => self.held.push_back(frame.to_vec()),
            Admission::Waits => {}
            Admission::Violation => return false,
        }
        self.run_ready();
        true
    }

    /// Sends a request, whatever becomes of it.
    pub fn send(&mut self, tag: u16, request: &Request<'_>) {
        let accepted = self.receive(&frame(tag, request));
        assert!(accepted, "a violation: {request:?}");
    }

    /// The frames sent since the last look.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        self.run_ready();
        self.wire.take()
    }

    /// Type number and tag of the frames sent since the last look.
    pub fn heard(&mut self) -> Vec<(u8, u16)> {
        let header = |frame: &Vec<u8>| Header::peek(frame).expect("a header");
        let heads = self.sent();
        let heads = heads.iter().map(header);
        heads.map(|header| (header.number, header.tag)).collect()
    }

    /// Sends a request and takes from its reply, which must come at once, what `take` picks.
    pub fn call<T>(
        &mut self,
        request: &Request<'_>,
        take: impl FnOnce(Reply<'_>) -> Option<T>,
    ) -> Result<T, Errno> {
        let tag = match request {
            Request::Version { .. } => NOTAG,
            _ => self.fresh_tag(),
        };
        self.send(tag, request);
        self.only_reply(tag, take)
    }

    /// Sends a frame of any number and body. Says the error, if it was refused.
    pub fn call_raw(&mut self, number: u8, body: &[u8]) -> Result<(), Errno> {
        let tag = self.fresh_tag();
        assert!(self.receive(&raw_frame(tag, number, body)), "a violation");
        self.only_reply(tag, |_| Some(()))
    }

    fn only_reply<T>(
        &mut self,
        tag: u16,
        take: impl FnOnce(Reply<'_>) -> Option<T>,
    ) -> Result<T, Errno> {
        let sent = self.sent();
        let [reply] = &sent[..] else {
            panic!("expected one reply, came {sent:?}");
        };
        let header = Header::peek(reply).expect("a header");
        assert_eq!(header.tag, tag, "the tag of {reply:?}");
        outcome_in(self.dialect, reply, take)
    }

    fn fresh_tag(&mut self) -> u16 {
        // The upper half; tests choose their own tags from the lower.
        self.tag = (self.tag + 1) % 0x4000;
        0x8000 | self.tag
    }

    /// The connection is gone.
    pub fn close(&mut self) {
        self.session.close();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
