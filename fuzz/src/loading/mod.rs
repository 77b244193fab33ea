//! The readers' source files, in the places where they expect each other.

#[path = "../../../crates/oxidiff/src/loading/bare_tensor.rs"]
pub mod bare_tensor;
#[path = "../../../crates/oxidiff/src/loading/config.rs"]
pub mod config;
#[path = "../../../crates/oxidiff/src/loading/file_kind.rs"]
pub mod file_kind;
#[path = "../../../crates/oxidiff/src/loading/folder.rs"]
pub mod folder;
#[path = "../../../crates/oxidiff/src/loading/lora.rs"]
pub mod lora;
#[path = "../../../crates/oxidiff/src/loading/non_finite.rs"]
pub mod non_finite;
#[path = "../../../crates/oxidiff/src/loading/original_layout.rs"]
pub mod original_layout;
#[path = "../../../crates/oxidiff/src/loading/shard_index.rs"]
pub mod shard_index;
#[path = "../../../crates/oxidiff/src/loading/state_dict.rs"]
pub mod state_dict;
