//! Frames that are no request, and names that no message takes.

use ninefold::{Errno, SecurityModel};

use crate::client::Client;
use crate::share::{Share, one_of_each};
use crate::verbs::RDONLY;

/// What a name is answered with: when it is to be found, made, moved, removed.
struct Answers {
    name: &'static [u8],
    find: Errno,
    make: Errno,
    moved: Errno,
    remove: Errno,
}

const LONG: [u8; 256] = [b'n'; 256];

fn all(name: &'static [u8], errno: Errno) -> Answers {
    Answers {
        name,
        find: errno,
        make: errno,
        moved: errno,
        remove: errno,
    }
}

fn wrong_names() -> Vec<Answers> {
    vec![
        all(b"", Errno::NOENT),
        all(b"/", Errno::NOENT),
        all(b" /", Errno::NOENT),
        all(b"a/b", Errno::NOENT),
        all(b"../file", Errno::NOENT),
        all(b"file/", Errno::NOENT),
        all(b"file\0", Errno::INVAL),
        all(b"\0", Errno::INVAL),
        all(&LONG, Errno::NAMETOOLONG),
        Answers {
            name: b".",
            find: Errno::NOENT,
            make: Errno::EXIST,
            moved: Errno::ISDIR,
            remove: Errno::INVAL,
        },
        Answers {
            name: b"..",
            find: Errno::NOENT,
            make: Errno::EXIST,
            moved: Errno::ISDIR,
            remove: Errno::NOTEMPTY,
        },
    ]
}

fn fid(fid: u32) -> Vec<u8> {
    fid.to_le_bytes().to_vec()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a short text");
    [&len.to_le_bytes()[..], bytes].concat()
}

/// Every message that takes a name, with this one in each of its places.
fn messages(answers: &Answers) -> Vec<(u8, Vec<u8>, Errno)> {
    let name = text(answers.name);
    let (make, moved) = (answers.make, answers.moved);
    let words = |count: usize| vec![0; 4 * count];
    let mut all = vec![
        (14, [fid(0), name.clone(), words(3)].concat(), make),
        (
            16,
            [fid(0), name.clone(), text(b"x"), words(1)].concat(),
            make,
        ),
        (18, [fid(0), name.clone(), words(4)].concat(), make),
        (70, [fid(0), fid(1), name.clone()].concat(), make),
        (72, [fid(0), name.clone(), words(2)].concat(), make),
        (
            114,
            [fid(0), name.clone(), vec![0; 5], text(b"")].concat(),
            make,
        ),
        (20, [fid(1), fid(0), name.clone()].concat(), moved),
        (
            74,
            [fid(0), name.clone(), fid(0), text(b"x")].concat(),
            moved,
        ),
        (
            74,
            [fid(0), text(b"file"), fid(0), name.clone()].concat(),
            moved,
        ),
        (
            76,
            [fid(0), name.clone(), words(1)].concat(),
            answers.remove,
        ),
        (
            76,
            [fid(0), name.clone(), fid(0x200)].concat(),
            answers.remove,
        ),
    ];
    if ![&b"."[..], b".."].contains(&answers.name) {
        let walk = |names: &[&[u8]]| {
            let count = u16::try_from(names.len()).expect("a few");
            let names: Vec<u8> = names.iter().flat_map(|name| text(name)).collect();
            [fid(0), fid(9), count.to_le_bytes().to_vec(), names].concat()
        };
        all.push((110, walk(&[answers.name]), answers.find));
        all.push((110, walk(&[b"dir", answers.name]), answers.find));
        all.push((110, walk(&[answers.name, b"dir"]), answers.find));
    }
    all
}

/// All names in the tree with what they are.
fn tree(share: &Share) -> Vec<(String, String)> {
    let list = |dir: &str| {
        let found = std::fs::read_dir(share.path(dir)).expect("a directory");
        let found = found.map(|entry| entry.expect("an entry"));
        found
            .map(|entry| {
                (
                    entry.path().display().to_string(),
                    format!("{:?}", entry.file_type()),
                )
            })
            .collect::<Vec<_>>()
    };
    let mut all = [list(""), list("dir")].concat();
    all.sort();
    all
}

#[test]
fn wrong_names_are_refused_everywhere() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.find(1, "file");
    let before = tree(&share);
    for answers in wrong_names() {
        for (number, body, errno) in messages(&answers) {
            let answered = client.call_raw(number, &body);
            let name = String::from_utf8_lossy(answers.name);
            assert_eq!(answered, Err(errno), "message {number} with {name:?}");
        }
    }
    assert_eq!(tree(&share), before);
    assert!(client.is_unknown(9));
    assert!(client.getattr(0, 0).is_ok() && client.getattr(1, 0).is_ok());
}

/// A fid that lives on shows that nothing was done.
fn lives(client: &mut Client) {
    assert!(client.getattr(0, 0).is_ok());
    assert!(client.read(1, 0, 1).is_ok());
}

#[test]
fn unknown_numbers_are_not_supported() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    for number in 0..=255u8 {
        let known = [
            8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 102,
            104, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126,
        ];
        if !known.contains(&number) {
            assert_eq!(
                client.call_raw(number, &[]),
                Err(Errno::OPNOTSUPP),
                "{number}"
            );
        }
    }
    assert!(!share.exists("new"));
    lives(&mut client);
}

#[test]
fn cut_and_padded_frames_are_invalid() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    let sound: [(u8, Vec<u8>); 8] = [
        (120, fid(0)),
        (122, fid(1)),
        (24, vec![0; 12]),
        (116, vec![0; 16]),
        (12, vec![0; 8]),
        (40, vec![0; 16]),
        (72, [fid(0), text(b"new"), vec![0; 8]].concat()),
        (76, [fid(0), text(b"file"), vec![0; 4]].concat()),
    ];
    for (number, body) in sound {
        for len in 0..body.len() {
            assert_eq!(
                client.call_raw(number, &body[..len]),
                Err(Errno::INVAL),
                "{number}"
            );
        }
        for more in [1, 2, 4, 1000] {
            let padded = [&body[..], &vec![0; more]].concat();
            assert_eq!(
                client.call_raw(number, &padded),
                Err(Errno::INVAL),
                "{number}"
            );
        }
    }
    assert!(share.exists("file") && !share.exists("new"));
    lives(&mut client);
}

#[test]
fn a_size_field_that_lies_is_invalid() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    for size in [0u32, 6, 7, 10, 12, u32::MAX] {
        // On a stream such a frame is cut otherwise or not at all; on a virtqueue it comes whole.
        let lying = [&size.to_le_bytes()[..], &[120, 5, 0], &fid(0)].concat();
        assert!(client.receive(&lying));
        assert_eq!(client.heard(), [(7, 5)], "size {size}");
    }
    assert!(!client.receive(&[11, 0, 0]), "shorter than a header");
    lives(&mut client);
}
