// Reductions, gathered rows, small products and constants: general rather than fast.

#include "typed.cuh"

using namespace oxd;

constexpr int THREADS = 256;

struct ReduceParams {
    const void* x;  // [outer, n, inner], with any strides
    void* y;        // [outer, inner]
    int64_t x_outer, x_n, x_inner, y_outer, y_inner;  // strides, elements
    int32_t outer, n, inner;
    int32_t x_type, y_type, reduction;
};

enum Reduction : int32_t { SUM, MEAN, MAX, MIN, PROD, ANY, ALL, ARGMAX, ARGMIN };

// A value on its way. Sums carry what was lost by rounding (Kahan 1965); positions go with extreme values.
template <typename R>
struct Reduced {
    R value, lost;
    int position;

    __device__ __forceinline__ explicit Reduced(int32_t reduction)
        : value(reduction == PROD || reduction == ALL ? 1 : 0), lost(0), position(-1) {}

    __device__ __forceinline__ void add(R x) {
        if constexpr (__is_same(R, float)) {
            const float corrected = x - lost;
            const float sum = value + corrected;
            lost = isinf(sum) ? 0 : (sum - value) - corrected;
            value = sum;
        } else {
            value += x;
        }
    }

    // NaN wins over all numbers, as in PyTorch, and the first of equal values over the others.
    __device__ __forceinline__ void choose(R x, int at, bool largest) {
        if (at < 0) return;
        const bool number = value == value, better = largest ? x > value : x < value;
        const bool same = x == value || (x != x && !number);
        if (position < 0 || (number && (better || x != x)) || (same && at < position)) {
            value = x;
            position = at;
        }
    }

    __device__ __forceinline__ void include(R x, R x_lost, int at, int32_t reduction) {
        switch (reduction) {
            case SUM:
            case MEAN:
                add(x);
                add(-x_lost);
                break;
            case PROD: value *= x; break;
            case ANY: value = value != 0 || x != 0 ? 1 : 0; break;
            case ALL: value = value != 0 && x != 0 ? 1 : 0; break;
            default: choose(x, at, reduction == MAX || reduction == ARGMAX);
        }
    }

    __device__ __forceinline__ void store(const ReduceParams& p, int64_t outer, int64_t inner) const {
        const int64_t to = outer * p.y_outer + inner * p.y_inner;
        if (p.reduction == ARGMAX || p.reduction == ARGMIN) {
            store_typed<long long>(p.y, p.y_type, to, position);
        } else {
            store_typed<R>(p.y, p.y_type, to, p.reduction == MEAN ? value / static_cast<R>(p.n) : value);
        }
    }
};

// A thread for each result: neighbouring threads read neighbours along `inner`.
template <typename R>
__device__ __forceinline__ void reduce_threads(const ReduceParams& p) {
    const int64_t result = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (result >= static_cast<int64_t>(p.outer) * p.inner) return;
    const int64_t outer = result / p.inner, inner = result % p.inner;
    Reduced<R> reduced(p.reduction);
    for (int i = 0; i < p.n; ++i) {
        const R x = load_typed<R>(p.x, p.x_type, outer * p.x_outer + i * p.x_n + inner * p.x_inner);
        reduced.include(x, 0, i, p.reduction);
    }
    reduced.store(p, outer, inner);
}

// A block for each result.
template <typename R>
__device__ __forceinline__ void reduce_block(const ReduceParams& p) {
    __shared__ R values[THREADS], lost[THREADS];
    __shared__ int positions[THREADS];
    const int64_t outer = blockIdx.x / p.inner, inner = blockIdx.x % p.inner;
    Reduced<R> reduced(p.reduction);
    for (int i = threadIdx.x; i < p.n; i += THREADS) {
        const R x = load_typed<R>(p.x, p.x_type, outer * p.x_outer + i * p.x_n + inner * p.x_inner);
        reduced.include(x, 0, i, p.reduction);
    }
    for (int half = THREADS / 2; half > 0; half /= 2) {
        values[threadIdx.x] = reduced.value;
        lost[threadIdx.x] = reduced.lost;
        positions[threadIdx.x] = reduced.position;
        __syncthreads();
        const int other = threadIdx.x + half;
        if (threadIdx.x < half) reduced.include(values[other], lost[other], positions[other], p.reduction);
        __syncthreads();
    }
    if (threadIdx.x == 0) reduced.store(p, outer, inner);
}

#define KERNEL(NAME, PARAMS, ...)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS) oxd_##NAME(const __grid_constant__ PARAMS p) { \
        __VA_ARGS__(p);                                                                                  \
    }

KERNEL(reduce_f32_threads, ReduceParams, reduce_threads<float>)
KERNEL(reduce_f32_block, ReduceParams, reduce_block<float>)
KERNEL(reduce_i64_threads, ReduceParams, reduce_threads<long long>)
KERNEL(reduce_i64_block, ReduceParams, reduce_block<long long>)

struct GatherParams {
    const void* table;    // [outer, entries, inner], elements of the last dimension are neighbours
    const void* indices;  // [count], I64 or I32
    void* y;              // [outer, count, inner]: y[o][j] = table[o][indices[j]]
    int64_t table_outer, table_pitch, y_outer, y_pitch;  // in elements
    int32_t outer, entries, count, inner, index_type, unused;
};

// Moves elements of the type T, whatever they mean. A row with an index that is not in the table becomes NaN;
// of integers, all bits are set.
template <typename T>
__device__ __forceinline__ void gather(const GatherParams& p) {
    const int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (at >= static_cast<int64_t>(p.outer) * p.count * p.inner) return;
    const int64_t row = at / p.inner, inner = at % p.inner;
    const int64_t outer = row / p.count, j = row % p.count;
    const long long index = load_typed<long long>(p.indices, p.index_type, j);
    T value;
    memset(&value, 0xff, sizeof(T));
    if (index >= 0 && index < p.entries) {
        value = static_cast<const T*>(p.table)[outer * p.table_outer + index * p.table_pitch + inner];
    }
    static_cast<T*>(p.y)[outer * p.y_outer + j * p.y_pitch + inner] = value;
}

KERNEL(gather_1, GatherParams, gather<uint8_t>)
KERNEL(gather_2, GatherParams, gather<uint16_t>)
KERNEL(gather_4, GatherParams, gather<uint32_t>)
KERNEL(gather_8, GatherParams, gather<uint2>)
KERNEL(gather_16, GatherParams, gather<uint4>)

struct MatmulParams {
    const void* a;  // [batch, m, k], with any strides
    const void* b;  // [batch, k, n]
    void* y;        // [batch, m, n]
    int64_t a_batch, a_m, a_k, b_batch, b_k, b_n, y_batch, y_m, y_n;
    int32_t m, n, k, type;
};

// A block computes 64 x 64 results, a thread 4 x 4 of them.
__device__ __forceinline__ void matmul(const MatmulParams& p) {
    constexpr int SIDE = 64, DEPTH = 16;
    __shared__ float a_tile[DEPTH][SIDE + 1], b_tile[DEPTH][SIDE + 1];
    const int64_t m = static_cast<int64_t>(blockIdx.x) * SIDE, n = static_cast<int64_t>(blockIdx.y) * SIDE;
    const int64_t batch = blockIdx.z;
    const int row = threadIdx.x / 16, column = threadIdx.x % 16;
    float sum[4][4] = {};
    for (int k = 0; k < p.k; k += DEPTH) {
        for (int i = threadIdx.x; i < SIDE * DEPTH; i += THREADS) {
            // Neighbouring threads read neighbours in memory.
            const int am = p.a_k == 1 ? i / DEPTH : i % SIDE, ak = p.a_k == 1 ? i % DEPTH : i / SIDE;
            const int bn = p.b_k == 1 ? i / DEPTH : i % SIDE, bk = p.b_k == 1 ? i % DEPTH : i / SIDE;
            float a = 0, b = 0;
            if (m + am < p.m && k + ak < p.k) {
                a = load_typed<float>(p.a, p.type, batch * p.a_batch + (m + am) * p.a_m + (k + ak) * p.a_k);
            }
            if (n + bn < p.n && k + bk < p.k) {
                b = load_typed<float>(p.b, p.type, batch * p.b_batch + (n + bn) * p.b_n + (k + bk) * p.b_k);
            }
            a_tile[ak][am] = a;
            b_tile[bk][bn] = b;
        }
        __syncthreads();
#pragma unroll
        for (int inner = 0; inner < DEPTH; ++inner) {
            float a[4], b[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) a[i] = a_tile[inner][row + 16 * i];
#pragma unroll
            for (int i = 0; i < 4; ++i) b[i] = b_tile[inner][column + 16 * i];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int64_t y_m = m + row + 16 * i, y_n = n + column + 16 * j;
            if (y_m < p.m && y_n < p.n) {
                store_typed(p.y, p.type, batch * p.y_batch + y_m * p.y_m + y_n * p.y_n, sum[i][j]);
            }
        }
    }
}

KERNEL(matmul, MatmulParams, matmul)

struct FillParams {
    void* y;  // [count], contiguous: y[i] = start + i * step
    double start, step;
    int64_t count;
    int32_t type, unused;
};

__device__ __forceinline__ void fill(const FillParams& p) {
    const int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (at >= p.count) return;
    const double value = p.start + static_cast<double>(at) * p.step;
    if (p.type == I64 || p.type == I32) {
        store_typed(p.y, p.type, at, static_cast<long long>(value));
    } else {
        store_typed(p.y, p.type, at, static_cast<float>(value));
    }
}

KERNEL(fill, FillParams, fill)
