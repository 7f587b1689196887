//! What stands behind `-o`: flags of every mount, words that mount(8) keeps to itself, and options
//! of the kernel's 9p client.

use rustix::mount::MountFlags;

/// What the user said, and what was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// As they came, for fstab: flags and words of mount(8).
    general: Vec<String>,
    /// For the 9p client: `key` or `key=value`.
    client: Vec<String>,
}

/// Words that are about who mounts, and when.
const FOR_MOUNT: [&str; 12] = [
    "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev",
    "loud", "rw",
];

/// How the connection is handed over is not the user's to say.
const OURS: [&str; 4] = ["trans", "rfdno", "wfdno", "port"];

/// Flags, and whether they are set or cleared.
const FLAGS: [(&str, MountFlags, bool); 22] = [
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("norelatime", MountFlags::RELATIME, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("lazytime", MountFlags::LAZYTIME, true),
    ("nolazytime", MountFlags::LAZYTIME, false),
    ("nosymfollow", MountFlags::NOSYMFOLLOW, true),
    ("silent", MountFlags::SILENT, true),
];

impl MountOptions {
    /// Reads lists with commas between the options; a later one wins over an earlier one.
    pub fn parse(lists: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        for option in lists.iter().flat_map(|list| list.split(',')) {
            let key = key(option);
            anyhow::ensure!(
                !OURS.contains(&key),
                "expected no {key}= in the options: the URL says how to connect"
            );
            anyhow::ensure!(
                !matches!(key, "remount" | "bind" | "rbind" | "move"),
                "expected a new mount, came {key}: mount(8) changes one that is there"
            );
            let private = ["x-", "X-", "comment="]
                .iter()
                .any(|it| option.starts_with(it));
            if private || FOR_MOUNT.contains(&option) || flag(option).is_some() {
                options.general.push(option.to_owned());
            } else if !option.is_empty() {
                options.client.retain(|other| self::key(other) != key);
                options.client.push(option.to_owned());
            }
        }
        Ok(options)
    }

    /// The value of an option of the 9p client, if the user gave one.
    pub fn value(&self, wanted: &str) -> Option<&str> {
        let found = self.client.iter().find(|option| key(option) == wanted)?;
        found.split_once('=').map(|(_, value)| value)
    }

    /// Adds what the user left open: the options that `serve` prints.
    pub fn complete(mut self, msize: u32, has_acls: bool) -> Self {
        let mut chosen = vec![
            "version=9p2000.L".to_owned(),
            format!("msize={msize}"),
            "cache=mmap".to_owned(),
            "access=client".to_owned(),
        ];
        chosen.retain(|option| !self.has(key(option)));
        chosen.append(&mut self.client);
        self.client = chosen;
        // The client looks at ACLs only when it is the one who checks permissions.
        let checks = self.value("access") == Some("client");
        if has_acls && checks && !self.has("posixacl") {
            self.client.push("posixacl".to_owned());
        }
        self
    }

    fn has(&self, wanted: &str) -> bool {
        self.client.iter().any(|option| key(option) == wanted)
    }

    /// The flags of mount(2).
    pub fn flags(&self) -> MountFlags {
        let mut flags = MountFlags::empty();
        for (bit, on) in self.general.iter().filter_map(|option| flag(option)) {
            flags.set(bit, on);
        }
        flags
    }

    /// The options of the 9p client, as mount(2) takes them.
    pub fn data(&self) -> String {
        self.client.join(",")
    }

    /// All options, as fstab takes them.
    pub fn all(&self) -> String {
        let all: Vec<_> = self.client.iter().chain(&self.general).cloned().collect();
        all.join(",")
    }
}

fn key(option: &str) -> &str {
    option.split_once('=').map_or(option, |(key, _)| key)
}

fn flag(option: &str) -> Option<(MountFlags, bool)> {
    let found = FLAGS.iter().find(|(name, ..)| *name == option)?;
    Some((found.1, found.2))
}

#[cfg(test)]
mod tests {
    use super::MountOptions;
    use rustix::mount::MountFlags;

    fn parsed(lists: &[&str]) -> MountOptions {
        let lists: Vec<_> = lists.iter().copied().map(String::from).collect();
        MountOptions::parse(&lists).expect("sound options")
    }

    #[test]
    fn what_is_left_open_is_chosen() {
        let options = parsed(&[]).complete(65536, true);
        assert_eq!(
            options.data(),
            "version=9p2000.L,msize=65536,cache=mmap,access=client,posixacl"
        );
        assert!(
            !parsed(&[])
                .complete(4096, false)
                .data()
                .contains("posixacl")
        );
        assert_eq!(options.flags(), MountFlags::empty());
    }

    #[test]
    fn what_the_user_says_wins() {
        let options = parsed(&["cache=loose,access=user", "cache=none,ro,aname=/x"]);
        assert_eq!(options.value("aname"), Some("/x"));
        assert_eq!(
            options.complete(8192, true).data(),
            "version=9p2000.L,msize=8192,access=user,cache=none,aname=/x"
        );
    }

    #[test]
    fn flags_are_the_kernels_and_words_are_mounts() {
        let options = parsed(&["ro,nodev,noauto,x-systemd.automount,nosuid,rw,noatime"]);
        let want = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOATIME;
        assert_eq!(options.flags(), want);
        assert_eq!(options.data(), "");
        assert_eq!(
            options.all(),
            "ro,nodev,noauto,x-systemd.automount,nosuid,rw,noatime"
        );
    }

    #[test]
    fn what_is_not_the_users_is_refused() {
        for (text, want) in [
            ("trans=tcp", "expected no trans= in the options"),
            ("ro,rfdno=3", "expected no rfdno="),
            ("remount,ro", "expected a new mount, came remount"),
        ] {
            let error = MountOptions::parse(&[text.to_owned()]).expect_err(text);
            assert!(error.to_string().starts_with(want), "{error}");
        }
    }
}
