//! Results that are kept, so that they are computed once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use oxidiff::{DType, Tensor};

use crate::error::Result;

/// The results of a computation by its inputs, or nothing if none are to be kept.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Option<RefCell<HashMap<K, V>>>);

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache, or one that keeps nothing.
    pub fn new(is_on: bool) -> Self {
        Self(is_on.then(RefCell::default))
    }

    /// Whether results are kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The results for `inputs`, each of which has a key, and of which `compute` gives the result the first time. If there were such
    /// inputs, `release` follows: they may have been the last ones, and a training needs all memory for its own model.
    ///
    /// # Errors
    /// Those of `compute`.
    pub fn get_all<I>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        key: impl Fn(&I) -> K,
        compute: impl Fn(I) -> Result<V>,
        release: impl FnOnce(),
    ) -> Result<Vec<V>> {
        let mut is_new = false;
        let result = |input| {
            self.get(key(&input), || {
                is_new = true;
                compute(input)
            })
        };
        let results = inputs.into_iter().map(result).collect::<Result<_>>()?;
        if is_new {
            release();
        }
        Ok(results)
    }

    /// The result for `key`, which `compute` gives the first time.
    ///
    /// # Errors
    /// Those of `compute`.
    fn get(&self, key: K, compute: impl FnOnce() -> Result<V>) -> Result<V> {
        let Some(results) = &self.0 else { return compute() };
        if let Some(result) = results.borrow().get(&key) {
            return Ok(result.clone());
        }
        let result = compute()?;
        results.borrow_mut().insert(key, result.clone());
        Ok(result)
    }
}

/// A number for the values of an image. Two of a billion images have the same with a chance of about 1 in 40.
pub(crate) fn fingerprint(image: &Tensor<4>) -> u64 {
    let values = image.clone().cast(DType::F32).into_data();
    let mut hasher = DefaultHasher::new();
    values.as_bytes().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_computed_once_if_they_are_kept() {
        for (is_on, expected) in [(true, [1, 1, 2]), (false, [1, 2, 3])] {
            let cache = Cache::new(is_on);
            let mut computed = 0;
            let mut get = |key| {
                cache.get(key, || {
                    computed += 1;
                    Ok(computed)
                })
            };
            assert_eq!(["a", "a", "b"].map(|key| get(key).unwrap()), expected);
        }
    }
}
