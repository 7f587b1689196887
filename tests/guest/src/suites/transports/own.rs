//! Servers that listen, and `ninefold mount`.

use std::fs;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::served::Place;
use super::served::run;
use crate::ctx::Ctx;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::skip;
use crate::files;
use crate::row::Row;

/// This machine, to itself. Source: vsock(7).
const VSOCK_LOCAL: u32 = 1;
const PORT: u32 = 5640;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("mount/unix", unix),
        Row::new("mount/tcp", tcp),
        Row::new("mount/vsock", vsock),
        Row::new("mount/hybrid-vsock", hybrid_vsock),
        Row::new("mount/of-the-host", of_the_host),
        Row::new("mount/two-at-once", two_at_once),
        Row::new("mount/by-the-printed-line", by_the_printed_line),
        Row::new("mount/nobody-listens", nobody_listens),
        Row::new("vsock/others-are-refused", others_are_refused),
        Row::new("once/ends-with-its-client", once),
    ]
}

fn unix(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&["--unix", &place.at("socket").to_string_lossy()])?;
    place.mount(server.url()?)?;
    place.is_the_tree()?;
    place.unmount()
}

fn tcp(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&["--tcp", "127.0.0.1:0"])?;
    place.mount(server.url()?)?;
    place.is_the_tree()?;
    place.unmount()
}

fn vsock(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let _server = place.serve(&["--vsock", &PORT.to_string()])?;
    place.mount(&format!("vsock://{VSOCK_LOCAL}:{PORT}"))?;
    place.is_the_tree()?;
    place.unmount()
}

/// The VMM of a guest takes its connection to a port of the host to this socket.
fn hybrid_vsock(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let vmm = place.at("vmm");
    let _server = place.serve(&["--vsock-uds", &format!("{}:{PORT}", vmm.display())])?;
    place.mount(&format!("unix://{}_{PORT}", vmm.display()))?;
    place.is_the_tree()?;
    place.unmount()
}

/// The server that all suites have.
fn of_the_host(ctx: &Ctx) -> Result<()> {
    let options = std::env::var("SHARE_OPTIONS").context("SHARE_OPTIONS")?;
    let port = options.split(',').find_map(|it| it.strip_prefix("port="));
    let Some(port) = port else {
        return skip("the server under test has no address");
    };
    let place = Place::new()?;
    place.mount(&format!("tcp://10.0.2.2:{port}"))?;
    let content = files::pattern(3, 70_001);
    let directory = ctx.first.file_name().context("the row's directory")?;
    fs::write(place.point().join(directory).join("f"), &content).context("write")?;
    same("what the other mount reads", fs::read(ctx.b("f"))?, content)?;
    place.unmount()
}

/// Each is a connection of its own, and lives longer than the other.
fn two_at_once(_: &Ctx) -> Result<()> {
    let (first, second) = (Place::new()?, "second");
    let server = first.serve(&["--unix", &first.at("socket").to_string_lossy()])?;
    let point = first.at(second);
    fs::create_dir(&point)?;
    first.mount(server.url()?)?;
    let mut mount = Command::new("ninefold");
    run(mount.args(["mount", server.url()?]).arg(&point))?;
    fs::write(point.join("f"), "by the second").context("write")?;
    let seen = fs::read(first.point().join("f")).context("read")?;
    same("what the first sees", seen, b"by the second".to_vec())?;
    fs::remove_file(point.join("f"))?;
    run(Command::new("umount").arg(&point))?;
    first.is_the_tree()?;
    first.unmount()
}

/// `--fstab` prints what mount(8) takes.
fn by_the_printed_line(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&["--tcp", "127.0.0.1:0"])?;
    let mut print = Command::new("ninefold");
    print.args(["mount", "--fstab", server.url()?]);
    let out = print.arg(place.point()).output()?;
    ensure!(out.status.success(), "ninefold mount --fstab: {out:?}");
    let table = place.at("fstab");
    fs::write(&table, out.stdout)?;
    let mut mount = Command::new("mount");
    run(mount.arg("--fstab").arg(&table).arg(place.point()))?;
    place.is_the_tree()?;
    place.unmount()
}

/// An error that says so, no mount and no wait.
fn nobody_listens(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    for url in [
        format!("unix://{}", place.at("nothing").display()),
        format!("vsock://{VSOCK_LOCAL}:{PORT}"),
    ] {
        let error = place.mount(&url).err().context("expected an error")?;
        let what = format!("{error:#}");
        holds(&format!("{url} is named in {what}"), what.contains(&url))?;
    }
    Ok(())
}

fn others_are_refused(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let url = format!("vsock://{VSOCK_LOCAL}:{PORT}");
    let mut server = place.serve(&["--vsock", &PORT.to_string(), "--vsock-allow", "3"])?;
    holds("a machine not named is refused", place.mount(&url).is_err())?;
    holds("the server runs on", server.runs()?)?;
    drop(server);
    let _server = place.serve(&["--vsock", &PORT.to_string(), "--vsock-allow", "3,1"])?;
    place.mount(&url)?;
    place.is_the_tree()?;
    place.unmount()
}

fn once(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let socket = place.at("socket");
    let mut server = place.serve(&["--once", "--unix", &socket.to_string_lossy()])?;
    place.mount(server.url()?)?;
    place.is_the_tree()?;
    holds("it serves as long as it is mounted", server.runs()?)?;
    place.unmount()?;
    holds("it ends well", server.end()?.success())?;
    holds("its socket is gone", !socket.exists())
}
