//! Trainings of small models, from their options to their results.

mod emoji;
mod scripts;
mod whole;
