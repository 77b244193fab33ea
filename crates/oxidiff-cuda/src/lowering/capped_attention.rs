//! Attention whose scores approach a limit (Gemma Team 2024, <https://arxiv.org/abs/2408.00118>, section 2).

use burn::tensor::DType;
use burn_ir::{AttentionOpIr, TensorIr};

use super::Lowering;
use super::elementwise::number;
use crate::graph::Origin;
use crate::operation::Operation;
use crate::program::{Program, Step};
use crate::view::View;

impl Lowering<'_> {
    /// `softmax(cap tanh(query keyᵀ scale / cap) + mask) value`, step by step: there is no kernel for the whole. Scores are `f32`.
    pub(super) fn capped_attention(&mut self, it: &AttentionOpIr, cap: f32) {
        let [batch, heads, queries, dim] = [0, 1, 2, 3].map(|axis| it.query.shape[axis]);
        let keys = it.key.shape[2];
        let [query, key, value] = [&it.query, &it.key, &it.value].map(|tensor| self.head_by_head(tensor));
        let products = self.add(&[batch * heads, queries, keys], &[0, 1, 2], DType::F32, |y| {
            Operation::Matmul { a: query.clone(), b: key.permute(&[0, 2, 1]), y }
        });
        let of_heads = [batch, heads, queries, keys];
        let products = products.reshape(&of_heads).expect("contiguous tensors take any shape");
        let scale = it.options.scale.map_or(1.0 / (dim as f32).sqrt(), number);
        let masks = [
            self.attention_mask(it, &of_heads),
            it.options.is_causal.then(|| self.later_keys(queries, keys).expand(&of_heads)),
        ];
        let inputs: Vec<View> = [products].into_iter().chain(masks.into_iter().flatten()).collect();
        let mut program = Program { inputs: inputs.len(), instructions: Vec::new() };
        let factor = program.push(Step::Constant(scale / cap), &[]);
        let share = program.push(Step::Mul, &[0, factor]);
        let bent = program.push(Step::Tanh, &[share]);
        let cap = program.push(Step::Constant(cap), &[]);
        let capped = program.push(Step::Mul, &[bent, cap]);
        (1..inputs.len()).fold(capped, |sum, mask| program.push(Step::Add, &[sum, mask]));
        let scores = self.add_in_order(&of_heads, DType::F32, |y| Operation::Elementwise {
            program: program.clone(),
            inputs: inputs.clone(),
            y,
        });
        let weights =
            self.add_in_order(&of_heads, DType::F32, |y| Operation::Softmax { x: scores.clone(), y });
        let weights =
            weights.reshape(&[batch * heads, queries, keys]).expect("contiguous tensors take any shape");
        let found = self.add_in_order(&[batch * heads, queries, value.shape[2]], DType::F32, |y| {
            Operation::Matmul { a: weights.clone(), b: value.clone(), y }
        });
        let y = match it.out.dtype {
            DType::F32 => found,
            dtype => self.add_in_order(&found.shape, dtype, |y| Operation::copy(found.clone(), y)),
        };
        let y = y.reshape(&super::moving::shape(&it.out)).expect("contiguous tensors take any shape");
        self.define(&it.out, y);
    }

    /// `[batch, heads, tokens, dim]` as `[batch * heads, tokens, dim]` in `f32`.
    fn head_by_head(&mut self, tensor: &TensorIr) -> View {
        let mut view = self.view(tensor);
        if view.dtype != DType::F32 {
            let given = view;
            view = self.add_in_order(&given.shape, DType::F32, |y| Operation::copy(given.clone(), y));
        }
        let [batch, heads, tokens, dim] = view.shape[..] else { unreachable!("rank 4") };
        self.reshape(view, &[batch * heads, tokens, dim])
    }

    /// Minus infinity where a key comes after the query, else 0: `[queries, keys]`.
    fn later_keys(&mut self, queries: usize, keys: usize) -> View {
        let value = |query: usize, key: usize| if key > query { f32::NEG_INFINITY } else { 0.0 };
        let values = (0..queries).flat_map(|query| (0..keys).map(move |key| value(query, key)));
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let buffer = self.graph.add_buffer(bytes.len(), Origin::Constant(bytes));
        View::contiguous(buffer, &[queries, keys], DType::F32)
    }
}
