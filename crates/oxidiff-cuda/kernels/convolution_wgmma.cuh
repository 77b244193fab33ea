// The convolution of a tile with Hopper's instructions: a producer warp copies boxes of the operands to shared
// memory, two warpgroups multiply them and finish the tile.
#pragma once

#include "convolution.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

struct ConvolutionWgmmaParams {
    TensorMap x;              // of images [batch, in_height, in_width, in_channels], or of [rows, in_channels]
    TensorMap weight;         // of [out_channels, positions of the kernel * in_channels], see GROUP
    ConvolutionParams p;      // `partial` and `arrivals` are not used
    int32_t image;            // whether x is the map of images (im2col)
    int32_t constant_weight;  // whether no launch that may still be running writes the weight or the bias
};

// Neighbouring elements that are loaded or stored at once.
template <typename T, int COUNT> struct alignas(COUNT * sizeof(T)) Few {
    T value[COUNT];
};

// GELU with an absolute error of 2e-7 (|z| <= 5): erfc by Abramowitz and Stegun, 7.1.26.
__device__ __forceinline__ float gelu_16_bits(float z) {
    const float x = fabsf(z) * 0.70710678f;
    const float t = __fdividef(1.0f, fmaf(0.3275911f, x, 1.0f));
    float sum = fmaf(t, 0.5307027145f, -0.7265760135f);
    sum = fmaf(t, sum, 0.7107068705f);
    sum = fmaf(t, sum, -0.142248368f);
    sum = fmaf(t, sum, 0.127414796f);
    return fmaf(-fabsf(z), t * sum * __expf(-x * x), fmaxf(z, 0.0f));
}

// All but GELU by erf and ReLU are z * sigmoid(linear * z + cubic * z^3).
template <int COUNT> __device__ __forceinline__ void activate_16_bits(float (&z)[COUNT], int32_t activation) {
    if (activation == ACTIVATION_NONE) return;
    if (activation == ACTIVATION_GELU) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) z[i] = gelu_16_bits(z[i]);
    } else if (activation == ACTIVATION_RELU) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) z[i] = z[i] < 0.0f ? 0.0f : z[i];
    } else {
        const float cubic = activation == ACTIVATION_GELU_TANH ? 0.071354816f : 0.0f;
        const float linear = activation == ACTIVATION_GELU_TANH     ? 1.5957691f
                             : activation == ACTIVATION_QUICK_GELU ? 1.702f
                                                                   : 1.0f;
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
            z[i] = __fdividef(z[i], 1.0f + __expf(-z[i] * fmaf(cubic, z[i] * z[i], linear)));
    }
}

constexpr int STEP_CHANNELS = 64;
constexpr int STEP_BYTES = 128;  // of a row of either operand
constexpr int CONSUMERS = 256;   // threads of the two multiplying warpgroups

// What can happen at the end. It is divided between kernels, because code that is jumped over takes time to
// fetch, too.
enum class End { PLAIN, GATE, ACTIVATION };

// SPLITS blocks, a cluster, share the sum over k of a tile, and exchange their sums through each other's shared
// memory. OCCUPANCY is how many blocks a multiprocessor holds: with two, one multiplies while the other one
// finishes.
template <typename T, int TILE_M, int TILE_N, int SPLITS, int OCCUPANCY, End END> struct Convolution {
    static constexpr int ROWS_BYTES = TILE_M * STEP_BYTES;
    static constexpr int SLOT_BYTES = (TILE_M + TILE_N) * STEP_BYTES;
    // Of 228 KiB, each block also takes 1 KiB for the system and 1 KiB for the barriers.
    static constexpr int FIT = (228 / OCCUPANCY - 2) * 1024 / SLOT_BYTES;
    static constexpr int SLOTS = FIT < 8 ? FIT : 8;
    static constexpr int BLOCKS = TILE_M / 128;  // of 64 rows, for each warpgroup
    // Many sums need more registers than three warpgroups can have evenly.
    static constexpr bool TRADE = BLOCKS * TILE_N >= 240;
    static constexpr int THREADS = CONSUMERS + (TRADE ? 128 : 32);
    static constexpr int SUMS = TILE_N / 2;
    // The weight's map exchanges rows of each GROUP in the tile, so that the columns that a thread gets are
    // FEW neighbouring ones of each group: of group a, row (GROUP / 4) c + 2 b + e comes to 8 b + 2 c + e.
    static constexpr int GROUP = TILE_N % 32 == 0 ? 32 : 16;
    static constexpr int FEW = GROUP / 4;
    static constexpr int GROUPS = TILE_N / GROUP;
    static constexpr int UNITS = BLOCKS * GROUPS * 2;  // of FEW sums of a row, which a thread has
    static_assert(TILE_M % 128 == 0 && TILE_N % 8 == 0, "whole groups of eight rows");
    static_assert(TILE_M * TILE_N * 4 <= SLOTS * SLOT_BYTES || SPLITS == 1, "sums replace the operands");

    using Sums = float[BLOCKS][SUMS];

    const ConvolutionWgmmaParams& params;
    const ConvolutionParams& p;
    const int split;
    const uint32_t slots, full, empty;
    int parity_y, parity_x;  // of the outputs, if x is upsampled
    int rows;                // of all tiles with this parity
    int first_row, first_column;
    int first_step, steps;

    __device__ __forceinline__ Convolution(const ConvolutionWgmmaParams& all, char* shared, uint64_t* barriers)
        : params(all), p(all.p), split(SPLITS == 1 ? 0 : cluster_rank()), slots(shared_address(shared)),
          full(shared_address(barriers)), empty(full + SLOTS * 8) {
        // Outputs of one parity read an upsampled image like a smaller image that is not upsampled.
        parity_y = blockIdx.z / 2;
        parity_x = blockIdx.z % 2;
        rows = output_rows(p) >> (p.upsample == 2 ? 2 : 0);
        first_row = blockIdx.y * TILE_M;
        first_column = blockIdx.x / SPLITS * TILE_N;
        const int all_steps = p.kernel_height * p.kernel_width * lines();
        first_step = all_steps * split / SPLITS;
        steps = all_steps * (split + 1) / SPLITS - first_step;
    }

    // Steps at one position of the kernel.
    __device__ __forceinline__ int lines() const { return (p.in_channels + STEP_CHANNELS - 1) / STEP_CHANNELS; }

    __device__ __forceinline__ void init_barriers() const {
        if (threadIdx.x == 0) {
            prefetch_map(params.x);
            prefetch_map(params.weight);
            for (int i = 0; i < SLOTS; ++i) {
                barrier_init(full + i * 8, 1);
                barrier_init(empty + i * 8, CONSUMERS / 32);
            }
            barrier_init_fence();
        }
        __syncthreads();
    }

    // Walks over the steps of k: positions of the kernel, and channels at each.
    struct Walk {
        int position, channel, kernel_y, kernel_x;
        uint32_t slot = 0, phase = 1;

        __device__ __forceinline__ explicit Walk(const Convolution& c) {
            position = SPLITS == 1 ? 0 : unsigned(c.first_step) / unsigned(c.lines());
            channel = (c.first_step - position * c.lines()) * STEP_CHANNELS;
            kernel_y = SPLITS == 1 ? 0 : unsigned(position) / unsigned(c.p.kernel_width);
            kernel_x = position - kernel_y * c.p.kernel_width;
        }
        __device__ __forceinline__ void next(const ConvolutionParams& p) {
            channel += STEP_CHANNELS;
            if (channel >= p.in_channels) {
                channel = 0;
                ++position;
                if (++kernel_x == p.kernel_width) kernel_x = 0, ++kernel_y;
            }
            if (++slot == SLOTS) slot = 0, phase ^= 1;
        }
    };

    __device__ __forceinline__ void copy_weight(const Walk& walk) const {
        // Past the last channel at a position follow those of the next, which x has zeros for.
        copy_box_5d(slots + walk.slot * SLOT_BYTES + ROWS_BYTES, params.weight, full + walk.slot * 8,
                    walk.position * p.in_channels + walk.channel, first_column / GROUP);
    }

    // One thread keeps the slots filled.
    __device__ __forceinline__ void produce() const {
        // The weight can be on its way before the launch that computes x has ended.
        const int early = params.constant_weight ? min(steps, SLOTS) : 0;
        Walk ahead(*this);
        for (int step = 0; step < early; ++step) {
            barrier_expect(full + ahead.slot * 8, SLOT_BYTES);
            copy_weight(ahead);
            ahead.next(p);
        }
        const bool doubled = p.upsample == 2;
        int x = 0, y = 0, item = 0;  // where the first row's window begins
        if (params.image) {
            const unsigned width = p.out_width / p.upsample, height = p.out_height / p.upsample;
            const unsigned line = unsigned(first_row) / width;
            item = line / height;
            x = (first_row - line * width) * p.stride - (doubled ? 1 : p.pad_left);
            y = (line - item * height) * p.stride - (doubled ? 1 : p.pad_top);
        }
        await_launches_before();
        Walk walk(*this);
        for (int step = 0; step < steps; ++step) {
            const uint32_t barrier = full + walk.slot * 8;
            barrier_wait(empty + walk.slot * 8, walk.phase);
            if (step >= early) {
                barrier_expect(barrier, SLOT_BYTES);
                copy_weight(walk);
            }
            const uint32_t to = slots + walk.slot * SLOT_BYTES;
            if (params.image) {
                // A pixel of the doubled image is half as far in x; the map's first position is at -1.
                const int offset_x = doubled ? ((parity_x + walk.kernel_x - 1) >> 1) + 1 : walk.kernel_x;
                const int offset_y = doubled ? ((parity_y + walk.kernel_y - 1) >> 1) + 1 : walk.kernel_y;
                copy_pixels(to, params.x, barrier, walk.channel, x, y, item, offset_x, offset_y);
            } else {
                copy_box(to, params.x, barrier, walk.channel, first_row);
            }
            walk.next(p);
        }
    }

    // Start the products of a slot.
    __device__ __forceinline__ void multiply_slot(Sums& sums, uint32_t slot) const {
        const uint32_t from = slots + slot * SLOT_BYTES;
        const uint64_t a = matrix_descriptor(from + threadIdx.x / 128 * BLOCKS * 64 * STEP_BYTES);
        const uint64_t b = matrix_descriptor(from + ROWS_BYTES);
        products_fence();
#pragma unroll
        for (int k = 0; k < STEP_CHANNELS / 16; ++k)
#pragma unroll
            for (int block = 0; block < BLOCKS; ++block)
                Product<T, TILE_N>::add(sums[block], a + block * (64 * STEP_BYTES >> 4) + k * DESCRIPTOR_STEP,
                                        b + k * DESCRIPTOR_STEP);
        products_commit();
    }

    __device__ __forceinline__ void multiply(Sums& sums) const {
        barrier_wait(full, 0);
        multiply_slot(sums, 0);
        uint32_t slot = 1, phase = 0, previous = 0;
        for (int step = 1; step < steps; ++step) {
            barrier_wait(full + slot * 8, phase);
            multiply_slot(sums, slot);
            products_wait<1>();
            if (threadIdx.x % 32 == 0) barrier_arrive(empty + previous * 8);
            previous = slot;
            if (++slot == SLOTS) slot = 0, phase ^= 1;
        }
        products_wait<0>();
    }

    __device__ __forceinline__ int output_row(int row) const {
        if (p.upsample == 1) return row;
        const int width = p.out_width / 2;
        const int line = row / width;
        return (2 * line + parity_y) * p.out_width + 2 * (row - line * width) + parity_x;
    }

    // The row of the tile that this thread's sums of a block belong to, the first or the second half of them.
    __device__ __forceinline__ int row_of(int block, int half) const {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        return first_row + (warp / 4 * BLOCKS + block) * 64 + warp % 4 * 16 + lane / 4 + half * 8;
    }

    // The first column of this thread in a group.
    __device__ __forceinline__ int column_of(int group) const {
        return first_column + group * GROUP + threadIdx.x % 4 * FEW;
    }

    // Where sum `i` of FEW lies.
    static __device__ __forceinline__ constexpr int place(int group, int half, int i) {
        return (group * GROUP / 8 + i / 2) * 4 + half * 2 + i % 2;
    }

    // Add a row of T to a row of the sums.
    __device__ __forceinline__ void add(float (&sums)[SUMS], int half, const T* row) const {
        Few<T, FEW> few[GROUPS] = {};
#pragma unroll
        for (int group = 0; group < GROUPS; ++group)
            if (column_of(group) < p.out_channels)
                few[group] = *reinterpret_cast<const Few<T, FEW>*>(row + column_of(group));
#pragma unroll
        for (int group = 0; group < GROUPS; ++group)
#pragma unroll
            for (int i = 0; i < FEW; ++i) sums[place(group, half, i)] += to_float(few[group].value[i]);
    }

    // Start the sums with what is added to them: bias, item bias and residual. This way these are loaded while
    // the first copies are under way.
    __device__ __forceinline__ void start(Sums& sums) const {
#pragma unroll
        for (int i = 0; i < BLOCKS * SUMS; ++i) sums[i / SUMS][i % SUMS] = 0.0f;
        if (!params.constant_weight) await_launches_before();
        const bool first = split == 0;
        if (first && p.bias != nullptr) {
#pragma unroll
            for (int i = 0; i < BLOCKS * 2; ++i) add(sums[i / 2], i % 2, static_cast<const T*>(p.bias));
        }
        await_launches_before();
        if (!first || END != End::PLAIN || (p.item_bias == nullptr && p.residual == nullptr)) return;
#pragma unroll
        for (int i = 0; i < BLOCKS * 2; ++i) {
            if (row_of(i / 2, i % 2) >= rows) continue;
            const int row = output_row(row_of(i / 2, i % 2));
            if (p.residual != nullptr)
                add(sums[i / 2], i % 2, static_cast<const T*>(p.residual) + int64_t(row) * p.residual_pitch);
            if (p.item_bias != nullptr) {
                const int item = row / (p.out_height * p.out_width);
                add(sums[i / 2], i % 2, static_cast<const T*>(p.item_bias) + int64_t(item) * p.item_bias_pitch);
            }
        }
    }

    // Show the sums to the other splits: FEW of each unit, as they lie in the threads.
    __device__ __forceinline__ void exchange(const Sums& sums, float* shared) const {
        warps_sync(1, CONSUMERS);
        float4* own = reinterpret_cast<float4*>(shared) + threadIdx.x;
#pragma unroll
        for (int unit = 0; unit < UNITS; ++unit)
#pragma unroll
            for (int i = 0; i < FEW; i += 4) {
                const float* from = sums[unit / (2 * GROUPS)];
                const int group = unit / 2 % GROUPS, half = unit % 2;
                own[(unit * FEW + i) / 4 * CONSUMERS] =
                    make_float4(from[place(group, half, i)], from[place(group, half, i + 1)],
                                from[place(group, half, i + 2)], from[place(group, half, i + 3)]);
            }
        cluster_arrive();
        cluster_wait();
    }

    // The sum over all splits, in order.
    __device__ __forceinline__ void combine(float (&sum)[FEW], int unit) const {
#pragma unroll
        for (int i = 0; i < FEW; i += 4) {
            const uint32_t at = slots + ((unit * FEW + i) / 4 * CONSUMERS + threadIdx.x) * 16;
            float4 parts[SPLITS];
#pragma unroll
            for (int j = 0; j < SPLITS; ++j) parts[j] = load_remote(address_at(at, j));
#pragma unroll
            for (int j = 1; j < SPLITS; ++j) {
                parts[0].x += parts[j].x, parts[0].y += parts[j].y;
                parts[0].z += parts[j].z, parts[0].w += parts[j].w;
            }
            sum[i] = parts[0].x, sum[i + 1] = parts[0].y, sum[i + 2] = parts[0].z, sum[i + 3] = parts[0].w;
        }
    }

    // Turn the sums into outputs. Each split does this with its share of the units.
    __device__ __forceinline__ void finish(const Sums& sums, float* shared) const {
        if (SPLITS > 1) exchange(sums, shared);
#pragma unroll
        for (int unit = 0; unit < UNITS; ++unit) {
            const int group = unit / 2 % GROUPS, half = unit % 2, block = unit / (2 * GROUPS);
            if (SPLITS > 1 && unit * SPLITS / UNITS != split) continue;
            const int row = row_of(block, half), column = column_of(group);
            if (row >= rows || column >= p.out_channels) continue;
            float sum[FEW];
#pragma unroll
            for (int i = 0; i < FEW; ++i) sum[i] = sums[block][place(group, half, i)];
            if (SPLITS > 1) combine(sum, unit);
            T* y = static_cast<T*>(p.y) + int64_t(output_row(row)) * p.y_pitch;
            if (END == End::GATE) {
                Few<T, FEW / 2> few;
#pragma unroll
                for (int i = 0; i < FEW / 2; ++i)
                    few.value[i] = from_float<T>(sum[2 * i] * gelu_16_bits(sum[2 * i + 1]) * p.scale);
                *reinterpret_cast<Few<T, FEW / 2>*>(y + column / 2) = few;
            } else {
                if (END == End::ACTIVATION) activate_16_bits(sum, p.activation);
                Few<T, FEW> few;
#pragma unroll
                for (int i = 0; i < FEW; ++i) few.value[i] = from_float<T>(sum[i] * p.scale);
                *reinterpret_cast<Few<T, FEW>*>(y + column) = few;
            }
        }
        if (SPLITS > 1) cluster_arrive();
    }

    static __device__ __forceinline__ void run(const ConvolutionWgmmaParams& all) {
        extern __shared__ __align__(1024) char shared[];
        __shared__ __align__(8) uint64_t barriers[2 * SLOTS];
        const Convolution convolution(all, shared, barriers);
        convolution.init_barriers();
        allow_next_launch();
        if (threadIdx.x >= CONSUMERS) {
            if (TRADE) give_registers<40>();
            if (threadIdx.x == CONSUMERS) convolution.produce();
            __syncwarp();
            if (SPLITS > 1) cluster_arrive(), cluster_wait(), cluster_arrive();
        } else {
            if (TRADE) take_registers<232>();
            Sums sums;
            convolution.start(sums);
            // The sums are complete from here on: ptxas overlaps products only if nothing else changes them.
#pragma unroll
            for (int i = 0; i < BLOCKS * SUMS; ++i) asm volatile("" : "+f"(sums[i / SUMS][i % SUMS])::"memory");
            convolution.multiply(sums);
            convolution.finish(sums, reinterpret_cast<float*>(shared));
        }
        // No block may end while others read its sums.
        if (SPLITS > 1) cluster_wait();
    }
};
