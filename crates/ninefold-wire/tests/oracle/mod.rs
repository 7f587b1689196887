//! What must hold for any bytes whatever. Shared by the properties, the mutations and the fuzzer.

use ninefold_wire::{
    DecodeError, Dialect, Dirent, Dirents, Full, HEADER_LEN, Header, Name, Reply, Request, Stat,
    Step,
};

/// The dialects, for callers that try each.
pub const DIALECTS: [Dialect; 3] = [Dialect::Legacy, Dialect::Unix, Dialect::Linux];

/// Treats `bytes` as everything that this crate decodes. Returns whether they are a message.
///
/// # Panics
/// When the codec breaks a promise.
pub fn examine(bytes: &[u8], dialect: Dialect) -> bool {
    let request = examine_request(bytes, dialect);
    let reply = examine_reply(bytes, dialect);
    assert!(!(request && reply), "both a request and a reply");
    examine_dirents(bytes);
    examine_stats(bytes, dialect);
    examine_name(bytes);
    let _ = Dialect::of_version(bytes);
    request || reply
}

/// Makes the size field tell the truth, if there is one.
pub fn set_size(frame: &mut [u8]) {
    let size = u32::try_from(frame.len()).expect("frames stay below 4 GiB");
    if let Some(field) = frame.get_mut(..4) {
        field.copy_from_slice(&size.to_le_bytes());
    }
}

fn examine_request(bytes: &[u8], dialect: Dialect) -> bool {
    let Ok((tag, request)) = Request::decode(bytes, dialect) else {
        return false;
    };
    check_header(bytes, request.number(), tag);
    check_encoding(bytes, |buf| request.encode(tag, buf));
    true
}

fn examine_reply(bytes: &[u8], dialect: Dialect) -> bool {
    let Ok((tag, reply)) = Reply::decode(bytes, dialect) else {
        return false;
    };
    check_header(bytes, reply.number(), tag);
    check_encoding(bytes, |buf| reply.encode(tag, buf));
    match reply {
        Reply::Readdir { data } => examine_dirents(data.0),
        Reply::Read { data } => examine_stats(data.0, dialect),
        _ => {}
    }
    true
}

fn check_header(bytes: &[u8], number: u8, tag: u16) {
    let (header, body) = Header::split(bytes).expect("what decodes is a frame");
    assert_eq!((header.number, header.tag), (number, tag));
    assert_eq!(HEADER_LEN + body.len(), bytes.len());
}

/// The encoding is `bytes` again, and a buffer one byte short is refused.
fn check_encoding(bytes: &[u8], encode: impl Fn(&mut [u8]) -> Result<usize, Full>) {
    let mut buf = vec![0xa5; bytes.len()];
    assert_eq!(encode(&mut buf), Ok(bytes.len()));
    assert_eq!(buf, bytes);
    assert_eq!(encode(&mut buf[1..]), Err(Full));
}

fn examine_dirents(data: &[u8]) {
    let mut rest = data;
    let mut failed = false;
    for entry in Dirents::new(data) {
        assert!(!failed, "an entry after an error");
        match entry {
            Ok(entry) => {
                let (whole, after) = rest.split_at(Dirent::OVERHEAD + entry.name.len());
                check_encoding(whole, |buf| entry.encode(buf));
                rest = after;
            }
            Err(error) => {
                assert_eq!(error, DecodeError::Truncated);
                failed = true;
            }
        }
    }
    assert_eq!(failed, !rest.is_empty(), "data is lost or invented");
}

fn examine_stats(data: &[u8], dialect: Dialect) {
    let mut rest = data;
    while let Ok((stat, after)) = Stat::decode_entry(rest, dialect) {
        let whole = &rest[..rest.len() - after.len()];
        check_encoding(whole, |buf| stat.encode_entry(buf));
        rest = after;
    }
}

fn examine_name(bytes: &[u8]) {
    let dots = bytes == b"." || bytes == b"..";
    let lawful = (1..=255).contains(&bytes.len()) && !bytes.iter().any(|&b| b == b'/' || b == 0);
    assert_eq!(Name::new(bytes).is_ok(), lawful && !dots);
    assert_eq!(
        Step::new(bytes).map(Step::bytes).ok(),
        lawful.then_some(bytes)
    );
}
