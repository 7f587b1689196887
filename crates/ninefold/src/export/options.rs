//! How a tree is shared.

use std::sync::Arc;

use super::{Budget, Enforce, IdTranslation, Multidevs, SecurityModel};
use crate::throttle::ThrottleOptions;

/// Fids with extended attributes that a session may have when nothing is said.
const XATTR_FIDS_MAX: u32 = 1024;

/// How a tree is shared. Named after QEMU's options, with QEMU's defaults.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// How owners, modes and special files are kept (`security_model`).
    pub security_model: SecurityModel,
    /// Permission bits on the host of the files that a mapped model makes (`fmode`), at most 0777.
    pub fmode: u32,
    /// The same of directories (`dmode`).
    pub dmode: u32,
    /// Refuse every change (`readonly`).
    pub readonly: bool,
    /// What becomes of objects on other devices than the root's (`multidevs`).
    pub multidevs: Multidevs,
    /// How fast files may be read and written (`throttling.*`).
    pub throttle: ThrottleOptions,
    /// Have each write begin its way to the disk at once (`writeout=immediate`).
    pub writeout: bool,
    /// Where descriptors come from; none is [`Budget::of_process`].
    pub descriptors: Option<Arc<Budget>>,
    /// Most fids of one session that hold extended attributes at once (`max_xattr`); 0: as many as
    /// there may be fids.
    pub max_xattr: u32,
    /// What the client's users and groups are on the host.
    pub ids: IdTranslation,
    /// Who checks permissions.
    pub enforce: Enforce,
}

impl ExportOptions {
    /// Everything but the security model as QEMU has it when nothing is said.
    #[must_use]
    pub fn new(security_model: SecurityModel) -> Self {
        Self {
            security_model,
            fmode: 0o600,
            dmode: 0o700,
            readonly: false,
            multidevs: Multidevs::Remap,
            throttle: ThrottleOptions::default(),
            writeout: false,
            max_xattr: XATTR_FIDS_MAX,
            ids: IdTranslation::default(),
            enforce: Enforce::Client,
            descriptors: None,
        }
    }
}
