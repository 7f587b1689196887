//! O_APPEND: each write goes to the end, whoever else appends.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::peer::Peer;
use crate::peer::serve::append_line;
use crate::row::Row;

const LINES: u32 = 250;
const LIMIT: u64 = 180;
const TAGS: [&str; 4] = ["this-one", "other-one", "this-two", "other-two"];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("append/four-processes-on-two-clients", four_processes).within(LIMIT),
        Row::new("append/and-a-host-that-appends", with_host).within(LIMIT),
        Row::new("append/ignores-the-position", position),
        Row::new("append/pieces-larger-than-a-message", large).within(120),
        Row::new("append/create", create),
    ]
}

const APPEND: OFlags = OFlags::WRONLY.union(OFlags::APPEND);

/// Two processes on each client, begun but not awaited.
fn begin(ctx: &Ctx) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for tag in TAGS {
        let peer = Peer::start()?;
        let path = if tag.starts_with("this") {
            ctx.a("log")
        } else {
            ctx.b("log")
        };
        let fd = peer.open(&path, APPEND)?;
        peer.begin(&[
            b"append",
            &fd.word(),
            tag.as_bytes(),
            LINES.to_string().as_bytes(),
        ])?;
        peers.push(peer);
    }
    Ok(peers)
}

fn finish(peers: &[Peer]) -> Result<()> {
    peers.iter().try_for_each(|peer| {
        peer.answer(Duration::from_secs(LIMIT))?
            .context("an appender")
            .map(drop)
    })
}

/// Every line once, whole, and nothing else.
fn check(log: &[u8], tags: &[&str]) -> Result<()> {
    let mut expected: HashSet<String> = tags
        .iter()
        .flat_map(|tag| (0..LINES).map(|time| append_line(tag, time)))
        .collect();
    for line in String::from_utf8_lossy(log).split_inclusive('\n') {
        ensure!(
            expected.remove(line),
            "expected only whole lines, each once, came {line:?}"
        );
    }
    let lost = expected.iter().min();
    ensure!(
        lost.is_none(),
        "expected no line to be lost, {} are, one is {lost:?}",
        expected.len()
    );
    Ok(())
}

fn four_processes(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "log", b"")?;
    finish(&begin(ctx)?)?;
    check(&std::fs::read(ctx.a("log")).context("read")?, &TAGS)?;
    check(&ctx.host.read(&ctx.h("log"))?, &TAGS)
}

fn with_host(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "log", b"")?;
    let peers = begin(ctx)?;
    for time in 0..LINES {
        ctx.host
            .append(&ctx.h("log"), append_line("host", time).as_bytes())?;
    }
    finish(&peers)?;
    let tags = [&TAGS[..], &["host"]].concat();
    check(&std::fs::read(ctx.b("log")).context("read")?, &tags)
}

fn position(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "log", b"0123456789")?;
    let fd = files::open(ctx.a("log"), OFlags::RDWR | OFlags::APPEND).context("open")?;
    for (position, piece) in [(0, "a"), (5, "b"), (1_000, "c")] {
        rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(position)).context("lseek")?;
        same(
            "write",
            rustix::io::write(&fd, piece.as_bytes()).context("write")?,
            1,
        )?;
    }
    same_bytes(
        "content",
        &std::fs::read(ctx.b("log")).context("read")?,
        b"0123456789abc",
    )?;
    ctx.host.append(&ctx.h("log"), b"HOST")?;
    rustix::io::write(&fd, b"d").context("write")?;
    same_bytes(
        "after the host's",
        &std::fs::read(ctx.b("log")).context("read")?,
        b"0123456789abcHOSTd",
    )
}

/// Each piece takes several messages; alone, the appender still gets one run of bytes.
fn large(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "log", b"")?;
    let fd = files::open(ctx.a("log"), APPEND).context("open")?;
    let mut expected = Vec::new();
    for seed in 0..3 {
        let data = files::pattern(seed, 700_001);
        let mut left = &data[..];
        while !left.is_empty() {
            let went = rustix::io::write(&fd, left).context("write")?;
            left = &left[went..];
        }
        expected.extend_from_slice(&data);
    }
    same_bytes(
        "content",
        &std::fs::read(ctx.b("log")).context("read")?,
        &expected,
    )
}

fn create(ctx: &Ctx) -> Result<()> {
    for time in 0..5 {
        let fd = files::open(ctx.a("log"), APPEND | OFlags::CREATE).context("open")?;
        rustix::io::write(&fd, format!("{time}").as_bytes()).context("write")?;
    }
    same_bytes(
        "content",
        &std::fs::read(ctx.b("log")).context("read")?,
        b"01234",
    )
}
