//! Pictures as prompts (IP-Adapter, Ye et al. 2023, <https://arxiv.org/abs/2308.06721>): loading adapters, and the pictures of a
//! call.

mod arguments;
mod embeds;
mod encoders;
mod images;
mod loader;
mod masks;
mod prompts;
mod scale;
mod unet;

pub(crate) use arguments::{IpAdapterArguments, TakesIpAdapter, ip_adapter_arguments};
pub use embeds::IpAdapterEmbeds;
pub use images::IpAdapterImages;
pub use loader::{IpAdapterLoader, IpAdapterOptions};
pub use masks::{IPAdapterMaskProcessor, IpAdapterMasks};
pub use scale::IpAdapterScale;
pub(crate) use unet::{IpAdapterParts, IpAdapterPartsMut, UNetIpAdapters};
