//! One share: what it is called and how it is mounted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// What mount(8) has to be told.
#[derive(Clone)]
pub(super) struct Share {
    pub(super) name: String,
    source: String,
    options: String,
}

/// A mounted share; dropping it lets go of the mount as far as that is possible.
pub(super) struct Mounted<'a>(Option<&'a Share>, PathBuf);

impl Share {
    /// `NAME,SOURCE,OPTIONS`, the last with commas.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.splitn(3, ',').map(str::to_owned);
        let mut word = || words.next().filter(|word| !word.is_empty());
        let [name, source, options] = [word(), word(), word()];
        let share = || {
            Some(Self {
                name: name?,
                source: source?,
                options: options?,
            })
        };
        share().ok_or_else(|| "expected NAME,SOURCE,OPTIONS".to_owned())
    }

    pub(super) fn mount(&self, cache: &str) -> Result<Mounted<'_>> {
        let point = PathBuf::from("/mnt").join(&self.name);
        fs::create_dir_all(&point)?;
        let options = format!("{},cache={cache}", self.options);
        let mut mount = Command::new("mount");
        mount.args(["-t", "9p", "-o", &options, &self.source]);
        run(mount.arg(&point))?;
        Ok(Mounted(Some(self), point))
    }
}

impl Mounted<'_> {
    /// The one of this share.
    pub(super) fn directory(&self) -> PathBuf {
        let name = self.0.map(|share| share.name.as_str());
        self.1.join(name.unwrap_or_default())
    }

    pub(super) fn unmount(mut self) -> Result<()> {
        self.0 = None;
        run(Command::new("umount").arg(&self.1))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.0.is_some() {
            let _ = Command::new("umount").arg("-l").arg(&self.1).status();
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.output().context("start a command")?;
    ensure!(
        out.status.success(),
        "{command:?}: {} {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words() {
        let share = Share::parse("tcp,10.0.2.2,trans=tcp,port=1").unwrap();
        assert_eq!(share.source, "10.0.2.2");
        assert_eq!(share.options, "trans=tcp,port=1");
        assert!(Share::parse("tcp,10.0.2.2").is_err());
        assert!(Share::parse("tcp,,a=b").is_err());
    }
}
