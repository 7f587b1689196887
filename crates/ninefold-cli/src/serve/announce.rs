//! What users have to know to mount, said when the server is ready.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};

use ninefold::{Enforce, Listener};

use super::vhost;
use super::ways::Ways;
use crate::args::ServeArgs;
use crate::share::ShareOptions;

/// The largest msize that Linux's client takes over a socket, bytes.
const LINUX_MSIZE_MAX: u32 = 1 << 20;
/// Where QEMU's user networking shows the host to the guest.
const QEMU_HOST: &str = "10.0.2.2";
/// What the host is to its guests over vsock. Source: vsock(7).
const HOST_CID: u32 = 2;

/// The whole text, a paragraph for each way in.
pub fn text(ways: &Ways, args: &ServeArgs, share: &ShareOptions) -> String {
    let options = mount_options(args.msize_max.min(LINUX_MSIZE_MAX), share);
    let mut text: String = ways
        .listeners
        .iter()
        .map(|listener| announcement(listener, &options))
        .collect();
    if ways.devices.is_empty() {
        text.extend(share.mount_tag.as_deref().map(tag_note));
    }
    let options = mount_options(args.msize_max.min(vhost::LINUX_MSIZE_MAX), share);
    for listener in &ways.devices {
        text += &vhost::announcement(listener, &vhost::tag(args, share), &options);
    }
    text
}

/// What a user has to know to mount from this listener.
fn announcement(listener: &Listener, options: &str) -> String {
    let mut text = format!("listening on {}\n", listener.url());
    if let Some(port) = listener.hybrid_port() {
        text += &vsock_line(port);
    }
    if let Some((_, port)) = listener.vsock_address() {
        text += &vsock_line(port);
    }
    if let Some(path) = listener.unix_path() {
        let path = path.display();
        text += &format!("  on this host:    mount -t 9p -o trans=unix,{options} {path} /mnt\n");
    }
    if let Some(address) = listener.tcp_address() {
        let port = address.port();
        let options = format!("trans=tcp,port={port},{options}");
        if reaches_qemu_guests(address) {
            text += &format!("  in a QEMU guest: mount -t 9p -o {options} {QEMU_HOST} /mnt\n");
        }
        text += &format!(
            "  on this host:    mount -t 9p -o {options} {} /mnt\n",
            local(address)
        );
    }
    text
}

/// The kernel's client has no vsock of its own.
fn vsock_line(port: u32) -> String {
    format!("  in a guest:      ninefold mount vsock://{HOST_CID}:{port} /mnt\n")
}

/// Who gave a tag has guests that mount by it.
fn tag_note(tag: &OsStr) -> String {
    let tag = tag.to_string_lossy();
    format!("  mount_tag {tag}: a socket has none; mount by address, as above\n")
}

/// The options that a Linux guest does best with.
fn mount_options(msize: u32, share: &ShareOptions) -> String {
    let access = match share.enforce {
        // Each user asks for himself, and the host answers.
        Enforce::Server(_) => "user",
        Enforce::Client if share.security_model.has_acls() => "client,posixacl",
        Enforce::Client => "client",
    };
    let readonly = if share.readonly { ",ro" } else { "" };
    format!("version=9p2000.L,msize={msize},cache=mmap,access={access}{readonly}")
}

fn reaches_qemu_guests(address: SocketAddr) -> bool {
    let ip = address.ip();
    ip.is_ipv4() && (ip.is_loopback() || ip.is_unspecified())
}

fn local(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
