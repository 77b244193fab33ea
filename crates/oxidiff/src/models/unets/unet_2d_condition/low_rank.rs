//! The projections of a UNet that can have low-rank additions.

use super::UNet2DConditionModel;
use super::blocks::{DownBlock, UpBlock};
use crate::error::{Error, Result};
use crate::models::layers::linear::Linear;
use crate::models::layers::low_rank::{LowRankTarget, inside};
use crate::models::transformers::Transformer2DModel;

impl LowRankTarget for UNet2DConditionModel {
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        let k_blocks = || {
            Error::unsupported(
                "a low-rank addition to a UNet with K blocks",
                "their attentions have other layers",
            )
        };
        let mut found = Vec::new();
        for (index, block) in self.down_blocks.iter_mut().enumerate() {
            let DownBlock::Plain(block) = block else { return Err(k_blocks()) };
            found.extend(of_block(format!("down_blocks.{index}"), block.attentions_mut()));
        }
        for (index, block) in self.up_blocks.iter_mut().enumerate() {
            let UpBlock::Plain(block) = block else { return Err(k_blocks()) };
            found.extend(of_block(format!("up_blocks.{index}"), block.attentions_mut()));
        }
        if let Some(block) = &mut self.mid_block {
            found.extend(of_block("mid_block".to_owned(), block.attentions_mut()));
        }
        Ok(found)
    }
}

fn of_block<'a>(
    block: String,
    transformers: impl Iterator<Item = &'a mut Transformer2DModel>,
) -> impl Iterator<Item = (String, &'a mut Linear)> {
    transformers.enumerate().flat_map(move |(index, transformer)| {
        inside(format!("{block}.attentions.{index}"), transformer.attention_projections_mut())
    })
}
