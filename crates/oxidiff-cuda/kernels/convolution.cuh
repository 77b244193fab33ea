// What every convolution kernel shares: the parameters, the element types and the epilogue.
//
// A convolution is the matrix product y[row][n] = sum over k of x[row, k] * weight[n][k], where a row is an
// output pixel (batch, y, x) and k walks over the kernel's positions and the input channels (implicit GEMM:
// the matrix of patches is never stored). A linear layer is a 1x1 convolution of an image with one row.
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct ConvolutionParams {
    const void* x;          // T [batch, in_height, in_width, in_channels], pixels x_pitch elements apart
    const void* weight;     // T [out_channels][kernel_height][kernel_width][in_channels], weight_pitch apart
    const void* bias;       // T [out_channels], or null
    const void* item_bias;  // T [batch, out_channels], items item_bias_pitch apart, or null
    const void* residual;   // T like y, pixels residual_pitch apart, or null
    void* y;                // T [batch, out_height, out_width, out_channels (half of them with gate)]
    float* partial;         // scratch for splits: f32, laid out by each kernel as it likes
    uint32_t* arrivals;     // one counter a tile, zero before and after each launch
    int32_t batch, in_height, in_width, in_channels, x_pitch;
    int32_t out_height, out_width, out_channels, y_pitch;
    int32_t kernel_height, kernel_width, stride, pad_top, pad_left;
    int32_t upsample;       // 2: x is read as if each pixel were repeated twice in both directions; else 1
    int32_t weight_pitch, item_bias_pitch, residual_pitch;
    int32_t activation;     // an Activation
    int32_t gate;           // 1: columns 2j and 2j + 1 are value and gate of y_j = value * gelu(gate) (GEGLU)
    int32_t splits;         // how many blocks share the sum over k of a tile
    float scale;            // the result is multiplied by it last
};

enum Activation : int32_t {
    ACTIVATION_NONE = 0,
    ACTIVATION_SILU = 1,
    ACTIVATION_GELU = 2,
    ACTIVATION_GELU_TANH = 3,
    ACTIVATION_QUICK_GELU = 4,
    ACTIVATION_RELU = 5,
};

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(__half value) { return __half2float(value); }
__device__ __forceinline__ float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T> __device__ __forceinline__ T from_float(float value);
template <> __device__ __forceinline__ float from_float<float>(float value) { return value; }
template <> __device__ __forceinline__ __half from_float<__half>(float value) {
    return __float2half_rn(value);
}
template <> __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
    return __float2bfloat16_rn(value);
}

// As many elements as 16 bytes hold.
template <typename T> struct alignas(16) Pack {
    static constexpr int COUNT = 16 / sizeof(T);
    T value[COUNT];
};

// Whether 16-byte accesses are possible at every `pitch` elements from `base`.
template <typename T> __device__ __forceinline__ bool packs_at(const void* base, int pitch) {
    return ((reinterpret_cast<uintptr_t>(base) | (uintptr_t(uint32_t(pitch)) * sizeof(T))) & 15) == 0;
}

// `count` elements at `source`, at most a pack; `packed` says that 16-byte accesses are possible there.
template <typename T>
__device__ __forceinline__ void load_pack(float (&to)[Pack<T>::COUNT], const T* source, int count,
                                          bool packed) {
    if (packed && count >= Pack<T>::COUNT) {
        const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(source);
#pragma unroll
        for (int i = 0; i < Pack<T>::COUNT; ++i) to[i] = to_float(pack.value[i]);
    } else {
#pragma unroll
        for (int i = 0; i < Pack<T>::COUNT; ++i) to[i] = i < count ? to_float(source[i]) : 0.0f;
    }
}

// 16-bit results do not show the error of the fast exponential and division.
template <typename T> __device__ __forceinline__ float sigmoid(float z) {
    return sizeof(T) == 2 ? __fdividef(1.0f, 1.0f + __expf(-z)) : 1.0f / (1.0f + expf(-z));
}

__device__ __forceinline__ float gelu(float z) { return 0.5f * z * (1.0f + erff(z * 0.70710678118654752f)); }

template <typename T, int COUNT>
__device__ __forceinline__ void activate(float (&z)[COUNT], int32_t activation) {
    if (activation == ACTIVATION_NONE) return;
    if (activation == ACTIVATION_RELU) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) z[i] = z[i] < 0.0f ? 0.0f : z[i];  // fmaxf would drop NaN
    } else if (activation == ACTIVATION_GELU) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) z[i] = gelu(z[i]);
    } else {
        // All others are z sigmoid(a z + b z^3), gelu with tanh too since 0.5 (1 + tanh(u)) is sigmoid(2 u).
        const float b = activation == ACTIVATION_GELU_TANH ? 0.071354816272600248f : 0.0f;
        const float a = activation == ACTIVATION_GELU_TANH    ? 1.5957691216057308f
                        : activation == ACTIVATION_QUICK_GELU ? 1.702f
                                                              : 1.0f;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) z[i] *= sigmoid<T>(z[i] * (a + b * fminf(z[i] * z[i], 1e30f)));
    }
}

__device__ __forceinline__ int output_rows(const ConvolutionParams& p) {
    return p.batch * p.out_height * p.out_width;
}

// Where a column of a row of sums lies in shared memory. Of each 64 columns the second 32 have neighbouring
// groups of four exchanged, so that threads that read a pack of columns each find them in different banks.
__device__ __forceinline__ int sum_column(int column) { return column ^ ((column >> 3) & 4); }

// The end of the kernel: from sums of products to stored elements. A pack is as many columns of sums as
// elements of y fill 16 bytes; with a gate it makes half as many elements.
template <typename T> struct Epilogue {
    static constexpr int COUNT = Pack<T>::COUNT;
    const ConvolutionParams& p;
    const bool packed_bias, packed_item_bias, packed_residual, packed_y;

    __device__ __forceinline__ explicit Epilogue(const ConvolutionParams& params)
        : p(params), packed_bias(packs_at<T>(params.bias, 0)),
          packed_item_bias(packs_at<T>(params.item_bias, params.item_bias_pitch)),
          packed_residual(packs_at<T>(params.residual, params.residual_pitch)),
          packed_y(packs_at<T>(params.y, params.y_pitch)) {}

    __device__ __forceinline__ int item_of(int row) const {
        return unsigned(row) / unsigned(p.out_height * p.out_width);
    }

    __device__ __forceinline__ void add_bias(float (&sum)[COUNT], int column) const {
        float other[COUNT];
        load_pack<T>(other, static_cast<const T*>(p.bias) + column, p.out_channels - column, packed_bias);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) sum[i] += other[i];
    }

    __device__ __forceinline__ void add_item_bias(float (&sum)[COUNT], int item, int column) const {
        float other[COUNT];
        load_pack<T>(other, static_cast<const T*>(p.item_bias) + int64_t(item) * p.item_bias_pitch + column,
                     p.out_channels - column, packed_item_bias);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) sum[i] += other[i];
    }

    // The activation or the gate, after which the first `COUNT / 2` elements are the result.
    __device__ __forceinline__ void transform(float (&sum)[COUNT]) const {
        if (p.gate) {
#pragma unroll
            for (int i = 0; i < COUNT / 2; ++i) sum[i] = sum[2 * i] * gelu(sum[2 * i + 1]);
        } else {
            activate<T>(sum, p.activation);
        }
    }

    // Finish a pack of sums, whatever lies outside y or is not aligned.
    __device__ __forceinline__ void finish(float (&sum)[COUNT], int row, int column) const {
        if (p.bias != nullptr) add_bias(sum, column);
        if (p.item_bias != nullptr) add_item_bias(sum, item_of(row), column);
        transform(sum);
        const int first = p.gate ? column / 2 : column;
        const int count = p.gate ? min(COUNT / 2, p.out_channels / 2 - first) : p.out_channels - column;
        T* y = static_cast<T*>(p.y) + int64_t(row) * p.y_pitch + first;
        const T* residual = static_cast<const T*>(p.residual) + int64_t(row) * p.residual_pitch + first;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (i >= count) continue;
            if (p.residual != nullptr) sum[i] += to_float(residual[i]);
            y[i] = from_float<T>(sum[i] * p.scale);
        }
    }

    // Finish rows of sums in shared memory, `PITCH` apart, with columns where sum_column says. Row i is row
    // row_of(i) of the output, which grows with i. `thread` is one of THREADS that share the work; each stays
    // with its columns, so that their bias is read once.
    template <int THREADS, int TILE_N, int PITCH, typename RowOf>
    __device__ __forceinline__ void finish_rows(const float* sums, int thread, int rows, int first_column,
                                                RowOf row_of) const {
        constexpr int PACKS = TILE_N / COUNT;
        constexpr int PASS = THREADS / PACKS;  // rows that the threads finish at once
        constexpr int AHEAD = 4;               // rows whose residual is read before it is needed
        const int at = thread % PACKS * COUNT;
        const int column = first_column + at;
        if (rows <= 0 || thread >= PASS * PACKS || column >= p.out_channels) return;
        const bool fast = packed_y && column + COUNT <= p.out_channels &&
                          (p.residual == nullptr || (packed_residual && !p.gate));
        if (!fast) {
            for (int row = thread / PACKS; row < rows; row += PASS) {
                float sum[COUNT];
                read(sum, sums + row * PITCH, at);
                finish(sum, row_of(row), column);
            }
            return;
        }

        float bias[COUNT] = {};
        if (p.bias != nullptr) add_bias(bias, column);
        bool item_biases = false;  // whether the rows differ in theirs
        if (p.item_bias != nullptr) {
            const int item = item_of(row_of(0));
            item_biases = item_of(row_of(rows - 1)) != item;
            if (!item_biases) add_item_bias(bias, item, column);
        }
        const T* residual = static_cast<const T*>(p.residual) + column;
        T* y = static_cast<T*>(p.y) + (p.gate ? column / 2 : column);
        for (int start = thread / PACKS; start < rows; start += AHEAD * PASS) {
            Pack<T> others[AHEAD];
            if (p.residual != nullptr) {
#pragma unroll
                for (int i = 0; i < AHEAD; ++i) {
                    const int64_t row = row_of(min(start + i * PASS, rows - 1));
                    others[i] = *reinterpret_cast<const Pack<T>*>(residual + row * p.residual_pitch);
                }
            }
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const int row = start + i * PASS;
                if (row >= rows) break;
                float sum[COUNT];
                read(sum, sums + row * PITCH, at);
#pragma unroll
                for (int j = 0; j < COUNT; ++j) sum[j] += bias[j];
                const int out = row_of(row);
                if (item_biases) add_item_bias(sum, item_of(out), column);
                transform(sum);
                if (p.residual != nullptr) {
#pragma unroll
                    for (int j = 0; j < COUNT; ++j) sum[j] += to_float(others[i].value[j]);
                }
                Pack<T> pack;
#pragma unroll
                for (int j = 0; j < COUNT; ++j) pack.value[j] = from_float<T>(sum[j] * p.scale);
                T* to = y + int64_t(out) * p.y_pitch;
                if (p.gate) {
                    *reinterpret_cast<uint2*>(to) = reinterpret_cast<const uint2&>(pack);
                } else {
                    *reinterpret_cast<Pack<T>*>(to) = pack;
                }
            }
        }
    }

    // A pack of sums from a row in shared memory.
    __device__ __forceinline__ static void read(float (&to)[COUNT], const float* row, int column) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
            const float4 four = *reinterpret_cast<const float4*>(row + sum_column(column + i));
            to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
        }
    }
};

// After a block has written its partial sums: true in all threads of the block that arrives last at its
// tile, which then sees the sums of all others. Resets the counter for the next launch.
__device__ __forceinline__ bool arrives_last(uint32_t* arrivals, int splits) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrivals, 1u) == uint32_t(splits - 1);
        if (last) *arrivals = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}
