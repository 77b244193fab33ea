//! Low-rank adaptation (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>): the layers that are trained instead of a model.

use burn::tensor::{DType, Device, Tensor};
use serde_json::json;

use super::Linear;
use super::gradients::Leaves;
use super::gradients::numbers;
use super::state_file::StateFile;
use super::trained::{ReadParameter, Trained, change_values, from_values};
use crate::error::{Error, Result};
use crate::loading::lora::METADATA_KEY;
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

/// Low-rank layers for a model: for all its attention projections, or for layers that were chosen by name.
#[derive(Clone, Debug)]
pub struct LowRankLayers {
    layers: Vec<Layer>,
    rank: usize,
    alpha: f64,
    /// The names by which the layers were chosen, if they were.
    targets: Option<Vec<String>>,
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
        Self::of(model.attention_projections_mut()?, rank, alpha, init, generator)
    }

    /// As [`Self::new`], for the layers whose paths are one of `targets` or end with one: `target_modules` of PEFT's `LoraConfig`.
    ///
    /// # Errors
    /// As [`Self::new`], and when no layer has the name of a target.
    pub fn new_for(
        model: &mut impl LowRankTarget,
        targets: &[String],
        rank: usize,
        alpha: f64,
        init: LowRankInit,
        generator: &mut Generator,
    ) -> Result<Self> {
        let is_named = |path: &str, target: &str| {
            path.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let mut layers = model.linear_layers_mut()?;
        let absent = targets
            .iter()
            .find(|target| target.is_empty() || !layers.iter().any(|(path, _)| is_named(path, target)));
        if let Some(target) = absent {
            return Err(Error::argument("targets", format!("the model has no linear layer `{target}`")));
        }
        layers.retain(|(path, _)| targets.iter().any(|target| is_named(path, target)));
        if layers.is_empty() {
            return Err(Error::argument("targets", "must name at least one layer"));
        }
        let layers = Self::of(layers, rank, alpha, init, generator)?;
        Ok(Self { targets: Some(targets.to_vec()), ..layers })
    }

    fn of(
        layers: Vec<(String, &mut Linear)>,
        rank: usize,
        alpha: f64,
        init: LowRankInit,
        generator: &mut Generator,
    ) -> Result<Self> {
        if rank == 0 {
            return Err(Error::argument("rank", "must not be 0"));
        }
        let device = Device::flex();
        let layer = |(path, linear): (String, &mut Linear)| {
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
        let layers = layers.into_iter().map(layer).collect();
        Ok(Self { layers, rank, alpha, targets: None })
    }

    /// The paths of the layers that have additions.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.path.as_str())
    }

    fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Puts the layers into `model`, which computes with them in `dtype` and records what it does with them.
    ///
    /// # Errors
    /// When the model has other layers.
    pub fn record(&self, model: &mut impl LowRankTarget, dtype: DType) -> Result<Leaves> {
        let mut leaves = Leaves::default();
        self.attach(model, |layer, part, value| leaves.track(parameter(layer, part), value, dtype))?;
        Ok(leaves)
    }

    /// Puts the layers into `model`, which computes in `dtype`, for calls that are not recorded.
    ///
    /// # Errors
    /// When the model has other layers.
    pub fn apply(&self, model: &mut impl LowRankTarget, dtype: DType) -> Result<()> {
        self.attach(model, |_, _, value| value.cast(dtype))
    }

    fn attach(
        &self,
        model: &mut impl LowRankTarget,
        mut seen: impl FnMut(&Layer, &str, Tensor<2>) -> Tensor<2>,
    ) -> Result<()> {
        let mut linears = match &self.targets {
            Some(_) => model.linear_layers_mut()?,
            None => model.attention_projections_mut()?,
        };
        if self.targets.is_some() {
            // Both are in the order of the model.
            let mut layers = self.layers.iter().peekable();
            linears.retain(|(path, _)| layers.next_if(|layer| layer.path == *path).is_some());
        }
        if !linears.iter().map(|(path, _)| path.as_str()).eq(self.paths()) {
            return Err(Error::argument("model", "has other layers than the low-rank layers belong to"));
        }
        for ((_, linear), layer) in linears.into_iter().zip(&self.layers) {
            let down = seen(layer, "lora_A", layer.down.clone());
            let up = seen(layer, "lora_B", layer.up.clone());
            linear.low_rank = Some(Box::new(LowRank { down, up, scale: self.scale() }));
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

    /// Adds the layers to a file of LoRA weights as PEFT names them, after the name of the component (`transformer`), with the
    /// configuration that says how they are scaled. Pipelines of transformers are saved in this layout.
    pub fn export_peft(&self, component: &str, file: &mut StateFile) {
        let mut targets: Vec<&str> = match &self.targets {
            Some(targets) => targets.iter().map(String::as_str).collect(),
            None => self.paths().collect(),
        };
        targets.sort_unstable();
        for layer in &self.layers {
            for (part, tensor) in [("lora_A", &layer.down), ("lora_B", &layer.up)] {
                let key = format!("{component}.{}", parameter(layer, part));
                file.put_f32(key, tensor.dims().to_vec(), numbers(tensor.clone()));
            }
        }
        // PEFT counts in whole numbers where it can.
        let alpha = if self.alpha.fract() == 0.0 { json!(self.alpha as i64) } else { json!(self.alpha) };
        let mut config = serde_json::Map::new();
        for (field, value) in [
            ("peft_type", json!("LORA")),
            ("r", json!(self.rank)),
            ("lora_alpha", alpha),
            ("lora_dropout", json!(0.0)),
            ("bias", json!("none")),
            ("target_modules", json!(targets)),
        ] {
            config.insert(format!("{component}.{field}"), value);
        }
        file.put_metadata(METADATA_KEY, serde_json::Value::from(config).to_string());
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
            file.put_f32(format!("{name}.alpha"), Vec::new(), vec![self.alpha as f32]);
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
