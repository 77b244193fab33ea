//! A part of a row of weights, unpacked: the same for all formats.

/// Values in a chunk.
pub(crate) const CHUNK: usize = 256;
/// Values of a chunk for which a scale is written, whether their block has as many or one for all.
pub(crate) const GROUP: usize = 16;
/// Groups in a chunk.
pub(crate) const GROUPS: usize = CHUNK / GROUP;

/// 256 values of a row: `scale * (number - offset) - minimum`, with the scale and the minimum of their group and the
/// [`Blocks::OFFSET`] of the format.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Chunk {
    pub numbers: [u8; CHUNK],
    pub scales: [f32; GROUPS],
    pub minima: [f32; GROUPS],
}

impl Chunk {
    pub const ZERO: Self = Self { numbers: [0; CHUNK], scales: [0.0; GROUPS], minima: [0.0; GROUPS] };
}

/// A format.
pub(crate) trait Blocks {
    /// Values in a block.
    const LEN: usize;
    /// Bytes of a block.
    const BYTES: usize;
    /// Bytes of a chunk.
    const CHUNK_BYTES: usize = CHUNK / Self::LEN * Self::BYTES;
    /// What is subtracted from the numbers: 128 if they have 8 bits, otherwise numbers and offset are less than 64.
    const OFFSET: u8;
    /// Whether each group has a scale of its own; otherwise the first and second of 32 values share it, and so on.
    const GROUPS_DIFFER: bool = false;
    /// Whether groups have minima; otherwise those of the chunk stay as they are, zero.
    const HAS_MINIMA: bool;

    /// Unpacks the blocks of a chunk. Where they are fewer than a whole chunk has, the rest of it becomes zero.
    fn unpack(blocks: &[u8], chunk: &mut Chunk);
}
