//! Low-rank adaptation (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>): the layers that are trained instead of a model.

use burn::tensor::{DType, Device, Tensor};

use super::gradients::Leaves;
use super::gradients::numbers;
use super::state_file::StateFile;
use super::trained::{ReadParameter, Trained, change_values, from_values};
use crate::error::{Error, Result};
use crate::models::layers::low_rank::{LowRank, LowRankTarget};
use crate::random::Generator;

/// How the down projections start. The up projections start at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowRankInit {
    /// Normal, with the deviation `1 / rank`: `init_lora_weights="gaussian"`, as in the example scripts.
    Gaussian,
    /// Uniform, as a linear layer of PyTorch: `init_lora_weights=True`.
    Kaiming,
}

/// Low-rank layers for all attention projections of a model.
#[derive(Clone, Debug)]
pub struct LowRankLayers {
    layers: Vec<Layer>,
    scale: f64,
}

#[derive(Clone, Debug)]
struct Layer {
    /// The path of the projection.
    path: String,
    down: Tensor<2>,
    up: Tensor<2>,
}

impl LowRankLayers {
    /// New layers of this rank, scaled by `alpha / rank`. They draw what PEFT draws from PyTorch's generator.
    ///
    /// # Errors
    /// When the rank is 0, or the model has attentions without projections.
    pub fn new(
        model: &mut impl LowRankTarget,
        rank: usize,
        alpha: f64,
        init: LowRankInit,
        generator: &mut Generator,
    ) -> Result<Self> {
        if rank == 0 {
            return Err(Error::argument("rank", "must not be 0"));
        }
        let device = Device::flex();
        let layer = |(path, linear): (String, &mut super::Linear)| {
            let [outputs, inputs] = linear.weight.lazy_shape().dims();
            // Two layers of PyTorch are made first, and draw weights that are never used.
            generator.rand_vec::<f32>(rank * inputs);
            generator.rand_vec::<f32>(outputs * rank);
            let down: Vec<f32> = match init {
                LowRankInit::Gaussian => {
                    let deviation = (1.0 / rank as f64) as f32;
                    generator.randn_vec::<f32>(rank * inputs).into_iter().map(|x| x * deviation).collect()
                }
                LowRankInit::Kaiming => {
                    let bound = (1.0 / (inputs as f64).sqrt()) as f32;
                    let uniform = generator.rand_vec::<f32>(rank * inputs).into_iter();
                    uniform.map(|x| x * (bound - -bound) - bound).collect()
                }
            };
            let down = from_values(down, [rank, inputs], &device, DType::F32);
            Layer { path, down, up: Tensor::zeros([outputs, rank], &device) }
        };
        let layers = model.attention_projections_mut()?.into_iter().map(layer).collect();
        Ok(Self { layers, scale: alpha / rank as f64 })
    }

    /// Puts the layers into `model`, which computes with them in `dtype` and records what it does with them.
    ///
    /// # Errors
    /// When the model has other projections.
    pub fn record(&self, model: &mut impl LowRankTarget, dtype: DType) -> Result<Leaves> {
        let mut leaves = Leaves::default();
        self.attach(model, |layer, part, value| leaves.track(parameter(layer, part), value, dtype))?;
        Ok(leaves)
    }

    /// Puts the layers into `model`, which computes in `dtype`, for calls that are not recorded.
    ///
    /// # Errors
    /// When the model has other projections.
    pub fn apply(&self, model: &mut impl LowRankTarget, dtype: DType) -> Result<()> {
        self.attach(model, |_, _, value| value.cast(dtype))
    }

    fn attach(
        &self,
        model: &mut impl LowRankTarget,
        mut seen: impl FnMut(&Layer, &str, Tensor<2>) -> Tensor<2>,
    ) -> Result<()> {
        let projections = model.attention_projections_mut()?;
        let fits = projections.len() == self.layers.len()
            && projections.iter().zip(&self.layers).all(|((path, _), layer)| *path == layer.path);
        if !fits {
            return Err(Error::argument("model", "has other attention projections than the low-rank layers"));
        }
        for ((_, projection), layer) in projections.into_iter().zip(&self.layers) {
            let down = seen(layer, "lora_A", layer.down.clone());
            let up = seen(layer, "lora_B", layer.up.clone());
            projection.low_rank = Some(Box::new(LowRank { down, up, scale: self.scale }));
        }
        Ok(())
    }

    /// Adds the layers to a file of LoRA weights as diffusers names them, after the name of the component (`unet`).
    /// [`export_kohya`](Self::export_kohya) has the other layout that is in use.
    pub fn export(&self, component: &str, file: &mut StateFile) {
        for layer in &self.layers {
            // Text encoders have names of their own.
            let is_text = layer.path.ends_with("_proj");
            let name = if is_text { "lora_linear_layer" } else { "lora" };
            for (part, tensor) in [("down", &layer.down), ("up", &layer.up)] {
                let shape = tensor.dims().to_vec();
                let key = format!("{component}.{}.{name}.{part}.weight", layer.path);
                file.put_f32(key, shape, numbers(tensor.clone()));
            }
        }
    }

    /// Adds the layers to a file of LoRA weights as kohya's trainer names them, which user interfaces read:
    /// `lora_unet_…_to_q.lora_down.weight`, and `….alpha`. Its names of text encoders are those for Stable Diffusion XL.
    ///
    /// # Errors
    /// When the component is none of `unet`, `text_encoder` and `text_encoder_2`.
    pub fn export_kohya(&self, component: &str, file: &mut StateFile) -> Result<()> {
        let prefix = match component {
            "unet" => "lora_unet",
            "text_encoder" => "lora_te1_text_model",
            "text_encoder_2" => "lora_te2_text_model",
            other => {
                let message = format!("is `{other}`, but must be unet, text_encoder or text_encoder_2");
                return Err(Error::argument("component", message));
            }
        };
        for layer in &self.layers {
            let path = layer.path.strip_prefix("text_model.").unwrap_or(&layer.path);
            let name = format!("{prefix}_{}", path.replace('.', "_"));
            for (part, tensor) in [("lora_down", &layer.down), ("lora_up", &layer.up)] {
                let shape = tensor.dims().to_vec();
                file.put_f32(format!("{name}.{part}.weight"), shape, numbers(tensor.clone()));
            }
            let rank = layer.down.dims()[0] as f64;
            file.put_f32(format!("{name}.alpha"), Vec::new(), vec![(self.scale * rank) as f32]);
        }
        Ok(())
    }
}

fn parameter(layer: &Layer, part: &str) -> String {
    format!("{}.{part}.weight", layer.path)
}

impl Trained for LowRankLayers {
    fn changed(mut self, change: &mut dyn FnMut(&str, &mut Vec<f32>)) -> Self {
        for layer in &mut self.layers {
            let names = [parameter(layer, "lora_A"), parameter(layer, "lora_B")];
            for (name, tensor) in names.iter().zip([&mut layer.down, &mut layer.up]) {
                *tensor = change_values(tensor.clone(), |values| change(name, values));
            }
        }
        self
    }

    fn read(&self, read: &mut ReadParameter<'_>) {
        for layer in &self.layers {
            for (part, tensor) in [("lora_A", &layer.down), ("lora_B", &layer.up)] {
                read(&parameter(layer, part), &tensor.dims(), numbers(tensor.clone()));
            }
        }
    }
}
