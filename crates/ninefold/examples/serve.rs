//! Serves a directory on a unix socket until its standard input ends:
//! `serve DIR SOCKET [THREADS [OPTION=VALUE]...]`.
//!
//! No program to use but one to look at: the tests run it to count its descriptors, its memory and
//! its system calls.

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ninefold::{
    Crew, CrewOptions, Enforce, Export, ExportOptions, Listener, SecurityModel, SessionOptions,
    Squash,
};

/// Sets an option of QEMU's: `writeout=immediate`, or a limit such as `iops-total=20`.
fn set(options: &mut ExportOptions, option: &str) -> Result<(), Box<dyn Error>> {
    match option.split_once('=') {
        Some(("security_model", name)) => options.security_model = model(name)?,
        Some(("writeout", "immediate")) => options.writeout = true,
        Some(("enforce", "server")) => options.enforce = Enforce::Server(Squash::default()),
        Some((name, value)) => options.throttle.set(name, value.parse()?)?,
        None => return Err(format!("expected OPTION=VALUE, came {option}").into()),
    }
    Ok(())
}

fn model(name: &str) -> Result<SecurityModel, Box<dyn Error>> {
    match name {
        "none" => Ok(SecurityModel::None),
        "passthrough" => Ok(SecurityModel::Passthrough),
        "mapped-xattr" => Ok(SecurityModel::MappedXattr),
        "mapped-file" => Ok(SecurityModel::MappedFile),
        other => Err(format!("expected a security model of QEMU's, came {other}").into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [dir, socket, rest @ ..] = &arguments[..] else {
        return Err("expected: serve DIR SOCKET [THREADS [OPTION=VALUE]...]".into());
    };
    let threads = rest.first().map_or(Ok(0), |threads| threads.parse())?;
    rustix::process::umask(rustix::fs::Mode::empty());
    ninefold::raise_descriptor_limit();
    let mut options = ExportOptions::new(SecurityModel::None);
    for option in rest.iter().skip(1) {
        set(&mut options, option)?;
    }
    let export = Arc::new(Export::open(Path::new(dir), &options)?);
    let session = SessionOptions { msize_max: 1 << 20 };
    let crew = Crew::start(CrewOptions { threads, session })?;
    crew.listen(Listener::unix(Path::new(socket))?, &export)?;
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
