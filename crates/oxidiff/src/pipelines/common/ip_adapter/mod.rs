//! Pictures as prompts (IP-Adapter, Ye et al. 2023, <https://arxiv.org/abs/2308.06721>): loading adapters, and the pictures of a
//! call.

mod arguments;
mod embeds;
mod encoders;
mod guided;
mod images;
mod loader;
mod masks;
mod prompts;
mod scale;
mod transformer;
mod unet;

pub(crate) use arguments::{IpAdapterArguments, TakesIpAdapter, ip_adapter_arguments};
pub use embeds::IpAdapterEmbeds;
pub(crate) use encoders::{EncoderNames, pixels};
pub(crate) use guided::{GuidedPictures, PictureTokens, Pictures, TransformerParts};
pub use images::IpAdapterImages;
pub use loader::{IpAdapterLoader, IpAdapterOptions};
pub use masks::{IPAdapterMaskProcessor, IpAdapterMasks};
pub(crate) use prompts::no_adapter;
pub use scale::IpAdapterScale;
pub(crate) use transformer::{TransformerPartsMut, ip_adapters_of_transformer};
pub(crate) use unet::{IpAdapterParts, IpAdapterPartsMut, UNetIpAdapters};
