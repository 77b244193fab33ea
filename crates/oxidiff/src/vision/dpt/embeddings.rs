//! The tokens that the transformer works on.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::to_tokens;

use super::config::{DPTConfig, Required, inside_backbone, square_root};
use crate::error::{Error, Result};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::parameter;
use crate::vision::bit::BitBackbone;

/// From an image to the tokens of the transformer: one for the whole image, and one for each position in a grid.
#[derive(Module, Debug)]
pub(super) struct Embeddings {
    /// `[1, 1, hidden_size]`.
    cls_token: Param<Tensor<3>>,
    /// `[1, 1 + patches, hidden_size]`.
    position_embeddings: Param<Tensor<3>>,
    patch_embeddings: Option<PatchEmbeddings>,
    backbone: Option<BitBackbone>,
    projection: Option<Conv2d>,
    image_size: [usize; 2],
    patch_size: usize,
    num_channels: usize,
}

#[derive(Module, Debug)]
struct PatchEmbeddings {
    projection: Conv2d,
}

impl Embeddings {
    /// The layer of a configuration that was checked.
    ///
    /// # Errors
    /// When the convolutional network of a hybrid does not fit the rest.
    pub(super) fn init(config: &DPTConfig, required: &Required, device: &Device) -> Result<Self> {
        let (hidden, patch) = (config.hidden_size, required.patch[0]);
        let patches = (required.image[0] / patch) * (required.image[1] / patch);
        let backbone = if config.is_hybrid {
            Some(BitBackbone::init(&config.backbone()?, device).map_err(inside_backbone)?)
        } else {
            None
        };
        let projection = match &backbone {
            None => None,
            Some(backbone) => {
                let invalid = |field: &str, message: String| Err(Error::config("", field, message));
                let &[_, _, channels] = backbone.channels() else {
                    let message = format!("has {} feature maps, not 3", backbone.channels().len());
                    return invalid("backbone_config", message);
                };
                if config.backbone_featmap_shape.as_ref().and_then(|shape| shape.get(1)) != Some(&channels) {
                    let message = format!("must give the last feature map {channels} channels");
                    return invalid("backbone_featmap_shape", message);
                }
                let skipping = &backbone.channels()[..2];
                if config.neck_hidden_sizes[..2] != *skipping {
                    let message = format!("must begin with {skipping:?}, the channels of the backbone");
                    return invalid("neck_hidden_sizes", message);
                }
                if required.image.iter().any(|&side| side < 8) {
                    return invalid("image_size", "is too small".into());
                }
                Some(Conv2d::init(channels, hidden, 1, device))
            }
        };
        let patch_embeddings = (!config.is_hybrid).then(|| PatchEmbeddings {
            projection: Conv2d::init(required.channels, hidden, patch, device).with_stride(patch, 0),
        });
        Ok(Self {
            cls_token: parameter::constant([1, 1, hidden], 0.0, device),
            position_embeddings: parameter::constant([1, patches + 1, hidden], 0.0, device),
            patch_embeddings,
            backbone,
            projection,
            image_size: required.image,
            patch_size: patch,
            num_channels: required.channels,
        })
    }

    /// The tokens, and the feature maps of a hybrid that bypass the transformer.
    ///
    /// # Errors
    /// When the images have a wrong number of channels, or a size that the model cannot work with.
    pub(super) fn forward(&self, pixel_values: Tensor<4>) -> Result<(Tensor<3>, Vec<Tensor<4>>)> {
        let [batch, channels, height, width] = pixel_values.dims();
        let wrong = |message: String| Err(Error::argument("pixel_values", message));
        if channels != self.num_channels {
            return wrong(format!("has {channels} channels, the model takes {}", self.num_channels));
        }
        if self.backbone.is_some() && [height, width] != self.image_size {
            let [asked_height, asked_width] = self.image_size;
            return wrong(format!("is {height}x{width}, the model takes {asked_height}x{asked_width}"));
        }
        let grid = [height / self.patch_size, width / self.patch_size];
        if grid.contains(&0) {
            return wrong(format!("is {height}x{width}, smaller than one patch of {0}x{0}", self.patch_size));
        }
        if square_root(grid[0] * grid[1]).is_none() {
            // The neck arranges tokens in a square, whatever the shape of the image.
            let message = format!(
                "is {height}x{width}, which makes {}x{} patches; their number must be a square",
                grid[0], grid[1]
            );
            return wrong(message);
        }
        let (embedded, further) = match (&self.backbone, &self.projection, &self.patch_embeddings) {
            (Some(backbone), Some(projection), _) => {
                let mut maps = backbone.forward(pixel_values);
                let last = maps.pop().expect("three feature maps");
                (projection.forward(last), maps)
            }
            (_, _, Some(patches)) => (patches.projection.forward(pixel_values), Vec::new()),
            _ => unreachable!("the model is a hybrid or it is not"),
        };
        let tokens = to_tokens(embedded);
        if tokens.dims()[1] != grid[0] * grid[1] {
            let message = format!(
                "makes {} positions in the backbone, but {}x{} patches",
                tokens.dims()[1],
                grid[0],
                grid[1]
            );
            return wrong(message);
        }
        let cls_tokens = self.cls_token.val().repeat_dim(0, batch);
        Ok((Tensor::cat(vec![cls_tokens, tokens], 1) + self.positions(grid), further))
    }

    /// The position embeddings, resized to a grid.
    fn positions(&self, grid: [usize; 2]) -> Tensor<3> {
        let embeddings = self.position_embeddings.val();
        let [_, tokens, hidden] = embeddings.dims();
        let trained = square_root(tokens - 1).expect("checked when the model was built");
        let whole = embeddings.clone().narrow(1, 0, 1);
        let places = embeddings.narrow(1, 1, tokens - 1).reshape([1, trained, trained, hidden]);
        let places = places.permute([0, 3, 1, 2]);
        let places = interpolate(places, grid, Interpolation::Bilinear, Corners::Free);
        Tensor::cat(vec![whole, to_tokens(places)], 1)
    }
}
