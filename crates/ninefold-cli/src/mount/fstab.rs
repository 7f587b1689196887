//! The line for fstab(5): the kernel's own transport where it has one, else a mount helper.

use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ninefold_client::{Address, Url};

use super::options::MountOptions;

/// What makes mount(8) call this program for the type `ninefold`.
const HELPER: &str = "# needs: ln -s \"$(command -v ninefold)\" /sbin/mount.ninefold\n";

/// The line, after a comment with what it needs if it needs something.
pub fn entry(url: &Url, address: &Address, dir: &Path, options: &MountOptions) -> Vec<u8> {
    let all = options.all();
    let (comment, source, kind, options) = match address {
        Address::Unix(path) => {
            let source = path.as_os_str().as_bytes().to_vec();
            ("", source, "9p", format!("trans=unix,{all}"))
        }
        // The kernel knows no names, and older ones no longer numbers.
        Address::Tcp { host, port } if host.parse::<Ipv4Addr>().is_ok() => {
            let options = format!("trans=tcp,port={port},{all},_netdev");
            ("", host.clone().into_bytes(), "9p", options)
        }
        Address::Tcp { .. } => (
            HELPER,
            url.to_string().into_bytes(),
            "ninefold",
            format!("{all},_netdev"),
        ),
        Address::Vsock { .. } | Address::Hybrid { .. } => {
            (HELPER, url.to_string().into_bytes(), "ninefold", all)
        }
    };
    let mut line = comment.as_bytes().to_vec();
    for field in [&source[..], dir.as_os_str().as_bytes(), kind.as_bytes()] {
        put_field(&mut line, field);
        line.push(b' ');
    }
    put_field(&mut line, options.as_bytes());
    line.extend(b" 0 0\n");
    line
}

/// Writes a field with the characters escaped that would end it. Source: fstab(5), getmntent(3).
fn put_field(line: &mut Vec<u8>, field: &[u8]) {
    for &byte in field {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\\' | b'#') {
            line.extend(format!("\\{byte:03o}").as_bytes());
        } else {
            line.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::entry;
    use crate::mount::options::MountOptions;
    use ninefold_client::{Address, Url};
    use std::path::Path;

    fn line(url: &str, address: &Address) -> String {
        let url = Url::parse(url).expect("a URL");
        let options = MountOptions::parse(&["ro".to_owned()]).expect("options");
        let options = options.complete(4096, false);
        let entry = entry(&url, address, Path::new("/mnt/a b"), &options);
        String::from_utf8(entry).expect("ASCII")
    }

    #[test]
    fn lines_for_the_kernels_own_transports() {
        let rest = "version=9p2000.L,msize=4096,cache=mmap,access=client,ro";
        assert_eq!(
            line("unix:///s#", &Address::Unix("/s#".into())),
            format!("/s\\043 /mnt/a\\040b 9p trans=unix,{rest} 0 0\n")
        );
        let address = Address::Tcp {
            host: "10.0.2.2".to_owned(),
            port: 9,
        };
        assert_eq!(
            line("tcp://10.0.2.2:9", &address),
            format!("10.0.2.2 /mnt/a\\040b 9p trans=tcp,port=9,{rest},_netdev 0 0\n")
        );
    }

    #[test]
    fn lines_for_the_helper() {
        let vsock = Address::Vsock { cid: 2, port: 9 };
        let tcp = Address::Tcp {
            host: "host".to_owned(),
            port: 9,
        };
        for (url, address) in [("vsock://2:9", vsock), ("tcp://host:9", tcp)] {
            let text = line(url, &address);
            let (comment, line) = text.split_once('\n').expect("two lines");
            assert!(comment.starts_with("# needs: ln -s"), "{comment}");
            let start = format!("{url} /mnt/a\\040b ninefold version=9p2000.L,");
            assert!(line.starts_with(&start), "{line}");
        }
    }
}
