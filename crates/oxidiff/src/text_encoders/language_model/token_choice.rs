//! The choice of the next token from the scores of all, in the order of steps of transformers.

use super::generation_config::{Draw, TokenChoice};
use crate::error::{Error, Result};
use crate::random::Generator;

/// The score of a token that cannot be drawn.
const NEVER: f32 = f32::NEG_INFINITY;

impl TokenChoice {
    /// The next token of each of `texts`; `scores` are those of all tokens for one text after another.
    ///
    /// # Errors
    /// When a score is not finite.
    pub(super) fn next(
        &self,
        scores: &[f32],
        texts: &[Vec<u32>],
        generator: &mut Generator,
    ) -> Result<Vec<u32>> {
        if scores.iter().any(|score| !score.is_finite()) {
            let message = "the scores of the next token are not finite; compute in `f32` or `bf16`".into();
            return Err(Error::NonFinite { place: "text_encoder".into(), message });
        }
        let (count, mut scores) = (scores.len() / texts.len(), scores.to_vec());
        for (scores, text) in scores.chunks_exact_mut(count).zip(texts) {
            self.punish_repetition(scores, text);
        }
        let Some(draw) = self.draw else {
            return Ok(scores.chunks_exact(count).map(|scores| best(scores) as u32).collect());
        };
        for scores in scores.chunks_exact_mut(count) {
            draw.restrict(scores);
            scores.copy_from_slice(&probabilities(scores));
        }
        let drawn = generator.multinomial(&scores, count)?;
        Ok(drawn.into_iter().map(|token| token as u32).collect())
    }

    /// Makes tokens less likely that are in the text already (Keskar et al. 2019, <https://arxiv.org/abs/1909.05858>).
    fn punish_repetition(&self, scores: &mut [f32], text: &[u32]) {
        let penalty = self.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut tokens = text.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            // A model may have fewer scores than its vocabulary has tokens.
            if let Some(score) = scores.get_mut(token as usize) {
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
    }
}

impl Draw {
    /// Takes the tokens away that are not likely enough.
    fn restrict(&self, scores: &mut [f32]) {
        if self.temperature != 1.0 {
            scores.iter_mut().for_each(|score| *score /= self.temperature);
        }
        if (1..scores.len()).contains(&self.top_k) {
            let mut sorted = scores.to_vec();
            let (_, least, _) = sorted.select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a));
            let least = *least;
            forbid(scores, |_, score| score < least);
        }
        if self.top_p < 1.0 {
            self.keep_nucleus(scores);
        }
        if self.min_p > 0.0 {
            let likely = probabilities(scores);
            let least = self.min_p * likely.iter().copied().fold(0.0, f32::max);
            forbid(scores, |token, _| likely[token] < least);
        }
    }

    /// Keeps the most likely tokens that have the probability `top_p` together.
    fn keep_nucleus(&self, scores: &mut [f32]) {
        let likely = probabilities(scores);
        let mut ascending: Vec<usize> = (0..scores.len()).collect();
        ascending.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let mut sum = 0.0_f64;
        for token in &ascending[..ascending.len() - 1] {
            sum += f64::from(likely[*token]);
            if sum as f32 > 1.0 - self.top_p {
                break;
            }
            scores[*token] = NEVER;
        }
    }
}

fn forbid(scores: &mut [f32], is_unlikely: impl Fn(usize, f32) -> bool) {
    for (token, score) in scores.iter_mut().enumerate() {
        if is_unlikely(token, *score) {
            *score = NEVER;
        }
    }
}

/// The first of the highest scores.
fn best(scores: &[f32]) -> usize {
    (1..scores.len()).fold(0, |best, token| if scores[token] > scores[best] { token } else { best })
}

fn probabilities(scores: &[f32]) -> Vec<f32> {
    let highest = scores[best(scores)];
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> Draw {
        Draw { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }

    fn left(draw: Draw, scores: [f32; 5]) -> Vec<usize> {
        let mut scores = scores;
        draw.restrict(&mut scores);
        (0..5).filter(|token| scores[*token] > NEVER).collect()
    }

    #[test]
    fn unlikely_tokens_are_not_drawn() {
        // The probabilities are 0.1, 0.4, 0.2, 0.2 and 0.1.
        let scores = [0.1, 0.4, 0.2, 0.2, 0.1].map(|probability: f32| probability.ln());
        assert_eq!(left(draw(), scores), [0, 1, 2, 3, 4]);
        assert_eq!(left(Draw { top_k: 2, ..draw() }, scores), [1, 2, 3], "as likely as the second");
        assert_eq!(left(Draw { top_k: 9, ..draw() }, scores), [0, 1, 2, 3, 4]);
        assert_eq!(left(Draw { top_p: 0.3, ..draw() }, scores), [1]);
        assert_eq!(left(Draw { top_p: 0.0, ..draw() }, scores), [1]);
        assert_eq!(left(Draw { top_p: 0.75, ..draw() }, scores), [1, 2, 3]);
        assert_eq!(left(Draw { min_p: 0.45, ..draw() }, scores), [1, 2, 3]);
        assert_eq!(left(Draw { temperature: 0.01, min_p: 0.9, ..draw() }, scores), [1]);
    }

    #[test]
    fn tokens_of_the_text_are_less_likely() {
        let choice = TokenChoice { draw: None, repetition_penalty: 2.0, end: vec![], filling: 0 };
        let mut generator = Generator::manual_seed(0);
        let texts = [vec![0, 0, 9], vec![2]];
        let scores = vec![3.0, 2.0, 1.0, -1.0, -3.0, -2.0];
        assert_eq!(choice.next(&scores, &texts, &mut generator).unwrap(), [1, 0]);
        let error = choice.next(&[f32::NAN; 6], &texts, &mut generator).unwrap_err().to_string();
        assert!(error.contains("not finite"), "{error}");
    }
}
