//! What holds of every chain of descriptors, used by tests and by the fuzzer.

use ninefold_vhost::chain::{self, Chain, ChainError};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    MemoryRegionAddress,
};

/// Where the bytes of the input go.
pub const START: u64 = 0x1000;
/// Regions of the guest's memory: two that touch each other, and one behind a hole.
pub const REGIONS: [(u64, usize); 3] = [(START, 0x8000), (0x9000, 0x2000), (0x2_0000, 0x1000)];
/// Most descriptors that a chain may have.
const CHAIN_MAX: usize = 1024;
/// Bytes of the input that are not in the guest's memory.
pub const HEAD_LEN: usize = 12;

/// A guest's memory.
pub fn memory() -> GuestMemoryMmap<()> {
    let ranges = REGIONS.map(|(start, len)| (GuestAddress(start), len));
    GuestMemoryMmap::from_ranges(&ranges).expect("memory")
}

/// Reads a chain: place and length of the table, number of the first descriptor, and what the
/// memory holds.
pub fn examine(memory: &GuestMemoryMmap<()>, input: &[u8]) -> Option<Result<Chain, ChainError>> {
    let (head, content) = input.split_first_chunk::<HEAD_LEN>()?;
    let [a, b, c, d, e, f, g, h, len @ .., x, y] = *head;
    let table = GuestAddress(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    let content = &content[..content.len().min(REGIONS[0].1)];
    memory
        .write_slice(content, GuestAddress(START))
        .expect("guest memory");
    let read = chain::read(
        memory,
        table,
        u16::from_le_bytes(len),
        u16::from_le_bytes([x, y]),
    );
    if let Ok(chain) = &read {
        check(memory, chain);
    }
    Some(read)
}

/// All pieces are in the guest's memory, and not too many.
fn check(memory: &GuestMemoryMmap<()>, chain: &Chain) {
    let mut bytes = 0u64;
    let pieces = chain.request.iter().chain(&chain.reply);
    for (start, len) in pieces.clone() {
        assert!(*len > 0, "a piece of no bytes");
        bytes += *len as u64;
        let (start, end) = (*start as usize, *start as usize + len);
        let within = memory.iter().any(|region| {
            let first = region.get_host_address(MemoryRegionAddress(0));
            let first = first.expect("a region") as usize;
            first <= start && end <= first + usize::try_from(region.len()).expect("a length")
        });
        assert!(within, "a piece that is not in the guest's memory");
    }
    assert!(bytes <= u64::from(u32::MAX));
    assert!(pieces.count() <= CHAIN_MAX * REGIONS.len());
}
