//! A server of a few lines: it answers what a test's closure makes up, on one end of a socketpair.
//!
//! It keeps no files and checks nothing; the tests play the hostile part with it.

use ninefold_client::wire::{Dialect, Header, NOTAG, Qid, Qids, Reply, Request, flags};
use ninefold_client::{Client, Connection, Error, Options, Result};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// The msize of fake sessions.
pub const MSIZE: u32 = 4096;

/// One frame as a server sends it.
pub fn frame(tag: u16, reply: &Reply<'_>) -> Vec<u8> {
    let mut buf = vec![0; 1 << 17];
    let len = reply
        .encode(tag, &mut buf)
        .expect("a reply shorter than the buffer");
    buf.truncate(len);
    buf
}

/// Answers each request with the bytes that `answer` returns; closes after an empty answer.
pub fn fake(mut answer: impl FnMut(u16, Request<'_>) -> Vec<u8> + Send + 'static) -> UnixStream {
    let (client, mut server) = UnixStream::pair().expect("a socketpair");
    thread::spawn(move || {
        while let Some(request) = next_frame(&mut server) {
            let (tag, request) =
                Request::decode(&request, Dialect::Linux).expect("a sound request");
            let reply = answer(tag, request);
            if reply.is_empty() || server.write_all(&reply).is_err() {
                break;
            }
        }
    });
    client
}

fn next_frame(from: &mut UnixStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).ok()?;
    let size = Header::peek(&frame)?.size;
    frame.resize(usize::try_from(size).ok()?, 0);
    from.read_exact(&mut frame[7..]).ok()?;
    Some(frame)
}

/// A connection whose server sends `bytes` at the first request.
pub fn says(bytes: Vec<u8>) -> Connection {
    Connection::from(fake(move |_, _| bytes.clone()))
}

/// What a session needs before and after: version, attach, walks that succeed, clunks.
pub fn manners(tag: u16, request: &Request<'_>) -> Vec<u8> {
    let dir = Qid {
        kind: flags::qid::DIR,
        version: 0,
        path: 1,
    };
    match request {
        Request::Version { .. } => frame(
            NOTAG,
            &Reply::Version {
                msize: MSIZE,
                version: b"9P2000.L",
            },
        ),
        Request::Attach { .. } => frame(tag, &Reply::Attach { qid: dir }),
        Request::Walk { steps, .. } => {
            let mut qids = Qids::default();
            assert!(steps.iter().all(|_| qids.push(dir)));
            frame(tag, &Reply::Walk { qids })
        }
        Request::Lopen { .. } => frame(
            tag,
            &Reply::Lopen {
                qid: dir,
                iounit: 0,
            },
        ),
        Request::Clunk { .. } => frame(tag, &Reply::Clunk {}),
        other => panic!("the test should have answered {other:?}"),
    }
}

/// A session in which `answer` is asked first; where it says nothing, [`manners`] do. The
/// receiver has each request, in words.
pub fn session(
    mut answer: impl FnMut(u16, &Request<'_>) -> Option<Vec<u8>> + Send + 'static,
) -> (Client, Receiver<String>) {
    let (log, requests) = channel();
    let stream = fake(move |tag, request| {
        // A test that looks at the answers alone drops the receiver.
        let _ = log.send(format!("{request:?}"));
        answer(tag, &request).unwrap_or_else(|| manners(tag, &request))
    });
    let options = Options {
        timeout: Some(Duration::from_secs(5)),
        ..Options::default()
    };
    (
        Client::over(stream.into(), &options).expect("a session"),
        requests,
    )
}

/// A session whose server answers requests of one type number with `bytes` made from the tag.
pub fn session_where(number: u8, bytes: impl Fn(u16) -> Vec<u8> + Send + 'static) -> Client {
    session(move |tag, request| (request.number() == number).then(|| bytes(tag))).0
}

/// Whether the client found the server to break the protocol.
pub fn is_protocol<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Protocol { .. }))
}
