//! Who the clients' users are on the host, as flags of `serve`. QEMU has no words for it: these go
//! with its option strings too.

use std::str::FromStr;

use clap::ValueEnum;
use ninefold::{Enforce, IdRule, IdTranslation, Squash, Squashed};

use super::{ShareError, ShareOptions};

/// The largest id; the number above it is "none" to the kernel.
const ID_MAX: u32 = u32::MAX - 1;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct GuestFlags {
    /// What the guest's users are on the host, in virtiofsd's words: map:GUEST:HOST:COUNT,
    /// guest:GUEST:HOST:COUNT, host:HOST:GUEST:COUNT, squash-guest:GUEST:HOST:COUNT,
    /// squash-host:HOST:GUEST:COUNT or forbid-guest:GUEST:COUNT (may be repeated)
    #[arg(long, value_name = "RULE")]
    translate_uid: Vec<IdRule>,

    /// The same for groups (may be repeated)
    #[arg(long, value_name = "RULE")]
    translate_gid: Vec<IdRule>,

    /// Let all that the guest makes be yours on the host, and show what is yours as UID's and GID's in
    /// the guest; without a GID it is the UID's number [default: 1000:1000]
    #[arg(
        long,
        value_name = "UID[:GID]",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1000:1000",
        conflicts_with_all = ["translate_uid", "translate_gid", "enforce"]
    )]
    map_guest_to_me: Option<Ids>,

    /// Who checks permissions [default: client]
    #[arg(long, value_name = "WHO")]
    enforce: Option<Enforcer>,

    /// With --enforce server: whose number does not count [default: none]
    #[arg(long, value_name = "WHOM", requires = "enforce")]
    squash: Option<Whom>,

    /// With --enforce server: who they are instead; users whom the host does not know have this group
    /// too [default: 65534:65534]
    #[arg(long, value_name = "UID[:GID]", requires = "enforce")]
    squash_to: Option<Ids>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Enforcer {
    /// The guest's kernel; everything is done with the rights of the server
    Client,
    /// The host's kernel; everything is done with the rights of the user who asks. Needs root
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whom {
    /// All are who they say
    None,
    /// User 0
    Root,
    /// Everybody
    All,
}

impl GuestFlags {
    /// Completes what is to be shared.
    ///
    /// # Errors
    /// [`ShareError`] for values that do not go together.
    pub fn apply(&self, share: ShareOptions) -> Result<ShareOptions, ShareError> {
        let ids = match self.map_guest_to_me {
            Some(Ids { uid, gid }) => IdTranslation::guest_to_me(uid, gid),
            None => IdTranslation {
                uids: self.translate_uid.clone(),
                gids: self.translate_gid.clone(),
            },
        };
        Ok(ShareOptions {
            ids,
            enforce: self.enforce()?,
            ..share
        })
    }

    fn enforce(&self) -> Result<Enforce, ShareError> {
        let squashes = self.squash.is_some() || self.squash_to.is_some();
        match self.enforce {
            Some(Enforcer::Server) => {}
            _ if squashes => return Err(ShareError::SquashWithoutServer),
            _ => return Ok(Enforce::Client),
        }
        let default = Squash::default();
        Ok(Enforce::Server(Squash {
            who: match self.squash {
                None | Some(Whom::None) => Squashed::Nobody,
                Some(Whom::Root) => Squashed::Root,
                Some(Whom::All) => Squashed::All,
            },
            to: self.squash_to.map_or(default.to, |ids| (ids.uid, ids.gid)),
        }))
    }
}

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    uid: u32,
    gid: u32,
}

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        let id = |text: &str| text.parse().ok().filter(|id| *id <= ID_MAX);
        match (id(uid), id(gid)) {
            (Some(uid), Some(gid)) => Ok(Self { uid, gid }),
            _ => Err(format!(
                "expected UID or UID:GID, numbers up to {ID_MAX}, came {text:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn a_user_and_a_group() {
        for (text, uid, gid) in [
            ("0", 0, 0),
            ("1000", 1000, 1000),
            ("1000:100", 1000, 100),
            ("4294967294:0", u32::MAX - 1, 0),
        ] {
            assert_eq!(text.parse(), Ok(Ids { uid, gid }), "{text}");
        }
        for text in [
            "",
            ":",
            "1:",
            ":1",
            "1:2:3",
            "4294967295",
            "-1",
            "root",
            "1 ",
        ] {
            assert!(text.parse::<Ids>().is_err(), "{text}");
        }
    }
}
