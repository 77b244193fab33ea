//! What the autoencoders of latent diffusion can do, whatever else they have.

/// Gives a model with the parts and the configuration of an [`AutoencoderKL`](super::AutoencoderKL) its methods.
macro_rules! coding_methods {
    ($model:ident) => {
        impl $model {
            /// The element type of the weights, in which the model computes.
            pub fn dtype(&self) -> burn::tensor::DType {
                self.decoder.conv_in.weight.val().dtype()
            }

            /// How many pixels of the image one position of the latent stands for, in each direction.
            pub fn scale_factor(&self) -> usize {
                1 << (self.config.block_out_channels.len() - 1)
            }

            /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
            pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
                let latents = [images, height, width];
                let factor = self.scale_factor();
                let parts = $crate::models::least_memory::CodedParts {
                    slicing: self.use_slicing,
                    tile: self.use_tiling.then_some(self.sample_tile()),
                };
                $crate::models::least_memory::autoencoder(
                    &self.config.block_out_channels,
                    latents,
                    factor,
                    parts,
                    self.dtype(),
                )
            }

            /// Whether large images are encoded and decoded in tiles.
            pub fn is_tiling(&self) -> bool {
                self.use_tiling
            }

            /// Encode and decode the items of a batch one by one, which takes less memory.
            pub fn enable_slicing(&mut self) {
                self.use_slicing = true;
            }

            /// Encode and decode whole batches.
            pub fn disable_slicing(&mut self) {
                self.use_slicing = false;
            }

            /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size. Each tile is
            /// normalized separately, so the result differs slightly from that without tiles.
            pub fn enable_tiling(&mut self) {
                self.use_tiling = true;
            }

            /// Encode and decode whole images.
            pub fn disable_tiling(&mut self) {
                self.use_tiling = false;
            }

            /// The distribution of the latents of images `[batch, in_channels, height, width]` with values in [-1, 1].
            ///
            /// # Errors
            /// When the images have a wrong number of channels, or are smaller than one position of the latent.
            pub fn encode(
                &self,
                image: burn::tensor::Tensor<4>,
            ) -> $crate::error::Result<$crate::models::autoencoders::DiagonalGaussianDistribution> {
                let [_, channels, height, width] = image.dims();
                if channels != self.config.in_channels {
                    let message =
                        format!("has {channels} channels, the model takes {}", self.config.in_channels);
                    return Err($crate::error::Error::argument("image", message));
                }
                if height.min(width) < self.scale_factor() {
                    let message =
                        format!("is {height}x{width}, smaller than {0}x{0} pixels", self.scale_factor());
                    return Err($crate::error::Error::argument("image", message));
                }
                let tiles = self.tiles_of_images();
                let [last_height, last_width] = tiles.last([height, width]);
                let in_tiles = self.use_tiling && tiles.are_needed(&image);
                if in_tiles && last_height.min(last_width) < self.scale_factor() {
                    let message = format!(
                        "is {height}x{width}; its last tile is {last_height}x{last_width}, smaller than {0}x{0} pixels",
                        self.scale_factor()
                    );
                    return Err($crate::error::Error::argument("image", message));
                }
                let image = image.cast(self.dtype());
                let moments = $crate::models::autoencoders::slicing::code_batch(
                    <Self as $crate::models::model::Model>::CLASS_NAME,
                    image,
                    self.use_slicing,
                    |image| self.encode_batch(image),
                )?;
                Ok($crate::models::autoencoders::DiagonalGaussianDistribution::new(moments))
            }

            /// Decodes latents `[batch, latent_channels, ...]` to images `[batch, out_channels, height, width]` with values in about
            /// [-1, 1].
            ///
            /// # Errors
            /// When the latents have a wrong number of channels.
            pub fn decode(
                &self,
                latent: burn::tensor::Tensor<4>,
            ) -> $crate::error::Result<burn::tensor::Tensor<4>> {
                let channels = latent.dims()[1];
                if channels != self.config.latent_channels {
                    let message =
                        format!("has {channels} channels, the model takes {}", self.config.latent_channels);
                    return Err($crate::error::Error::argument("latents", message));
                }
                let latent = latent.cast(self.dtype());
                $crate::models::autoencoders::slicing::code_batch(
                    <Self as $crate::models::model::Model>::CLASS_NAME,
                    latent,
                    self.use_slicing,
                    |latent| self.decode_batch(latent),
                )
            }

            fn encode_batch(
                &self,
                image: burn::tensor::Tensor<4>,
            ) -> $crate::error::Result<burn::tensor::Tensor<4>> {
                let encode = |tile| {
                    self.placement.image(self, "encode", tile, |model, tile| {
                        let moments = model.encoder.forward(tile);
                        match &model.quant_conv {
                            Some(conv) => conv.forward(moments),
                            None => moments,
                        }
                    })
                };
                let tiles = self.tiles_of_images();
                if self.use_tiling && tiles.are_needed(&image) {
                    tiles.map(image, encode)
                } else {
                    encode(image)
                }
            }

            fn decode_batch(
                &self,
                latent: burn::tensor::Tensor<4>,
            ) -> $crate::error::Result<burn::tensor::Tensor<4>> {
                let decode = |tile| {
                    self.placement.image(self, "decode", tile, |model, tile| {
                        model.decoder.forward(match &model.post_quant_conv {
                            Some(conv) => conv.forward(tile),
                            None => tile,
                        })
                    })
                };
                let tiles = $crate::models::autoencoders::autoencoder_kl::tiles::Tiles::squares(
                    self.latent_tile(),
                    self.sample_tile(),
                );
                if self.use_tiling && tiles.are_needed(&latent) {
                    tiles.map(latent, decode)
                } else {
                    decode(latent)
                }
            }

            fn tiles_of_images(&self) -> $crate::models::autoencoders::autoencoder_kl::tiles::Tiles {
                $crate::models::autoencoders::autoencoder_kl::tiles::Tiles::squares(
                    self.sample_tile(),
                    self.latent_tile(),
                )
            }

            /// The side of a tile in pixels of the image.
            fn sample_tile(&self) -> usize {
                self.config.sample_size.height_width()[0]
            }

            /// The side of a tile in positions of the latent.
            fn latent_tile(&self) -> usize {
                self.sample_tile() / self.scale_factor()
            }
        }
    };
}

pub(in crate::models::autoencoders) use coding_methods;
