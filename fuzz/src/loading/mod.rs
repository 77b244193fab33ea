//! The readers' source files, under the paths at which they expect each other.

#[path = "../../../crates/oxidiff/src/loading/config.rs"]
pub mod config;
#[path = "../../../crates/oxidiff/src/loading/folder.rs"]
pub mod folder;
#[path = "../../../crates/oxidiff/src/loading/formats/mod.rs"]
pub mod formats;
#[path = "../../../crates/oxidiff/src/loading/lora/mod.rs"]
pub mod lora;
#[path = "../../../crates/oxidiff/src/loading/non_finite.rs"]
pub mod non_finite;
#[path = "../../../crates/oxidiff/src/loading/original/mod.rs"]
pub mod original;
