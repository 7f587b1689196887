//! Descriptor chains: what a guest says about the buffers of a request, checked.
//!
//! All of it may be wrong, and change while it is read. So each descriptor is read once, and every
//! buffer is looked up in the memory table.

use std::ops::ControlFlow;

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, Permissions};

/// Most descriptors of a chain. Linux's driver sends up to 128 in an indirect table, also in a
/// queue of fewer.
const CHAIN_MAX: u32 = 1024;
/// Bytes of a descriptor.
const DESCRIPTOR_LEN: u32 = 16;

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A descriptor is not in its table.
    #[error("a chain leads to descriptor {0}, which its table does not have")]
    Index(u16),
    /// A table is not in the guest's memory.
    #[error("a table of descriptors is not in the guest's memory")]
    Table,
    /// It goes in circles, or is longer than any driver makes one.
    #[error("a chain does not end within {CHAIN_MAX} descriptors or its table")]
    Long,
    /// A table within a table, one that goes on after itself, or with half a descriptor.
    #[error("an indirect table stands in the wrong place or has a wrong length")]
    Indirect,
    /// A buffer is not in the guest's memory.
    #[error("a buffer is not in the guest's memory")]
    Buffer,
    /// A buffer to read comes after one to write.
    #[error("a buffer for the request comes after one for the reply")]
    Order,
    /// More than 4 GiB.
    #[error("the buffers of a chain have more than 4 GiB together")]
    Size,
}

/// Pieces of this process's memory: start and length in bytes.
pub type Pieces = Vec<(*mut u8, usize)>;

/// The buffers of a chain.
#[derive(Debug, Default)]
pub struct Chain {
    /// What the guest sends.
    pub request: Pieces,
    /// Where the reply goes.
    pub reply: Pieces,
}

/// A table of descriptors.
#[derive(Clone, Copy)]
struct Table {
    start: GuestAddress,
    len: u32,
    indirect: bool,
}

struct Reader<'m> {
    memory: &'m GuestMemoryMmap<()>,
    chain: Chain,
    bytes: u32,
}

/// Reads the chain that begins with descriptor `head` of the table at `table`, which has `len`
/// descriptors. The pieces are valid as long as `memory` is mapped.
///
/// # Errors
/// [`ChainError`].
pub fn read(
    memory: &GuestMemoryMmap<()>,
    table: GuestAddress,
    len: u16,
    head: u16,
) -> Result<Chain, ChainError> {
    let mut reader = Reader {
        memory,
        chain: Chain::default(),
        bytes: 0,
    };
    let mut table = Table {
        start: table,
        len: len.into(),
        indirect: false,
    };
    let (mut next, mut left) = (head, table.len);
    while left > 0 {
        let descriptor = reader.descriptor(table, next)?;
        left -= 1;
        if descriptor.refers_to_indirect_table() {
            table = indirect(table, descriptor)?;
            (next, left) = (0, table.len.min(CHAIN_MAX));
            continue;
        }
        reader.add(descriptor)?;
        match follow(descriptor) {
            ControlFlow::Continue(index) => next = index,
            ControlFlow::Break(()) => return Ok(reader.chain),
        }
    }
    Err(ChainError::Long)
}

fn follow(descriptor: Descriptor) -> ControlFlow<(), u16> {
    if descriptor.has_next() {
        ControlFlow::Continue(descriptor.next())
    } else {
        ControlFlow::Break(())
    }
}

fn indirect(table: Table, descriptor: Descriptor) -> Result<Table, ChainError> {
    let len = descriptor.len();
    if table.indirect || descriptor.has_next() || len == 0 || len % DESCRIPTOR_LEN != 0 {
        return Err(ChainError::Indirect);
    }
    Ok(Table {
        start: descriptor.addr(),
        len: len / DESCRIPTOR_LEN,
        indirect: true,
    })
}

impl Reader<'_> {
    fn descriptor(&self, table: Table, index: u16) -> Result<Descriptor, ChainError> {
        if u32::from(index) >= table.len {
            return Err(ChainError::Index(index));
        }
        let offset = u64::from(index) * u64::from(DESCRIPTOR_LEN);
        let place = table.start.0.checked_add(offset).ok_or(ChainError::Table)?;
        let found = self.memory.read_obj(GuestAddress(place));
        found.map_err(|_| ChainError::Table)
    }

    /// Adds a buffer. One of no bytes says nothing.
    fn add(&mut self, descriptor: Descriptor) -> Result<(), ChainError> {
        let len = descriptor.len();
        self.bytes = self.bytes.checked_add(len).ok_or(ChainError::Size)?;
        let writable = descriptor.is_write_only();
        if !writable && !self.chain.reply.is_empty() {
            return Err(ChainError::Order);
        }
        let (pieces, access) = if writable {
            (&mut self.chain.reply, Permissions::Write)
        } else {
            (&mut self.chain.request, Permissions::Read)
        };
        let len = usize::try_from(len).map_err(|_| ChainError::Size)?;
        let slices =
            vm_memory::GuestMemory::get_slices(self.memory, descriptor.addr(), len, access);
        for slice in slices.map_err(|_| ChainError::Buffer)? {
            let slice = slice.map_err(|_| ChainError::Buffer)?;
            pieces.push((slice.ptr_guard_mut().as_ptr(), slice.len()));
        }
        Ok(())
    }
}

#[allow(
    unused_imports,
    reason = "the trait that the memory's own methods come from"
)]
use GuestMemoryBackend as _;
