#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oxidiff_fuzz::{Input, weights};

static INPUT: LazyLock<Input> = LazyLock::new(|| Input::with_extension("gguf"));

fuzz_target!(|data: &[u8]| weights(&INPUT, data));
