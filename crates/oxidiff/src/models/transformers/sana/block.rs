//! A block: linear attention, attention to captions, and a feed-forward that sees neighbours.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{to_image, to_tokens};

use super::attention::SanaAttention;
use super::captions::Captions;
use super::sizes::Sizes;
use crate::models::layers::glumb_conv::GlumbConv;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

#[derive(Module, Debug)]
pub(super) struct SanaBlock {
    attn1: SanaAttention,
    norm2: Option<LayerNorm>,
    attn2: SanaAttention,
    ff: GlumbConv,
    /// Shift, scale and gate of the attention, then of the feed-forward, `[6, dim]`; the time adds to them.
    scale_shift_table: Param<Tensor<2>>,
    epsilon: f64,
}

impl SanaBlock {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let dim = sizes.dim();
        Self {
            attn1: SanaAttention::of_image(sizes, device),
            norm2: sizes.affine.then(|| LayerNorm::init(dim, sizes.epsilon, device)),
            attn2: SanaAttention::of_captions(sizes, device),
            ff: GlumbConv::init(dim, sizes.hidden(), device),
            scale_shift_table: parameter::normal_scaled([6, dim], 1.0 / (dim as f64).sqrt(), device),
            epsilon: sizes.epsilon,
        }
    }

    /// Tokens `[batch, height * width, dim]` to the same shape. `time` is `[rows, 6, dim]` in `f32`, with a row for all items or one for
    /// each. In the last `perturbed_items`, tokens see only themselves.
    pub fn forward(
        &self,
        x: Tensor<3>,
        captions: &Captions,
        time: &Tensor<3>,
        [height, width]: [usize; 2],
        perturbed_items: usize,
    ) -> Tensor<3> {
        let [attention, feed_forward] = self.modulations(time);
        let normed = attention.norm(x.clone(), self.epsilon);
        let attended = match perturbed_items {
            0 => self.attn1.forward(normed),
            items => self.attn1.forward_perturbed(normed, items),
        };
        let x = self.attn2.add_captions(attention.add(x, attended), captions);
        let image = to_image(feed_forward.norm(x.clone(), self.epsilon), height, width);
        feed_forward.add(x, to_tokens(self.ff.forward(image)))
    }

    fn modulations(&self, time: &Tensor<3>) -> [Modulation; 2] {
        let values = self.scale_shift_table.val().cast(DType::F32).unsqueeze_dim::<3>(0) + time.clone();
        let [shift, scale, gate, ff_shift, ff_scale, ff_gate] =
            std::array::from_fn(|part| values.clone().narrow(1, part, 1).squeeze_dim::<2>(1));
        let (ff_shift, ff_scale) = match &self.norm2 {
            // (n w + b) (1 + scale) + shift, written as one norm of n.
            Some(norm) => {
                let [weight, bias] = [&norm.weight, &norm.bias]
                    .map(|parameter| parameter.val().cast(DType::F32).unsqueeze::<2>());
                let factor = ff_scale + 1.0;
                (bias * factor.clone() + ff_shift, weight * factor - 1.0)
            }
            None => (ff_shift, ff_scale),
        };
        [Modulation::new(shift, scale, Some(gate)), Modulation::new(ff_shift, ff_scale, Some(ff_gate))]
    }
}
