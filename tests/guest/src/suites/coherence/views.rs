//! What one does, the others see: by its name, at once.

use anyhow::Result;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::row::Row;
use crate::suites::coherence::party::Party;

/// Something to do, and what shows then.
struct Change {
    name: &'static str,
    /// Words of [`crate::deeds::act`], one deed after the other
    deeds: &'static [&'static [&'static str]],
    /// Words that ask, and the answer after the deeds
    shows: &'static [(&'static [&'static str], &'static str)],
    /// About what the host sees only where models keep it in the file system
    is_metadata: bool,
}

const fn data(
    name: &'static str,
    deeds: &'static [&'static [&'static str]],
    shows: &'static [(&'static [&'static str], &'static str)],
) -> Change {
    Change {
        name,
        deeds,
        shows,
        is_metadata: false,
    }
}

const fn metadata(
    name: &'static str,
    deeds: &'static [&'static [&'static str]],
    shows: &'static [(&'static [&'static str], &'static str)],
) -> Change {
    Change {
        name,
        deeds,
        shows,
        is_metadata: true,
    }
}

/// What everybody finds before: see [`stage`].
const CHANGES: &[Change] = &[
    data(
        "overwrite",
        &[&["pwrite", "file", "3", "ABC"]],
        &[
            (&["look", "content", "file"], "012ABC6789"),
            (&["look", "size", "file"], "10"),
        ],
    ),
    data(
        "append",
        &[&["append", "file", "ABC"], &["append", "file", "DEF"]],
        &[
            (&["look", "content", "file"], "0123456789ABCDEF"),
            (&["look", "size", "file"], "16"),
        ],
    ),
    data(
        "truncate-shorter",
        &[&["truncate", "file", "4"]],
        &[
            (&["look", "size", "file"], "4"),
            (&["look", "content", "file"], "0123"),
        ],
    ),
    data(
        "truncate-longer",
        &[&["truncate", "file", "13"]],
        &[
            (&["look", "size", "file"], "13"),
            (&["look", "content", "file"], "0123456789\0\0\0"),
        ],
    ),
    data(
        "truncate-and-write",
        &[&["write", "file", "new"]],
        &[
            (&["look", "size", "file"], "3"),
            (&["look", "content", "file"], "new"),
        ],
    ),
    data(
        "write-moves-the-time",
        &[
            &["utime", "file", "1000000000"],
            &["pwrite", "file", "0", "x"],
        ],
        &[(&["look", "mtime", "file"], "recent")],
    ),
    data(
        "create",
        &[&["write", "new", "hello"]],
        &[
            (&["look", "content", "new"], "hello"),
            (&["list", "."], "dir file linked1 linked2 new other"),
        ],
    ),
    data(
        "rename",
        &[&["rename", "file", "moved"]],
        &[
            (&["look", "kind", "file"], "nothing"),
            (&["look", "content", "moved"], "0123456789"),
            (&["list", "."], "dir linked1 linked2 moved other"),
        ],
    ),
    data(
        "rename-over",
        &[&["rename", "file", "other"]],
        &[
            (&["look", "kind", "file"], "nothing"),
            (&["look", "content", "other"], "0123456789"),
        ],
    ),
    data(
        "rename-into",
        &[&["rename", "file", "dir/file"]],
        &[
            (&["list", "dir"], "file inside"),
            (&["look", "content", "dir/file"], "0123456789"),
            (&["look", "kind", "file"], "nothing"),
        ],
    ),
    data(
        "rename-directory",
        &[&["rename", "dir", "moved"], &["mkdir", "dir"]],
        &[
            (&["list", "moved"], "inside"),
            (&["list", "dir"], ""),
            (&["look", "content", "moved/inside"], "inside"),
        ],
    ),
    data(
        "unlink",
        &[&["unlink", "file"]],
        &[
            (&["look", "kind", "file"], "nothing"),
            (&["list", "."], "dir linked1 linked2 other"),
        ],
    ),
    data(
        "unlink-and-create",
        &[&["unlink", "file"], &["write", "file", "another"]],
        &[
            (&["look", "content", "file"], "another"),
            (&["look", "size", "file"], "7"),
        ],
    ),
    data(
        "file-becomes-directory",
        &[&["unlink", "file"], &["mkdir", "file"]],
        &[
            (&["look", "kind", "file"], "directory"),
            (&["list", "file"], ""),
        ],
    ),
    data(
        "directory-becomes-file",
        &[
            &["unlink", "dir/inside"],
            &["rmdir", "dir"],
            &["write", "dir", "was a directory"],
        ],
        &[
            (&["look", "kind", "dir"], "file"),
            (&["look", "content", "dir"], "was a directory"),
        ],
    ),
    data(
        "mkdir",
        &[&["mkdir", "new"], &["write", "new/inside", "x"]],
        &[
            (&["look", "kind", "new"], "directory"),
            (&["list", "new"], "inside"),
        ],
    ),
    data(
        "rmdir",
        &[&["unlink", "dir/inside"], &["rmdir", "dir"]],
        &[
            (&["look", "kind", "dir"], "nothing"),
            (&["list", "."], "file linked1 linked2 other"),
        ],
    ),
    data(
        "set-attribute",
        &[&["setxattr", "file", "user.colour", "red"]],
        &[(&["getxattr", "file", "user.colour"], "red")],
    ),
    data(
        "change-attribute",
        &[&["setxattr", "file", "user.mark", "a longer value"]],
        &[(&["getxattr", "file", "user.mark"], "a longer value")],
    ),
    data(
        "remove-attribute",
        &[&["removexattr", "file", "user.mark"]],
        &[(&["getxattr", "file", "user.mark"], "nothing")],
    ),
    data(
        "set-time",
        &[&["utime", "file", "1000000000"]],
        &[(&["look", "mtime", "file"], "1000000000")],
    ),
    metadata(
        "chmod",
        &[&["chmod", "file", "604"], &["chmod", "dir", "1711"]],
        &[
            (&["look", "mode", "file"], "604"),
            (&["look", "mode", "dir"], "1711"),
        ],
    ),
    metadata(
        "chown",
        &[
            &["chown", "file", "1000", "1001"],
            &["chown", "dir", "7", "8"],
        ],
        &[
            (&["look", "owner", "file"], "1000:1001"),
            (&["look", "owner", "dir"], "7:8"),
        ],
    ),
    metadata(
        "link",
        &[&["link", "file", "again"]],
        &[
            (&["look", "links", "file"], "2"),
            (&["look", "links", "again"], "2"),
            (&["look", "content", "again"], "0123456789"),
        ],
    ),
    metadata(
        "unlink-one-of-two",
        &[&["unlink", "linked1"]],
        &[(&["look", "links", "linked2"], "1")],
    ),
    metadata(
        "symlink",
        &[&["symlink", "some/where", "new"]],
        &[(&["look", "target", "new"], "some/where")],
    ),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in Who::ALL {
        for change in CHANGES {
            let name = format!("view/{}/{}", who.word(), change.name);
            rows.push(Row::new(name, move |ctx| play(ctx, who, change)));
        }
    }
    rows
}

fn stage(party: &Party) -> Result<()> {
    for words in [
        &["write", "file", "0123456789"][..],
        &["setxattr", "file", "user.mark", "old"],
        &["write", "other", "other"],
        &["mkdir", "dir"],
        &["write", "dir/inside", "inside"],
        &["write", "linked1", "linked"],
        &["link", "linked1", "linked2"],
    ] {
        party.must(words)?;
    }
    Ok(())
}

fn play(ctx: &Ctx, who: Who, change: &Change) -> Result<()> {
    let host_is_blind = change.is_metadata && !ctx.host_sees_metadata();
    if who == Who::Host && host_is_blind {
        return skip("in this model the host cannot do it");
    }
    let removes_dir = change
        .deeds
        .iter()
        .any(|deed| deed.first() == Some(&"rmdir"));
    if who == Who::Host && removes_dir && ctx.model == Model::MappedFile {
        return skip("to the host no directory with metadata is empty");
    }
    if change.name == "chown" && !ctx.keeps_owners() {
        return skip("the server may not give files away");
    }
    let parties = Party::all(ctx)?;
    let eyes = || {
        let seeing = parties.iter();
        seeing.filter(|eye| eye.who != Who::Host || !host_is_blind)
    };
    stage(&parties[0])?;
    // Whoever keeps what it has seen has seen this.
    for (question, _) in change.shows {
        eyes().try_for_each(|eye| eye.ask(question).map(drop))?;
    }
    let actor = parties.iter().find(|party| party.who == who);
    for deed in change.deeds {
        actor.map_or(Ok(vec![]), |actor| actor.must(deed))?;
    }
    for (question, answer) in change.shows {
        for eye in eyes() {
            let what = format!("{} by {}", question.join(" "), eye.who.word());
            same_bytes(&what, &eye.must(question)?, answer.as_bytes())?;
        }
    }
    Ok(())
}
