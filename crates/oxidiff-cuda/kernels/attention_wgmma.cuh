// Attention on Hopper (sm_90a) for 16-bit elements and heads of at most 256 channels. One thread has the copy
// engine bring tiles; groups of four warps multiply them where they lie, and have the sums of one tile
// computed while they take the exponentials of the next (Shah et al., "FlashAttention-3", 2024).
#pragma once

#include "attention.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

struct AttentionWgmmaParams {
    // Of (channels of a head, heads, tokens, items); 64 channels of some tokens are copied at once.
    TensorMap query, key, value;
    AttentionParams p;
};

// sums += a * b for 64 rows and COLUMNS columns; a lies in registers as the sums of a product do. The rows of
// the tile b are k, with 64 of the columns in 128 bytes; the next 64 columns lie `stride` bytes behind.
template <typename T, int COLUMNS> struct WeightedSum;

__device__ __forceinline__ uint64_t value_descriptor(uint32_t shared, uint32_t stride) {
    return (matrix_descriptor(shared) & ~(uint64_t(0x3fff) << 16)) | uint64_t(stride >> 4) << 16;
}

// The 128 sums that a thread has of 256 columns.
#define OXD_N_ALL                                                                                    \
    OXD_N9 ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"        \
           ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110"  \
           ", %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124"    \
           ", %125, %126, %127"
#define OXD_D_ALL OXD_D9, OXD_D(80), OXD_D(88), OXD_D(96), OXD_D(104), OXD_D(112), OXD_D(120)

// LAST is what OXD_N and OXD_D in wgmma.cuh have for COLUMNS; the other numbers are those of the operands.
#define OXD_WEIGHTED_SUM(T, NAME, COLUMNS, LAST, A0, A1, A2, A3, B)                                 \
    template <> struct WeightedSum<T, COLUMNS> {                                                    \
        static __device__ __forceinline__ void add(float (&d)[COLUMNS / 2], const uint32_t (&a)[4], \
                                                   uint64_t b) {                                    \
            asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." NAME "." NAME      \
                         " {" OXD_N##LAST "}, {%" #A0 ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B       \
                                          ", 1, 1, 1, 1;"                                           \
                         : OXD_D##LAST                                                              \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                     \
        }                                                                                           \
    };

#define OXD_WEIGHTED_SUMS(...)                           \
    OXD_WEIGHTED_SUM(__nv_bfloat16, "bf16", __VA_ARGS__) \
    OXD_WEIGHTED_SUM(__half, "f16", __VA_ARGS__)

OXD_WEIGHTED_SUMS(48, 2, 24, 25, 26, 27, 28)
OXD_WEIGHTED_SUMS(64, 3, 32, 33, 34, 35, 36)
OXD_WEIGHTED_SUMS(80, 4, 40, 41, 42, 43, 44)
OXD_WEIGHTED_SUMS(96, 5, 48, 49, 50, 51, 52)
OXD_WEIGHTED_SUMS(128, 7, 64, 65, 66, 67, 68)
OXD_WEIGHTED_SUMS(160, 9, 80, 81, 82, 83, 84)
OXD_WEIGHTED_SUMS(256, _ALL, 128, 129, 130, 131, 132)

// scores = a * b, or scores += a * b, for 64 rows and COLUMNS columns; rows of both have 128 bytes of k.
template <typename T, int COLUMNS> struct ScoreProduct;

#define OXD_SCORE_PRODUCT(T, NAME, COLUMNS, LAST, A, B, P)                                          \
    template <> struct ScoreProduct<T, COLUMNS> {                                                   \
        static __device__ __forceinline__ void run(float (&d)[COLUMNS / 2], uint64_t a, uint64_t b, \
                                                   int accumulate) {                                \
            asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P                                    \
                         ", 0;\n"                                                                   \
                         "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." NAME "." NAME      \
                         " {" OXD_N##LAST "}, %" #A ", %" #B ", p, 1, 1, 0, 0;\n}"                  \
                         : OXD_D##LAST                                                              \
                         : "l"(a), "l"(b), "r"(accumulate));                                        \
        }                                                                                           \
    };

#define OXD_SCORE_PRODUCTS(...)                           \
    OXD_SCORE_PRODUCT(__nv_bfloat16, "bf16", __VA_ARGS__) \
    OXD_SCORE_PRODUCT(__half, "f16", __VA_ARGS__)

OXD_SCORE_PRODUCTS(64, 3, 32, 33, 34)
OXD_SCORE_PRODUCTS(128, 7, 64, 65, 66)

// 64 channels of rows of one head of one item; zeros where there are none.
__device__ __forceinline__ void copy_head(uint32_t to, const TensorMap& map, uint32_t barrier, int channel,
                                          int head, int token, int item) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(channel), "r"(head), "r"(token), "r"(item)
        : "memory");
}

// The same value, which the compiler cannot compute again instead of keeping it.
__device__ __forceinline__ uint64_t kept(uint64_t value) {
    asm volatile("" : "+l"(value));
    return value;
}
__device__ __forceinline__ int kept(int value) {
    asm volatile("" : "+r"(value));
    return value;
}

// A block has GROUPS groups of four warps with 64 queries each, and a group of which one thread copies. Keys
// and values pass through SLOTS slots of KEYS tokens each. BLOCKS blocks share a multiprocessor.
template <typename T, int DIM, int GROUPS, int KEYS, int SLOTS, int BLOCKS> struct WgmmaAttention {
    static constexpr int THREADS = (GROUPS + 1) * 128, QUERIES = GROUPS * 64;
    static constexpr int STEPS = (DIM + 15) / 16, COLUMNS = STEPS * 16;
    static constexpr int PARTS = (DIM + 63) / 64;  // of a row: 128 bytes each
    static constexpr int QUERY_PART = QUERIES * 128, PART = KEYS * 128, SLOT = PARTS * PART;
    static constexpr int SHARED = PARTS * QUERY_PART + 2 * SLOTS * SLOT;
    // Registers of a thread at first, of one that copies, and of one that multiplies.
    static constexpr int REGISTERS = 65536 / (THREADS * BLOCKS) / 8 * 8, COPY_REGISTERS = 24;
    static constexpr int ROOM = (REGISTERS * (GROUPS + 1) - COPY_REGISTERS) / GROUPS / 8 * 8;
    static constexpr int PRODUCT_REGISTERS = ROOM < 240 ? ROOM : 240;

    // The slot of a tile, and how often the slots were used before, modulo 2.
    struct Place {
        int slot = 0, round = 0;
        __device__ __forceinline__ void next() {
            if (++slot == SLOTS) slot = 0, round ^= 1;
        }
    };

    // Slots that tiles pass through in turn.
    struct Ring {
        uint32_t data, full, empty;  // shared addresses: of the slots, and of two barriers for each
        __device__ __forceinline__ uint32_t tile(Place at) const { return data + at.slot * SLOT; }
        __device__ __forceinline__ void await(Place at) const { barrier_wait(full + at.slot * 8, at.round); }
        __device__ __forceinline__ void release(Place at) const {
            if (threadIdx.x % 32 == 0) barrier_arrive(empty + at.slot * 8);
        }
        // Copies the tile that begins with `token`, once its slot is empty; a new barrier is as if it had been.
        __device__ __forceinline__ void copy(const TensorMap& map, const Head& head, Place at, int token) const {
            barrier_wait(empty + at.slot * 8, at.round ^ 1);
            const uint32_t barrier = full + at.slot * 8;
            barrier_expect(barrier, SLOT);
#pragma unroll
            for (int part = 0; part < PARTS; ++part)
                copy_head(tile(at) + part * PART, map, barrier, part * 64, head.head, token, head.item);
        }
    };

    static __device__ __forceinline__ void run(const AttentionWgmmaParams& params) {
        extern __shared__ __align__(1024) char shared[];
        __shared__ uint64_t barriers[4 * SLOTS + 1];
        const AttentionParams& p = params.p;
        const uint32_t queries = shared_address(shared), first_barrier = shared_address(barriers);
        const Ring keys = {queries + PARTS * QUERY_PART, first_barrier, first_barrier + SLOTS * 8};
        const Ring values = {keys.data + SLOTS * SLOT, first_barrier + 2 * SLOTS * 8,
                             first_barrier + 3 * SLOTS * 8};
        const uint32_t query_barrier = first_barrier + 4 * SLOTS * 8;
        const int block_query = blockIdx.x * QUERIES, group = threadIdx.x / 128;
        const Head head(blockIdx.y, blockIdx.z);
        const int tiles = (keys_seen(p, min(block_query + QUERIES, p.queries)) + KEYS - 1) / KEYS;

        if (threadIdx.x == 0) {
            for (int i = 0; i < SLOTS; ++i) {
                barrier_init(keys.full + i * 8, 1);
                barrier_init(values.full + i * 8, 1);
                barrier_init(keys.empty + i * 8, GROUPS * 4);
                barrier_init(values.empty + i * 8, GROUPS * 4);
            }
            barrier_init(query_barrier, 1);
            barrier_init_fence();
        }
        __syncthreads();
        allow_next_launch();

        if (group == GROUPS) {
            give_registers<COPY_REGISTERS>();
            if (threadIdx.x % 128 != 0) return;
            // The other threads touch no memory before they have the queries.
            await_launches_before();
            barrier_expect(query_barrier, PARTS * QUERY_PART);
#pragma unroll
            for (int part = 0; part < PARTS; ++part)
                copy_head(queries + part * QUERY_PART, params.query, query_barrier, part * 64, head.head,
                          block_query, head.item);
            Place at;
            for (int tile = 0; tile < tiles; ++tile, at.next()) {
                keys.copy(params.key, head, at, tile * KEYS);
                values.copy(params.value, head, at, tile * KEYS);
            }
        } else {
            take_registers<PRODUCT_REGISTERS>();
            barrier_wait(query_barrier, 0);
            multiply(p, head, queries + group * 64 * 128, keys, values, tiles, block_query + group * 64);
        }
    }

    // 64 queries, by four warps.
    static __device__ __forceinline__ void multiply(const AttentionParams& p, const Head& head,
                                                    uint32_t queries, const Ring& keys, const Ring& values,
                                                    int tiles, int first_query) {
        const int lane = threadIdx.x % 32, first_row = first_query + threadIdx.x / 32 % 4 * 16;
        float sums[1][COLUMNS / 8][4] = {}, totals[1][2] = {};
        float m[1][2] = {{minus_infinity(), minus_infinity()}};
        float scores[1][KEYS / 8][4];
        uint32_t weights[KEYS / 16][4];

        // Computed once: a tile has few instructions to spare.
        const uint64_t query_matrix = kept(matrix_descriptor(queries));
        const int plain_tiles = kept(keys_seen(p, first_row + 1) / KEYS);  // that all rows see as a whole

        const auto start_scores = [&](Place at) {
            keys.await(at);
            const uint64_t b = matrix_descriptor(keys.tile(at));
            products_fence();
#pragma unroll
            for (int step = 0; step < STEPS; ++step)
                ScoreProduct<T, KEYS>::run(
                    reinterpret_cast<float (&)[KEYS / 2]>(scores),
                    query_matrix + (step / 4 * QUERY_PART >> 4) + step % 4 * DESCRIPTOR_STEP,
                    b + (step / 4 * PART >> 4) + step % 4 * DESCRIPTOR_STEP, step > 0);
            products_commit();
        };
        const auto start_sums = [&](Place at) {
            values.await(at);
            const uint64_t b = value_descriptor(values.tile(at), PART);
            products_fence();
#pragma unroll
            for (int step = 0; step < KEYS / 16; ++step)
                WeightedSum<T, COLUMNS>::add(reinterpret_cast<float (&)[COLUMNS / 2]>(sums), weights[step],
                                             b + (step * 16 * 128 >> 4));
            products_commit();
        };
        // From scores to weights. `await_sums` waits until sums and weights are not in use.
        const auto weigh = [&](int tile, const auto& await_sums) {
            if (tile >= plain_tiles)
                hide_unseen(scores, p, first_row + lane_now() / 4, tile * KEYS + lane_now() % 4 * 2);
            float shrink[1][2];
            bool shrinks = false;
            soften(scores, p.scale * LOG2_E, m, totals, [&](const float (&by)[1][2]) {
                shrink[0][0] = by[0][0], shrink[0][1] = by[0][1];
                shrinks = true;
            });
            await_sums();
            if (shrinks) shrink_sums(sums, shrink);
#pragma unroll
            for (int step = 0; step < KEYS / 16; ++step)
#pragma unroll
                for (int k = 0; k < 4; ++k)
                    weights[step][k] = pack_pair<T>(scores[0][2 * step + k / 2][k % 2 * 2],
                                                    scores[0][2 * step + k / 2][k % 2 * 2 + 1]);
        };

        Place key_at, value_at;
        if (tiles > 0) {
            start_scores(key_at);
            products_wait<0>();
            keys.release(key_at);
            weigh(0, [] {});
        }
        for (int tile = 1; tile < tiles; ++tile) {
            key_at.next();
            start_scores(key_at);
            start_sums(value_at);
            products_wait<1>();
            keys.release(key_at);
            weigh(tile, [&] {
                products_wait<0>();
                values.release(value_at);
            });
            value_at.next();
        }
        if (tiles > 0) {
            start_sums(value_at);
            products_wait<0>();
        }

#pragma unroll
        for (int row = 0; row < 2; ++row) {
            const float total = row_sum(totals[0][row]);
            const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
            const int query = first_row + row * 8 + lane / 4;
            if (query >= p.queries) continue;
            T* to = const_cast<T*>(head.at<T>(p.y, p.y_item, p.value_dim, query, p.y_pitch)) + lane % 4 * 2;
#pragma unroll
            for (int j = 0; j < COLUMNS / 8; ++j)
                if (j * 8 < p.value_dim)
                    *reinterpret_cast<uint32_t*>(to + j * 8) =
                        pack_pair<T>(sums[0][j][2 * row] * inverse, sums[0][j][2 * row + 1] * inverse);
        }
    }
};
