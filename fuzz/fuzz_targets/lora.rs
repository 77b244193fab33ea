#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oxidiff_fuzz::{Input, lora};

static INPUT: LazyLock<Input> = LazyLock::new(|| Input::with_extension("safetensors"));

fuzz_target!(|data: &[u8]| lora(&INPUT, data));
