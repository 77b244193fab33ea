//! Reuse of memory: blocks that one operation no longer needs are kept for the next.

use std::sync::{Mutex, MutexGuard};

use memmap2::MmapMut;

use super::out_of_memory::out_of_memory;

/// A fresh page costs more than the arithmetic on it, so blocks are kept for later operations.
static POOL: Mutex<Pool> = Mutex::new(Pool { unused: Vec::new(), in_use: 0 });
/// At most this many values are kept unused, or as many as are in use if that is more.
const MOST_KEPT: usize = 64 << 20;
/// Blocks of fewer values are left to the system, which reuses small pieces itself.
const FEWEST_KEPT: usize = 1 << 12;
/// Blocks of at least this many values get pages of their own, huge ones where the system has them.
const FEWEST_MAPPED: usize = 1 << 19;

struct Pool {
    /// The longest unused come first.
    unused: Vec<Block>,
    /// Values of the blocks that are in use.
    in_use: usize,
}

/// A piece of memory.
pub(crate) enum Block {
    Small(Vec<f32>),
    Large(MmapMut),
}

impl Block {
    fn new(len: usize) -> Self {
        if len < FEWEST_MAPPED {
            return Self::Small(vec![0.0; len]);
        }
        let bytes = len.saturating_mul(size_of::<f32>());
        let map = MmapMut::map_anon(bytes).unwrap_or_else(|_| out_of_memory(bytes));
        // Kernels walk through megabytes in strides; with small pages each stride costs a look-up. If the system ignores the
        // advice, this only costs speed.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self::Large(map)
    }

    pub fn len(&self) -> usize {
        self.len_bytes() / size_of::<f32>()
    }

    fn len_bytes(&self) -> usize {
        match self {
            Self::Small(values) => size_of_val(&values[..]),
            Self::Large(map) => map.len(),
        }
    }

    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(values) => bytemuck::cast_slice(values),
            Self::Large(map) => map,
        }
    }

    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(values) => bytemuck::cast_slice_mut(values),
            Self::Large(map) => map,
        }
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The bytes that are kept and not in use.
pub(crate) fn kept_bytes() -> u64 {
    pool().unused.iter().map(|block| block.len_bytes() as u64).sum()
}

/// A block of at least `len` values, with arbitrary contents.
pub(crate) fn take(len: usize) -> Block {
    if len < FEWEST_KEPT {
        return Block::new(len);
    }
    let mut pool = pool();
    // The smallest that is large enough and not much too large.
    let fitting = |index: &usize| (len..=2 * len).contains(&pool.unused[*index].len());
    let best = (0..pool.unused.len()).filter(fitting).min_by_key(|index| pool.unused[*index].len());
    if let Some(index) = best {
        let block = pool.unused.remove(index);
        pool.in_use += block.len();
        return block;
    }
    drop(pool);
    let block = Block::new(len);
    self::pool().in_use += block.len();
    block
}

/// Keeps a block for whoever needs it next.
pub(crate) fn give_back(block: Block) {
    if block.len() < FEWEST_KEPT {
        return;
    }
    let mut pool = pool();
    pool.in_use -= block.len();
    pool.unused.push(block);
    let most = MOST_KEPT.max(pool.in_use);
    let mut kept: usize = pool.unused.iter().map(Block::len).sum();
    while kept > most {
        kept -= pool.unused.remove(0).len();
    }
}
