//! Several clients that want the same at the same moment: what there is once goes to one of them,
//! and what all may have, all get.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};

use ninefold_client::Connection;
use ninefold_client::wire::flags::setattr;
use ninefold_client::wire::{Data, Name, Reply, Request, SetAttr};

use crate::common::{Random, Server, attempt, getattr, open, walk};

const MODELS: [&str; 3] = ["none", "mapped-xattr", "mapped-file"];
const CLIENTS: usize = 3;
const ROUNDS: usize = 100;

const NOENT: i32 = 2;
const EXIST: i32 = 17;
const INVAL: i32 = 22;
const NOTEMPTY: i32 = 39;

const APPEND: u32 = 0o2000;
const REMOVEDIR: u32 = 0x200;

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

/// Runs the test with some clients on an empty folder of each model.
fn of_models(test: impl Fn(&Server, &mut [Connection])) {
    for model in MODELS {
        eprintln!("{model}");
        let server = Server::of(&[], "0", model, |_| {});
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.session()).collect();
        test(&server, &mut clients);
    }
}

/// Has all clients act at the same moment.
fn at_once<T: Send>(
    clients: &mut [Connection],
    act: impl Fn(usize, &mut Connection) -> T + Sync,
) -> Vec<T> {
    let (barrier, act) = (&Barrier::new(clients.len()), &act);
    thread::scope(|scope| {
        let begin = |(who, client)| {
            scope.spawn(move || {
                barrier.wait();
                act(who, client)
            })
        };
        let threads: Vec<_> = clients.iter_mut().enumerate().map(begin).collect();
        let end = threads.into_iter().map(ScopedJoinHandle::join);
        end.map(|done| done.expect("no panic")).collect()
    })
}

/// Which one has won; the others were all told the same.
fn winner(answers: &[Option<i32>], loss: i32) -> usize {
    let won: Vec<_> = (0..answers.len())
        .filter(|who| answers[*who].is_none())
        .collect();
    let lost = answers.iter().flatten().all(|errno| *errno == loss);
    assert!(won.len() == 1 && lost, "{answers:?}");
    won[0]
}

fn must(client: &mut Connection, request: &Request<'_>) {
    assert_eq!(attempt(client, request), None, "{request:?}");
}

fn mkdir(dfid: u32, new: &str) -> Request<'_> {
    let (name, mode, gid) = (name(new), 0o755, 0);
    Request::Mkdir {
        dfid,
        name,
        mode,
        gid,
    }
}

fn unlinkat(old: &str, flags: u32) -> Request<'_> {
    Request::Unlinkat {
        dirfid: 0,
        name: name(old),
        flags,
    }
}

fn renameat<'a>(old: &'a str, (newdirfid, new): (u32, &'a str)) -> Request<'a> {
    Request::Renameat {
        olddirfid: 0,
        oldname: name(old),
        newdirfid,
        newname: name(new),
    }
}

/// Makes a file in the directory behind fid 0; the errno if that fails.
fn create(client: &mut Connection, fid: u32, new: &str) -> Option<i32> {
    walk(client, 0, fid, &[]).expect("a clone");
    create_in(client, fid, new)
}

fn create_in(client: &mut Connection, fid: u32, new: &str) -> Option<i32> {
    let request = Request::Lcreate {
        fid,
        name: name(new),
        flags: 0o302,
        mode: 0o644,
        gid: 0,
    };
    let answer = attempt(client, &request);
    attempt(client, &Request::Clunk { fid });
    answer
}

#[test]
fn all_that_is_appended_is_there() {
    const RECORDS: usize = 150;
    let record = |who: usize, number: usize, len: usize| {
        let mark = format!("{who} {number} ");
        let rest = "x".repeat(len);
        format!("{mark}{rest}\n").into_bytes()
    };
    of_models(|server, clients| {
        fs::write(server.path("log"), "").expect("a file");
        at_once(clients, |who, client| {
            let mut random = Random::new(who as u64);
            open(client, 1, &["log"], 1 | APPEND).expect("the log");
            for number in 0..RECORDS {
                let line = record(who, number, random.below(9000));
                // Where a client believes the end to be is long past or yet to come.
                let offset = random.below(1 << 20) as u64;
                let data = Data(&line);
                let fid = 1;
                match client.call(&Request::Write { fid, offset, data }) {
                    Ok(Reply::Write { count }) => assert_eq!(count as usize, line.len()),
                    other => panic!("{other:?}"),
                }
            }
        });
        let log = fs::read_to_string(server.path("log")).expect("lines");
        let mut next = [0; CLIENTS];
        let mut randoms: Vec<_> = (0..CLIENTS).map(|who| Random::new(who as u64)).collect();
        for line in log.split_inclusive('\n') {
            let who = line
                .split(' ')
                .next()
                .and_then(|who| who.parse::<usize>().ok());
            let who = who.unwrap_or_else(|| panic!("a torn line: {line:.40}"));
            let random = &mut randoms[who];
            let wanted = record(who, next[who], random.below(9000));
            random.below(1 << 20);
            assert!(
                line.as_bytes() == wanted,
                "torn or out of order: {line:.40}"
            );
            next[who] += 1;
        }
        assert_eq!(next, [RECORDS; CLIENTS]);
    });
}

#[test]
fn one_of_all_renames_wins() {
    of_models(|server, clients| {
        for round in 0..ROUNDS {
            create(&mut clients[0], 1, "file");
            fs::write(server.path("file"), round.to_string()).expect("a content");
            let names: Vec<_> = (0..CLIENTS).map(|who| format!("{round}-{who}")).collect();
            let done = at_once(clients, |who, client| {
                attempt(client, &renameat("file", (0, &names[who])))
            });
            let won = winner(&done, NOENT);
            for (who, name) in names.iter().enumerate() {
                assert_eq!(server.path(name).exists(), who == won, "{name}");
            }
            let content = fs::read_to_string(server.path(&names[won]));
            assert_eq!(content.ok(), Some(round.to_string()));
            assert!(!server.path("file").exists());
        }
    });
}

/// Trename moves the object wherever it is: nobody has to lose, but one name is left.
#[test]
fn a_file_that_all_rename_has_one_name() {
    of_models(|server, clients| {
        must(&mut clients[0], &mkdir(0, "dir"));
        for round in 0..ROUNDS {
            create(&mut clients[0], 1, "file");
            for client in clients.iter_mut() {
                walk(client, 0, 1, &["file"]).expect("the file");
            }
            let names: Vec<_> = (0..CLIENTS).map(|who| format!("{round}-{who}")).collect();
            let done = at_once(clients, |who, client| {
                let (fid, dfid, name) = (1, 0, name(&names[who]));
                attempt(client, &Request::Rename { fid, dfid, name })
            });
            assert!(done.contains(&None), "{done:?}");
            // One that was overtaken between looking and moving.
            assert!(
                done.iter().flatten().all(|errno| *errno == NOENT),
                "{done:?}"
            );
            let there = names.iter().filter(|name| server.path(name).exists());
            assert_eq!(there.count(), 1);
            for client in clients.iter_mut() {
                must(client, &Request::Clunk { fid: 1 });
            }
        }
    });
}

/// Two directories that are to be moved into each other.
#[test]
fn no_rename_makes_a_circle() {
    of_models(|server, clients| {
        let [one, other, ..] = clients else {
            panic!("two clients");
        };
        for round in 0..ROUNDS {
            let dirs = [format!("a{round}"), format!("b{round}")];
            for dir in &dirs {
                must(one, &mkdir(0, dir));
            }
            walk(one, 0, 1, &[&dirs[1]]).expect("a directory");
            walk(other, 0, 1, &[&dirs[0]]).expect("a directory");
            let mut pair = [
                one.try_clone().expect("a handle"),
                other.try_clone().expect("a handle"),
            ];
            let done = at_once(&mut pair, |who, client| {
                attempt(client, &renameat(&dirs[who], (1, "in")))
            });
            let won = done.iter().position(Option::is_none).expect("one of them");
            assert!(matches!(done[1 - won], Some(NOENT | INVAL)), "{done:?}");
            let outer = server.path(&dirs[1 - won]);
            assert!(outer.join("in").is_dir() && !server.path(&dirs[won]).exists());
            for client in [&mut *one, &mut *other] {
                must(client, &Request::Clunk { fid: 1 });
            }
        }
    });
}

#[test]
fn one_of_all_removals_wins() {
    of_models(|server, clients| {
        for round in 0..ROUNDS {
            let directory = round % 2 == 1;
            let flags = if directory {
                must(&mut clients[0], &mkdir(0, "it"));
                REMOVEDIR
            } else {
                create(&mut clients[0], 1, "it");
                0
            };
            let by_fid = round % 4 < 2;
            for client in clients.iter_mut() {
                walk(client, 0, 1, &["it"]).expect("it");
            }
            let done = at_once(clients, |_, client| {
                if by_fid {
                    attempt(client, &Request::Remove { fid: 1 })
                } else {
                    attempt(client, &unlinkat("it", flags))
                }
            });
            winner(&done, NOENT);
            assert!(!server.path("it").exists());
            for client in clients.iter_mut().filter(|_| !by_fid) {
                must(client, &Request::Clunk { fid: 1 });
            }
        }
    });
}

#[test]
fn one_of_all_creations_wins() {
    of_models(|server, clients| {
        create(&mut clients[0], 1, "source");
        for client in clients.iter_mut() {
            walk(client, 0, 9, &["source"]).expect("the file");
        }
        for round in 0..ROUNDS {
            let new = format!("new{round}");
            let make = |client: &mut Connection| match round % 5 {
                0 => create(client, 1, &new),
                1 => attempt(client, &mkdir(0, &new)),
                2 => {
                    let (dfid, name, target, gid) = (0, name(&new), &b"x"[..], 0);
                    attempt(
                        client,
                        &Request::Symlink {
                            dfid,
                            name,
                            target,
                            gid,
                        },
                    )
                }
                3 => {
                    let (dfid, fid, name) = (0, 9, name(&new));
                    attempt(client, &Request::Link { dfid, fid, name })
                }
                _ => {
                    let mknod = Request::Mknod {
                        dfid: 0,
                        name: name(&new),
                        mode: 0o010_600,
                        major: 0,
                        minor: 0,
                        gid: 0,
                    };
                    attempt(client, &mknod)
                }
            };
            winner(&at_once(clients, |_, client| make(client)), EXIST);
            assert!(server.path(&new).symlink_metadata().is_ok(), "{new}");
        }
    });
}

/// Either something is made in a directory, or it is removed, never both.
#[test]
fn a_directory_is_removed_or_filled() {
    of_models(|server, clients| {
        let (mut removed, mut filled) = (0, 0);
        for round in 0..ROUNDS {
            let dir = format!("dir{round}");
            must(&mut clients[0], &mkdir(0, &dir));
            for client in clients.iter_mut() {
                walk(client, 0, 1, &[&dir]).expect("the directory");
            }
            let done = at_once(clients, |who, client| match who {
                0 => attempt(client, &unlinkat(&dir, REMOVEDIR)),
                1 => create_in(client, 1, "file"),
                _ => attempt(client, &mkdir(1, "sub")),
            });
            match done[..] {
                [None, Some(NOENT), Some(NOENT)] => removed += 1,
                [Some(NOTEMPTY), None, None] => filled += 1,
                _ => panic!("{done:?}"),
            }
            let there = ["file", "sub"].map(|name| server.path(&dir).join(name).exists());
            assert_eq!(there, [done[0].is_some(); 2]);
            for client in clients.iter_mut() {
                attempt(client, &Request::Clunk { fid: 1 });
            }
        }
        eprintln!("{removed} removed, {filled} filled");
    });
}

fn links(client: &mut Connection, fid: u32) -> u64 {
    match client.call(&getattr(fid)) {
        Ok(Reply::Getattr { attr }) => attr.nlink,
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_are_counted() {
    of_models(|server, clients| {
        create(&mut clients[0], 1, "file");
        at_once(clients, |who, client| {
            walk(client, 0, 1, &["file"]).expect("the file");
            for round in 0..ROUNDS {
                let new = format!("{who}-{round}");
                let (dfid, fid, name) = (0, 1, name(&new));
                must(client, &Request::Link { dfid, fid, name });
                if round % 2 == 0 {
                    must(client, &unlinkat(&new, 0));
                }
            }
        });
        let left = CLIENTS * ROUNDS / 2 + 1;
        assert_eq!(links(&mut clients[0], 1), left as u64);
        assert_eq!(
            server.path("file").metadata().expect("it").nlink(),
            left as u64
        );
    });
}

/// The last name goes while another one is made: there is one left or none.
#[test]
fn the_last_name_and_a_new_one() {
    of_models(|server, clients| {
        for round in 0..ROUNDS {
            let (old, new) = (format!("old{round}"), format!("new{round}"));
            create(&mut clients[0], 1, &old);
            for client in clients.iter_mut() {
                walk(client, 0, 1, &[&old]).expect("the file");
            }
            let done = at_once(&mut clients[..2], |who, client| {
                if who == 0 {
                    return attempt(client, &unlinkat(&old, 0));
                }
                let (dfid, fid, name) = (0, 1, name(&new));
                attempt(client, &Request::Link { dfid, fid, name })
            });
            assert!(matches!(done[..], [None, None | Some(NOENT)]), "{done:?}");
            let linked = done[1].is_none();
            assert_eq!(server.path(&new).exists(), linked);
            for client in clients.iter_mut() {
                assert_eq!(links(client, 1), u64::from(linked));
                must(client, &Request::Clunk { fid: 1 });
            }
        }
    });
}

/// A file of one letter that is written whole and cut: it is never partly the one and partly the
/// other when nobody is at work.
#[test]
fn writes_and_cuts_are_whole() {
    const SIZE: usize = 3000;
    of_models(|server, clients| {
        fs::write(server.path("file"), "").expect("a file");
        for client in clients.iter_mut() {
            open(client, 1, &["file"], 2).expect("the file");
        }
        for round in 0..ROUNDS {
            let letters = [b'a', b'b'].map(|letter| vec![letter; SIZE]);
            at_once(clients, |who, client| {
                let valid = setattr::SIZE;
                let size = if round % 2 == 0 { 0 } else { 10 };
                let cut = SetAttr {
                    valid,
                    size,
                    ..SetAttr::default()
                };
                let (fid, offset) = (1, 0);
                match letters.get(who) {
                    Some(data) => {
                        let data = Data(data);
                        must(client, &Request::Write { fid, offset, data });
                    }
                    None => must(client, &Request::Setattr { fid, attr: cut }),
                }
            });
            let content = fs::read(server.path("file")).expect("a content");
            let cut = if round % 2 == 0 { 0 } else { 10 };
            assert!([SIZE, cut].contains(&content.len()), "{}", content.len());
            let first = content.first().copied();
            assert!(content.iter().all(|byte| Some(*byte) == first), "mixed");
        }
    });
}
