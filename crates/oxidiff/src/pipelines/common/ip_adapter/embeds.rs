//! Pictures that were embedded before a call.

use burn::tensor::Tensor;

use crate::pipelines::request::{AnyTensor, Argument, FromArgument};

/// The embedded pictures of each IP-Adapter.
///
/// ```
/// use oxidiff::{Device, IpAdapterEmbeds, Tensor};
///
/// // What a face recognition model says of one face, after nothing, for guidance.
/// let face = Tensor::<3>::zeros([2, 1, 512], &Device::flex());
/// let embeds = IpAdapterEmbeds::from(vec![face]);
/// assert_eq!(embeds.tensors()[0].dims(), [2, 1, 1, 512]);
/// ```
#[derive(Clone, Debug)]
pub struct IpAdapterEmbeds(Vec<Tensor<4>>);

impl IpAdapterEmbeds {
    /// For each adapter, `[copies, pictures, tokens, features]`; the copies are those that guidance asks for.
    pub fn tensors(&self) -> &[Tensor<4>] {
        &self.0
    }

    pub(crate) fn into_tensors(self) -> Vec<Tensor<4>> {
        self.0
    }
}

impl From<Vec<Tensor<4>>> for IpAdapterEmbeds {
    fn from(each: Vec<Tensor<4>>) -> Self {
        Self(each)
    }
}

impl From<Vec<Tensor<3>>> for IpAdapterEmbeds {
    /// Embeddings of whole pictures, `[copies, pictures, features]`.
    fn from(each: Vec<Tensor<3>>) -> Self {
        Self(each.into_iter().map(one_token).collect())
    }
}

fn one_token(embeds: Tensor<3>) -> Tensor<4> {
    embeds.unsqueeze_dim(2)
}

impl FromArgument for IpAdapterEmbeds {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let items = match argument {
            Argument::List(items) => items,
            // For one adapter.
            tensor @ Argument::Tensor(_) => vec![tensor],
            _ => return Err("must be a list with a tensor for each IP-Adapter".to_owned()),
        };
        let embeds = |item| match item {
            Argument::Tensor(tensor) if tensor.rank() == 3 => AnyTensor::try_rank(*tensor).map(one_token),
            item => Tensor::from_argument(item),
        };
        items.into_iter().map(embeds).collect::<Result<_, _>>().map(Self)
    }
}
