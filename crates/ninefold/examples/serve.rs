//! Serves a directory on a unix socket until its standard input ends: `serve DIR SOCKET [THREADS
//! [MODEL]]`.
//!
//! No program to use but one to look at: the tests run it to count its descriptors, its memory and
//! its system calls.

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ninefold::{Crew, CrewOptions, Export, ExportOptions, Listener, SecurityModel, SessionOptions};

fn model(name: Option<&String>) -> Result<SecurityModel, Box<dyn Error>> {
    match name.map(String::as_str) {
        None | Some("none") => Ok(SecurityModel::None),
        Some("passthrough") => Ok(SecurityModel::Passthrough),
        Some("mapped-xattr") => Ok(SecurityModel::MappedXattr),
        Some("mapped-file") => Ok(SecurityModel::MappedFile),
        Some(other) => Err(format!("expected a security model of QEMU's, came {other}").into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [dir, socket, rest @ ..] = &arguments[..] else {
        return Err("expected: serve DIR SOCKET [THREADS [MODEL]]".into());
    };
    let threads = rest.first().map_or(Ok(0), |threads| threads.parse())?;
    rustix::process::umask(rustix::fs::Mode::empty());
    ninefold::raise_descriptor_limit();
    let options = ExportOptions::new(model(rest.get(1))?);
    let export = Arc::new(Export::open(Path::new(dir), &options)?);
    let session = SessionOptions { msize_max: 1 << 20 };
    let crew = Crew::start(CrewOptions { threads, session })?;
    crew.listen(Listener::unix(Path::new(socket))?, &export)?;
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
