//! The model.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::block::AdapterBlock;
use super::config::{T2IAdapterConfig, T2IAdapterType};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::convolution::Conv2d;
use crate::models::model::{Model, compiled_with_the_library};

/// Turns an image into features that a UNet adds to its own, so that its result follows the image (Mou et al. 2023,
/// <https://arxiv.org/abs/2302.08453>). Unlike a ControlNet, it is called once for all steps, and knows neither the text nor
/// the timestep.
///
/// ```
/// use oxidiff::{Device, Model, T2IAdapter, T2IAdapterConfig, Tensor};
///
/// let config = T2IAdapterConfig { channels: vec![8, 16, 16], ..Default::default() };
/// let device = Device::flex();
/// let adapter = T2IAdapter::init(&config, &device)?;
/// let features = adapter.forward(Tensor::zeros([1, 3, 64, 96], &device))?;
/// assert_eq!(features[0].dims(), [1, 8, 8, 12]);
/// assert_eq!(features[2].dims(), [1, 16, 2, 3]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
///
/// It computes on the CPU also where the other models compute on an NVIDIA card: it takes a small part of the time of one step.
#[derive(Module, Debug)]
pub struct T2IAdapter {
    adapter: Layers,
    #[module(skip)]
    config: T2IAdapterConfig,
}

#[derive(Module, Debug)]
struct Layers {
    /// A light adapter has none.
    conv_in: Option<Conv2d>,
    body: Vec<AdapterBlock>,
}

impl Model for T2IAdapter {
    type Config = T2IAdapterConfig;

    const CLASS_NAME: &'static str = "T2IAdapter";

    fn init(config: &T2IAdapterConfig, device: &Device) -> Result<Self> {
        let shapes = config.blocks()?;
        let conv_in = || Conv2d::init(config.unshuffled(), config.channels[0], 3, device);
        let adapter = Layers {
            conv_in: (config.adapter_type != T2IAdapterType::LightAdapter).then(conv_in),
            body: shapes.into_iter().map(|shape| AdapterBlock::init(shape, config, device)).collect(),
        };
        Ok(Self { adapter, config: config.clone() })
    }

    fn config(&self) -> &T2IAdapterConfig {
        &self.config
    }

    /// It stays on the CPU.
    fn place_on_card(&mut self, _: &Device) -> Result<()> {
        Ok(())
    }

    compiled_with_the_library!();
}

impl T2IAdapter {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.weight().dtype()
    }

    /// The device of the weights.
    pub(crate) fn device(&self) -> Device {
        self.weight().device()
    }

    /// What the height and the width of an image must be multiples of.
    pub fn downscale_factor(&self) -> usize {
        self.config.downscale_factor
    }

    /// How many pixels one position of the smallest feature stands for, in each direction.
    pub fn total_downscale_factor(&self) -> usize {
        let halvings = match self.config.adapter_type {
            T2IAdapterType::FullAdapter => self.config.channels.len() - 1,
            T2IAdapterType::FullAdapterXl => 1,
            T2IAdapterType::LightAdapter => self.config.channels.len(),
        };
        self.config.downscale_factor << halvings
    }

    /// The features of `image` `[batch, in_channels, height, width]`, values in [0, 1]: one for each block, from the highest
    /// resolution to the lowest, `[batch, channels, height', width']`.
    ///
    /// # Errors
    /// When the image has another number of channels, or its sides are not multiples of [`Self::downscale_factor`].
    pub fn forward(&self, image: Tensor<4>) -> Result<Vec<Tensor<4>>> {
        let [batch, channels, height, width] = image.dims();
        if channels != self.config.in_channels {
            let message = format!(
                "has {channels} channels, the {} takes {}",
                Self::CLASS_NAME,
                self.config.in_channels
            );
            return Err(Error::argument("x", message));
        }
        let factor = self.downscale_factor();
        if batch == 0 || [height, width].iter().any(|side| *side == 0 || !side.is_multiple_of(factor)) {
            let message = format!(
                "has shape {:?}, the {} takes images whose sides are multiples of {factor}",
                image.dims(),
                Self::CLASS_NAME
            );
            return Err(Error::argument("x", message));
        }
        call(Self::CLASS_NAME, &image.device(), || Ok(self.features(image.cast(self.dtype()))))
    }

    fn features(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = unshuffled(image, self.downscale_factor());
        if let Some(conv) = &self.adapter.conv_in {
            x = conv.forward(x);
        }
        let blocks = self.adapter.body.iter();
        blocks
            .map(|block| {
                x = block.forward(x.clone());
                x.clone()
            })
            .collect()
    }

    fn weight(&self) -> Tensor<4> {
        let first = self.adapter.conv_in.as_ref().or_else(|| self.adapter.body[0].first());
        first.expect("a light adapter has a convolution in each block").weight.val()
    }
}

/// Makes the `factor` x `factor` pixels of each square channels of one position: PyTorch's `pixel_unshuffle`.
fn unshuffled(image: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = image.dims();
    let [rows, columns] = [height / factor, width / factor];
    let squares = image.reshape([batch, channels, rows, factor, columns, factor]);
    let squares = squares.permute([0, 1, 3, 5, 2, 4]);
    squares.reshape([batch, channels * factor * factor, rows, columns])
}
