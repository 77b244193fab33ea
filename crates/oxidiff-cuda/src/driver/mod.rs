//! The CUDA driver behind safe functions. It is loaded when it is first used; nothing else of CUDA is needed.

mod memory;
mod replay;
mod tensor_map;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cudarc::driver::{DriverError, result, sys};

pub use self::memory::{Memory, Staging};
pub use self::replay::{Event, Replay};
use self::tensor_map::encode;
use crate::compiled::Kernels;
use crate::error::{Error, Result};
use crate::launch::{self, Launch};

/// A card, with a stream on which everything runs in order.
pub struct Device {
    context: sys::CUcontext,
    stream: sys::CUstream,
    name: String,
    facts: launch::Card,
    kernels: Mutex<LoadedKernels>,
    turn: Mutex<()>,
}

// SAFETY: the driver's functions may be called from any thread; each of ours makes the context current first.
unsafe impl Send for Device {}
// SAFETY: as above; what changes is behind a lock.
unsafe impl Sync for Device {}

#[derive(Default)]
struct LoadedKernels {
    modules: Vec<sys::CUmodule>,
    functions: HashMap<String, sys::CUfunction>,
}

/// The driver's result, with what was being done.
trait Doing<T> {
    fn doing(self, work: &str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, DriverError> {
    fn doing(self, work: &str) -> Result<T> {
        self.map_err(|error| Error::Driver { work: work.to_owned(), error: driver_name(error) })
    }
}

fn driver_name(error: DriverError) -> String {
    let text = |found: std::result::Result<&std::ffi::CStr, DriverError>| {
        found.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    format!("{} ({})", text(error.error_name()), text(error.error_string()))
}

/// Loads the driver.
fn initialize() -> Result<()> {
    static READY: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        // SAFETY: looks for the library only.
        if !unsafe { sys::is_culib_present() } {
            return Err("this machine has no NVIDIA driver (libcuda was not found)".into());
        }
        result::init().map_err(|error| format!("the NVIDIA driver does not start: {}", driver_name(error)))
    });
    ready.clone().map_err(Error::NoCard)
}

impl Device {
    /// Opens the card `ordinal`, counted from 0.
    ///
    /// # Errors
    /// When there is no such card, it is too old, or the driver fails.
    pub fn open(ordinal: usize) -> Result<Arc<Self>> {
        initialize()?;
        let count = result::device::get_count().doing("counting the cards")?;
        if ordinal >= count as usize {
            return Err(Error::NoCard(format!("there is no card cuda:{ordinal}: this machine has {count}")));
        }
        let device = result::device::get(ordinal as i32).doing("opening the card")?;
        let name = result::device::get_name(device).doing("asking for the card's name")?;
        let attribute = |attribute| {
            // SAFETY: `device` is a device that the driver returned.
            unsafe { result::device::get_attribute(device, attribute) }
                .doing("asking for a property of the card")
        };
        use sys::CUdevice_attribute_enum as Attribute;
        let facts = launch::Card {
            capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
            ),
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
            shared_bytes_per_block: attribute(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            )? as u32,
        };
        // SAFETY: `device` is valid; the context is released with the process, as the driver recommends for the primary one.
        let context = unsafe { result::primary_ctx::retain(device) }.doing("opening a context")?;
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.doing("choosing the context")?;
        let stream =
            result::stream::create(result::stream::StreamKind::NonBlocking).doing("making a stream")?;
        Ok(Arc::new(Self { context, stream, name, facts, kernels: Mutex::default(), turn: Mutex::default() }))
    }

    /// The card's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What choices depend on.
    pub fn facts(&self) -> &launch::Card {
        &self.facts
    }

    /// Waits until no other thread uses the stream, and keeps others from it while the result lives: what they start while a graph
    /// is recorded would become a part of it.
    pub fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bind(&self) -> Result<()> {
        // SAFETY: the context lives as long as the process.
        unsafe { result::ctx::set_current(self.context) }.doing("choosing the context")
    }

    /// Free and total memory, bytes.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        result::mem_get_info().doing("asking for free memory")
    }

    /// Waits until everything before has run.
    ///
    /// # Errors
    /// When something before failed.
    pub fn synchronize(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the stream lives as long as this value.
        unsafe { result::stream::synchronize(self.stream) }.doing("waiting for the card")
    }

    /// Loads the kernels for this card.
    fn load(&self, kernels: &mut LoadedKernels) -> Result<()> {
        let compiled = Kernels::for_capability(self.facts.capability)
            .map_err(|reason| Error::Unfit { card: self.name.clone(), reason })?;
        for (_, image) in compiled.modules() {
            // The driver reads PTX up to a zero byte.
            let image = [image, &[0]].concat();
            // SAFETY: the image is a whole module, compiled from the sources of this crate.
            let module =
                unsafe { result::module::load_data(image.as_ptr().cast()) }.doing("loading kernels")?;
            kernels.modules.push(module);
        }
        Ok(())
    }

    fn function(&self, name: &str, shared_bytes: u32) -> Result<sys::CUfunction> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if kernels.modules.is_empty() {
            self.load(&mut kernels)?;
        }
        if let Some(function) = kernels.functions.get(name) {
            return Ok(*function);
        }
        let spelled = CString::new(name).expect("names of kernels have no zero byte");
        // SAFETY: the modules stay loaded as long as the process.
        let found = kernels
            .modules
            .iter()
            .find_map(|module| unsafe { result::module::get_function(*module, spelled.clone()) }.ok());
        let function = found.ok_or_else(|| Error::Unfit {
            card: self.name.clone(),
            reason: format!("the kernel {name} is not compiled for it"),
        })?;
        if shared_bytes > 0 {
            let most = self.facts.shared_bytes_per_block as i32;
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // Static shared memory counts too, so a kernel may get less than the most.
            for bytes in [most, shared_bytes as i32] {
                // SAFETY: the function was just found in a loaded module.
                if unsafe { result::function::set_function_attribute(function, attribute, bytes) }.is_ok() {
                    break;
                }
            }
        }
        kernels.functions.insert(name.to_owned(), function);
        Ok(function)
    }

    /// Starts a kernel.
    ///
    /// # Errors
    /// When the card has no such kernel, or the driver refuses the launch.
    ///
    /// # Safety
    /// The parameters must be those of the kernel, and the addresses in them must be of memory that is as large as the kernel
    /// takes it to be.
    pub unsafe fn launch(&self, launch: &Launch) -> Result<()> {
        self.bind()?;
        let function = self.function(&launch.kernel, launch.shared_bytes)?;
        // Parameters with descriptions of tensors are aligned to 64 bytes.
        let mut parameters = AlignedBytes::of(&launch.parameters);
        for (offset, map) in &launch.tensor_maps {
            let encoded = encode(map)?;
            parameters.bytes_mut()[*offset..*offset + encoded.len()].copy_from_slice(&encoded);
        }
        let mut argument: [*mut c_void; 1] = [parameters.bytes_mut().as_mut_ptr().cast()];
        // Such a kernel starts while the one before still runs, and waits by itself before it reads what that one writes.
        let mut early = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]) = (launch.grid, launch.block);
        let config = sys::CUlaunchConfig {
            gridDimX: grid_x,
            gridDimY: grid_y,
            gridDimZ: grid_z,
            blockDimX: block_x,
            blockDimY: block_y,
            blockDimZ: block_z,
            sharedMemBytes: launch.shared_bytes,
            hStream: self.stream,
            attrs: &mut early,
            numAttrs: u32::from(launch.early),
        };
        // SAFETY: the caller vouches for the parameters; the driver copies them before it returns.
        unsafe { sys::cuLaunchKernelEx(&config, function, argument.as_mut_ptr(), std::ptr::null_mut()) }
            .result()
            .doing(&format!("starting {}", launch.kernel))
    }
}

/// Bytes at an address that is a multiple of 64.
struct AlignedBytes {
    blocks: Vec<Block>,
    length: usize,
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Block([u8; 64]);

impl AlignedBytes {
    fn of(bytes: &[u8]) -> Self {
        let mut blocks = vec![Block([0; 64]); bytes.len().div_ceil(64)];
        bytemuck::cast_slice_mut(&mut blocks)[..bytes.len()].copy_from_slice(bytes);
        Self { blocks, length: bytes.len() }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.length]
    }
}
