//! The sum of two gradients of one tensor.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use crate::cpu::channels_last::{Image, contiguous, tensor};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::vector::store_sums;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Values per task.
const CHUNK: usize = 1 << 14;

/// `a + b`, of the same shape. The sum of two images has the channels of a pixel side by side.
///
/// # Panics
/// When the shapes differ.
pub(crate) fn sum<T: Storage>(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let dims = a.layout().shape().to_vec();
    assert_eq!(dims, b.layout().shape().to_vec(), "gradients of one tensor");
    if let [batch, channels, height, width] = dims[..]
        && !(a.is_contiguous() && b.is_contiguous())
    {
        let (a, b) = (Image::new(a), Image::new(b));
        let output = sums::<T>(a.values::<T>(), b.values::<T>());
        return tensor::<T>(output.finish(), [batch, channels, height, width]);
    }
    let (a, b) = (a.to_contiguous(), b.to_contiguous());
    let values = [&a, &b].map(|tensor| tensor.as_slice::<T>().expect("contiguous, of the matched type"));
    contiguous::<T>(sums::<T>(values[0], values[1]).finish(), &dims)
}

fn sums<T: Storage>(a: &[T], b: &[T]) -> Output<T> {
    let _running = operation("sum of gradients", a.len() as f64, (3 * size_of_val(a)) as f64);
    let output = Output::<T>::new(a.len());
    chunks_in_parallel(a, CHUNK, |index, a| {
        let b = &b[index * CHUNK..][..a.len()];
        // SAFETY: every chunk is written by one task.
        let out = unsafe { output.part(index * CHUNK, a.len()) };
        Arch::new().dispatch(Add { a, b, out });
    });
    output
}

struct Add<'a, T> {
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut widened = Scratch::new(self.a.len());
        T::widen(self.a, &mut widened);
        store_sums(simd, &widened, None, Some(self.b), self.out);
    }
}
