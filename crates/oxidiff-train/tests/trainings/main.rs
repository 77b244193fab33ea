//! Trainings of small models, from their options to their results.

mod drawn_z_image;
mod emoji;
mod scripts;
mod whole;
mod z_image;
