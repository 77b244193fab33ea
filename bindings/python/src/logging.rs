//! The library's messages as records of Python's `logging`.

use std::fmt;

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Sends messages to the logger `oxidiff`.
struct Logger;

impl<S: Subscriber> Layer<S> for Logger {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        // Python's levels.
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        Python::attach(|py| {
            let log = || {
                py.import("logging")?
                    .call_method1("getLogger", ("oxidiff",))?
                    .call_method1("log", (level, "%s", &message.0))
            };
            if let Err(error) = log() {
                error.write_unraisable(py, None);
            }
        });
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Starts sending; does nothing if the process has another receiver.
pub fn start() {
    let subscriber = Registry::default().with(Logger.with_filter(LevelFilter::INFO));
    let _ = tracing::subscriber::set_global_default(subscriber);
}
