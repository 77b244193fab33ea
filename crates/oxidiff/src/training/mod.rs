//! Training: what the training loops of diffusers are made of.
//!
//! A training step is: record the model's operations ([`Recording`]), predict, take the loss ([`mse`]), and let the optimizer
//! ([`AdamW`]) move the parameters along their gradients ([`ParameterGradients`]).
//!
//! ```
//! use oxidiff::training::{AdamW, AdamWConfig, Recording, mse};
//! use oxidiff::{DDPMScheduler, DType, Device, DownBlockType, Generator, Model, Scheduler, UNet2DConfig, UNet2DModel, UpBlockType};
//!
//! let config = UNet2DConfig {
//!     block_out_channels: vec![32, 32],
//!     down_block_types: vec![DownBlockType::DownBlock2D; 2],
//!     up_block_types: vec![UpBlockType::UpBlock2D; 2],
//!     ..Default::default()
//! };
//! let device = Device::flex();
//! let model = UNet2DModel::init(&config, &device)?;
//! let scheduler = DDPMScheduler::new(Default::default())?;
//! let mut optimizer = AdamW::new(AdamWConfig::default());
//! let mut generator = Generator::manual_seed(0);
//!
//! let clean = generator.rand([2, 3, 16, 16], DType::F32, &device) * 2.0 - 1.0;
//! let noise = generator.randn([2, 3, 16, 16], DType::F32, &device);
//! let timesteps: Vec<f32> = generator.randint_vec(0, 1000, 2)?.iter().map(|timestep| *timestep as f32).collect();
//! let noisy = scheduler.add_noise(clean, noise.clone(), &timesteps)?;
//!
//! let recording = Recording::of(&model, DType::F32);
//! let loss = mse(recording.model().forward(noisy.autodiff(), &timesteps)?, noise.autodiff());
//! let mut gradients = recording.backward(&loss);
//! gradients.clip_norm(1.0);
//! let model = optimizer.step(model, &gradients, 1e-4);
//! # Ok::<(), oxidiff::Error>(())
//! ```

mod adam_w;
mod ema_model;
mod gradients;
mod learning_rate;
mod loss;
mod low_rank_layers;
mod state_file;
mod token_embeddings;
mod trained;

pub use self::adam_w::{AdamW, AdamWConfig, ParameterGroup};
pub use self::ema_model::{EMAModel, EMAModelConfig};
pub use self::gradients::{Leaves, ParameterGradients, Recording};
pub use self::learning_rate::{LearningRate, SchedulerType, get_scheduler};
pub use self::loss::{compute_snr, min_snr_weights, mse, target, weighted_mse};
pub use self::low_rank_layers::{LowRankInit, LowRankLayers};
pub use self::state_file::StateFile;
pub use self::token_embeddings::TokenEmbeddings;
pub use self::trained::{ReadParameter, Trained};
pub use crate::models::layers::linear::Linear;
pub use crate::models::layers::low_rank::{LowRank, LowRankTarget};
pub use crate::models::layers::recomputation::with_gradient_checkpointing;
