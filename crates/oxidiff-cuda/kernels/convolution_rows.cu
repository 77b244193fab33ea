// Linear layers of a few rows (time embeddings, decoding). Their time goes into reading the weight, once, so
// that what counts is to have as much of it as possible under way: the warps of a block share the sum over k,
// and read straight into registers.
#include "convolution_mma.cuh"

// Finish the sums of two neighbouring columns; with a gate they are a value and its gate.
template <typename T>
__device__ __forceinline__ void finish_pair(const ConvolutionParams& p, float (&sum)[2], int row,
                                            int column) {
    const T* item_bias = static_cast<const T*>(p.item_bias);
    if (p.item_bias != nullptr)
        item_bias += int64_t(row / (p.out_height * p.out_width)) * p.item_bias_pitch;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        if (column + j >= p.out_channels) continue;
        if (p.bias != nullptr) sum[j] += to_float(static_cast<const T*>(p.bias)[column + j]);
        if (p.item_bias != nullptr) sum[j] += to_float(item_bias[column + j]);
    }
    int count = min(2, p.out_channels - column);
    if (p.gate) {
        sum[0] *= gelu(sum[1]);
        column /= 2;
        count = 1;
    } else {
        activate<T>(sum, p.activation);
    }
    const T* residual = static_cast<const T*>(p.residual) + int64_t(row) * p.residual_pitch + column;
    T* y = static_cast<T*>(p.y) + int64_t(row) * p.y_pitch + column;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        if (j >= count) continue;
        if (p.residual != nullptr) sum[j] += to_float(residual[j]);
        y[j] = from_float<T>(sum[j] * p.scale);
    }
}

__device__ __forceinline__ uint4 read_chunk(const void* from, bool valid) {
    return valid ? __ldg(static_cast<const uint4*>(from)) : make_uint4(0, 0, 0, 0);
}

// 16 rows by 8 columns, one mma wide. A sum does not depend on the order of its terms, so that fragments
// need not have k in mma's order, only the same one for both operands: each lane takes 16 bytes of a row as
// they lie and makes two products of them.
template <typename Math> __device__ __forceinline__ void multiply_16_rows(const ConvolutionParams& p) {
    using T = typename Math::Element;
    constexpr int WARPS = 8, ROWS = 16, COLUMNS = 8, COUNT = Pack<T>::COUNT;
    constexpr int AHEAD = 5;  // chunks of each operand that a lane reads before it needs the first
    constexpr int STEP = WARPS * 4 * COUNT;
    __shared__ float shared[WARPS][ROWS][COLUMNS];

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first_row = blockIdx.y * ROWS, first_column = blockIdx.x * COLUMNS;
    const int rows = min(ROWS, output_rows(p) - first_row);
    const bool upper = lane / 4 < rows, lower = lane / 4 + 8 < rows;
    const bool column = first_column + lane / 4 < p.out_channels;
    const T* x = static_cast<const T*>(p.x) + int64_t(first_row + lane / 4) * p.x_pitch;
    const T* x_lower = x + int64_t(8) * p.x_pitch;
    const T* weight = static_cast<const T*>(p.weight) + int64_t(first_column + lane / 4) * p.weight_pitch;

    join_launches();
    float sum[4] = {};
    // All lanes of a warp take part in each product, those past the last channel with zeros.
    for (int start = warp * 4 * COUNT; start < p.in_channels; start += AHEAD * STEP) {
        uint4 b[AHEAD], a[AHEAD], a_lower[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int k = start + lane % 4 * COUNT + i * STEP;
            const bool inside = k < p.in_channels;
            b[i] = read_chunk(weight + k, inside && column);
            a[i] = read_chunk(x + k, inside && upper);
            a_lower[i] = read_chunk(x_lower + k, inside && lower);
        }
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            Math::product(sum, {a[i].x, a_lower[i].x, a[i].y, a_lower[i].y}, {b[i].x, b[i].y});
            Math::product(sum, {a[i].z, a_lower[i].z, a[i].w, a_lower[i].w}, {b[i].z, b[i].w});
        }
    }
    // (row lane / 4, columns lane % 4 * 2 and the next), and the same columns eight rows below.
    *reinterpret_cast<float2*>(&shared[warp][lane / 4][lane % 4 * 2]) = make_float2(sum[0], sum[1]);
    *reinterpret_cast<float2*>(&shared[warp][lane / 4 + 8][lane % 4 * 2]) = make_float2(sum[2], sum[3]);
    __syncthreads();
    const int row = threadIdx.x / 4, pair = threadIdx.x % 4 * 2;
    if (row >= rows || first_column + pair >= p.out_channels) return;
    float total[2] = {};
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        total[0] += shared[i][row][pair];
        total[1] += shared[i][row][pair + 1];
    }
    finish_pair<T>(p, total, first_row + row, first_column + pair);
}

// The same for f32, by ordinary multiplications: 4 rows by 2 columns.
__device__ __forceinline__ void multiply_4_rows(const ConvolutionParams& p) {
    constexpr int THREADS = 128, ROWS = 4, COLUMNS = 2, COUNT = 4;
    constexpr int AHEAD = 4;
    __shared__ float shared[THREADS / 32][ROWS][COLUMNS];

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first_row = blockIdx.y * ROWS, first_column = blockIdx.x * COLUMNS;
    const int rows = min(ROWS, output_rows(p) - first_row);
    const float* x = static_cast<const float*>(p.x) + int64_t(first_row) * p.x_pitch;
    const float* weight = static_cast<const float*>(p.weight) + int64_t(first_column) * p.weight_pitch;

    join_launches();
    float sums[ROWS][COLUMNS] = {};
    for (int start = threadIdx.x * COUNT; start < p.in_channels; start += AHEAD * THREADS * COUNT) {
        uint4 b[AHEAD][COLUMNS];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) {
                const int k = start + i * THREADS * COUNT;
                b[i][j] = read_chunk(weight + int64_t(j) * p.weight_pitch + k,
                                     k < p.in_channels && first_column + j < p.out_channels);
            }
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int k = start + i * THREADS * COUNT;
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const uint4 a = read_chunk(x + int64_t(row) * p.x_pitch + k, k < p.in_channels && row < rows);
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) {
                    float& sum = sums[row][j];
                    sum = fmaf(__uint_as_float(a.x), __uint_as_float(b[i][j].x), sum);
                    sum = fmaf(__uint_as_float(a.y), __uint_as_float(b[i][j].y), sum);
                    sum = fmaf(__uint_as_float(a.z), __uint_as_float(b[i][j].z), sum);
                    sum = fmaf(__uint_as_float(a.w), __uint_as_float(b[i][j].w), sum);
                }
            }
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; ++row)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
#pragma unroll
            for (int distance = 16; distance > 0; distance /= 2)
                sums[row][j] += __shfl_xor_sync(~0u, sums[row][j], distance);
            if (lane == 0) shared[warp][row][j] = sums[row][j];
        }
    __syncthreads();
    const int row = threadIdx.x;
    if (row >= rows) return;
    float total[COLUMNS] = {};
#pragma unroll
    for (int i = 0; i < THREADS / 32; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) total[j] += shared[i][row][j];
    finish_pair<float>(p, total, first_row + row, first_column);
}

extern "C" __global__ void __launch_bounds__(256, 2)
    oxd_convolution_bf16_rows16(const __grid_constant__ ConvolutionParams p) {
    multiply_16_rows<Bf16Math>(p);
}

extern "C" __global__ void __launch_bounds__(256, 2)
    oxd_convolution_f16_rows16(const __grid_constant__ ConvolutionParams p) {
    multiply_16_rows<F16Math>(p);
}

extern "C" __global__ void __launch_bounds__(128, 4)
    oxd_convolution_f32_rows4(const __grid_constant__ ConvolutionParams p) {
    multiply_4_rows(p);
}
