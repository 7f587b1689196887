//! The users and groups that ACLs name.

use ninefold::{Errno, SecurityModel};
use ninefold_wire::NOFID;
use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::{mkdir, of_all};
use crate::client::Client;
use crate::verbs::Result;

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// rwx for one user and one group besides the owners.
fn acl(user: u32, group: u32) -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (1, 7, none),
        (2, 7, user),
        (4, 5, none),
        (8, 7, group),
        (16, 7, none),
        (32, 5, none),
    ];
    let entry = |(tag, perm, id): (u16, u16, u32)| {
        [
            &tag.to_le_bytes()[..],
            &perm.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let entries = entries.map(entry).concat();
    [&2_u32.to_le_bytes()[..], &entries].concat()
}

fn set_acl(client: &mut Client, fid: u32, attribute: &[u8], value: &[u8]) -> Result<()> {
    client.walk(fid, 50, &[]).expect("a clone");
    let created = client.xattrcreate(50, attribute, value.len() as u64, 0);
    if created.is_ok() && !value.is_empty() {
        client.write(50, 0, value).expect("a value");
    }
    created.and(client.clunk(50))
}

fn get_acl(client: &mut Client, fid: u32, attribute: &[u8]) -> Result<Vec<u8>> {
    client.xattrwalk(fid, 51, attribute)?;
    let value = client.read(51, 0, 65536).expect("the value");
    client.clunk(51).expect("a clunk");
    Ok(value)
}

/// The host's name of an ACL.
fn host_name(model: SecurityModel, attribute: &[u8]) -> Vec<u8> {
    match model == SecurityModel::MappedXattr {
        true => [b"user.virtfs.", attribute].concat(),
        false => attribute.to_vec(),
    }
}

#[test]
fn acls_name_the_hosts_users_on_the_host() {
    of_all(|model, share| {
        if model == SecurityModel::None {
            // It has no ACLs.
            return;
        }
        let mut client = share.client();
        client.attach_as(1, NOFID, 5).expect("a root");
        mkdir(&mut client, 1, "dir", 7).expect("a directory");
        client.find(2, "dir");
        for attribute in [ACCESS, DEFAULT] {
            let host = host_name(model, attribute);
            set_acl(&mut client, 2, attribute, &acl(3, 4)).expect("an ACL");
            let mut value = vec![0; 1000];
            let len = getxattr(share.path("dir"), &host[..], &mut value[..]).expect("an ACL");
            value.truncate(len);
            assert_eq!(value, acl(1003, 2004));
            assert_eq!(get_acl(&mut client, 2, attribute), Ok(acl(3, 4)));

            for wrong in [acl(10, 4), acl(3, 10)] {
                let set = set_acl(&mut client, 2, attribute, &wrong);
                assert_eq!(set, Err(Errno::PERM));
            }
            let cut = &acl(3, 4)[..11];
            assert_eq!(set_acl(&mut client, 2, attribute, cut), Err(Errno::INVAL));
            assert_eq!(get_acl(&mut client, 2, attribute), Ok(acl(3, 4)));

            let of_others = acl(1003, 3);
            setxattr(
                share.path("dir"),
                &host[..],
                &of_others,
                XattrFlags::empty(),
            )
            .expect("an ACL");
            let got = get_acl(&mut client, 2, attribute);
            assert_eq!(
                got,
                Err(Errno::OVERFLOW),
                "a group that the guest has no id for"
            );
            set_acl(&mut client, 2, attribute, b"").expect("none");
            assert_eq!(get_acl(&mut client, 2, attribute), Err(Errno::NODATA));
        }
    });
}
