//! The layers that can have low-rank additions, in the order of the modules in Python.

use super::block::Block;
use super::{FinalLayer, ZImageTransformer2DModel};
use crate::error::Result;
use crate::models::layers::linear::Linear;
use crate::models::layers::low_rank::{LowRankTarget, inside};

impl LowRankTarget for ZImageTransformer2DModel {
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        let is_projection = |path: &str| path.contains(".attention.");
        Ok(self.linear_layers_mut()?.into_iter().filter(|(path, _)| is_projection(path)).collect())
    }

    fn linear_layers_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        let mut layers = Vec::new();
        for (key, layer) in self.all_x_embedder.iter_mut() {
            layers.push((format!("all_x_embedder.{key}"), layer));
        }
        for (key, layer) in self.all_final_layer.iter_mut() {
            layers.extend(inside(format!("all_final_layer.{key}"), layer.linear_layers_mut()));
        }
        layers.extend(of_blocks("noise_refiner", &mut self.noise_refiner));
        layers.extend(of_blocks("context_refiner", &mut self.context_refiner));
        let (first, _, second) = &mut self.t_embedder.mlp;
        layers.push(("t_embedder.mlp.0".to_owned(), first));
        layers.push(("t_embedder.mlp.2".to_owned(), second));
        layers.push(("cap_embedder.1".to_owned(), &mut self.cap_embedder.1));
        if let Some((_, embedder)) = &mut self.siglip_embedder {
            layers.push(("siglip_embedder.1".to_owned(), embedder));
        }
        layers.extend(of_blocks("siglip_refiner", self.siglip_refiner.iter_mut().flatten()));
        layers.extend(of_blocks("layers", &mut self.layers));
        Ok(layers)
    }
}

fn of_blocks<'a>(
    name: &'static str,
    blocks: impl IntoIterator<Item = &'a mut Block>,
) -> impl Iterator<Item = (String, &'a mut Linear)> {
    let blocks = blocks.into_iter().enumerate();
    blocks.flat_map(move |(index, block)| inside(format!("{name}.{index}"), block.linear_layers_mut()))
}

impl FinalLayer {
    fn linear_layers_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let (_, modulation) = &mut self.adaLN_modulation;
        [("linear".to_owned(), &mut self.linear), ("adaLN_modulation.1".to_owned(), modulation)].into_iter()
    }
}
