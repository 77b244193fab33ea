//! Launches that are recorded once and run many times, and moments to measure between.

use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::{Device, Doing};
use crate::error::Result;

/// Launches that were recorded, to be run again at once.
pub struct Replay {
    device: Arc<Device>,
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
}

// SAFETY: a graph is launched on the device's stream only, under the lock of its owner.
unsafe impl Send for Replay {}

/// A moment on the stream of a card.
pub struct Event {
    device: Arc<Device>,
    event: sys::CUevent,
}

impl Replay {
    /// Records what `start` starts.
    ///
    /// # Errors
    /// Those of `start`, and when the driver fails.
    pub fn record(device: &Arc<Device>, start: impl FnOnce() -> Result<()>) -> Result<Self> {
        device.bind()?;
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is ours; the recording ends below whatever happens in between.
        unsafe { result::stream::begin_capture(device.stream, mode) }.doing("recording a graph")?;
        let started = start();
        // SAFETY: begun above.
        let graph = unsafe { result::stream::end_capture(device.stream) }.doing("recording a graph");
        started?;
        let graph = graph?;
        let mut executable = std::ptr::null_mut();
        // SAFETY: the graph was just recorded. No flags.
        let made = unsafe { sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0) };
        made.result().doing("preparing a graph")?;
        Ok(Self { device: device.clone(), graph, executable })
    }

    /// Starts the launches.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn launch(&self) -> Result<()> {
        self.device.bind()?;
        // SAFETY: the executable graph lives as long as this value.
        unsafe { result::graph::launch(self.executable, self.device.stream) }.doing("starting a graph")
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let destroyed = self.device.bind().and_then(|()| {
            // SAFETY: made by `record`, destroyed once.
            unsafe { result::graph::exec_destroy(self.executable).and(result::graph::destroy(self.graph)) }
                .doing("dropping a graph")
        });
        if let Err(error) = destroyed {
            tracing::debug!("{error}");
        }
    }
}

impl Event {
    /// The moment at which everything before has run.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn now(device: &Arc<Device>) -> Result<Self> {
        device.bind()?;
        let event =
            result::event::create(sys::CUevent_flags_enum::CU_EVENT_DEFAULT).doing("making an event")?;
        // SAFETY: both are ours.
        unsafe { result::event::record(event, device.stream) }.doing("recording an event")?;
        Ok(Self { device: device.clone(), event })
    }

    /// Milliseconds from `earlier` to this one.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn since(&self, earlier: &Self) -> Result<f32> {
        self.device.synchronize()?;
        // SAFETY: both were recorded, and the stream was waited for.
        unsafe { result::event::elapsed(earlier.event, self.event) }.doing("reading an event")
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by `now`, destroyed once.
        let destroyed = self
            .device
            .bind()
            .and_then(|()| unsafe { result::event::destroy(self.event) }.doing("dropping an event"));
        if let Err(error) = destroyed {
            tracing::debug!("{error}");
        }
    }
}
