// Resizing and average pooling of channels-last images.

#include "vector.cuh"

using namespace oxd;

constexpr int THREADS = 256;

struct ResizeParams {
    const void* x;  // T [batch, in_height, in_width, channels], pixels x_pitch elements apart
    void* y;        // T [batch, out_height, out_width, channels], pixels y_pitch elements apart
    int32_t batch, channels, x_pitch, y_pitch;
    int32_t in_height, in_width, out_height, out_width;
    int32_t align_corners;  // bilinear
    int32_t kernel_height, kernel_width, stride_height, stride_width;  // average pooling, as the rest
    int32_t pad_top, pad_left, pad_bottom, pad_right, count_padding;
};

// V channels of one pixel of the result.
template <typename T, int V>
struct Pixel {
    int row, column, channel;
    int64_t item, number;
    bool valid;

    __device__ __forceinline__ explicit Pixel(const ResizeParams& p) {
        const int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
        const int vectors = p.channels / V;
        number = at / vectors;
        channel = static_cast<int>(at % vectors) * V;
        column = static_cast<int>(number % p.out_width);
        row = static_cast<int>(number / p.out_width % p.out_height);
        item = number / p.out_width / p.out_height;
        valid = item < p.batch;
    }
    __device__ __forceinline__ Vector<T, V> input(const ResizeParams& p, int y, int x) const {
        Vector<T, V> vector;
        const int64_t from = (item * p.in_height + y) * p.in_width + x;
        vector.load(static_cast<const T*>(p.x) + from * p.x_pitch + channel);
        return vector;
    }
    __device__ __forceinline__ void output(const ResizeParams& p, const Vector<T, V>& vector) const {
        vector.store(static_cast<T*>(p.y) + number * p.y_pitch + channel);
    }
};

// PyTorch's rule: the ratio in f32, rounded down.
__device__ __forceinline__ int nearest_index(int index, int from, int to) {
    const float ratio = static_cast<float>(from) / static_cast<float>(to);
    return min(static_cast<int>(index * ratio), from - 1);
}

template <typename T, int V>
__device__ __forceinline__ void nearest(const ResizeParams& p) {
    const Pixel<T, V> pixel(p);
    if (!pixel.valid) return;
    const int row = nearest_index(pixel.row, p.in_height, p.out_height);
    const int column = nearest_index(pixel.column, p.in_width, p.out_width);
    pixel.output(p, pixel.input(p, row, column));
}

// The two positions between which a position of the result lies, and how far it is from the first.
struct Between {
    int first, second;
    float distance;

    __device__ __forceinline__ Between(int index, int from, int to, bool align_corners) {
        float at = 0;
        if (align_corners) {
            if (to > 1) at = index * (static_cast<float>(from - 1) / static_cast<float>(to - 1));
        } else {
            at = fmaxf((index + 0.5f) * (static_cast<float>(from) / static_cast<float>(to)) - 0.5f, 0);
        }
        first = min(static_cast<int>(at), from - 1);
        second = min(first + 1, from - 1);
        distance = at - first;
    }
};

template <typename T, int V>
__device__ __forceinline__ void bilinear(const ResizeParams& p) {
    const Pixel<T, V> pixel(p);
    if (!pixel.valid) return;
    const Between rows(pixel.row, p.in_height, p.out_height, p.align_corners);
    const Between columns(pixel.column, p.in_width, p.out_width, p.align_corners);
    const Vector<T, V> corner[4] = {
        pixel.input(p, rows.first, columns.first), pixel.input(p, rows.first, columns.second),
        pixel.input(p, rows.second, columns.first), pixel.input(p, rows.second, columns.second)};
    float value[V];
#pragma unroll
    for (int i = 0; i < V; ++i) {
        const float right = columns.distance, down = rows.distance;
        const float above = corner[0].get(i) * (1 - right) + corner[1].get(i) * right;
        const float below = corner[2].get(i) * (1 - right) + corner[3].get(i) * right;
        value[i] = above * (1 - down) + below * down;
    }
    Vector<T, V> rounded;
    rounded.set(value);
    pixel.output(p, rounded);
}

template <typename T, int V>
__device__ __forceinline__ void average(const ResizeParams& p) {
    const Pixel<T, V> pixel(p);
    if (!pixel.valid) return;
    const int top = pixel.row * p.stride_height - p.pad_top;
    const int left = pixel.column * p.stride_width - p.pad_left;
    // With a rounded-up size, a window may reach beyond the padding: that never counts.
    const int bottom = min(top + p.kernel_height, p.in_height + p.pad_bottom);
    const int right = min(left + p.kernel_width, p.in_width + p.pad_right);
    const int first_row = max(top, 0), last_row = min(bottom, p.in_height);
    const int first_column = max(left, 0), last_column = min(right, p.in_width);
    float sum[V] = {};
    for (int row = first_row; row < last_row; ++row) {
        for (int column = first_column; column < last_column; ++column) {
            const Vector<T, V> vector = pixel.input(p, row, column);
#pragma unroll
            for (int i = 0; i < V; ++i) sum[i] += vector.get(i);
        }
    }
    const int count = p.count_padding ? (bottom - top) * (right - left)
                                      : (last_row - first_row) * (last_column - first_column);
#pragma unroll
    for (int i = 0; i < V; ++i) sum[i] /= count;
    Vector<T, V> rounded;
    rounded.set(sum);
    pixel.output(p, rounded);
}

#define KERNEL(FUNCTION, NAME, T, V)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                \
        oxd_##FUNCTION##_##NAME##_v##V(const __grid_constant__ ResizeParams p) {                         \
        FUNCTION<T, V>(p);                                                                               \
    }
#define KERNELS(NAME, T, V)                                                                              \
    KERNEL(nearest, NAME, T, V)                                                                          \
    KERNEL(bilinear, NAME, T, V)                                                                         \
    KERNEL(average, NAME, T, V)

KERNELS(f32, float, 1)
KERNELS(f32, float, 4)
KERNELS(f16, __half, 1)
KERNELS(f16, __half, 8)
KERNELS(bf16, __nv_bfloat16, 1)
KERNELS(bf16, __nv_bfloat16, 8)
