// Attention with products of f32 precision (3xTF32), for f32 and for whatever the 16-bit kernels cannot take:
// heads of any size, any alignment. Operands are widened to f32 on their way into shared memory.
#pragma once

#include "attention.cuh"

// A block has 64 queries, 16 a warp, and VALUES channels of the value; it takes KEYS keys at a time, and
// CHANNELS channels of query and key. Blocks for other channels of the value compute the scores again.
// WHOLE: rows consist of whole 16-byte chunks of f32, which need not pass through registers.
template <typename T, int CHANNELS, int VALUES, bool WHOLE> struct AnyAttention {
    static constexpr int WARPS = 4, THREADS = WARPS * 32, QUERIES = WARPS * 16, KEYS = 32;
    // In floats. Rows are an odd number of 16-byte chunks apart, for ldmatrix; two rows of the value 8 banks.
    static constexpr int PITCH = CHANNELS + 4, VALUE_PITCH = VALUES + 4;
    static_assert(CHANNELS % 32 == 0 && VALUES % 16 == 0, "whole products, and the distances above");
    static constexpr int SHARED = ((QUERIES + KEYS) * PITCH + KEYS * VALUE_PITCH) * 4;

    // Rows of `channels` channels, filled up with zeros to WIDTH.
    template <int ROWS, int WIDTH, int ROW_PITCH>
    static __device__ __forceinline__ void load_rows(float* to, const T* from, int pitch, int rows,
                                                     int channels) {
        if constexpr (WHOLE) {
            constexpr int CHUNKS = WIDTH / 4;
            for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
                const int row = i / CHUNKS, column = i % CHUNKS * 4;
                copy_chunk(__cvta_generic_to_shared(to + row * ROW_PITCH + column),
                           from + int64_t(row) * pitch + column, row < rows && column < channels);
            }
        } else {
#pragma unroll 8
            for (int i = threadIdx.x; i < ROWS * WIDTH; i += THREADS) {
                const int row = i / WIDTH, column = i % WIDTH;
                const bool exists = row < rows && column < channels;
                to[row * ROW_PITCH + column] = exists ? to_float(from[int64_t(row) * pitch + column]) : 0.0f;
            }
        }
    }

    // sum += a * b, nearly exact: see F32Math.
    static __device__ __forceinline__ void product(float (&sum)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&small_a)[4], const uint32_t (&b)[2]) {
        uint32_t big_b[2] = {b[0], b[1]}, small_b[2];
        F32Math::split(big_b[0], small_b[0]);
        F32Math::split(big_b[1], small_b[1]);
        Tf32Math::product(sum, small_a, big_b);
        Tf32Math::product(sum, a, small_b);
        Tf32Math::product(sum, a, big_b);
    }

    static __device__ __forceinline__ void run(const AttentionParams& p) {
        extern __shared__ __align__(16) float memory[];
        join_launches();
        float *const query = memory, *const key = query + QUERIES * PITCH, *const value = key + KEYS * PITCH;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const int slices = (p.value_dim + VALUES - 1) / VALUES;
        const Head head(blockIdx.y, blockIdx.z / slices);
        const int first_value = blockIdx.z % slices * VALUES;
        const int block_query = blockIdx.x * QUERIES, first_query = block_query + warp * 16;
        const T* const all_queries = head.at<T>(p.query, p.query_item, p.dim, block_query, p.query_pitch);
        const int seen = keys_seen(p, block_query + QUERIES);
        const float* const mask = head.mask(p);
        const uint32_t from_query =
            __cvta_generic_to_shared(query + (warp * 16 + lane % 16) * PITCH + lane / 16 * 4);
        const uint32_t from_key =
            __cvta_generic_to_shared(key + (lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 4);
        const float* const from_value = value + lane % 4 * 2 * VALUE_PITCH + lane / 4;

        float sums[1][VALUES / 8][4] = {}, totals[1][2] = {};
        float m[1][2] = {{minus_infinity(), minus_infinity()}};
        for (int first_key = 0; first_key < seen; first_key += KEYS) {
            const int keys = p.keys - first_key;
            float scores[1][KEYS / 8][4] = {};
            for (int channel = 0; channel < p.dim; channel += CHANNELS) {
                const int channels = p.dim - channel;
                __syncthreads();
                if (first_key == 0 || p.dim > CHANNELS)
                    load_rows<QUERIES, CHANNELS, PITCH>(query, all_queries + channel, p.query_pitch,
                                                        p.queries - block_query, channels);
                load_rows<KEYS, CHANNELS, PITCH>(
                    key, head.at<T>(p.key, p.key_item, p.dim, first_key, p.key_pitch) + channel, p.key_pitch,
                    keys, channels);
                if (channel == 0)
                    load_rows<KEYS, VALUES, VALUE_PITCH>(
                        value,
                        head.at<T>(p.value, p.value_item, p.value_dim, first_key, p.value_pitch) +
                            first_value,
                        p.value_pitch, keys, p.value_dim - first_value);
                commit_copies();
                await_copies<0>();
                __syncthreads();
                // The sum of 32 channels is formed apart, and added as f32 adds.
                for (int part = 0; part < CHANNELS && part < channels; part += 32) {
                    float some[KEYS / 8][4] = {};
#pragma unroll
                    for (int step = 0; step < 4; ++step) {
                        uint32_t a[4], small_a[4];
                        load_matrices(a, from_query + (part + step * 8) * 4);
#pragma unroll
                        for (int i = 0; i < 4; ++i) F32Math::split(a[i], small_a[i]);
#pragma unroll
                        for (int j = 0; j < KEYS / 8; j += 2) {
                            uint32_t b[4];
                            load_matrices(b, from_key + (j * 8 * PITCH + part + step * 8) * 4);
                            product(some[j], a, small_a, {b[0], b[1]});
                            product(some[j + 1], a, small_a, {b[2], b[3]});
                        }
                    }
#pragma unroll
                    for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
                        for (int e = 0; e < 4; ++e) scores[0][j][e] += some[j][e];
                }
            }

#pragma unroll
            for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    scores[0][j][e] =
                        masked_score(p, mask, scores[0][j][e], first_query + lane / 4 + e / 2 * 8,
                                     first_key + j * 8 + lane % 4 * 2 + e % 2);
            soften(scores, 1.0f, m, totals, [&](const float (&shrink)[1][2]) { shrink_sums(sums, shrink); });

            // Lane t of a row has the keys 2t and 2t + 1 where the product wants t and t + 4: its keys are
            // taken in that order, those of the value too.
            uint32_t a[KEYS / 8][4], small_a[KEYS / 8][4];
#pragma unroll
            for (int step = 0; step < KEYS / 8; ++step)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    a[step][i] = __float_as_uint(scores[0][step][i % 2 * 2 + i / 2]);
                    F32Math::split(a[step][i], small_a[step][i]);
                }
#pragma unroll
            for (int j = 0; j < VALUES / 8; ++j) {
                float some[4] = {};
#pragma unroll
                for (int step = 0; step < KEYS / 8; ++step) {
                    const float* const from = from_value + step * 8 * VALUE_PITCH + j * 8;
                    product(some, a[step], small_a[step],
                            {__float_as_uint(from[0]), __float_as_uint(from[VALUE_PITCH])});
                }
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[0][j][e] += some[e];
            }
        }

#pragma unroll
        for (int row = 0; row < 2; ++row) {
            const float total = row_sum(totals[0][row]);
            const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
            const int number = first_query + row * 8 + lane / 4, first = first_value + lane % 4 * 2;
            if (number >= p.queries) continue;
            T* const to = const_cast<T*>(head.at<T>(p.y, p.y_item, p.value_dim, number, p.y_pitch));
#pragma unroll
            for (int j = 0; j < VALUES / 8; ++j)
#pragma unroll
                for (int e = 0; e < 2; ++e)
                    if (first + j * 8 + e < p.value_dim)
                        to[first + j * 8 + e] = from_float<T>(sums[0][j][2 * row + e] * inverse);
        }
    }
};
