//! What several schedulers share.

pub(crate) mod brownian_tree;
pub(crate) mod config_file;
pub(crate) mod distilled_run;
pub(crate) mod dpmsolver;
pub(crate) mod edm;
pub(crate) mod edm_solver;
pub(crate) mod flow_sigmas;
pub(crate) mod log_snr;
pub(crate) mod methods;
pub(crate) mod multistep;
pub(crate) mod noise_sampler;
pub(crate) mod noise_schedule;
pub(crate) mod prediction_type;
pub(crate) mod rank;
pub(crate) mod run;
pub(crate) mod seed_sequence;
pub(crate) mod shape;
pub(crate) mod sigma_schedule;
pub(crate) mod step_index;
pub(crate) mod thresholding;
pub(crate) mod time_shift;
pub(crate) mod timestep_spacing;
pub(crate) mod two_stage;
pub(crate) mod variance_exploding;
pub(crate) mod variance_type;
pub(crate) mod zero_terminal_snr;
