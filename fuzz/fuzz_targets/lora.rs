#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oxidiff_fuzz::{Input, lora};

static SAFETENSORS: LazyLock<Input> = LazyLock::new(|| Input::with_extension("safetensors"));
static PICKLED: LazyLock<Input> = LazyLock::new(|| Input::with_extension("bin"));

fuzz_target!(|data: &[u8]| {
    // Safetensors begin with a length, whose highest byte is always zero.
    let is_safetensors = data.get(7) == Some(&0);
    lora(if is_safetensors { &SAFETENSORS } else { &PICKLED }, data);
});
