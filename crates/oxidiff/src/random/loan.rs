//! Generators that come back from a call.

use std::sync::{Arc, Mutex, PoisonError};

use super::Generator;

type Place = Arc<Mutex<Option<Generator>>>;

/// The claim to a generator that was lent: see [`Generator::lend`].
#[derive(Debug)]
pub struct Loan(Place);

impl Loan {
    /// The generator as it was left; `None` while it is in use.
    pub fn returned(self) -> Option<Generator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where a generator goes when it is dropped. Copies of the generator do not go there.
#[derive(Debug, Default)]
pub(super) struct Lender(Option<Place>);

impl Clone for Lender {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Generator {
    /// Lends the generator to a call, which takes its generators by value: [`Loan::returned`] is the generator as the call
    /// left it, for the next call to continue with.
    ///
    /// ```
    /// use oxidiff::Generator;
    ///
    /// let (mut lent, loan) = Generator::manual_seed(0).lend();
    /// let first = lent.randn_vec::<f32>(1);
    /// drop(lent); // as a call does at its end
    /// let second = loan.returned().unwrap().randn_vec::<f32>(1);
    /// assert_eq!([first, second].concat(), Generator::manual_seed(0).randn_vec::<f32>(2));
    /// ```
    pub fn lend(mut self) -> (Self, Loan) {
        let place = Place::default();
        self.lender = Lender(Some(place.clone()));
        (self, Loan(place))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if let Some(place) = self.lender.0.take() {
            let left = self.clone();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}
