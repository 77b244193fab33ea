//! The projections of a UNet that can have low-rank additions.

use super::UNet2DConditionModel;
use crate::error::{Error, Result};
use crate::models::layers::linear::Linear;
use crate::models::layers::low_rank::{LowRankTarget, inside};

impl LowRankTarget for UNet2DConditionModel {
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        let transformers = self.transformers_mut().ok_or_else(|| {
            Error::unsupported(
                "a low-rank addition to a UNet with K blocks",
                "their attentions have other layers",
            )
        })?;
        let projections = transformers
            .into_iter()
            .flat_map(|(path, transformer)| inside(path, transformer.attention_projections_mut()));
        Ok(projections.collect())
    }
}
