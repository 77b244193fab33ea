// Layer norm, RMS norm and softmax of rows.
//
// Short rows belong to a few lanes of a warp, which keep them in registers; long ones belong to a block,
// which reads them again from the cache for each step.

#include "vector.cuh"

using namespace oxd;

struct RowsParams {
    const void* x;       // T [rows, features], rows x_pitch elements apart
    const void* weight;  // T [features], or null
    const void* bias;    // T [features], or null
    void* y;             // T [rows, features], rows y_pitch elements apart
    int32_t rows, features, x_pitch, y_pitch;
    int32_t lanes;  // for a row, a power of two up to 32; not used by kernels with a block for a row
    int32_t rms;    // layer norm: 1 if the mean is not subtracted
    float epsilon;
};

constexpr int MOST_THREADS = 256;

// The sum (or the maximum) over a block, in each thread.
template <typename Combine>
__device__ __forceinline__ float block_all(float value, float empty, Combine combine) {
    __shared__ float warps[MOST_THREADS / 32];
    value = combine(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    const int lane = threadIdx.x % 32;
    return combine(lane < blockDim.x / 32 ? warps[lane] : empty);
}

__device__ __forceinline__ float block_sum(float value) {
    return block_all(value, 0, [](float x) { return lane_sum(x); });
}

__device__ __forceinline__ float block_max(float value) {
    return block_all(value, -INFINITY, [](float x) { return lane_max(x); });
}

// One row, in the registers of `lanes` lanes: lane l has vectors l, l + lanes, ...
template <typename T, int V>
struct LaneRow {
    static constexpr int MOST = V == 1 ? 16 : 8;  // vectors of a lane
    Vector<T, V> vector[MOST];
    int lanes, lane, vectors;
    int64_t row;
    bool valid;

    __device__ __forceinline__ explicit LaneRow(const RowsParams& p) {
        lanes = p.lanes;
        lane = threadIdx.x % lanes;
        row = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / lanes;
        valid = row < p.rows;  // all lanes of a warp take part in the sums, those without a row as well
        vectors = valid ? p.features / V : 0;
        const T* x = static_cast<const T*>(p.x) + row * p.x_pitch;
#pragma unroll
        for (int i = 0; i < MOST; ++i) {
            if (i * lanes + lane < vectors) vector[i].load(x + (i * lanes + lane) * V);
        }
    }

    __device__ __forceinline__ float first() const {
        return __shfl_sync(0xffffffffu, valid ? vector[0].get(0) : 0, threadIdx.x % 32 / lanes * lanes);
    }

    template <typename Visit>
    __device__ __forceinline__ void each(Visit visit) const {
#pragma unroll
        for (int i = 0; i < MOST; ++i) {
            if (i * lanes + lane < vectors) visit((i * lanes + lane) * V, vector[i]);
        }
    }

    __device__ __forceinline__ float sum(float value) const { return lane_sum(value, lanes); }
    __device__ __forceinline__ float max(float value) const { return lane_max(value, lanes); }
};

// One row of a block.
template <typename T, int V>
struct BlockRow {
    const T* x;
    int features;
    int64_t row;

    __device__ __forceinline__ explicit BlockRow(const RowsParams& p) {
        row = blockIdx.x;
        x = static_cast<const T*>(p.x) + row * p.x_pitch;
        features = p.features;
    }

    __device__ __forceinline__ float first() const { return to_float(x[0]); }

    template <typename Visit>
    __device__ __forceinline__ void each(Visit visit) const {
        for (int i = threadIdx.x * V; i < features; i += blockDim.x * V) {
            Vector<T, V> vector;
            vector.load(x + i);
            visit(i, vector);
        }
    }

    __device__ __forceinline__ float sum(float value) const { return block_sum(value); }
    __device__ __forceinline__ float max(float value) const { return block_max(value); }
};

// The mean is found as a distance from the first value, then the variance from the mean: means far from 0
// lose nothing.
template <typename T, int V, typename Row>
__device__ __forceinline__ void layer_norm(const RowsParams& p) {
    await_launches_before();
    const Row row(p);
    const float first = p.rms ? 0 : row.first();
    float offset = 0;
    if (!p.rms) {
        float sum = 0;
        row.each([&](int, const Vector<T, V>& x) {
#pragma unroll
            for (int i = 0; i < V; ++i) sum += x.get(i) - first;
        });
        offset = row.sum(sum) / p.features;
    }
    float squares = 0;
    row.each([&](int, const Vector<T, V>& x) {
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const float distance = (x.get(i) - first) - offset;
            squares = fmaf(distance, distance, squares);
        }
    });
    const float factor = rsqrtf(row.sum(squares) / p.features + p.epsilon);
    T* y = static_cast<T*>(p.y) + row.row * p.y_pitch;
    row.each([&](int feature, const Vector<T, V>& x) {
        float value[V];
#pragma unroll
        for (int i = 0; i < V; ++i) value[i] = ((x.get(i) - first) - offset) * factor;
        Vector<T, V> other;
        if (p.weight != nullptr) {
            other.load(static_cast<const T*>(p.weight) + feature);
#pragma unroll
            for (int i = 0; i < V; ++i) value[i] *= other.get(i);
        }
        if (p.bias != nullptr) {
            other.load(static_cast<const T*>(p.bias) + feature);
#pragma unroll
            for (int i = 0; i < V; ++i) value[i] += other.get(i);
        }
        other.set(value);
        other.store(y + feature);
    });
}

template <typename T, int V, typename Row>
__device__ __forceinline__ void softmax(const RowsParams& p) {
    await_launches_before();
    const Row row(p);
    float most = -INFINITY;
    row.each([&](int, const Vector<T, V>& x) {
#pragma unroll
        for (int i = 0; i < V; ++i) most = fmaxf(most, x.get(i));
    });
    most = row.max(most);
    float sum = 0;
    row.each([&](int, const Vector<T, V>& x) {
#pragma unroll
        for (int i = 0; i < V; ++i) sum += __expf(x.get(i) - most);
    });
    const float factor = 1 / row.sum(sum);
    T* y = static_cast<T*>(p.y) + row.row * p.y_pitch;
    row.each([&](int feature, const Vector<T, V>& x) {
        float value[V];
#pragma unroll
        for (int i = 0; i < V; ++i) value[i] = __expf(x.get(i) - most) * factor;
        Vector<T, V> rounded;
        rounded.set(value);
        rounded.store(y + feature);
    });
}

#define KERNEL(FUNCTION, NAME, T, V, KIND, ROW)                                                          \
    extern "C" __global__ void __launch_bounds__(MOST_THREADS)                                           \
        oxd_##FUNCTION##_##NAME##_v##V##_##KIND(const __grid_constant__ RowsParams p) {                  \
        FUNCTION<T, V, ROW<T, V>>(p);                                                                    \
    }
#define KERNELS(NAME, T, V)                                                                              \
    KERNEL(layer_norm, NAME, T, V, lanes, LaneRow)                                                       \
    KERNEL(layer_norm, NAME, T, V, block, BlockRow)                                                      \
    KERNEL(softmax, NAME, T, V, lanes, LaneRow)                                                          \
    KERNEL(softmax, NAME, T, V, block, BlockRow)

KERNELS(f32, float, 1)
KERNELS(f32, float, 4)
KERNELS(f16, __half, 1)
KERNELS(f16, __half, 8)
KERNELS(bf16, __nv_bfloat16, 1)
KERNELS(bf16, __nv_bfloat16, 8)
