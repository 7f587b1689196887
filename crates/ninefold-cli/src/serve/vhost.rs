//! Virtio devices for VMMs: how they are started, and what the VMM's user has to know.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use anyhow::Context;
use ninefold::{Crew, Export, Listener};
use ninefold_vhost::{Device, Tag};

use crate::args::{ServeArgs, wrong_usage};
use crate::share::ShareOptions;

/// The largest msize that Linux's client takes over virtio, bytes: 125 pages.
pub const LINUX_MSIZE_MAX: u32 = 512_000;

/// By what name guests mount: as --tag says, or the mount_tag of --virtfs.
pub fn tag(args: &ServeArgs, share: &ShareOptions) -> Tag {
    let given = args.ways.tag.as_deref().or(share.mount_tag.as_deref());
    match given.map(|tag| Tag::new(tag.as_bytes())) {
        None => Tag::default(),
        Some(Ok(tag)) => tag,
        // Sockets have no tag, so that any will do.
        Some(Err(_)) if args.ways.vhost_user.is_empty() => Tag::default(),
        Some(Err(error)) => wrong_usage(error),
    }
}

/// Begins to wait for VMMs.
pub fn start(
    listeners: Vec<Listener>,
    tag: &Tag,
    crew: &Arc<Crew>,
    export: &Arc<Export>,
) -> anyhow::Result<Vec<Device>> {
    let start = |listener: Listener| {
        let url = listener.url();
        Device::start(listener, tag.clone(), crew, export)
            .with_context(|| format!("cannot wait for VMMs on {url}"))
    };
    listeners.into_iter().map(start).collect()
}

/// What the user of a VMM has to know.
pub fn announcement(listener: &Listener, tag: &Tag, options: &str) -> String {
    let Some(path) = listener.unix_path() else {
        return String::new();
    };
    let path = path.display().to_string();
    // QEMU's way to have a comma in a value.
    let quoted = path.replace(',', ",,");
    format!(
        "listening on vhost-user://{path}\n\
         \x20 QEMU 10.2 and newer, with the guest's memory as SIZE:\n\
         \x20   -object memory-backend-memfd,id=mem,size=SIZE,share=on -machine memory-backend=mem\n\
         \x20   -chardev socket,id=ninefold,path={quoted}\n\
         \x20   -device vhost-user-test-device-pci,chardev=ninefold,virtio-id=9,num_vqs=1,\
         vq_size=128,config_size=64\n\
         \x20 crosvm:          --vhost-user 9p,socket={path}\n\
         \x20 in the guest:    mount -t 9p -o trans=virtio,{options} {tag} /mnt\n"
    )
}
