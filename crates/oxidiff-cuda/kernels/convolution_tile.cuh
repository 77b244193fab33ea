// The tensor-core convolution of a tile, from the operands in memory to the outputs in memory.
#pragma once

#include "convolution_load.cuh"

// A block computes TILE_M rows (output pixels) by TILE_N columns (output channels), divided evenly between
// WARPS_M x WARPS_N warps.
template <typename Math, int TILE_M, int TILE_N, int WARPS_M, int WARPS_N> struct Tile {
    static constexpr int THREADS = WARPS_M * WARPS_N * 32;
    static constexpr int WARP_M = TILE_M / WARPS_M;
    static constexpr int WARP_N = TILE_N / WARPS_N;
    static constexpr int ROWS = WARP_M / 16;
    static constexpr int COLUMNS = WARP_N / 8;
    static constexpr int SLOT_BYTES = (TILE_M + TILE_N) * LINE_BYTES;
    // A row of sums in shared memory; the padding spreads what a warp writes at once over all banks.
    static constexpr int SUM_PITCH = TILE_N + 8;

    using Sums = float[ROWS][COLUMNS][4];
    using Operands = Fragments<ROWS, COLUMNS>;
    using T = typename Math::Element;

    // Tiles go down GROUP rows of tiles before they go on to the next column, so that the tiles under way
    // at one time share both operands in L2.
    static constexpr int GROUP = 8;

    static __device__ __forceinline__ void place(const ConvolutionParams& p, int& first_row,
                                                 int& first_column) {
        const int tiles_m = (output_rows(p) + TILE_M - 1) / TILE_M;
        const int tiles_n = (p.out_channels + TILE_N - 1) / TILE_N;
        const int group = blockIdx.x / (GROUP * tiles_n);
        const int within = blockIdx.x % (GROUP * tiles_n);
        const int height = min(GROUP, tiles_m - group * GROUP);
        first_row = (group * GROUP + within % height) * TILE_M;
        first_column = within / height * TILE_N;
    }

    static __device__ __forceinline__ FragmentReader reader(uint32_t shared) {
        const int warp = threadIdx.x / 32;
        return FragmentReader(shared + warp / WARPS_N * WARP_M * LINE_BYTES,
                              shared + (TILE_M + warp % WARPS_N * WARP_N) * LINE_BYTES, threadIdx.x % 32);
    }

    static __device__ __forceinline__ void clear(Sums& sums) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
                for (int k = 0; k < 4; ++k) sums[i][j][k] = 0.0f;
    }

    static __device__ __forceinline__ void add(Sums& sums, const Sums& more) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
                for (int k = 0; k < 4; ++k) sums[i][j][k] += more[i][j][k];
    }

    // Leave this block's sums in scratch. The last block of the tile gets the sums of all, added in order.
    static __device__ __forceinline__ bool combine(const ConvolutionParams& p, Sums& sums) {
        constexpr int SUMS = TILE_M * TILE_N;
        float4* partial = reinterpret_cast<float4*>(p.partial + int64_t(blockIdx.x) * p.splits * SUMS);
        float4* own = partial + blockIdx.y * (SUMS / 4) + threadIdx.x;
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
                __stcg(own + (i * COLUMNS + j) * THREADS,
                       make_float4(sums[i][j][0], sums[i][j][1], sums[i][j][2], sums[i][j][3]));
        if (!arrives_last(p.arrivals + blockIdx.x, p.splits)) return false;
        clear(sums);
        for (int split = 0; split < p.splits; ++split) {
            const float4* from = partial + split * (SUMS / 4) + threadIdx.x;
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) {
                    const float4 four = __ldcg(from + (i * COLUMNS + j) * THREADS);
                    sums[i][j][0] += four.x, sums[i][j][1] += four.y;
                    sums[i][j][2] += four.z, sums[i][j][3] += four.w;
                }
        }
        return true;
    }

    // Turn the sums into outputs, by way of shared memory, so that each thread stores neighbouring columns.
    static __device__ __forceinline__ void finish(const ConvolutionParams& p, Sums& sums, float* shared,
                                                  int first_row, int first_column) {
        if (p.splits > 1 && !combine(p, sums)) return;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const int warp_row = warp / WARPS_N * WARP_M + lane / 4;
        const int warp_column = warp % WARPS_N * WARP_N + lane % 4 * 2;
        __syncthreads();
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            float* column = shared + sum_column(warp_column + j * 8);
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
                float* to = column + (warp_row + i * 16) * SUM_PITCH;
                *reinterpret_cast<float2*>(to) = make_float2(sums[i][j][0], sums[i][j][1]);
                *reinterpret_cast<float2*>(to + 8 * SUM_PITCH) = make_float2(sums[i][j][2], sums[i][j][3]);
            }
        }
        __syncthreads();
        const int rows = min(TILE_M, output_rows(p) - first_row);
        Epilogue<T>(p).template finish_rows<THREADS, TILE_N, SUM_PITCH>(
            shared, threadIdx.x, rows, first_column, [=](int row) { return first_row + row; });
    }
};

// The kernel for operands that 16-byte chunks fit. Copies for the next SLOTS - 1 steps are under way while
// the tensor cores work on one; within a step, fragments are read one product ahead.
template <typename Math, int TILE_M, int TILE_N, int WARPS_M, int WARPS_N, int SLOTS>
__device__ __forceinline__ void convolve(const ConvolutionParams& p) {
    using Tile = Tile<Math, TILE_M, TILE_N, WARPS_M, WARPS_N>;
    using Loader = ChunkLoader<typename Math::Element, TILE_M, TILE_N, Tile::THREADS>;
    extern __shared__ __align__(128) char shared[];
    __shared__ RowTable<TILE_M> table;
    const uint32_t slots = uint32_t(__cvta_generic_to_shared(shared));

    int first_row, first_column;
    Tile::place(p, first_row, first_column);
    table.fill(p, first_row);
    join_launches();
    __syncthreads();

    const int steps = Loader::steps(p);
    const int first_step = int64_t(steps) * blockIdx.y / p.splits;
    const int count = int(int64_t(steps) * (blockIdx.y + 1) / p.splits) - first_step;
    Loader loader(p, table, first_column, first_step);
#pragma unroll
    for (int i = 0; i < SLOTS - 1; ++i) {
        if (i < count) {
            const uint32_t slot = slots + i * Tile::SLOT_BYTES;
            loader.template copy<0, 1>(slot, slot + TILE_M * LINE_BYTES);
            loader.next_step();
        }
        commit_copies();
    }
    await_copies<SLOTS - 2>();
    __syncthreads();

    const FragmentReader reader = Tile::reader(slots);
    typename Tile::Operands operands[2];
    typename Tile::Sums sums, line_sums;
    Tile::clear(sums);
    uint32_t read_slot = 0, write_slot = (SLOTS - 1) * Tile::SLOT_BYTES;
    reader.read(operands[0], read_slot, 0);
    for (int step = 0; step < count; ++step) {
        if (Math::FLUSH) Tile::clear(line_sums);
        const bool more = step + SLOTS - 1 < count;
        const uint32_t tile_a = slots + write_slot, tile_b = tile_a + TILE_M * LINE_BYTES;
#pragma unroll
        for (int product = 0; product < LINE_PRODUCTS; ++product) {
            if (product == LINE_PRODUCTS - 1) {
                // The next step's tiles have arrived, and all warps are done reading this step's.
                await_copies<SLOTS - 2>();
                __syncthreads();
                write_slot = read_slot;
                read_slot = read_slot == (SLOTS - 1) * Tile::SLOT_BYTES ? 0 : read_slot + Tile::SLOT_BYTES;
            }
            reader.read(operands[(product + 1) % 2], read_slot, (product + 1) % LINE_PRODUCTS);
            if (more) {
                if (product == 0) loader.template copy<0, 3>(tile_a, tile_b);
                if (product == 1) loader.template copy<1, 3>(tile_a, tile_b);
                if (product == 2) loader.template copy<2, 3>(tile_a, tile_b);
            }
            if (product == LINE_PRODUCTS - 2) {
                commit_copies();
                if (more) loader.next_step();
            }
            Math::multiply(Math::FLUSH ? line_sums : sums, operands[product % 2]);
        }
        if (Math::FLUSH) Tile::add(sums, line_sums);
    }
    await_copies<0>();
    Tile::finish(p, sums, reinterpret_cast<float*>(shared), first_row, first_column);
}

// The kernel for any operands. One step at a time: other blocks on the multiprocessor hide the waiting.
template <typename Math, int TILE_M, int TILE_N, int WARPS_M, int WARPS_N>
__device__ __forceinline__ void convolve_elements(const ConvolutionParams& p) {
    using Tile = Tile<Math, TILE_M, TILE_N, WARPS_M, WARPS_N>;
    using Loader = ElementLoader<typename Math::Element, TILE_M, TILE_N, Tile::THREADS>;
    extern __shared__ __align__(128) char shared[];
    __shared__ RowTable<TILE_M> table;

    int first_row, first_column;
    Tile::place(p, first_row, first_column);
    table.fill(p, first_row);
    join_launches();

    const int steps = Loader::steps(p);
    const int first_step = int64_t(steps) * blockIdx.y / p.splits;
    const int end_step = int64_t(steps) * (blockIdx.y + 1) / p.splits;
    const FragmentReader reader = Tile::reader(uint32_t(__cvta_generic_to_shared(shared)));
    typename Tile::Operands operands;
    typename Tile::Sums sums, line_sums;
    Tile::clear(sums);
    for (int step = first_step; step < end_step; ++step) {
        if (Math::FLUSH) Tile::clear(line_sums);
        __syncthreads();
        Loader::load(p, table, first_column, step, shared, shared + TILE_M * LINE_BYTES);
        __syncthreads();
#pragma unroll
        for (int product = 0; product < LINE_PRODUCTS; ++product) {
            reader.read(operands, 0, product);
            Math::multiply(Math::FLUSH ? line_sums : sums, operands);
        }
        if (Math::FLUSH) Tile::add(sums, line_sums);
    }
    Tile::finish(p, sums, reinterpret_cast<float*>(shared), first_row, first_column);
}
