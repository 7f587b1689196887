//! What the server was started with: descriptors that are named by number, and those of systemd.
//!
//! They are taken before anything is opened, because a number says nothing about who opened it.

use std::os::fd::OwnedFd;

use anyhow::Context;

use super::WayFlags;

/// What was handed over.
pub struct Handed {
    /// With what to call each.
    pub descriptors: Vec<(String, OwnedFd)>,
    /// Standard input and output are a client.
    pub stdio: bool,
}

impl Handed {
    /// Takes what the arguments name and what `LISTEN_FDS` says is for this process.
    pub fn take(flags: &WayFlags) -> anyhow::Result<Self> {
        let mut descriptors = Vec::new();
        for &number in &flags.fd {
            descriptors.push(take(format!("--fd {number}"), number)?);
        }
        let activated = sd_notify::listen_fds()
            .context("cannot use the sockets of systemd (LISTEN_FDS, LISTEN_PID)")?;
        for number in activated {
            // One that is named as well is not two; nor is one that is standard input too.
            if !flags.stdio && !flags.fd.contains(&number) {
                descriptors.push(take(format!("LISTEN_FDS, descriptor {number}"), number)?);
            }
        }
        Ok(Self {
            descriptors,
            stdio: flags.stdio,
        })
    }
}

fn take(name: String, number: i32) -> anyhow::Result<(String, OwnedFd)> {
    let fd = ninefold::inherited_descriptor(number).with_context(|| {
        format!("cannot use {name}: expected a descriptor that is open when the server starts")
    })?;
    Ok((name, fd))
}
