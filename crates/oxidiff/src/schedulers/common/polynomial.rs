//! Interpolation polynomials in λ, and their integrals with an exponential weight.

/// The coefficients of the polynomial that is 1 at the point with index `i` and 0 at the others, the constant one first.
pub(crate) fn lagrange_polynomial(points: &[f64], i: usize) -> Vec<f64> {
    let mut polynomial = vec![1.0];
    for (_, &point) in points.iter().enumerate().filter(|&(other, _)| other != i) {
        let distance = points[i] - point;
        let mut product = vec![0.0; polynomial.len() + 1];
        for (power, factor) in polynomial.iter().enumerate() {
            product[power] -= factor * point / distance;
            product[power + 1] += factor / distance;
        }
        polynomial = product;
    }
    polynomial
}

/// ∫ λⁿ·e^(rate·λ) dλ from `from` to `to`, by parts.
pub(crate) fn exponential_moment(power: usize, rate: f64, from: f64, to: f64) -> f64 {
    let at = |lambda: f64| {
        let x = rate * lambda;
        // The antiderivative is this polynomial in x, times eˣ, over rateⁿ⁺¹.
        (1..=power).fold(1.0, |polynomial, n| x.powi(n as i32) - n as f64 * polynomial)
    };
    let growth = (rate * (from - to)).exp();
    (rate * to).exp() * (at(to) - at(from) * growth) / rate.powi(power as i32 + 1)
}
