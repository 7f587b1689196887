//! QEMU's own 9p devices on the export: the server whose trees ours has to read and write, and one to compare with.

use std::path::Path;

use super::server::Model;

/// Tags of the devices that stand for the server under test. Linux mounts a device once at a time, so each directory
/// below `/mnt` has its own, tagged with its name.
pub const SHARES: [&str; 3] = ["a", "b", "mmap"];
/// Tag of the device beside the server under test.
pub const PEER: &str = "q";

/// QEMU's arguments for a device for each of `tags`; with the default modes of the mapped models.
pub fn arguments(export: &Path, model: Model, tags: &[&str]) -> Vec<String> {
    if tags.is_empty() {
        return Vec::new();
    }
    // A comma ends an option, and two are one.
    let path = export.display().to_string().replace(',', ",,");
    let model = model.name();
    let mut arguments = vec![
        "-fsdev".to_owned(),
        format!("local,id=export,path={path},security_model={model},multidevs=remap"),
    ];
    for tag in tags {
        arguments.push("-device".to_owned());
        arguments.push(format!(
            "virtio-9p-pci,fsdev=export,mount_tag={tag},romfile="
        ));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_no_device() {
        assert!(arguments(Path::new("/x"), Model::None, &[]).is_empty());
    }

    #[test]
    fn commas_in_the_path_are_doubled() {
        let arguments = arguments(Path::new("/a,b"), Model::MappedFile, &[PEER]);
        assert_eq!(
            arguments[1],
            "local,id=export,path=/a,,b,security_model=mapped-file,multidevs=remap"
        );
        assert!(arguments[3].contains("mount_tag=q"));
    }
}
