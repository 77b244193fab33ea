// Attention for 16-bit elements and heads of at most 256 channels: each warp keeps its queries' sums in
// registers, and scores go from one product to the next in registers.
#pragma once

#include "attention.cuh"

// A block has WARPS * SPLIT warps. Each warp has ROWS queries (16 or 32) and, of each stage of SPLIT * KEYS
// keys, KEYS keys; SPLIT groups of warps have the same queries, and add up their results at the end.
template <typename Math, int DIM, int ROWS, int WARPS, int KEYS, int SPLIT, bool MASKED> struct Attention {
    using T = typename Math::Element;
    static constexpr int THREADS = WARPS * SPLIT * 32;
    static constexpr int QUERIES = WARPS * ROWS;
    static constexpr int STAGE_KEYS = SPLIT * KEYS;
    static constexpr int FRAGMENTS = ROWS / 16;
    static constexpr int CHUNKS = DIM / 8;         // 16-byte chunks of a row
    static constexpr int STEPS = (DIM + 15) / 16;  // products along the channels
    // Rows an odd number of chunks apart: ldmatrix finds eight rows in different banks.
    static constexpr int PITCH = (2 * STEPS | 1) * 16;
    static constexpr int VALUE_PITCH = (CHUNKS | 1) * 16;
    static constexpr int QUERY_BYTES = QUERIES * PITCH;
    static constexpr int KEY_BYTES = STAGE_KEYS * PITCH;
    static constexpr int STAGE_BYTES = KEY_BYTES + STAGE_KEYS * VALUE_PITCH;
    static constexpr int SHARED = QUERY_BYTES + 2 * STAGE_BYTES;
    // Whether the queries stay in registers as well.
    static constexpr bool KEPT = FRAGMENTS * STEPS * 4 <= 40;

    // What a lane gives to the other groups of warps: sums, m, totals.
    static constexpr int RESULTS = FRAGMENTS * (CHUNKS * 4 + 4);
    static_assert(SPLIT == 1 || (SPLIT - 1) * WARPS * 32 * RESULTS * 4 <= SHARED, "room for the results");

    // How a block copies rows: each thread has the same chunk of every PASS-th row.
    static constexpr int PASS = THREADS / CHUNKS;

    // Start the copies of COUNT rows. `row` is the thread's first one, whose chunk is at `from`; `rows`
    // exist, and the chunk is zero unless it `exists`.
    template <int COUNT, int ROW_BYTES>
    static __device__ __forceinline__ void copy_rows(uint32_t to, const T* from, int pitch, int row, int rows,
                                                     bool exists) {
#pragma unroll
        for (int first = 0; first < COUNT; first += PASS)
            if ((THREADS % CHUNKS == 0 && first + PASS <= COUNT) || row < COUNT - first)
                copy_chunk(to + first * ROW_BYTES, from + int64_t(first) * pitch,
                           exists && row < rows - first);
    }

    // Zeros behind rows of an odd number of chunks.
    template <int COUNT> static __device__ __forceinline__ void pad_rows(uint32_t to) {
        for (int row = threadIdx.x; CHUNKS % 2 != 0 && row < COUNT; row += THREADS)
            asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to + row * PITCH + CHUNKS * 16),
                         "r"(0)
                         : "memory");
    }

    static __device__ __forceinline__ void run(const AttentionParams& p) {
        extern __shared__ __align__(16) char shared[];
        join_launches();
        const uint32_t queries = __cvta_generic_to_shared(shared), stages = queries + QUERY_BYTES;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % WARPS, group = threadIdx.x / 32 / WARPS;
        const int block_query = blockIdx.x * QUERIES, first_query = block_query + warp * ROWS;
        const Head head(blockIdx.y, blockIdx.z);
        const int seen = keys_seen(p, block_query + QUERIES);
        const int tiles = (seen + STAGE_KEYS - 1) / STAGE_KEYS;
        const int row = threadIdx.x < PASS * CHUNKS ? threadIdx.x / CHUNKS : 1 << 20;
        const int chunk = threadIdx.x % CHUNKS;
        const bool exists = chunk < p.dim / 8, value_exists = chunk < p.value_dim / 8;
        const T* key = head.at<T>(p.key, p.key_item, p.dim, row, p.key_pitch) + chunk * 8;
        const T* value = head.at<T>(p.value, p.value_item, p.value_dim, row, p.value_pitch) + chunk * 8;
        const uint32_t key_to = stages + row * PITCH + chunk * 16;
        const uint32_t value_to = stages + KEY_BYTES + row * VALUE_PITCH + chunk * 16;

        const auto copy_stage = [&](int tile) {
            const int slot = tile % 2 * STAGE_BYTES, left = p.keys - tile * STAGE_KEYS;
            copy_rows<STAGE_KEYS, PITCH>(key_to + slot, key, p.key_pitch, row, left, exists);
            copy_rows<STAGE_KEYS, VALUE_PITCH>(value_to + slot, value, p.value_pitch, row, left,
                                               value_exists);
            commit_copies();
            key += int64_t(STAGE_KEYS) * p.key_pitch;
            value += int64_t(STAGE_KEYS) * p.value_pitch;
        };

        copy_rows<QUERIES, PITCH>(
            queries + row * PITCH + chunk * 16,
            head.at<T>(p.query, p.query_item, p.dim, block_query + row, p.query_pitch) + chunk * 8,
            p.query_pitch, row, p.queries - block_query, exists);
        copy_stage(0);
        pad_rows<QUERIES>(queries);
        pad_rows<STAGE_KEYS>(stages);
        pad_rows<STAGE_KEYS>(stages + STAGE_BYTES);

        // Where this lane reads matrices: of queries and values one row and then the next chunk, of keys one
        // chunk of eight rows, the next chunk, then the next rows.
        const uint32_t from_query = queries + (warp * ROWS + lane % 16) * PITCH + lane / 16 * 16;
        const uint32_t from_key = (group * KEYS + lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 16;
        const uint32_t from_value = KEY_BYTES + (group * KEYS + lane % 16) * VALUE_PITCH + lane / 16 * 16;

        uint32_t kept[KEPT ? STEPS : 1][FRAGMENTS][4];
        float sums[FRAGMENTS][CHUNKS][4] = {};
        float m[FRAGMENTS][2], totals[FRAGMENTS][2] = {};
#pragma unroll
        for (int i = 0; i < FRAGMENTS; ++i) m[i][0] = m[i][1] = minus_infinity();
        const float* mask = head.mask(p);

        for (int tile = 0; tile < tiles; ++tile) {
            await_copies<0>();
            __syncthreads();
            if (tile + 1 < tiles) copy_stage(tile + 1);
            if (KEPT && tile == 0) {
#pragma unroll
                for (int step = 0; step < STEPS; ++step)
#pragma unroll
                    for (int i = 0; i < FRAGMENTS; ++i)
                        load_matrices(kept[step][i], from_query + i * 16 * PITCH + step * 32);
            }
            const uint32_t stage = stages + tile % 2 * STAGE_BYTES;
            const int first_key = tile * STAGE_KEYS + group * KEYS;

            float scores[FRAGMENTS][KEYS / 8][4] = {};
#pragma unroll
            for (int step = 0; step < STEPS; ++step) {
                if (!KEPT) {
#pragma unroll
                    for (int i = 0; i < FRAGMENTS; ++i)
                        load_matrices(kept[0][i], from_query + i * 16 * PITCH + step * 32);
                }
#pragma unroll
                for (int j = 0; j < KEYS / 8; j += 2) {
                    uint32_t b[4];
                    load_matrices(b, stage + from_key + j * 8 * PITCH + step * 32);
                    const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
#pragma unroll
                    for (int i = 0; i < FRAGMENTS; ++i) {
                        Math::product(scores[i][j], kept[KEPT ? step : 0][i], low);
                        Math::product(scores[i][j + 1], kept[KEPT ? step : 0][i], high);
                    }
                }
            }

            if (MASKED) {
                const int query = first_query + lane_now() / 4, column = first_key + lane_now() % 4 * 2;
#pragma unroll
                for (int i = 0; i < FRAGMENTS; ++i)
#pragma unroll
                    for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
                        for (int e = 0; e < 4; ++e)
                            scores[i][j][e] = masked_score(
                                p, mask, scores[i][j][e], query + i * 16 + e / 2 * 8, column + j * 8 + e % 2);
            } else if (first_key + KEYS > keys_seen(p, first_query + 1)) {
                hide_unseen(scores, p, first_query + lane_now() / 4, first_key + lane_now() % 4 * 2);
            }
            soften(scores, MASKED ? 1.0f : p.scale * LOG2_E, m, totals,
                   [&](const float (&shrink)[FRAGMENTS][2]) { shrink_sums(sums, shrink); });

#pragma unroll
            for (int j = 0; j < KEYS / 8; j += 2) {
                uint32_t a[FRAGMENTS][4];
#pragma unroll
                for (int i = 0; i < FRAGMENTS; ++i)
#pragma unroll
                    for (int k = 0; k < 4; ++k)
                        a[i][k] = pack_pair<T>(scores[i][j + k / 2][k % 2 * 2],
                                               scores[i][j + k / 2][k % 2 * 2 + 1]);
#pragma unroll
                for (int chunk = 0; chunk < CHUNKS; chunk += 2) {
                    const uint32_t from = stage + from_value + j * 8 * VALUE_PITCH + chunk * 16;
                    if (chunk + 1 < CHUNKS) {
                        uint32_t b[4];
                        load_matrices_transposed(b, from);
                        const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
#pragma unroll
                        for (int i = 0; i < FRAGMENTS; ++i) {
                            Math::product(sums[i][chunk], a[i], low);
                            Math::product(sums[i][chunk + 1], a[i], high);
                        }
                    } else {
                        uint32_t b[2];
                        load_matrices_transposed(b, from);
#pragma unroll
                        for (int i = 0; i < FRAGMENTS; ++i) Math::product(sums[i][chunk], a[i], b);
                    }
                }
            }
        }

        if (SPLIT > 1) {
            combine(reinterpret_cast<float*>(shared), sums, m, totals, warp, group, lane);
            if (group > 0) return;
        }
        store(p, head, sums, totals, first_query, lane);
    }

    // Adds the other groups' results to those of group 0.
    static __device__ __forceinline__ void combine(float* shared, float (&sums)[FRAGMENTS][CHUNKS][4],
                                                   float (&m)[FRAGMENTS][2], float (&totals)[FRAGMENTS][2],
                                                   int warp, int group, int lane) {
        __syncthreads();
        float* slot = shared + warp * RESULTS * 32 + lane;
        if (group > 0) {
            float* to = slot + (group - 1) * WARPS * RESULTS * 32;
#pragma unroll
            for (int i = 0; i < FRAGMENTS; ++i) {
#pragma unroll
                for (int row = 0; row < 2; ++row, to += 64) to[0] = m[i][row], to[32] = totals[i][row];
#pragma unroll
                for (int j = 0; j < CHUNKS; ++j)
#pragma unroll
                    for (int e = 0; e < 4; ++e, to += 32) to[0] = sums[i][j][e];
            }
        }
        __syncthreads();
        if (group > 0) return;
        for (int other = 0; other < SPLIT - 1; ++other) {
            const float* from = slot + other * WARPS * RESULTS * 32;
#pragma unroll
            for (int i = 0; i < FRAGMENTS; ++i) {
                float mine[2], theirs[2];
#pragma unroll
                for (int row = 0; row < 2; ++row, from += 64) {
                    const float most = fmaxf(m[i][row], from[0]);
                    mine[row] = exp2_fast(m[i][row] - finite_max(most));
                    theirs[row] = exp2_fast(from[0] - finite_max(most));
                    m[i][row] = most;
                    totals[i][row] = totals[i][row] * mine[row] + from[32] * theirs[row];
                }
#pragma unroll
                for (int j = 0; j < CHUNKS; ++j)
#pragma unroll
                    for (int e = 0; e < 4; ++e, from += 32)
                        sums[i][j][e] = sums[i][j][e] * mine[e / 2] + from[0] * theirs[e / 2];
            }
        }
    }

    static __device__ __forceinline__ void store(const AttentionParams& p, const Head& head,
                                                 const float (&sums)[FRAGMENTS][CHUNKS][4],
                                                 const float (&totals)[FRAGMENTS][2], int first_query,
                                                 int lane) {
#pragma unroll
        for (int i = 0; i < FRAGMENTS; ++i) {
#pragma unroll
            for (int row = 0; row < 2; ++row) {
                const float total = row_sum(totals[i][row]);
                const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
                const int query = first_query + i * 16 + row * 8 + lane / 4;
                if (query >= p.queries) continue;
                T* to =
                    const_cast<T*>(head.at<T>(p.y, p.y_item, p.value_dim, query, p.y_pitch)) + lane % 4 * 2;
#pragma unroll
                for (int j = 0; j < CHUNKS; ++j)
                    if (j * 8 < p.value_dim)
                        *reinterpret_cast<uint32_t*>(to + j * 8) =
                            pack_pair<T>(sums[i][j][2 * row] * inverse, sums[i][j][2 * row + 1] * inverse);
            }
        }
    }
};
