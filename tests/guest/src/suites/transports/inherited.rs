//! Sockets that were open before the server was there, and clients with nothing but a descriptor.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;

use super::served::Place;
use super::served::Server;
use crate::ctx::Ctx;
use crate::expect::holds;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("inherited/listener", listener),
        Row::new("inherited/listener-of-systemd", listener_of_systemd),
        Row::new("inherited/connection", connection),
        Row::new("inherited/standard-input-and-output", stdio),
    ]
}

fn listener(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let socket = place.at("socket");
    let listener = UnixListener::bind(&socket)?;
    let mut server = place.serve_with(&["--fd", "0"], OwnedFd::from(listener))?;
    place.mount(&format!("unix://{}", socket.display()))?;
    place.is_the_tree()?;
    place.unmount()?;
    holds("the server waits for others", server.runs()?)
}

/// Descriptor 3 and two variables. Source: sd_listen_fds(3).
fn listener_of_systemd(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let socket = place.at("socket");
    let listener = UnixListener::bind(&socket)?;
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec \"$@\" 3<&0 </dev/null",
        "sh",
        "ninefold",
    ]);
    shell.args(place.command().get_args()).arg(place.tree());
    shell.stdin(OwnedFd::from(listener)).stdout(Stdio::piped());
    let _server = Server::start(&mut shell)?;
    place.mount(&format!("unix://{}", socket.display()))?;
    place.is_the_tree()?;
    place.unmount()
}

fn connection(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let (ours, its) = UnixStream::pair()?;
    let mut command = place.command();
    command.args(["--fd", "0"]).arg(place.tree());
    command.stdin(OwnedFd::from(its)).stdout(Stdio::null());
    let mut server = Server::start(&mut command)?;
    drop(command);
    ends_with(&place, &mut server, ours)
}

fn stdio(_: &Ctx) -> Result<()> {
    let place = Place::new()?;
    let (ours, its) = UnixStream::pair()?;
    let mut command = place.command();
    command.arg("--stdio").arg(place.tree());
    command.stdin(OwnedFd::from(its.try_clone()?));
    command.stdout(OwnedFd::from(its));
    let mut server = Server::start(&mut command)?;
    drop(command);
    ends_with(&place, &mut server, ours)
}

/// The mount holds the only other end.
fn ends_with(place: &Place, server: &mut Server, client: UnixStream) -> Result<()> {
    place.mount_with(OwnedFd::from(client))?;
    place.is_the_tree()?;
    holds("it serves as long as it is mounted", server.runs()?)?;
    place.unmount()?;
    let status = server.end().context("after the last client")?;
    holds("it ends well", status.success())
}
