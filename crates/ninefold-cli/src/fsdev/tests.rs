//! What is read, and every message.

use super::{parse_fsdev, parse_virtfs};
use crate::share::{Multidevs, SecurityModel, ShareOptions, THROTTLING};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

fn fsdev(text: &str) -> Result<ShareOptions, String> {
    parse_fsdev(OsStr::new(text)).map_err(|error| error.to_string())
}

fn virtfs(text: &str) -> Result<ShareOptions, String> {
    parse_virtfs(OsStr::new(text)).map_err(|error| error.to_string())
}

fn plain(security_model: SecurityModel) -> ShareOptions {
    ShareOptions::new("/srv".into(), security_model)
}

#[test]
fn everything_there_is() {
    let want = ShareOptions {
        fmode: Some(0o644),
        dmode: Some(0o755),
        readonly: true,
        multidevs: Multidevs::Forbid,
        writeout: true,
        max_xattr: 0,
        throttling: vec![
            ("throttling.iops-size", 4096),
            ("throttling.bps-total", 0x10_0000),
        ],
        ..plain(SecurityModel::MappedXattr)
    };
    let text = "local,id=fs0,path=/srv,security_model=mapped-xattr,fmode=0644,dmode=493,\
                readonly=on,multidevs=forbid,writeout=immediate,max_xattr=0,\
                throttling.iops-size=4096,throttling.bps-total=0x100000";
    assert_eq!(fsdev(text), Ok(want.clone()));
    let text = "mount_tag=host0,fsdriver=local,path=/srv,security_model=mapped-xattr,fmode=0644,\
                dmode=493,readonly=on,multidevs=forbid,writeout=immediate,max_xattr=0";
    let want = ShareOptions {
        throttling: Vec::new(),
        mount_tag: Some("host0".into()),
        ..want
    };
    assert_eq!(virtfs(text), Ok(want));
}

#[test]
fn what_is_not_said_is_qemus_default() {
    let want = plain(SecurityModel::None);
    assert_eq!(
        fsdev("local,path=/srv,id=a,security_model=none"),
        Ok(want.clone())
    );
    assert_eq!(want.multidevs, Multidevs::Remap);
    assert_eq!(want.max_xattr, 1024);
    assert!(!want.readonly && !want.writeout && want.throttling.is_empty());
    assert_eq!((want.fmode, want.dmode), (None, None));
}

#[test]
fn models_by_their_names() {
    for (name, model) in [
        ("passthrough", SecurityModel::Passthrough),
        ("mapped", SecurityModel::MappedXattr),
        ("mapped-xattr", SecurityModel::MappedXattr),
        ("mapped-file", SecurityModel::MappedFile),
        ("none", SecurityModel::None),
    ] {
        let text = format!("local,id=a,path=/srv,security_model={name}");
        assert_eq!(fsdev(&text), Ok(plain(model)), "{name}");
    }
}

#[test]
fn readonly_in_all_its_forms() {
    for (text, readonly) in [
        ("readonly", true),
        ("readonly=on", true),
        ("readonly=yes", true),
        ("readonly=off", false),
        ("readonly=false", false),
        ("noreadonly", false),
    ] {
        let text = format!("local,id=a,path=/srv,security_model=none,{text}");
        let share = fsdev(&text).expect("sound options");
        assert_eq!(share.readonly, readonly, "{text}");
    }
}

#[test]
fn paths_with_commas_and_bytes() {
    let share = fsdev("local,id=a,path=/a,,b/c=d,security_model=none").expect("sound options");
    assert_eq!(share.path.as_os_str(), "/a,b/c=d");
    let text = OsString::from_vec(b"local,id=a,path=/\xff,security_model=none".to_vec());
    let share = parse_fsdev(&text).expect("sound options");
    assert_eq!(share.path.as_os_str().as_bytes(), b"/\xff");
}

#[test]
fn every_limit_arrives() {
    for (value, name) in (1..).zip(THROTTLING) {
        let text = format!("local,id=a,path=/srv,security_model=none,{name}={value}");
        let share = fsdev(&text).expect("sound options");
        assert_eq!(share.throttling, [(name, value)]);
    }
}

const MODELS: &str = "Valid options are: \
                      security_model=[passthrough|mapped-xattr|mapped-file|none]";

#[test]
fn every_message_of_fsdev() {
    let models = |text: &str| format!("{text}\n{MODELS}");
    let good = "local,id=a,path=/srv,security_model=mapped";
    for (text, want) in [
        ("".to_owned(), "fsdev: No id specified".to_owned()),
        ("local,path=/".into(), "fsdev: No id specified".into()),
        ("id=a".into(), "fsdev: No fsdriver specified".into()),
        (
            "proxy,id=a".into(),
            "fsdev: fsdriver proxy not found".into(),
        ),
        (
            "local,id=a,socket=/s".into(),
            "'socket' is invalid for fsdriver 'local'".into(),
        ),
        (
            "local,id=a,sock_fd=3".into(),
            "'sock_fd' is invalid for fsdriver 'local'".into(),
        ),
        (
            format!("{good},max_xattr=4294967296"),
            "max_xattr value '4294967296' too large".into(),
        ),
        (
            "local,id=a,path=/".into(),
            models("security_model property not set"),
        ),
        (
            "local,id=a,path=/,security_model=Mapped".into(),
            models("invalid security_model property 'Mapped'"),
        ),
        (
            format!("{good},multidevs=on"),
            "invalid multidevs property 'on'\nValid options are: multidevs=[remap|forbid|warn]"
                .into(),
        ),
        (
            "local,id=a,security_model=none".into(),
            "path property not set".into(),
        ),
        (
            "local,id=a,path=,security_model=none".into(),
            "path property not set".into(),
        ),
        (
            format!("{good},fmode=01000"),
            "fmode value '512' too large\nExpected 0 to 0777".into(),
        ),
        (
            format!("{good},dmode=755"),
            "dmode value '755' too large".into(),
        ),
        (
            format!("{good},fmode=999999"),
            "fmode value '999999' too large".into(),
        ),
        (
            format!("{good},writeout=typo"),
            "invalid writeout property 'typo'\nValid options are: writeout=immediate".into(),
        ),
        (
            format!("{good},fmode=rw"),
            "Parameter 'fmode' expects a number".into(),
        ),
        (
            format!("{good},fmode=-1"),
            "Parameter 'fmode' expects a number".into(),
        ),
        (
            format!("{good},fmode"),
            "Parameter 'fmode' expects a number".into(),
        ),
        (
            "local,id=a,path".into(),
            "Parameter 'path' expects a value\nExpected path=".into(),
        ),
        (
            format!("{good},max_xattr=18446744073709551616"),
            "Value '18446744073709551616' is too large for parameter 'max_xattr'".into(),
        ),
        (
            format!("{good},throttling.bps-total=1k"),
            "Parameter 'throttling.bps-total' expects a number".into(),
        ),
        (
            format!("{good},readonly=1"),
            "Parameter 'readonly' expects 'on' or 'off'".into(),
        ),
        (
            "local,id=0".into(),
            "Parameter 'id' expects an identifier\nIdentifiers".into(),
        ),
        (
            format!("{good},mount_tag=x"),
            "Invalid parameter 'mount_tag'\nA mount_tag goes".into(),
        ),
        (
            format!("{good},Path=/"),
            "Invalid parameter 'Path'\nExpected id, path".into(),
        ),
        (format!("{good},b"), "Invalid parameter 'b'".into()),
        (
            format!("{good},nofmode"),
            "Invalid parameter 'nofmode'".into(),
        ),
        (
            format!("{good},noreadonly=on"),
            "Invalid parameter 'noreadonly'".into(),
        ),
        (format!("{good},=1"), "Invalid parameter ''".into()),
        (
            format!("{good},throttling.bps=1"),
            "Invalid parameter 'throttling.bps'".into(),
        ),
        (
            format!("{good},path=/"),
            "Parameter 'path' is given twice".into(),
        ),
        (
            format!("{good},readonly,noreadonly"),
            "Parameter 'readonly' is given twice".into(),
        ),
        (
            format!("{good},fsdriver=local"),
            "Parameter 'fsdriver' is given twice".into(),
        ),
    ] {
        let said = fsdev(&text).expect_err(&text);
        assert!(said.starts_with(&want), "{text}: {said}");
    }
}

#[test]
fn every_message_of_virtfs() {
    let usage = "Usage: -virtfs fsdriver,mount_tag=tag";
    let long = format!(
        "local,mount_tag={},security_model=none,path=/",
        "x".repeat(32)
    );
    let too_long = format!(
        "mount tag '{}' (32 bytes) is longer than maximum (31 bytes)",
        "x".repeat(32)
    );
    for (text, want) in [
        ("", usage),
        ("local,path=/,security_model=none", usage),
        ("mount_tag=a,path=/,security_model=none", usage),
        ("local,mount_tag=,path=/,security_model=none", usage),
        ("local,mount_tag=a", "security_model property not set"),
        ("proxy,mount_tag=a", "fsdev: fsdriver proxy not found"),
        (
            "local,mount_tag=a,throttling.bps-total=1",
            "Invalid parameter 'throttling.bps-total'\nThrottling goes with --fsdev",
        ),
        ("local,tag=a", "Invalid parameter 'tag'\nExpected id, path"),
        (&long, &too_long),
    ] {
        let said = virtfs(text).expect_err(text);
        assert!(said.starts_with(want), "{text}: {said}");
    }
    let longest = format!(
        "local,mount_tag={},security_model=none,path=/",
        "x".repeat(31)
    );
    assert!(virtfs(&longest).is_ok());
}

/// Everything is wrong; one after the other is mended.
#[test]
fn the_order_of_checks_is_qemus() {
    let mut text =
        "fsdriver=x,socket=1,max_xattr=0x100000000,multidevs=x,writeout=x,zz=1".to_owned();
    for (want, from, to) in [
        ("Invalid parameter 'zz'", ",zz=1", ""),
        ("fsdev: No id specified", "fsdriver=x", "fsdriver=x,id=a"),
        ("fsdev: fsdriver x not found", "fsdriver=x", "local"),
        ("'socket' is invalid for fsdriver 'local'", ",socket=1", ""),
        (
            "max_xattr value '4294967296' too large",
            "0x100000000",
            "0xffffffff",
        ),
        (
            "security_model property not set",
            "id=a",
            "id=a,security_model=x",
        ),
        (
            "invalid security_model property 'x'",
            "model=x",
            "model=none",
        ),
        ("invalid multidevs property 'x'", "devs=x", "devs=warn"),
        (
            "path property not set",
            "id=a",
            "id=a,path=/srv,fmode=01000",
        ),
        ("fmode value '512' too large", "01000", "0600"),
        ("invalid writeout property 'x'", ",writeout=x", ""),
    ] {
        let said = fsdev(&text).expect_err(&text);
        assert!(said.starts_with(want), "{text}: {said}");
        text = text.replace(from, to);
    }
    let share = fsdev(&text).expect("all is mended but the mode");
    let error = share.export_options().expect_err("a mode without mapping");
    assert_eq!(
        error.to_string(),
        "fmode is only valid for mapped security modes"
    );
}
