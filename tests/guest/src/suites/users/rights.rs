//! Who may do what.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Tag;
use crate::cli::Model;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same_bytes;
use crate::files;
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::coherence::Party;
use crate::suites::users::ANN;
use crate::suites::users::BOB;
use crate::suites::users::belongs;

const FILES: u32 = 100;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("users/own-what-they-make", own),
        Row::new("users/keep-others-out", keep_out),
        Row::new("users/the-hosts-list-decides", list_decides),
        Row::new(
            "users/the-hosts-list-of-a-directory-decides",
            directory_list_decides,
        ),
        Row::new("users/groups-are-the-hosts", groups),
        Row::new("users/root-is-root", root),
        Row::new("users/an-open-file-stays-open", open_file),
        Row::new("users/all-at-once", all_at_once).within(180),
    ]
}

/// Everybody may make something in the row's directory.
fn open_to_all(ctx: &Ctx) -> Result<()> {
    ctx.host.chmod(&ctx.h("."), 0o1777)
}

fn own(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    for id in [ANN, BOB] {
        let user = Peer::of_user(id, id)?;
        let names = ["file", "dir", "symlink"].map(|name| format!("{name}{id}"));
        for words in [
            &["write", &names[0], "x"][..],
            &["mkdir", &names[1]],
            &["symlink", "target", &names[2]],
            &["chmod", &names[0], "600"],
            &["append", &names[0], "y"],
        ] {
            user.act(&ctx.first, words)?
                .with_context(|| words.join(" "))?;
        }
        names
            .iter()
            .try_for_each(|name| belongs(ctx, name, id, id))?;
    }
    Ok(())
}

fn keep_out(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    let (ann, bob) = (Peer::of_user(ANN, ANN)?, Peer::of_user(BOB, BOB)?);
    ann.act(&ctx.first, &["write", "file", "secret"])?
        .context("write")?;
    ann.act(&ctx.first, &["chmod", "file", "600"])?
        .context("chmod")?;
    for directory in [&ctx.first, &ctx.second] {
        for words in [
            &["look", "content", "file"][..],
            &["append", "file", "x"],
            &["chmod", "file", "666"],
            &["unlink", "file"],
            &["rename", "file", "mine"],
        ] {
            let came = bob.act(directory, words)?;
            fails(&words.join(" "), came, &[Errno::ACCESS, Errno::PERM])?;
        }
    }
    let came = ann.act(&ctx.second, &["look", "content", "file"])?;
    same_bytes("to its owner", &came.context("read")?, b"secret")
}

/// Readable for all but one; that one has a mode to hope for.
fn all_but(id: u32, rest: u16) -> Vec<u8> {
    acl::encode(&[
        (Tag::Owner, 7),
        (Tag::User(id), 0),
        (Tag::OwningGroup, rest),
        (Tag::Mask, rest),
        (Tag::Other, rest),
    ])
}

fn list_decides(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::Host, "file", b"for most")?;
    let list = all_but(BOB, 4);
    ctx.host
        .setxattr(&ctx.h("file"), acl::ACCESS.as_bytes(), &list)?;
    let read = |id: u32| Peer::of_user(id, id)?.act(&ctx.first, &["look", "content", "file"]);
    same_bytes("to others", &read(ANN)?.context("read")?, b"for most")?;
    fails("to the one left out", read(BOB)?, &[Errno::ACCESS])
}

fn directory_list_decides(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::Host, "dir")?;
    ctx.put(Who::Host, "dir/file", b"for most")?;
    let list = all_but(BOB, 5);
    ctx.host
        .setxattr(&ctx.h("dir"), acl::ACCESS.as_bytes(), &list)?;
    let (ann, bob) = (Peer::of_user(ANN, ANN)?, Peer::of_user(BOB, BOB)?);
    let came = ann.act(&ctx.first, &["look", "content", "dir/file"])?;
    same_bytes("to others", &came.context("read")?, b"for most")?;
    ann.act(&ctx.first, &["list", "dir"])?.context("list")?;
    for words in [&["look", "content", "dir/file"][..], &["list", "dir"]] {
        let came = bob.act(&ctx.first, words)?;
        fails(&words.join(" "), came, &[Errno::ACCESS])?;
    }
    Ok(())
}

/// In the guest somebody may be in any group.
fn groups(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    let ann = Peer::of_user(ANN, BOB)?;
    let came = ann.act(&ctx.first, &["write", "file", "x"])?;
    if ctx.model == Model::None {
        came.context("write")?;
        return belongs(ctx, "file", ANN, ANN);
    }
    fails(
        "a file for a group that is not its maker's",
        came,
        &[Errno::PERM],
    )
}

fn root(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    let ann = Peer::of_user(ANN, ANN)?;
    ann.act(&ctx.first, &["write", "file", "secret"])?
        .context("write")?;
    ann.act(&ctx.first, &["chmod", "file", "0"])?
        .context("chmod")?;
    same_bytes(
        "to root",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"secret",
    )?;
    Party::of(ctx, Who::This)?.must(&["chown", "file", "2", "2"])?;
    belongs(ctx, "file", BOB, BOB)
}

/// As everywhere: rights are asked for when a file is opened.
fn open_file(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    let ann = Peer::of_user(ANN, ANN)?;
    ann.act(&ctx.first, &["write", "file", "0123456789"])?
        .context("write")?;
    let fd = ann.open(&ctx.a("file"), OFlags::RDWR)?;
    ctx.host.chmod(&ctx.h("file"), 0)?;
    ann.ask(&[b"pwrite", &fd.word(), b"3", b"abc"])?
        .context("pwrite")?;
    let came = ann
        .ask(&[b"pread", &fd.word(), b"10", b"0"])?
        .context("pread")?;
    same_bytes("content", &came, b"012abc6789")?;
    let again = ann.act(&ctx.b("."), &["look", "content", "file"])?;
    fails("to open it again", again, &[Errno::ACCESS])
}

/// None gets into another one's skin.
fn all_at_once(ctx: &Ctx) -> Result<()> {
    open_to_all(ctx)?;
    let ids = [0, ANN, BOB, ANN, BOB];
    let users: Vec<Peer> = ids
        .iter()
        .map(|&id| Peer::of_user(id, id))
        .collect::<Result<_>>()?;
    let count = FILES.to_string();
    let tag = |number: usize, id: u32| format!("u{id}-{number}-");
    for (number, (user, &id)) in users.iter().zip(&ids).enumerate() {
        let directory = if number % 2 == 0 {
            &ctx.first
        } else {
            &ctx.second
        };
        let tag = tag(number, id);
        user.begin(&[
            b"in",
            directory.as_os_str().as_encoded_bytes(),
            b"race",
            b"fill",
            tag.as_bytes(),
            count.as_bytes(),
        ])?;
    }
    for user in &users {
        user.answer(Duration::from_secs(150))?
            .context("a user's files")?;
    }
    for (number, &id) in ids.iter().enumerate() {
        for file in 0..FILES {
            belongs(ctx, &format!("{}{file}", tag(number, id)), id, id)?;
        }
    }
    crate::expect::same("files", files::list(&ctx.a("."))?.len(), ids.len() * 100)
}
