//! The guest's 9P client.

use ninefold_wire::{Dialect, NOFID, NOTAG, Reply, Request, Step, Steps};

use super::{MSIZE, Vm};

impl Vm {
    /// Encodes a request with the next tag.
    pub fn encode(&mut self, request: &Request<'_>) -> (u16, Vec<u8>) {
        let tag = match request {
            Request::Version { .. } => NOTAG,
            _ => self.tag,
        };
        self.tag = (self.tag + 1) % 1000;
        let mut frame = vec![0; 1 << 20];
        let len = request.encode(tag, &mut frame).expect("a request");
        frame.truncate(len);
        (tag, frame)
    }

    /// Offers a request as Linux lays out a small one; returns its head and the reply's place.
    pub fn send(&mut self, request: &Request<'_>) -> (u16, u64) {
        let (_, frame) = self.encode(request);
        let (out, into) = (self.bytes(&frame), self.room(8192));
        let head = self.chain(&[out], &[(into, 8192)]);
        self.offer(head);
        (head, into)
    }

    /// One request and its reply.
    pub fn ask(&mut self, request: &Request<'_>) -> Vec<u8> {
        let data = self.data;
        let (head, into) = self.send(request);
        let (used, len) = self.wait_used();
        assert_eq!(used, head);
        let reply = self.get(into, len as usize);
        self.data = data;
        reply
    }

    /// One request that must succeed; `check` looks at the reply.
    pub fn ok<T>(
        &mut self,
        request: &Request<'_>,
        check: impl FnOnce(&Reply<'_>) -> Option<T>,
    ) -> T {
        let reply = self.ask(request);
        let (_, reply) = Reply::decode(&reply, Dialect::Linux).expect("a reply");
        check(&reply).unwrap_or_else(|| panic!("{request:?} was answered {reply:?}"))
    }

    pub fn version(&mut self) {
        let version = Request::Version {
            msize: MSIZE,
            version: b"9P2000.L",
        };
        self.ok(&version, |reply| match reply {
            Reply::Version { msize: MSIZE, .. } => Some(()),
            _ => None,
        });
    }

    /// Mounts: fid 1 is the root.
    pub fn mount(&mut self) {
        self.version();
        let attach = Request::Attach {
            fid: 1,
            afid: NOFID,
            uname: b"root",
            aname: b"",
            n_uname: Some(0),
        };
        self.ok(&attach, |it| {
            matches!(it, Reply::Attach { .. }).then_some(())
        });
    }

    /// Opens a file of the root as a fid.
    pub fn open(&mut self, name: &str, fid: u32, flags: u32) {
        let steps = [Step::new(name.as_bytes()).expect("a name")];
        let walk = Request::Walk {
            fid: 1,
            newfid: fid,
            steps: Steps::of(&steps).expect("few names"),
        };
        self.ok(&walk, |it| matches!(it, Reply::Walk { .. }).then_some(()));
        let open = Request::Lopen { fid, flags };
        self.ok(&open, |it| matches!(it, Reply::Lopen { .. }).then_some(()));
    }
}
