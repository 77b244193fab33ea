//! From a name or a folder to a component: configuration files, weights and the hub.

pub mod config;
pub mod hub;
