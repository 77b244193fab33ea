//! Which attention is perturbed (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).

/// Items at the end of a batch whose tokens see only themselves in the self-attention of some blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Perturbed<'a> {
    pub items: usize,
    pub blocks: &'a [usize],
}

impl Perturbed<'_> {
    /// How many items are perturbed in a block.
    pub fn items_in(&self, block: usize) -> usize {
        if self.blocks.contains(&block) { self.items } else { 0 }
    }
}
