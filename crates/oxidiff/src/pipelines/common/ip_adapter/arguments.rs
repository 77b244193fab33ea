//! The arguments that all calls with IP-Adapters share.

use super::{IpAdapterEmbeds, IpAdapterImages, IpAdapterMasks};

/// The pictures of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct IpAdapterArguments {
    pub image: IpAdapterImages,
    pub image_embeds: Option<IpAdapterEmbeds>,
    pub masks: IpAdapterMasks,
}

/// The arguments of a call that takes pictures as prompts.
pub(crate) trait TakesIpAdapter {
    /// Takes out the pictures.
    fn take_ip_adapter(&mut self) -> IpAdapterArguments;

    /// The same arguments with these pictures.
    fn with_ip_adapter(self, pictures: IpAdapterArguments) -> Self;
}

/// Declares the arguments of a call by the macro `declare`: its own, and those about pictures.
macro_rules! ip_adapter_arguments {
    (
        [$($declare:tt)+]
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal { $($fields:tt)* }
    ) => {
        $($declare)+! {
            $(#[doc = $about])*
            pub struct $arguments: $task {
                $($fields)*
                /// The pictures that the IP-Adapters look at: one for each adapter, or several.
                pub ip_adapter_image: $crate::IpAdapterImages = $crate::IpAdapterImages::default(),
                /// Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`:
                /// `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one
                /// copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by
                /// instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for
                /// each image.
                pub ip_adapter_image_embeds: Option<$crate::IpAdapterEmbeds> = None,
                /// Where the pictures of each IP-Adapter count; by default everywhere.
                pub ip_adapter_masks: $crate::IpAdapterMasks = $crate::IpAdapterMasks::default(),
            }
        }

        impl $crate::pipelines::common::ip_adapter::TakesIpAdapter for $arguments {
            fn take_ip_adapter(&mut self) -> $crate::pipelines::common::ip_adapter::IpAdapterArguments {
                $crate::pipelines::common::ip_adapter::IpAdapterArguments {
                    image: std::mem::take(&mut self.ip_adapter_image),
                    image_embeds: self.ip_adapter_image_embeds.take(),
                    masks: std::mem::take(&mut self.ip_adapter_masks),
                }
            }

            fn with_ip_adapter(
                self,
                pictures: $crate::pipelines::common::ip_adapter::IpAdapterArguments,
            ) -> Self {
                Self {
                    ip_adapter_image: pictures.image,
                    ip_adapter_image_embeds: pictures.image_embeds,
                    ip_adapter_masks: pictures.masks,
                    ..self
                }
            }
        }
    };
}

pub(crate) use ip_adapter_arguments;
