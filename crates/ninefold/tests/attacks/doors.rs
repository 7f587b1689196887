//! Strangers at the door, and what is said when the last client has gone.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use ninefold::{
    ConnectionOptions, Crew, CrewOptions, Export, ExportOptions, Listener, SecurityModel,
    SessionOptions,
};
use ninefold_client::{Address, Client, Options};
use tempfile::TempDir;

use crate::common::LIMIT;

/// A crew in this process, and the folder that it is to serve.
struct House {
    crew: Crew,
    export: Arc<Export>,
    dir: TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = ExportOptions::new(SecurityModel::None);
        let export = Export::open(dir.path(), &options).expect("a folder");
        let crew = Crew::start(CrewOptions {
            threads: 2,
            session: SessionOptions { msize_max: 8192 },
            interrupt: false,
        });
        Self {
            crew: crew.expect("threads"),
            export: Arc::new(export),
            dir,
        }
    }

    fn listen(&self, name: &str, uids: Option<Vec<u32>>) -> PathBuf {
        let path = self.dir.path().join(name);
        let options = ConnectionOptions {
            uids,
            ..ConnectionOptions::default()
        };
        let listener = Listener::unix(&path)
            .and_then(|listener| listener.with_options(options))
            .expect("a socket");
        self.crew
            .listen(listener, &self.export)
            .expect("a listener");
        path
    }

    fn client(path: PathBuf) -> Client {
        let options = Options {
            timeout: Some(LIMIT),
            ..Options::default()
        };
        Client::connect(&Address::Unix(path), &options).expect("a session")
    }
}

#[test]
fn a_thousand_strangers_are_shut_out_and_others_served() {
    let house = House::new();
    let closed = house.listen("closed", Some(Vec::new()));
    let open = house.listen("open", None);
    let client = House::client(open.clone());
    for _ in 0..1000 {
        let mut stranger = UnixStream::connect(&closed).expect("a listener");
        stranger.set_read_timeout(Some(LIMIT)).expect("a socket");
        assert_eq!(stranger.read(&mut [0]).ok(), Some(0), "closed at once");
    }
    assert_eq!(house.crew.connections(), 1);
    client.metadata("").expect("it is served");
    House::client(open).metadata("").expect("newcomers too");
}

#[test]
fn the_end_of_the_last_client_is_told_once() {
    let house = House::new();
    let path = house.listen("socket", None);
    let (tell, told) = mpsc::channel();
    house
        .crew
        .on_deserted(move || tell.send(1).expect("a test"));
    let (first, second) = (House::client(path.clone()), House::client(path.clone()));
    drop(first);
    second.metadata("").expect("it is served");
    assert!(told.try_recv().is_err(), "one is left");
    drop(second);
    assert_eq!(told.recv_timeout(LIMIT), Ok(1));
    drop(House::client(path));
    assert!(
        told.recv_timeout(LIMIT).is_err(),
        "nobody is left who would tell"
    );
}

#[test]
fn who_asks_late_is_told_of_an_end_that_has_been() {
    let house = House::new();
    let path = house.listen("socket", None);
    let (tell, told) = mpsc::channel();
    let again = tell.clone();
    house
        .crew
        .on_deserted(move || tell.send(1).expect("a test"));
    drop(House::client(path));
    assert_eq!(told.recv_timeout(LIMIT), Ok(1));
    house
        .crew
        .on_deserted(move || again.send(2).expect("a test"));
    assert_eq!(told.try_recv(), Ok(2), "at once");
}

#[test]
fn nobody_who_was_there_is_nobody_who_has_gone() {
    let house = House::new();
    let path = house.listen("closed", Some(Vec::new()));
    let (tell, told) = mpsc::channel();
    house
        .crew
        .on_deserted(move || tell.send(1).expect("a test"));
    let mut stranger = UnixStream::connect(path).expect("a listener");
    assert_eq!(stranger.read(&mut [0]).ok(), Some(0), "closed at once");
    drop(house);
    assert!(told.recv().is_err(), "the crew has gone without a word");
}
