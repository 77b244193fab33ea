//! Whether cards could run a plan: what the interpreter of plans alone would not notice.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::compiled::Kernels;
use crate::error::{Error, Result};
use crate::launch::Card;
use crate::plan::Plan;
use crate::start::{Starter, scratch_bytes};

/// An A100 and an H100: what the oldest kernels and the newest ones are for.
const CARDS: [Card; 2] = [
    Card { capability: (8, 0), multiprocessors: 108, shared_bytes_per_block: 163 * 1024 },
    Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 227 * 1024 },
];

/// Checks that there is a compiled kernel for each operation of `plan`.
///
/// # Errors
/// When there is none.
pub fn check(plan: &Plan) -> Result<()> {
    for card in &CARDS {
        let starter = Starter::without_memory(card, plan.settings.precision);
        for operation in &plan.graph.operations {
            scratch_bytes(operation, card, plan.settings.precision)?;
            for launch in starter.launches(operation)? {
                if !is_compiled(card.capability, &launch.kernel) {
                    let name = launch.kernel;
                    return Err(Error::unsupported(format!(
                        "{}, whose kernel {name} is not compiled",
                        operation.name()
                    )));
                }
            }
        }
    }
    Ok(())
}

/// Whether there is a kernel of a name for a compute capability.
type Names = HashMap<((u32, u32), String), bool>;

/// Whether the modules for `capability` have a kernel of this name.
fn is_compiled(capability: (u32, u32), name: &str) -> bool {
    /// The names that were looked for.
    static KNOWN: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry((capability, name.to_owned())).or_insert_with(|| {
        let kernels = Kernels::for_capability(capability).expect("cards that kernels are compiled for");
        // The table of symbols ends each name with a zero.
        let symbol = [b"\0", name.as_bytes(), b"\0"].concat();
        kernels.modules().any(|(_, module)| module.windows(symbol.len()).any(|bytes| bytes == symbol))
    })
}
