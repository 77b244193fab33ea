//! Datasets for training, as people have them and as the example scripts take them.
//!
//! [`Dataset::open`] reads an image folder with `metadata.jsonl`, `metadata.csv` or `metadata.parquet`, an image folder
//! with a caption file beside each image, or the Parquet files of a dataset from the hub. The rows come in the order of
//! Hugging Face's `datasets`, so that the same permutation gives the same samples. [`Dataset::open_plain_folder`] reads
//! the folders of DreamBooth and of textual inversion. [`Loader`] prepares samples ahead on several threads.

mod column;
mod dataset;
mod decode;
mod error;
mod files;
mod image_folder;
mod loader;
mod metadata;
mod parquet_files;
mod shuffle;
mod spill;

pub use column::{Caption, Column, ColumnKind, Role};
pub use dataset::{Dataset, OpenOptions};
pub use error::{DataError, Result};
pub use loader::Loader;
