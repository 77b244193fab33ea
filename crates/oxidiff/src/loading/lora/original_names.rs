//! The names that the layers of a UNet have in the original layout of Stable Diffusion, numbered by their position: trainers
//! that work on single files call the layers of an adapter so.

use std::collections::BTreeMap;

/// The modules of a UNet by their original names, given its weights by key.
pub(super) fn of_unet(weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, &str)> {
    let layers = (0..).take_while(|layer| {
        let first = format!("down_blocks.0.resnets.{layer}.");
        weights.keys().any(|key| key.starts_with(&first))
    });
    // Each block is followed by a layer that changes the size.
    let blocks = Blocks { period: layers.count() + 1, weights };
    let modules = weights.keys().filter_map(|key| key.strip_suffix(".weight"));
    modules.filter_map(move |module| Some((blocks.original_name(module)?, module)))
}

/// Whether the layer of this original name is in one of the blocks that diffusers numbers otherwise.
pub(super) fn is_in_block(name: &str) -> bool {
    let blocks = ["input_blocks.", "middle_block.", "output_blocks."];
    blocks.iter().any(|block| name.starts_with(block)) && name != FIRST
}

const FIRST: &str = "input_blocks.0.0";

/// The blocks of a UNet.
struct Blocks<'a> {
    /// How many numbers a block takes.
    period: usize,
    weights: &'a BTreeMap<String, Vec<usize>>,
}

impl Blocks<'_> {
    fn original_name(&self, module: &str) -> Option<String> {
        let whole = match module {
            "conv_in" => FIRST,
            "conv_out" => "out.2",
            "time_embedding.linear_1" => "time_embed.0",
            "time_embedding.linear_2" => "time_embed.2",
            "add_embedding.linear_1" | "class_embedding.linear_1" => "label_emb.0.0",
            "add_embedding.linear_2" | "class_embedding.linear_2" => "label_emb.0.2",
            _ => "",
        };
        if !whole.is_empty() {
            return Some(whole.to_owned());
        }
        if let Some(rest) = module.strip_prefix("mid_block.") {
            let (list, number, rest) = split(rest)?;
            return match (list, number) {
                ("resnets", 0) => Some(format!("middle_block.0.{}", resnet_part(rest)?)),
                ("attentions", 0) => Some(format!("middle_block.1.{rest}")),
                ("resnets", 1) => Some(format!("middle_block.2.{}", resnet_part(rest)?)),
                _ => None,
            };
        }
        let (half, block, rest) = split(module)?;
        let (list, layer, rest) = split(rest)?;
        let (before, half, kind) = match half {
            // The first is the convolution before all blocks.
            "down_blocks" => (1, "input_blocks", list.strip_prefix("down").unwrap_or(list)),
            "up_blocks" => (0, "output_blocks", list.strip_prefix("up").unwrap_or(list)),
            _ => return None,
        };
        let number = before + block * self.period + layer;
        let part = match kind {
            "resnets" => format!("0.{}", resnet_part(rest)?),
            "attentions" => format!("1.{rest}"),
            "samplers" if half == "input_blocks" => {
                return Some(format!("{half}.{}.0.op", before + block * self.period + self.period - 1));
            }
            "samplers" => {
                // It follows the last layer of the block, and its attention, if there is one.
                let attention = format!("up_blocks.{block}.attentions.");
                let attends = self.weights.keys().any(|key| key.starts_with(&attention));
                let place = if attends { 2 } else { 1 };
                return Some(format!("{half}.{}.{place}.conv", block * self.period + self.period - 1));
            }
            _ => return None,
        };
        Some(format!("{half}.{number}.{part}"))
    }
}

/// A name, the number after it, and what follows.
fn split(path: &str) -> Option<(&str, usize, &str)> {
    let (name, rest) = path.split_once('.')?;
    let (number, rest) = rest.split_once('.')?;
    Some((name, number.parse().ok()?, rest))
}

fn resnet_part(part: &str) -> Option<&'static str> {
    Some(match part {
        "conv1" => "in_layers.2",
        "conv2" => "out_layers.3",
        "time_emb_proj" => "emb_layers.1",
        "conv_shortcut" => "skip_connection",
        _ => return None,
    })
}
