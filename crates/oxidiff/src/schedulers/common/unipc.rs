//! One step of [UniPC](https://arxiv.org/abs/2302.04867): the linear part of the equation is solved exactly, and what the
//! model predicts is interpolated in λ, with or without its prediction at the next level.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::log_snr::Level;
use super::multistep::{History, weighted_sum};
use crate::error::Result;

/// The function B(h) of UniPC, section 3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UniPCSolverType {
    /// B(h) = h; recommended without guidance and for fewer than 10 steps.
    #[serde(rename = "bh1")]
    Bh1,
    /// B(h) = eʰ − 1; stands in for the solvers of DPM-Solver and DEIS.
    #[default]
    #[serde(rename = "bh2", alias = "midpoint", alias = "heun", alias = "logrho")]
    Bh2,
}

/// The step from `sample` by the last predictions: equation 9 of the paper with `arrived`, the prediction at the next
/// level, and equation 3 without. `levels` are the next level, this one, and those of the earlier predictions.
pub(crate) fn unipc_step(
    solver: UniPCSolverType,
    predict_x0: bool,
    levels: &[Level],
    sample: Tensor<4>,
    history: &History,
    arrived: Option<Tensor<4>>,
) -> Result<Tensor<4>> {
    let (next, here, earlier) = (levels[0], levels[1], &levels[2..]);
    let h = next.lambda - here.lambda;
    if h == 0.0 {
        return Ok(sample);
    }
    // `scale` is that of the integral; times eʰ − 1 it stays finite if the next level has no noise.
    let (signed_h, sample_weight, scale, scale_phi) = if predict_x0 {
        (-h, next.sigma / here.sigma, next.alpha, next.alpha * (-h).exp_m1())
    } else {
        let ratio = next.alpha / here.alpha;
        (h, ratio, next.sigma, ratio * here.sigma - next.sigma)
    };
    let scale_b = match solver {
        UniPCSolverType::Bh1 => scale * signed_h,
        UniPCSolverType::Bh2 => scale_phi,
    };

    // The shares of the step at which predictions lie: negative for earlier ones, 1 for that at the next level.
    let mut shares: Vec<f64> = earlier.iter().map(|level| (level.lambda - here.lambda) / h).collect();
    shares.extend(arrived.is_some().then_some(1.0));
    // Differences to the latest prediction, each times its part of the integral.
    let parts: Vec<f64> = solver
        .parts(&shares, signed_h)
        .into_iter()
        .zip(&shares)
        .map(|(part, share)| scale_b * part / share)
        .collect();

    let mut weights = vec![parts.iter().sum::<f64>() - scale_phi];
    weights.extend(parts.iter().take(earlier.len()).map(|part| -part));
    let arrived = arrived.map(|prediction| (prediction, -parts[earlier.len()]));
    let predictions = history.weighted(&weights);
    weighted_sum(std::iter::once((sample, sample_weight)).chain(predictions).chain(arrived))
}

impl UniPCSolverType {
    /// The coefficients a of the differences, from Σ aⱼ·rⱼⁿ⁻¹ = n!·h·φₙ₊₁(h)/B(h), equation 5 of the paper.
    fn parts(self, shares: &[f64], h: f64) -> Vec<f64> {
        // With one unknown, the paper chooses a simpler value that keeps the order.
        if shares.len() == 1 {
            return vec![0.5];
        }
        let b_h = match self {
            Self::Bh1 => h,
            Self::Bh2 => h.exp_m1(),
        };
        let mut factorial = 1.0;
        let mut h_phi = h.exp_m1() / h - 1.0;
        let mut right = Vec::with_capacity(shares.len());
        for n in 1..=shares.len() {
            right.push(h_phi * factorial / b_h);
            factorial *= (n + 1) as f64;
            h_phi = h_phi / h - 1.0 / factorial;
        }
        solve_vandermonde(shares, right)
    }
}

/// Solves Σⱼ aⱼ·xⱼⁱ = bᵢ by the method of Björck and Pereyra (Golub & Van Loan, algorithm 4.6.2).
fn solve_vandermonde(x: &[f64], mut b: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    for (k, point) in x.iter().enumerate() {
        for i in (k + 1..n).rev() {
            b[i] -= point * b[i - 1];
        }
    }
    for k in (0..n.saturating_sub(1)).rev() {
        for i in k + 1..n {
            b[i] /= x[i] - x[i - k - 1];
        }
        for i in k..n - 1 {
            b[i] -= b[i + 1];
        }
    }
    b
}
