//! One ControlNet or several, as a pipeline has them.

use super::controlnet::ControlNetModel;
use super::multi_controlnet::MultiControlNetModel;
use crate::models::model::Model;

/// Declares the type for one `$net` or `$several` of them, which the method `$load` of a [`ComponentLoader`] loads.
///
/// [`ComponentLoader`]: crate::ComponentLoader
macro_rules! one_or_several {
    ($(#[doc = $about:literal])* $nets:ident of $net:ident, $several:ident, $load:ident) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        #[expect(clippy::large_enum_variant, reason = "there is one of these in a pipeline")]
        pub enum $nets {
            /// One.
            One($net),
            /// A list, whose results are added.
            Several($several),
        }

        impl $nets {
            /// The models, in their order.
            pub fn nets(&self) -> &[$net] {
                match self {
                    Self::One(net) => std::slice::from_ref(net),
                    Self::Several(several) => several.nets(),
                }
            }

            /// A list of models; one alone is not a list.
            ///
            /// # Errors
            /// When the list is empty.
            pub fn of(mut nets: Vec<$net>) -> $crate::error::Result<Self> {
                match nets.len() {
                    1 => Ok(Self::One(nets.remove(0))),
                    _ => Ok(Self::Several($several::new(nets)?)),
                }
            }

            /// Those of a checkpoint, or those that were given instead.
            ///
            /// # Errors
            /// When there are none, or one cannot be loaded.
            pub(crate) fn load(
                loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
            ) -> $crate::error::Result<Self> {
                loader.$load("controlnet")
            }

            /// Those among the parts of a pipeline, which share their weights.
            ///
            /// # Errors
            /// When there is none.
            pub(crate) fn of_components(
                components: &$crate::pipelines::component::Components<'_>,
            ) -> $crate::error::Result<Self> {
                const NAME: &str = "controlnet";
                let one = || components.get::<$net>(NAME).cloned().map(Self::One);
                let several = || components.get::<$several>(NAME).cloned().map(Self::Several);
                let found = components.get::<Self>(NAME).cloned().or_else(one).or_else(several);
                found.ok_or_else(|| $crate::error::Error::argument("pipeline", format!("has no `{NAME}`, and none is given")))
            }
        }

        impl From<$net> for $nets {
            fn from(net: $net) -> Self {
                Self::One(net)
            }
        }

        impl From<$several> for $nets {
            fn from(several: $several) -> Self {
                Self::Several(several)
            }
        }

        impl $crate::pipelines::component::Component for $several {
            fn class(&self) -> (&'static str, String) {
                ($net::LIBRARY, Self::CLASS_NAME.to_owned())
            }

            fn save(&self, folder: &std::path::Path) -> $crate::error::Result<()> {
                self.save_pretrained(folder)
            }

            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
        }

        impl $crate::pipelines::component::Component for $nets {
            fn class(&self) -> (&'static str, String) {
                match self {
                    Self::One(net) => net.class(),
                    Self::Several(several) => several.class(),
                }
            }

            fn save(&self, folder: &std::path::Path) -> $crate::error::Result<()> {
                match self {
                    Self::One(net) => net.save_pretrained(folder),
                    Self::Several(several) => several.save_pretrained(folder),
                }
            }

            fn as_any(&self) -> &dyn std::any::Any {
                self
            }

            fn as_concrete(&self) -> &dyn std::any::Any {
                match self {
                    Self::One(net) => net,
                    Self::Several(several) => several,
                }
            }
        }
    };
}

pub(super) use one_or_several;

one_or_several! {
    /// The ControlNets of a pipeline.
    ControlNet of ControlNetModel, MultiControlNetModel, controlnet
}

/// Gives `$nets` a check that each was made for a UNet.
macro_rules! fit_of_each {
    ($nets:ident) => {
        impl $nets {
            /// Checks that each was made for a UNet with this configuration, in a pipeline whose latents have `latent_channels`.
            ///
            /// # Errors
            /// When one was not; the error names what differs.
            pub(crate) fn check_fit(
                &self,
                unet: &$crate::models::unets::UNet2DConditionConfig,
                latent_channels: usize,
            ) -> $crate::error::Result<()> {
                self.nets().iter().try_for_each(|net| net.check_fits(unet, latent_channels))
            }
        }
    };
}

pub(super) use fit_of_each;

fit_of_each!(ControlNet);
