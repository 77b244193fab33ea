// Attention for 16-bit elements and heads of up to 512 channels (the autoencoder's). The sums of a few
// queries fill the registers of a whole block, so each warp computes a part of the scores, the weights go
// through shared memory, and each warp has 64 channels of the result.
#pragma once

#include "attention.cuh"
#include "hopper.cuh"

// A block has QUERIES queries and takes KEYS keys at a time. CLUSTER (1 or 2) blocks share the keys of the
// same queries, and add up their results through each other's shared memory.
template <typename Math, int QUERIES, int KEYS, int CLUSTER> struct WideAttention {
    using T = typename Math::Element;
    static constexpr int WARPS = 8, THREADS = WARPS * 32;
    static constexpr int DIM = 512, CHUNKS = DIM / 8, ROW_BYTES = DIM * 2;
    static constexpr int FRAGMENTS = QUERIES / 16;
    // For the scores, the warps are arranged in rows and columns; each has 16 queries and WARP_KEYS keys.
    static constexpr int COLUMNS = WARPS / FRAGMENTS, WARP_KEYS = KEYS / COLUMNS, TILES = WARP_KEYS / 8;
    static constexpr int WARP_CHUNKS = CHUNKS / WARPS;  // of a warp's part of the result
    static constexpr int WEIGHT_PITCH = KEYS * 2 + 16;
    static constexpr int OPERAND_BYTES = (QUERIES + 2 * KEYS) * ROW_BYTES;
    // At the end a number for each query: how much the sums shrink, later m.
    static constexpr int ROWS_AT = OPERAND_BYTES + QUERIES * WEIGHT_PITCH, SHARED = ROWS_AT + QUERIES * 4;
    static_assert(COLUMNS <= 4, "room for a float of each behind the weights of a query");
    static_assert(CLUSTER == 1 || QUERIES / 2 * DIM * 4 <= OPERAND_BYTES, "room for half of the sums");

    // 16-byte chunks of a row, permuted so that ldmatrix finds the same chunk of eight rows in different
    // banks.
    static __device__ __forceinline__ uint32_t chunk_at(int row, int chunk) {
        return row * ROW_BYTES + ((chunk ^ (row & 7)) << 4);
    }

    template <int ROWS> static __device__ __forceinline__ void copy_rows(uint32_t to, const T* from,
                                                                         int pitch, int rows, int channels) {
        const int thread = thread_now(), chunk = thread % CHUNKS, first = thread / CHUNKS;
#pragma unroll 4
        for (int row = first; row < ROWS; row += THREADS / CHUNKS)
            copy_chunk(to + chunk_at(row, chunk), from + int64_t(row) * pitch + chunk * 8,
                       row < rows && chunk * 8 < channels);
    }

    // A number for a query and a column of warps: the largest score, later the total. It lies behind the
    // weights.
    static __device__ __forceinline__ float* of_column(char* shared, int query, int column) {
        return reinterpret_cast<float*>(shared + OPERAND_BYTES + query * WEIGHT_PITCH + KEYS * 2) + column;
    }

    static __device__ __forceinline__ void run(const AttentionParams& p) {
        extern __shared__ __align__(1024) char shared[];
        join_launches();
        const uint32_t queries = __cvta_generic_to_shared(shared), keys = queries + QUERIES * ROW_BYTES,
                       values = keys + KEYS * ROW_BYTES, weights = queries + OPERAND_BYTES;
        float* const of_rows = reinterpret_cast<float*>(shared + ROWS_AT);
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const int row_warp = warp % FRAGMENTS, column_warp = warp / FRAGMENTS;
        const int block_query = blockIdx.x / CLUSTER * QUERIES;
        const int rank = CLUSTER > 1 ? blockIdx.x % CLUSTER : 0;
        const Head head(blockIdx.y, blockIdx.z);
        const float* const mask = head.mask(p);
        const int tiles = (keys_seen(p, block_query + QUERIES) + KEYS - 1) / KEYS;
        const int share = (tiles + CLUSTER - 1) / CLUSTER;
        const int end = min(tiles, (rank + 1) * share);

        const auto copy_keys = [&](int tile) {
            if (tile < end)
                copy_rows<KEYS>(keys, head.at<T>(p.key, p.key_item, p.dim, tile * KEYS, p.key_pitch),
                                p.key_pitch, p.keys - tile * KEYS, p.dim);
            commit_copies();
        };
        const auto copy_values = [&](int tile) {
            if (tile < end)
                copy_rows<KEYS>(values,
                                head.at<T>(p.value, p.value_item, p.value_dim, tile * KEYS, p.value_pitch),
                                p.value_pitch, p.keys - tile * KEYS, p.value_dim);
            commit_copies();
        };
        copy_rows<QUERIES>(queries, head.at<T>(p.query, p.query_item, p.dim, block_query, p.query_pitch),
                           p.query_pitch, p.queries - block_query, p.dim);
        copy_keys(rank * share);
        copy_values(rank * share);

        // Where this lane reads matrices; a product's step along the channels is an exclusive or.
        const uint32_t from_query = queries + chunk_at(row_warp * 16 + lane % 16, lane / 16);
        const uint32_t from_key =
            keys + (TILES > 1 ? chunk_at(column_warp * WARP_KEYS + lane % 8 + lane / 16 * 8, lane / 8 % 2)
                              : chunk_at(column_warp * WARP_KEYS + lane % 8, lane / 8 % 2));
        const uint32_t from_weight = weights + lane % 16 * WEIGHT_PITCH + lane / 16 * 16;
        const uint32_t from_value = values + chunk_at(lane % 16, warp * WARP_CHUNKS + lane / 16);
        const int row = row_warp * 16 + lane / 4;  // and 8 more: this lane's rows of the scores

        float sums[FRAGMENTS][WARP_CHUNKS][4] = {};
        float m[2] = {minus_infinity(), minus_infinity()}, totals[2] = {};
        await_copies<1>();
        __syncthreads();

        for (int tile = rank * share; tile < end; ++tile) {
            float scores[TILES][4] = {};
#pragma unroll 8
            for (int step = 0; step < DIM / 16; ++step) {
                uint32_t a[4];
                load_matrices(a, from_query ^ (step * 32));
                if constexpr (TILES == 1) {
                    uint32_t b[2];
                    load_matrices(b, from_key ^ (step * 32));
                    Math::product(scores[0], a, b);
                } else {
#pragma unroll
                    for (int j = 0; j < TILES; j += 2) {
                        uint32_t b[4];
                        load_matrices(b, (from_key ^ (step * 32)) + j * 8 * ROW_BYTES);
                        Math::product(scores[j], a, {b[0], b[1]});
                        Math::product(scores[j + 1], a, {b[2], b[3]});
                    }
                }
            }
            float factor = p.scale * LOG2_E;
            const int first_query = block_query + row_warp * 16,
                      first_key = tile * KEYS + column_warp * WARP_KEYS;
            if (mask || p.scale < 0.0f || first_key + WARP_KEYS > keys_seen(p, first_query + 1)) {
                factor = 1.0f;
#pragma unroll
                for (int j = 0; j < TILES; ++j)
#pragma unroll
                    for (int e = 0; e < 4; ++e)
                        scores[j][e] = masked_score(p, mask, scores[j][e], first_query + lane / 4 + e / 2 * 8,
                                                    first_key + j * 8 + lane % 4 * 2 + e % 2);
            }
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float most = minus_infinity();
#pragma unroll
                for (int j = 0; j < TILES; ++j)
                    most = fmaxf(most, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
                most = row_max(most) * factor;
                if (lane % 4 == 0) *of_column(shared, row + half * 8, column_warp) = most;
            }
            __syncthreads();
            copy_keys(tile + 1);

            // The same as soften(), in all columns of warps alike.
            float top[2], shrink[2] = {1.0f, 1.0f};
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                top[half] = minus_infinity();
#pragma unroll
                for (int i = 0; i < COLUMNS; ++i)
                    top[half] = fmaxf(top[half], *of_column(shared, row + half * 8, i));
            }
            if (__any_sync(~0u, top[0] > m[0] + SLACK || top[1] > m[1] + SLACK)) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const float before = m[half];
                    m[half] = fmaxf(before, top[half]);
                    shrink[half] = exp2_fast(before - finite_max(m[half]));
                    totals[half] *= shrink[half];
                }
            }
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const float base = finite_max(m[half]);
#pragma unroll
                for (int j = 0; j < TILES; ++j) {
                    const float low = exp2_fast(fmaf(scores[j][2 * half], factor, -base));
                    const float high = exp2_fast(fmaf(scores[j][2 * half + 1], factor, -base));
                    totals[half] += low + high;
                    const int column = column_warp * WARP_KEYS + j * 8 + lane % 4 * 2;
                    *reinterpret_cast<uint32_t*>(shared + OPERAND_BYTES + (row + half * 8) * WEIGHT_PITCH +
                                                 column * 2) = pack_pair<T>(low, high);
                }
                if (column_warp == 0 && lane % 4 == 0) of_rows[row + half * 8] = shrink[half];
            }
            await_copies<1>();
            __syncthreads();

            float shrinks[FRAGMENTS][2];
            bool any = false;
#pragma unroll
            for (int i = 0; i < FRAGMENTS * 2; ++i) {
                shrinks[i / 2][i % 2] = of_rows[i * 8 + lane / 4];
                any |= shrinks[i / 2][i % 2] != 1.0f;
            }
            if (__any_sync(~0u, any)) {
#pragma unroll
                for (int i = 0; i < FRAGMENTS; ++i)
#pragma unroll
                    for (int j = 0; j < WARP_CHUNKS; ++j)
#pragma unroll
                        for (int e = 0; e < 4; ++e) sums[i][j][e] *= shrinks[i][e / 2];
            }
#pragma unroll
            for (int step = 0; step < KEYS / 16; ++step) {
                uint32_t a[FRAGMENTS][4];
#pragma unroll
                for (int i = 0; i < FRAGMENTS; ++i)
                    load_matrices(a[i], from_weight + i * 16 * WEIGHT_PITCH + step * 32);
#pragma unroll
                for (int j = 0; j < WARP_CHUNKS; j += 2) {
                    uint32_t b[4];
                    load_matrices_transposed(b, (from_value ^ (j * 16)) + step * 16 * ROW_BYTES);
#pragma unroll
                    for (int i = 0; i < FRAGMENTS; ++i) {
                        Math::product(sums[i][j], a[i], {b[0], b[1]});
                        Math::product(sums[i][j + 1], a[i], {b[2], b[3]});
                    }
                }
            }
            await_copies<0>();
            __syncthreads();
            copy_values(tile + 1);
        }
        await_copies<0>();
        __syncthreads();

#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const float total = row_sum(totals[half]);
            if (lane % 4 == 0) {
                *of_column(shared, row + half * 8, column_warp) = total;
                if (column_warp == 0) of_rows[row + half * 8] = m[half];
            }
        }
        __syncthreads();
        if constexpr (CLUSTER == 1) {
#pragma unroll
            for (int i = 0; i < FRAGMENTS; ++i) {
                float inverses[2];
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    float total = 0.0f;
#pragma unroll
                    for (int k = 0; k < COLUMNS; ++k)
                        total += *of_column(shared, i * 16 + half * 8 + lane / 4, k);
                    inverses[half] = total > 0.0f ? 1.0f / total : 0.0f;
                }
                store(p, head, sums[i], inverses, block_query + i * 16, warp, lane);
            }
        } else {
            finish_together(p, head, sums, shared, of_rows, block_query, warp, lane, rank);
        }
    }

    // Each of two blocks gives the other its sums of half of the queries, and finishes the other half.
    static __device__ __forceinline__ void finish_together(const AttentionParams& p, const Head& head,
                                                           const float (&sums)[FRAGMENTS][WARP_CHUNKS][4],
                                                           char* shared, const float* of_rows,
                                                           int block_query, int warp, int lane, int rank) {
#if __CUDA_ARCH__ >= 900
        float4* const given = reinterpret_cast<float4*>(shared) + threadIdx.x;
        const auto sum_of = [&](int i, int j, bool second) {
            const float* const first_half = sums[i][j];
            const float* const second_half = sums[i + FRAGMENTS / 2][j];
            float4 four;
            four.x = second ? second_half[0] : first_half[0];
            four.y = second ? second_half[1] : first_half[1];
            four.z = second ? second_half[2] : first_half[2];
            four.w = second ? second_half[3] : first_half[3];
            return four;
        };
#pragma unroll
        for (int i = 0; i < FRAGMENTS / 2; ++i)
#pragma unroll
            for (int j = 0; j < WARP_CHUNKS; ++j)
                given[(i * WARP_CHUNKS + j) * THREADS] = sum_of(i, j, rank == 0);
        cluster_arrive();
        cluster_wait();
        const uint32_t theirs = address_at(uint32_t(__cvta_generic_to_shared(shared)), rank ^ 1);
        const auto their_number = [&](const float* number) {
            float x;
            asm volatile("ld.shared::cluster.f32 %0, [%1];"
                         : "=f"(x)
                         : "r"(theirs + uint32_t(reinterpret_cast<const char*>(number) - shared))
                         : "memory");
            return x;
        };
#pragma unroll
        for (int i = 0; i < FRAGMENTS / 2; ++i) {
            float mine[2], others[2];
            const int fragment = i + rank * (FRAGMENTS / 2);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = fragment * 16 + half * 8 + lane / 4;
                const float my_m = of_rows[row], other_m = their_number(of_rows + row);
                const float most = finite_max(fmaxf(my_m, other_m));
                mine[half] = exp2_fast(my_m - most), others[half] = exp2_fast(other_m - most);
                float total = 0.0f;
#pragma unroll
                for (int k = 0; k < COLUMNS; ++k)
                    total += *of_column(shared, row, k) * mine[half] +
                             their_number(of_column(shared, row, k)) * others[half];
                const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
                mine[half] *= inverse, others[half] *= inverse;
            }
            float all[WARP_CHUNKS][4];
#pragma unroll
            for (int j = 0; j < WARP_CHUNKS; ++j) {
                const float4 a = sum_of(i, j, rank == 1);
                const float4 b = load_remote(theirs + ((i * WARP_CHUNKS + j) * THREADS + threadIdx.x) * 16);
                all[j][0] = a.x * mine[0] + b.x * others[0];
                all[j][1] = a.y * mine[0] + b.y * others[0];
                all[j][2] = a.z * mine[1] + b.z * others[1];
                all[j][3] = a.w * mine[1] + b.w * others[1];
            }
            const float ones[2] = {1.0f, 1.0f};
            store(p, head, all, ones, block_query + fragment * 16, warp, lane);
        }
        // The other block may still be reading here.
        cluster_arrive();
        cluster_wait();
#endif
    }

    // 16 rows of this warp's channels.
    static __device__ __forceinline__ void store(const AttentionParams& p, const Head& head,
                                                 const float (&sums)[WARP_CHUNKS][4],
                                                 const float (&factors)[2], int first_query, int warp,
                                                 int lane) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int query = first_query + half * 8 + lane / 4;
            if (query >= p.queries) continue;
            T* const to =
                const_cast<T*>(head.at<T>(p.y, p.y_item, p.value_dim, query, p.y_pitch)) + lane % 4 * 2;
#pragma unroll
            for (int j = 0; j < WARP_CHUNKS; ++j) {
                const int column = (warp * WARP_CHUNKS + j) * 8;
                if (column < p.value_dim)
                    *reinterpret_cast<uint32_t*>(to + column) = pack_pair<T>(
                        sums[j][2 * half] * factors[half], sums[j][2 * half + 1] * factors[half]);
            }
        }
    }
};
