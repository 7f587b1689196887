//! dpkg: chown, setuid, fsync and renames over existing files, as a package manager does them.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::apps::needs;
use crate::suites::apps::sh;

/// A package made on the spot: setuid program, other owners, conffile, links, many small files.
const BUILD: &str = r#"
build() {
  p=pkg$1; mkdir -p $p/DEBIAN $p/usr/bin $p/usr/share/sample $p/etc $p/var/spool/sample
  printf 'Package: sample\nVersion: %s\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: sample\n' $1 \
    > $p/DEBIAN/control
  echo /etc/sample.conf > $p/DEBIAN/conffiles
  echo setting > $p/etc/sample.conf
  echo "program $1" > $p/usr/bin/program; ln $p/usr/bin/program $p/usr/bin/alias; ln -s program $p/usr/bin/link
  i=0; while [ $i -lt 10 ]; do echo "$1 $i" > $p/usr/share/sample/f$i; i=$((i+1)); done
  chown 0:0 $p/usr/bin/program; chmod 4755 $p/usr/bin/program
  chown 12:34 $p/var/spool/sample; chmod 2770 $p/var/spool/sample
  dpkg-deb --build $p sample-$1.deb
}
"#;

const DPKG: &str = "dpkg --root=\"$PWD/root\" --force-not-root --force-unsafe-io --log=/dev/null";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("dpkg/unpack", unpack),
        Row::new("dpkg/safe-io", safe_io),
        Row::new("dpkg/upgrade-and-remove", upgrade),
        Row::new("dpkg/extract", extract),
    ]
}

fn plant(ctx: &Ctx) -> Result<()> {
    needs(&["dpkg", "dpkg-deb", "tar"])?;
    sh(ctx, &format!("{BUILD} build 1; build 2"))?;
    sh(ctx, "d=root/var/lib/dpkg; mkdir -p $d/info $d/updates $d/triggers; : > $d/status; : > $d/available").map(drop)
}

/// Mode and owner as the package says.
fn installed(ctx: &Ctx, path: &str, mode: u32, owner: (u32, u32)) -> Result<()> {
    let stat = rustix::fs::stat(ctx.b(path)).with_context(|| format!("stat of {path}"))?;
    let bits = if ctx.keeps_owners() { 0o7777 } else { 0o1777 };
    same(&format!("mode of {path}"), stat.st_mode & bits, mode & bits)?;
    if ctx.keeps_owners() {
        same(
            &format!("owner of {path}"),
            (stat.st_uid, stat.st_gid),
            owner,
        )?;
    }
    Ok(())
}

fn check(ctx: &Ctx, root: &str, version: &str) -> Result<()> {
    installed(ctx, &format!("{root}/usr/bin/program"), 0o4755, (0, 0))?;
    installed(ctx, &format!("{root}/var/spool/sample"), 0o2770, (12, 34))?;
    installed(ctx, &format!("{root}/usr/share/sample/f0"), 0o644, (0, 0))?;
    for number in 0..10 {
        let text = std::fs::read_to_string(ctx.b(format!("{root}/usr/share/sample/f{number}")))
            .context("read")?;
        same("content", text, format!("{version} {number}\n"))?;
    }
    let (program, alias) = (
        ctx.b(format!("{root}/usr/bin/program")),
        ctx.b(format!("{root}/usr/bin/alias")),
    );
    let inodes = [program, alias].map(|path| rustix::fs::stat(path).map(|stat| stat.st_ino));
    same(
        "hard links",
        inodes[0].context("stat")?,
        inodes[1].context("stat")?,
    )
}

fn unpack(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    sh(
        ctx,
        &format!("{DPKG} --unpack sample-1.deb; {DPKG} --configure -a"),
    )?;
    check(ctx, "root", "1")?;
    same(
        "dpkg -V",
        sh(ctx, &format!("{DPKG} --verify sample"))?.as_str(),
        "",
    )
}

fn safe_io(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    sh(
        ctx,
        &format!(
            "{} --install sample-1.deb",
            DPKG.replace("--force-unsafe-io ", "")
        ),
    )?;
    check(ctx, "root", "1")
}

fn upgrade(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    sh(
        ctx,
        &format!("{DPKG} --install sample-1.deb; echo changed > root/etc/sample.conf"),
    )?;
    sh(
        ctx,
        &format!("{DPKG} --force-confold --install sample-2.deb"),
    )?;
    check(ctx, "root", "2")?;
    let kept = std::fs::read_to_string(ctx.b("root/etc/sample.conf")).context("read")?;
    same("conffile", kept.as_str(), "changed\n")?;
    let left = files::list(&ctx.b("root/usr/bin"))?;
    same("names in usr/bin", left.len(), 3)?;
    sh(ctx, &format!("{DPKG} --purge sample"))?;
    for name in [
        "root/usr/bin/program",
        "root/usr/share/sample",
        "root/etc/sample.conf",
    ] {
        ensure!(!ctx.b(name).exists(), "expected {name} to be purged");
    }
    Ok(())
}

fn extract(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    sh(
        ctx,
        "dpkg-deb --extract sample-1.deb out; dpkg-deb --control sample-1.deb control",
    )?;
    check(ctx, "out", "1")?;
    same(
        "names of control",
        files::list(&ctx.b("control"))?,
        vec![b"conffiles".to_vec(), b"control".to_vec()],
    )
}
