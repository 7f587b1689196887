//! Small tools that each lean on one thing.

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::holds;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::apps::needs;
use crate::suites::apps::sh;

/// Name, what it needs, and a script that fails when something is wrong.
const SCRIPTS: [(&str, &[&str], &str); 14] = [
    ("mktemp", &["mktemp"], "f=$(mktemp -p .); test -f $f; test $(stat -c %a $f) = 600; d=$(mktemp -d -p .)
        test $(stat -c %a $d) = 700; echo x > $d/y; rm -r $f $d; test -z \"$(ls -A)\""),
    ("here-document", &[], "cat > out <<END\nfrom a here-document\nEND\ntest \"$(cat out)\" = 'from a here-document'"),
    ("sort-with-temporary-files", &["sort"], "seq 20000 -1 1 > in; sort -n -S 64K -T . in > out; seq 1 20000 | cmp - out"),
    ("split-and-join", &["split"], "head -c 700001 /dev/urandom > in; split -b 99999 in part.; cat part.* | cmp - in"),
    ("gzip-in-place", &["gzip"], "seq 1 9999 > f; chmod 640 f; cp f copy; gzip f; test ! -e f; gunzip f.gz
        cmp f copy; test $(stat -c %a f) = 640"),
    ("dd-notrunc", &["dd"], "head -c 10000 /dev/zero > f; printf MID | dd of=f bs=1 seek=5000 conv=notrunc,fsync 2>/dev/null
        test $(stat -c %s f) = 10000; test \"$(dd if=f bs=1 skip=5000 count=3 2>/dev/null)\" = MID"),
    ("find-and-du", &["find", "du"], "mkdir -p a/b/c; for i in 1 2 3 4 5; do echo x > a/b/f$i; ln -s f$i a/b/c/l$i; done
        test $(find . -type f | wc -l) = 5; test $(find . -type l | wc -l) = 5; test $(find . -type d | wc -l) = 4
        find . -name 'f*' -newermt 2000-01-01 -delete; test $(find . -type f | wc -l) = 0; du -s . > /dev/null"),
    ("switch-a-link", &["ln"], "mkdir v1 v2; ln -s v1 now; for i in 1 2 3; do ln -sfn v2 now; test $(readlink now) = v2
        ln -sfn v1 now; test $(readlink now) = v1; done"),
    ("touch-and-compare-times", &["touch"], "touch -d '2001-02-03 04:05:06 UTC' old; touch new; test new -nt old
        test $(stat -c %Y old) = 981173106; touch -r old new; test $(stat -c %Y new) = 981173106"),
    ("move-a-tree", &["mv"], "mkdir -p a/b; seq 1 100 > a/b/f; mkdir c; mv a c/; test ! -e a; seq 1 100 | cmp - c/a/b/f
        mv c/a/b/f .; mv -n f c; test -e c/f; test ! -e f"),
    ("truncate-and-append", &["truncate"], "echo 12345 > f; truncate -s 3 f; echo x >> f; test \"$(cat f)\" = 123x
        : > f; test ! -s f; truncate -s 1M f; test $(stat -c %s f) = 1048576"),
    ("lock-directory", &["mkdir"], "n=0; for i in 1 2 3 4 5 6 7 8; do (mkdir lock 2>/dev/null && echo won >> result) & done
        wait; test $(wc -l < result) = 1"),
    ("run-a-script", &[], "printf '#!/bin/sh\\necho ran $1\\n' > s; chmod 755 s; test \"$(./s here)\" = 'ran here'"),
    ("run-a-program", &[], "cp /bin/echo prog; test \"$(./prog hello)\" = hello; cp /bin/echo new; mv new prog
        test \"$(./prog again)\" = again"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = SCRIPTS
        .into_iter()
        .map(|(name, programs, text)| {
            Row::new(format!("tool/{name}"), move |ctx| {
                needs(programs)?;
                sh(ctx, text).map(drop)
            })
        })
        .collect();
    rows.extend([
        Row::new("tool/install-with-owner-and-mode", install),
        Row::new("tool/sed-in-place-keeps-owner-and-mode", sed),
        Row::new("tool/chown-and-chmod-of-a-tree", recursive),
        Row::new("tool/script-replaced-while-it-runs", replaced_while_running),
        Row::new("tool/temporary-file-without-a-name", nameless),
    ]);
    rows
}

fn owned(ctx: &Ctx, name: &str, mode: u32, owner: (u32, u32)) -> Result<()> {
    let stat = rustix::fs::lstat(ctx.b(name)).context("stat")?;
    if ctx.keeps_owners() {
        same(
            &format!("owner of {name}"),
            (stat.st_uid, stat.st_gid),
            owner,
        )?;
        same(&format!("mode of {name}"), stat.st_mode & 0o7777, mode)
    } else {
        same(
            &format!("mode of {name}"),
            stat.st_mode & 0o777,
            mode & 0o777,
        )
    }
}

fn install(ctx: &Ctx) -> Result<()> {
    needs(&["install"])?;
    sh(
        ctx,
        "echo x > f; install -o12 -g34 -m2750 f g; install -d -o12 -g34 -m1770 d; install -D -m600 f deep/er/f",
    )?;
    owned(ctx, "g", 0o2750, (12, 34))?;
    owned(ctx, "d", 0o1770, (12, 34))?;
    owned(ctx, "deep/er/f", 0o600, (0, 0))?;
    // Over an existing one, which install unlinks first.
    sh(ctx, "install -o56 -g78 -m4711 f g")?;
    owned(ctx, "g", 0o4711, (56, 78))
}

fn sed(ctx: &Ctx) -> Result<()> {
    sh(
        ctx,
        "echo one two > f; chown 77:88 f; chmod 640 f; sed -i s/one/three/ f; test \"$(cat f)\" = 'three two'",
    )?;
    owned(ctx, "f", 0o640, (77, 88))
}

fn recursive(ctx: &Ctx) -> Result<()> {
    sh(
        ctx,
        "mkdir -p t/a/b; touch t/f t/a/f t/a/b/f; ln -s f t/l; chmod -R u=rwX,g=rX,o= t; chown -hR 12:34 t",
    )?;
    for (name, mode) in [
        ("t", 0o750),
        ("t/a/b", 0o750),
        ("t/a/b/f", 0o640),
        ("t/f", 0o640),
    ] {
        owned(ctx, name, mode, (12, 34))?;
    }
    if ctx.keeps_owners() {
        let stat = rustix::fs::lstat(ctx.b("t/l")).context("lstat")?;
        same("owner of the symlink", (stat.st_uid, stat.st_gid), (12, 34))?;
    }
    Ok(())
}

/// A shell goes on reading the script that it began.
fn replaced_while_running(ctx: &Ctx) -> Result<()> {
    let filler = "# filler\n".repeat(3_000);
    ctx.put(
        Who::This,
        "s",
        format!("echo started\nmv new s\n{filler}echo ended as begun\n").as_bytes(),
    )?;
    ctx.put(
        Who::This,
        "new",
        format!("echo wrong\n{filler}echo wrong as well\n").as_bytes(),
    )?;
    same(
        "output",
        sh(ctx, "sh ./s")?.as_str(),
        "started\nended as begun\n",
    )?;
    same(
        "output of the new one",
        sh(ctx, "sh ./s")?.as_str(),
        "wrong\nwrong as well\n",
    )
}

/// As `TemporaryFile` of many languages, and as diff, patch and tar use it.
fn nameless(ctx: &Ctx) -> Result<()> {
    let said = sh(
        ctx,
        "exec 3<>tmp; rm tmp; seq 1 5000 >&3; test \"$(stat -L -c %s /proc/self/fd/3)\" = 23893
         cat /proc/self/fd/3 | tail -n 1; chmod 600 /proc/self/fd/3; stat -L -c %a /proc/self/fd/3",
    )?;
    same("output", said.as_str(), "5000\n600\n")?;
    holds("nothing is left", files::list(&ctx.second)?.is_empty())
}
