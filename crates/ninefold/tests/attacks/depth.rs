//! A tree as deep as a client can build it.

use ninefold_client::wire::{Name, Request, flags};

use crate::common::{Server, getattr, walk};

const DEPTH: usize = 10_000;

fn name() -> Name<'static> {
    Name::new(b"d").expect("a name")
}

#[test]
fn ten_thousand_levels_down_and_up() {
    // Each level that a client stands below costs the server a descriptor.
    let limit = usize::try_from(ninefold::raise_descriptor_limit()).unwrap_or(usize::MAX);
    let depth = DEPTH.min(limit.saturating_sub(500));
    let server = Server::new();
    let mut builder = server.session();
    walk(&mut builder, 0, 1, &[]).expect("a clone");
    for _ in 0..depth {
        let mkdir = Request::Mkdir {
            dfid: 1,
            name: name(),
            mode: 0o755,
            gid: 0,
        };
        builder.call(&mkdir).expect("a directory");
        walk(&mut builder, 1, 1, &["d"]).expect("a step down");
    }
    // The path has 20,000 bytes by now, five times what the host takes at once.
    walk(&mut builder, 1, 2, &[]).expect("a clone");
    let rename = |newname| Request::Rename {
        fid: 2,
        dfid: 1,
        name: newname,
    };
    let into_itself = builder.call(&rename(name())).map(drop);
    assert_eq!(into_itself.expect_err("no").errno(), Some(22));
    // All of it goes at once.
    drop(builder);
    server.wait_until_idle();

    let mut other = server.session();
    walk(&mut other, 0, 1, &[]).expect("a clone");
    let mut deep = 0;
    while deep < depth {
        let names = vec!["d"; 16.min(depth - deep)];
        deep += walk(&mut other, 1, 1, &names).expect("steps down");
    }
    while deep > 0 {
        assert_eq!(walk(&mut other, 1, 1, &[".."]).expect("a step up"), 1);
        let remove = Request::Unlinkat {
            dirfid: 1,
            name: name(),
            flags: flags::unlink::REMOVEDIR,
        };
        other.call(&remove).expect("a removal");
        deep -= 1;
    }
    assert!(!server.path("d").exists());
    other.call(&getattr(0)).expect("it goes on");
}

#[test]
fn no_way_up_leads_out() {
    let server = Server::with(&[], "0", |dir| {
        std::fs::create_dir_all(dir.join("a/b/c")).expect("directories");
    });
    std::fs::write(server.outside("secret"), "").expect("a file");
    let mut connection = server.session();
    assert_eq!(
        walk(&mut connection, 0, 1, &["a", "b", "c"]).expect("a walk"),
        3
    );
    for fid in [0, 1] {
        let mut up = vec![".."; 15];
        up.push("secret");
        assert_eq!(walk(&mut connection, fid, 9, &up).expect("a walk"), 15);
        up[15] = "export";
        assert_eq!(walk(&mut connection, fid, 9, &up).expect("a walk"), 15);
        up[15] = "a";
        assert_eq!(walk(&mut connection, fid, 9, &up).expect("a walk"), 16);
        connection
            .call(&Request::Clunk { fid: 9 })
            .expect("a clunk");
    }
}
