//! Writes cpio archives in the "newc" format, the one the kernel unpacks as an initramfs.
//!
//! Only what an initramfs of ours holds: directories and regular files, all owned by root. It reads no archives.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
/// The kernel takes several archives one behind the other if each ends on this boundary.
const BLOCK: usize = 512;

/// An archive in the making.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a directory; its parents must have been added before.
    pub fn directory(&mut self, path: &str) -> Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds a file; its directory must have been added before.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(path, REGULAR | mode, content)
    }

    /// Adds a copy of a file of the host.
    pub fn copy(&mut self, path: &str, mode: u32, source: &Path) -> Result<()> {
        let content =
            fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.file(path, mode, &content)
    }

    /// The finished archive.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.pad(BLOCK);
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.inode += 1;
        let size = u32::try_from(content.len())
            .with_context(|| format!("{path} is too large for an initramfs"))?;
        let name_size = u32::try_from(path.len() + 1)?;
        let links = if mode & DIRECTORY == 0 { 1 } else { 2 };
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [
            self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
        Ok(())
    }

    fn pad(&mut self, boundary: usize) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(boundary), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_as_newc() {
        let mut archive = Archive::default();
        archive.file("a", 0o755, b"hello").unwrap();
        let bytes = archive.finish().unwrap();
        let header = "07070100000001000081ed00000000000000000000000100000000000000050000000000000000000000000000000000000002\
                      00000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..120], b"a\0hello\0\0\0");
        assert_eq!(bytes.len() % BLOCK, 0);
    }
}
