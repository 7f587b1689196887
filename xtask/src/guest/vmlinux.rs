//! Takes the bare kernel out of a compressed one.
//!
//! QEMU boots it through its PVH entry. Under emulation that saves the firmware and the decompression: six seconds a boot.
//! Layout: the kernel's Documentation/arch/x86/boot.rst.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

const SECTOR: usize = 512;
const SETUP_SECTORS: usize = 0x1f1;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
/// Behind the compressed stream, inside the payload: the unpacked size.
const SIZE_FIELD: usize = 4;

/// Unpacks `source` into `target`, using `work` for a temporary file.
pub fn extract(source: &Path, target: &Path, work: &Path) -> Result<()> {
    let image = fs::read(source)?;
    let payload = payload(&image).with_context(|| format!("{} is no kernel", source.display()))?;
    let stream = image.get(payload).context("the kernel is cut short")?;
    let tool = match stream {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => bail!("the kernel is compressed in an unknown way"),
    };
    let packed = work.join("payload");
    fs::write(&packed, stream)?;
    let kernel = unpacked(tool, &packed)?;
    ensure!(
        kernel.starts_with(b"\x7fELF"),
        "expected an ELF file inside the kernel"
    );
    Ok(fs::write(target, kernel)?)
}

/// What `tool`, xz or zstd, makes of a file.
pub fn unpacked(tool: &str, file: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(tool);
    let unpacked = command
        .args(["--decompress", "--stdout"])
        .arg(file)
        .output()
        .with_context(|| format!("cannot run {tool}"))?;
    ensure!(
        unpacked.status.success(),
        "{tool} cannot unpack {}",
        file.display()
    );
    Ok(unpacked.stdout)
}

fn payload(image: &[u8]) -> Option<Range<usize>> {
    let setup = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * SECTOR;
    let start = setup + word(image, PAYLOAD_OFFSET)?;
    let length = word(image, PAYLOAD_LENGTH)?.checked_sub(SIZE_FIELD)?;
    Some(start..start + length)
}

fn word(image: &[u8], at: usize) -> Option<usize> {
    let bytes = image.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_payload() {
        let mut image = vec![0; 0x400];
        image[SETUP_SECTORS] = 3;
        image[PAYLOAD_OFFSET] = 8;
        image[PAYLOAD_LENGTH] = 20;
        assert_eq!(payload(&image), Some(4 * SECTOR + 8..4 * SECTOR + 24));
        assert_eq!(payload(&image[..0x100]), None);
    }
}
