//! Wrong usage ends with status 2, servers that are not there with 1, help with 0.

use crate::server::{complaint, failure, run};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

#[test]
fn wrong_usage_is_status_2() {
    let cases: [(&[&str], &str); 14] = [
        (&[], "Usage: ninefold"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["ls"], "<URL>"),
        (&["cat"], "<URL>"),
        (&["put", "-"], "<URL>"),
        (
            &["ls", "/tmp"],
            "vsock+unix:///socket:port/path, came \"/tmp\"",
        ),
        (
            &["ls", "tcp://:9/"],
            "expected a host after tcp://, came \":9\"",
        ),
        (
            &["cat", "tcp://h:99999/"],
            "expected a port from 1 to 65535, came \":99999\"",
        ),
        (
            &["rm", "unix:///a%g1"],
            "expected two hexadecimal digits after %, came \"g1\"",
        ),
        (&["serve"], "<DIR|--fsdev <OPTIONS>|--virtfs <OPTIONS>>"),
        (
            &["serve", "--msize-max", "32M", "."],
            "expected a number from 4096 to 16M",
        ),
        (
            &["serve", "--tcp", "::1:564", "."],
            "expected HOST:PORT, with IPv6 addresses in brackets",
        ),
        (&["serve", "--security-model", "magic", "."], "passthrough"),
        (&["serve", "--log", "loud", "."], "trace"),
    ];
    for (args, want) in cases {
        let output = run(args);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(want), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_ways_to_share_are_status_2() {
    let fsdev = "--fsdev=local,id=a,path=/,security_model=none";
    let virtfs = "--virtfs=local,mount_tag=a,path=/,security_model=none";
    let cases: [(&[&str], &str); 17] = [
        (
            &[fsdev, "."],
            "'--fsdev <OPTIONS>' cannot be used with '[DIR]'",
        ),
        (&[fsdev, virtfs], "cannot be used with '--virtfs <OPTIONS>'"),
        (&[fsdev, "--readonly"], "cannot be used with '--readonly'"),
        (
            &[fsdev, "--security-model=none"],
            "cannot be used with '--security-model <MODEL>'",
        ),
        (
            &[virtfs, "--fmode=0600"],
            "cannot be used with '--fmode <MODE>'",
        ),
        (
            &[virtfs, "--dmode=0700"],
            "cannot be used with '--dmode <MODE>'",
        ),
        (
            &[virtfs, "--multidevs=remap"],
            "cannot be used with '--multidevs <HOW>'",
        ),
        (
            &[virtfs, "--writeout=immediate"],
            "cannot be used with '--writeout <WHEN>'",
        ),
        (
            &[fsdev, "--max-xattr=1024"],
            "cannot be used with '--max-xattr <N>'",
        ),
        (
            &[fsdev, "--throttling.iops-size=1"],
            "cannot be used with '--throttling.iops-size <N>'",
        ),
        (
            &["--fsdev=local,id=a,path=/"],
            "security_model property not set\nValid options are: security_model=[",
        ),
        (
            &["--virtfs=local,path=/"],
            "Usage: -virtfs fsdriver,mount_tag=tag",
        ),
        (
            &["--fsdev=local,id=a,path=/,security_model=none,fmode=0600"],
            "fmode is only valid for mapped security modes",
        ),
        (
            &["--security-model=passthrough", "--dmode=700", "."],
            "dmode is only valid for mapped security modes",
        ),
        (
            &["--fmode=0844", "."],
            "expected octal digits from 0 to 0777, came \"0844\"",
        ),
        (&["--writeout=typo", "."], "immediate"),
        (&["--multidevs=off", "."], "remap, forbid, warn"),
    ];
    for (args, want) in cases {
        let output = run(["serve"].iter().chain(args));
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(want), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_help_has_every_option_of_qemu() {
    let output = run(["serve", "--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    for name in [
        "--fsdev",
        "--virtfs",
        "--security-model",
        "--fmode",
        "--dmode",
        "--readonly",
        "--multidevs",
        "--writeout",
        "--max-xattr",
        "--throttling.iops-size",
    ] {
        assert!(help.contains(&format!("  {name}")), "{name}: {help}");
    }
    for kind in ["bps", "iops"] {
        for way in ["total", "read", "write"] {
            for end in ["", "-max", "-max-length"] {
                let flag = format!("  --throttling.{kind}-{way}{end} <N>");
                assert!(help.contains(&flag), "{flag}: {help}");
            }
        }
    }
}

#[test]
fn help_and_version_are_status_0() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["serve", "--help"],
        &["put", "--help"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("ninefold"),
            "{args:?}"
        );
    }
}

#[test]
fn a_server_that_is_not_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let base = dir.path().display();

    let said = failure(&run(["ls", &format!("unix://{base}/none/x")]));
    assert!(said.contains(&format!(
        "ninefold: listing unix://{base}/none/x: expected a unix socket"
    )));

    drop(UnixListener::bind(dir.path().join("dead")).expect("a socket"));
    let said = failure(&run(["stat", &format!("unix://{base}/dead/x")]));
    assert!(said.contains("expected a server at unix://"), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn a_server_that_says_nothing_sensible() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let listener = UnixListener::bind(dir.path().join("s")).expect("a socket");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"\xff\xff\xff\xff\x1b[2J").expect("room");
        // Closing before the client has sent its request would be another story.
        stream.read_to_end(&mut Vec::new()).expect("the end");
    });
    let said = failure(&run(["ls", &format!("unix://{}/s", dir.path().display())]));
    assert!(
        said.contains("the server sent the size field 4294967295"),
        "{said}"
    );
}
