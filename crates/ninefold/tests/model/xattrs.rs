//! Extended attributes.

use ninefold::{Errno, SecurityModel};

use crate::reference::{Expect, Expected, Fid, Reference, State};
use crate::tree::{Kind, Object};

const SIZE_MAX: u64 = 65536;

impl Reference {
    /// Whether clients have such names at all.
    fn check_xattr(&self, name: &str, change: bool) -> Result<(), Errno> {
        let prefixes: &[&str] = match self.rules.model {
            SecurityModel::None => &["user."],
            SecurityModel::MappedFile => &["user.", "system.posix_acl_"],
            SecurityModel::Passthrough | SecurityModel::MappedXattr => {
                &["user.", "trusted.", "security."]
            }
        };
        let own = self.rules.model == SecurityModel::MappedXattr;
        match (own && name.starts_with("user.virtfs."), change) {
            (true, true) => Err(Errno::ACCESS),
            (true, false) => Err(Errno::NODATA),
            _ if prefixes.iter().any(|prefix| name.starts_with(prefix)) => Ok(()),
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    /// The host keeps attributes of users for files and directories only; for a mapped model that
    /// is everything.
    fn carries(&self, object: &Object) -> bool {
        self.rules.is_mapped() || matches!(object.kind, Kind::File(_) | Kind::Dir(_))
    }

    pub fn xattrwalk(&mut self, client: usize, (from, newfid): (u32, u32), name: &str) -> Expect {
        let fid = self.object_fid(client, from)?.clone();
        self.check_unused(client, newfid)?;
        let object = self.tree.object(fid.id);
        let (state, expected) = if name.is_empty() {
            let names = object.xattrs.keys().cloned().collect();
            (State::Names(names), Expected::Done)
        } else {
            self.check_xattr(name, false)?;
            let value = object.xattrs.get(name).ok_or(Errno::NODATA)?;
            let size = value.len() as u64;
            (State::Value(value.clone()), Expected::Size(size))
        };
        self.set(client, newfid, Fid { state, ..fid });
        Ok(expected)
    }

    pub fn xattrcreate(
        &mut self,
        client: usize,
        number: u32,
        name: &'static str,
        (size, flags): (u64, u32),
    ) -> Expect {
        if flags & !3 != 0 {
            return Err(Errno::INVAL);
        }
        if size > SIZE_MAX {
            return Err(Errno::TOOBIG);
        }
        let mut fid = self.unopened(client, number)?.clone();
        fid.state = State::NewValue {
            name,
            size,
            flags,
            value: Vec::new(),
        };
        self.set(client, number, fid);
        Ok(Expected::Done)
    }

    /// Takes a part of a value that leaves no gap.
    pub fn write_value(&mut self, client: usize, number: u32, offset: u64, data: &[u8]) -> Expect {
        let fid = self.clients[client].get_mut(&number);
        let Some(State::NewValue { size, value, .. }) = fid.map(|fid| &mut fid.state) else {
            return Err(Errno::BADF);
        };
        let len = value.len() as u64;
        if offset > len {
            return Err(Errno::INVAL);
        }
        let end = offset + data.len() as u64;
        if end > *size {
            return Err(Errno::NOSPC);
        }
        let start = usize::try_from(offset).expect("inside the value");
        value.resize(value.len().max(start + data.len()), 0);
        value[start..start + data.len()].copy_from_slice(data);
        Ok(Expected::Count(
            u32::try_from(data.len()).expect("a short value"),
        ))
    }

    /// Sets the value that a fid holds, if it is one of those.
    pub fn commit(&mut self, fid: &Fid) -> Result<(), Errno> {
        let State::NewValue {
            name,
            size,
            flags,
            value,
        } = &fid.state
        else {
            return Ok(());
        };
        if value.len() as u64 != *size {
            return Err(Errno::INVAL);
        }
        self.check_xattr(name, true)?;
        if name.starts_with("user.") && !self.carries(self.tree.object(fid.id)) {
            return Err(Errno::PERM);
        }
        let xattrs = &mut self.tree.object_mut(fid.id).xattrs;
        let exists = xattrs.contains_key(*name);
        if *flags & 2 != 0 && !exists {
            return Err(Errno::NODATA);
        }
        if *size == 0 && *flags == 2 {
            xattrs.remove(*name);
            return Ok(());
        }
        if *flags & 1 != 0 && exists {
            return Err(Errno::EXIST);
        }
        xattrs.insert((*name).to_owned(), value.clone());
        Ok(())
    }
}
