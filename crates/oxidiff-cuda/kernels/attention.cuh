// Scaled dot-product attention: parameters, and the running softmax that all variants share.
//
// No variant stores the scores. A block walks over the keys in tiles and keeps, for each query, the sum of
// exp(score - m) * value, the sum of exp(score - m), and m, the largest score so far; when m grows, the sums
// are scaled (Dao, "FlashAttention-2", 2023). Scores are multiplied by log2(e), so that exp is exp2.
#pragma once

#include "convolution_mma.cuh"

// The tokens of an operand are `_pitch` elements apart, its items `_item` elements.
struct AttentionParams {
    const void* query;  // T [batch, queries, heads * dim]
    const void* key;    // T [batch, keys, heads * dim]
    const void* value;  // T [batch, keys, heads * value_dim]
    void* y;            // T [batch, queries, heads * value_dim]
    const float* mask;  // added to the scores: f32 [batch, heads, queries, keys], or null; a stride may be 0
    int64_t query_item, key_item, value_item, y_item;
    int64_t mask_item, mask_head, mask_query, mask_key;  // strides of the mask in elements
    int32_t batch, heads, queries, keys, dim, value_dim;
    int32_t query_pitch, key_pitch, value_pitch, y_pitch;
    int32_t causal;  // 1: key j is seen by query i only if j <= i
    float scale;     // the scores are multiplied by it
};

constexpr float LOG2_E = 1.4426950408889634f;

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The number of this lane, and of this thread, read anew: what depends on it cannot be computed ahead and
// kept in registers, which are scarcer than instructions.
__device__ __forceinline__ int lane_now() {
    int lane;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}
__device__ __forceinline__ int thread_now() {
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
}

// The largest value, or the sum, over the four lanes that have the same row of a fragment.
__device__ __forceinline__ float row_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
    return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}
__device__ __forceinline__ float row_sum(float value) {
    value += __shfl_xor_sync(~0u, value, 1);
    return value + __shfl_xor_sync(~0u, value, 2);
}

// What is subtracted from the scores of a row: 0 if all were -infinity, whose exp2 is wanted then.
__device__ __forceinline__ float finite_max(float m) { return m == minus_infinity() ? 0.0f : m; }

// The rows of one head of one item.
struct Head {
    int item, head;
    __device__ __forceinline__ Head(int head, int item) : item(item), head(head) {}

    template <typename T> __device__ __forceinline__ const T* at(const void* base, int64_t item_stride,
                                                                 int width, int64_t token, int pitch) const {
        return static_cast<const T*>(base) + item * item_stride + token * pitch + head * width;
    }
    __device__ __forceinline__ const float* mask(const AttentionParams& p) const {
        return p.mask ? p.mask + item * p.mask_item + head * p.mask_head : nullptr;
    }
};

// How many keys any of the queries up to `query_end` sees.
__device__ __forceinline__ int keys_seen(const AttentionParams& p, int query_end) {
    return p.causal ? min(p.keys, query_end) : p.keys;
}

// A score as softmax takes it: with the scale, log2(e) and the mask, which may be null.
__device__ __forceinline__ float masked_score(const AttentionParams& p, const float* mask, float score,
                                              int query, int key) {
    if (query >= p.queries || key >= keys_seen(p, query + 1)) return minus_infinity();
    score *= p.scale * LOG2_E;
    if (mask) {
        const float added = mask[query * p.mask_query + key * p.mask_key];
        // The least number must not become -infinity: a row of such masks is an even average, not empty.
        score += added == minus_infinity() ? added : fmaxf(added * LOG2_E, -3.402823466e38f);
    }
    return score;
}

// m may stay below the largest score by this much (in log2): sums that are scaled less often cost nothing in
// precision as long as they are far from overflow.
constexpr float SLACK = 8.0f;

// The tile's part of softmax for FRAGMENTS * 16 rows of a warp: scores become exp2(scores * factor - m), and
// totals grow by this lane's share. Where m grows, `grown` is told what the sums must be multiplied by.
template <int FRAGMENTS, int TILES, typename Grown>
__device__ __forceinline__ void soften(float (&scores)[FRAGMENTS][TILES][4], float factor,
                                       float (&m)[FRAGMENTS][2], float (&totals)[FRAGMENTS][2],
                                       const Grown& grown) {
    float top[FRAGMENTS][2];
    bool grows = false;
#pragma unroll
    for (int i = 0; i < FRAGMENTS; ++i) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
            float most = fmaxf(scores[i][0][2 * row], scores[i][0][2 * row + 1]);
#pragma unroll
            for (int j = 1; j < TILES; ++j)
                most = fmaxf(most, fmaxf(scores[i][j][2 * row], scores[i][j][2 * row + 1]));
            top[i][row] = row_max(most) * factor;
            grows |= top[i][row] > m[i][row] + SLACK;
        }
    }
    if (__any_sync(~0u, grows)) {
        float shrink[FRAGMENTS][2];
#pragma unroll
        for (int i = 0; i < FRAGMENTS; ++i) {
#pragma unroll
            for (int row = 0; row < 2; ++row) {
                const float before = m[i][row];
                m[i][row] = fmaxf(before, top[i][row]);
                shrink[i][row] = exp2_fast(before - finite_max(m[i][row]));
                totals[i][row] *= shrink[i][row];
            }
        }
        grown(shrink);
    }
#pragma unroll
    for (int i = 0; i < FRAGMENTS; ++i) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
            const float base = finite_max(m[i][row]);
#pragma unroll
            for (int j = 0; j < TILES; ++j) {
#pragma unroll
                for (int e = 2 * row; e < 2 * row + 2; ++e) {
                    scores[i][j][e] = exp2_fast(fmaf(scores[i][j][e], factor, -base));
                    totals[i][row] += scores[i][j][e];
                }
            }
        }
    }
}

template <int FRAGMENTS, int COLUMNS>
__device__ __forceinline__ void shrink_sums(float (&sums)[FRAGMENTS][COLUMNS][4],
                                            const float (&by)[FRAGMENTS][2]) {
#pragma unroll
    for (int i = 0; i < FRAGMENTS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[i][j][e] *= by[i][e / 2];
}

// Scores of keys that a row does not see become -infinity. This lane's first score is of `query` and `key`.
template <int FRAGMENTS, int TILES>
__device__ __forceinline__ void hide_unseen(float (&scores)[FRAGMENTS][TILES][4], const AttentionParams& p,
                                            int query, int key) {
#pragma unroll
    for (int i = 0; i < FRAGMENTS; ++i)
#pragma unroll
        for (int row = 0; row < 2; ++row) {
            const int end = keys_seen(p, query + i * 16 + row * 8 + 1) - key;
#pragma unroll
            for (int j = 0; j < TILES; ++j)
#pragma unroll
                for (int e = 0; e < 2; ++e)
                    if (j * 8 + e >= end) scores[i][j][2 * row + e] = minus_infinity();
        }
}

template <typename T> __device__ __forceinline__ uint32_t pack_pair(float low, float high);
template <> __device__ __forceinline__ uint32_t pack_pair<__nv_bfloat16>(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
}
template <> __device__ __forceinline__ uint32_t pack_pair<__half>(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ void load_matrices_transposed(uint32_t (&to)[4], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&to)[2], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(from)
                 : "memory");
}
