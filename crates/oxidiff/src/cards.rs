//! NVIDIA cards as devices.

use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use oxidiff_cuda::card::Card;
use oxidiff_cuda::engine::Executor;

use crate::error::Result;
use crate::models::placement::of_engine;

/// The devices that were opened, and what runs on them.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

struct Opened {
    /// `None` for the interpreter.
    ordinal: Option<usize>,
    /// A name for it that [`LoadOptions`](crate::LoadOptions) take.
    device: Device,
    executor: Executor,
}

/// The NVIDIA card `ordinal`, counted from 0, as a device for [`LoadOptions`](crate::LoadOptions). It needs nothing but the driver.
///
/// Models that are loaded onto it take and return tensors on the CPU. This device holds no tensors itself.
///
/// ```no_run
/// use oxidiff::{DType, DiffusionPipeline, LoadOptions};
///
/// let options = LoadOptions { device: oxidiff::cuda(0)?, dtype: DType::BF16, ..LoadOptions::default() };
/// let pipeline = DiffusionPipeline::from_pretrained_with("stable-diffusion-v1-5/stable-diffusion-v1-5", &options)?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
///
/// # Errors
/// When there is no such card, or no driver for it.
pub fn cuda(ordinal: usize) -> Result<Device> {
    opened(Some(ordinal), || {
        let card = Card::open(ordinal).map_err(|error| of_engine(error, "model"))?;
        Ok(Executor::Card(card))
    })
}

/// A device whose models are recorded and planned as for a card, but run on the CPU with plain loops: for tests.
#[doc(hidden)]
pub fn interpreter() -> Device {
    opened(None, || Ok(Executor::Interpreter)).expect("nothing can fail")
}

fn opened(ordinal: Option<usize>, open: impl FnOnce() -> Result<Executor>) -> Result<Device> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = opened.iter().find(|opened| opened.ordinal == ordinal) {
        return Ok(found.device.clone());
    }
    let executor = open()?;
    let device = Device::capture();
    opened.push(Opened { ordinal, device: device.clone(), executor });
    Ok(device)
}

/// The name of `device` and what runs models on it, if it is one of this module's.
pub(crate) fn opened_as(device: &Device) -> Option<(String, Executor)> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let Opened { ordinal, executor, .. } = opened.iter().find(|opened| opened.device == *device)?;
    let name = ordinal.map_or_else(|| "interpreter".to_owned(), |ordinal| format!("cuda:{ordinal}"));
    Some((name, executor.clone()))
}
