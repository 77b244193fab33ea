//! The transformers of a UNet, wherever they are.

use super::UNet2DConditionModel;
use super::blocks::{DownBlock, UpBlock};
use crate::models::transformers::Transformer2DModel;

impl UNet2DConditionModel {
    /// The transformers of the down blocks, the up blocks and the middle block, in this order, with their paths. `None` if the
    /// model has K blocks, whose attentions are other layers.
    pub(super) fn transformers_mut(&mut self) -> Option<Vec<(String, &mut Transformer2DModel)>> {
        let mut found = Vec::new();
        for (index, block) in self.down_blocks.iter_mut().enumerate() {
            let DownBlock::Plain(block) = block else { return None };
            found.extend(of_block(format!("down_blocks.{index}"), block.attentions_mut()));
        }
        for (index, block) in self.up_blocks.iter_mut().enumerate() {
            let UpBlock::Plain(block) = block else { return None };
            found.extend(of_block(format!("up_blocks.{index}"), block.attentions_mut()));
        }
        if let Some(block) = &mut self.mid_block {
            found.extend(of_block("mid_block".to_owned(), block.attentions_mut()));
        }
        Some(found)
    }
}

fn of_block<'a>(
    block: String,
    transformers: impl Iterator<Item = &'a mut Transformer2DModel>,
) -> impl Iterator<Item = (String, &'a mut Transformer2DModel)> {
    transformers
        .enumerate()
        .map(move |(index, transformer)| (format!("{block}.attentions.{index}"), transformer))
}
