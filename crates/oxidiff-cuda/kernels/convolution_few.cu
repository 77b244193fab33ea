// 3x3 convolutions with at most four output channels (the last of a UNet or a decoder). As a product of
// patches they would read each pixel nine times for hardly any work. Here each pixel is multiplied once with
// the weights of all nine positions; an output is then the sum of nine products from the pixels around it
// ("kn2row": Vasudevan, Anderson and Gregg, "Parallel multi channel convolution using general matrix
// multiplication", 2017).
#include "convolution_mma.cuh"

constexpr int WARPS = 7;      // which divide the groups of pixels evenly for both sizes
constexpr int CHANNELS = 4;
constexpr int FRAGMENTS = 5;  // of 8 products: 9 positions x CHANNELS, and 4 columns of zeros
constexpr int PRODUCTS = FRAGMENTS * 8;

// A block computes SIZE x SIZE outputs, from EDGE x EDGE pixels in groups of 16.
template <int SIZE> struct Area {
    static constexpr int EDGE = SIZE + 2;
    static constexpr int PIXELS = EDGE * EDGE;
    static constexpr int GROUPS = (PIXELS + 15) / 16;
    // Products are stored by pixels within a column; a warp writes 8 pixels of every other column at once,
    // which this distance between columns spreads over all banks.
    static constexpr int PITCH = GROUPS * 16 + 4;
};

// A row of the weight in shared memory: an odd multiple of 64 bytes keeps the rows that a quarter of a warp
// reads apart.
template <typename T> __device__ __forceinline__ int weight_bytes(int in_channels) {
    return (in_channels * int(sizeof(T)) + 127) / 128 * 128 + 64;
}

template <typename Math, int SIZE> __device__ __forceinline__ void convolve_few(const ConvolutionParams& p) {
    using T = typename Math::Element;
    constexpr int EDGE = Area<SIZE>::EDGE, PITCH = Area<SIZE>::PITCH;
    constexpr int COUNT = Pack<T>::COUNT;
    constexpr int STEP = 4 * COUNT;  // channels that a group of four lanes takes at once
    constexpr int AHEAD = 5;         // chunks that a lane reads of each pixel before it needs the first
    extern __shared__ __align__(128) char shared[];
    float* products = reinterpret_cast<float*>(shared);
    char* weights = shared + PRODUCTS * PITCH * sizeof(float);
    const int weight_row = weight_bytes<T>(p.in_channels);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    join_launches();
    // Column position * CHANNELS + channel; zeros where there is none.
    const int chunks = p.in_channels / COUNT;
    for (int i = threadIdx.x; i < PRODUCTS * chunks; i += WARPS * 32) {
        const int column = i / chunks, chunk = i - column * chunks;
        const int position = column / CHANNELS, channel = column % CHANNELS;
        copy_chunk(uint32_t(__cvta_generic_to_shared(weights)) + column * weight_row + chunk * 16,
                   static_cast<const T*>(p.weight) + int64_t(channel) * p.weight_pitch +
                       int64_t(position) * p.in_channels + chunk * COUNT,
                   position < 9 && channel < p.out_channels);
    }
    commit_copies();
    await_copies<0>();
    __syncthreads();

    const int tiles_x = (p.out_width + SIZE - 1) / SIZE;
    const int first_y = blockIdx.x / tiles_x * SIZE, first_x = blockIdx.x % tiles_x * SIZE;
    const int item = blockIdx.y;
    for (int group = warp; group < Area<SIZE>::GROUPS; group += WARPS) {
        // This lane's pixels, lane / 4 and 8 further.
        const T* x[2];
        bool inside[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int pixel = group * 16 + i * 8 + lane / 4;
            const int pixel_y = first_y - p.pad_top + pixel / EDGE;
            const int pixel_x = first_x - p.pad_left + pixel % EDGE;
            inside[i] = pixel < Area<SIZE>::PIXELS && unsigned(pixel_y) < unsigned(p.in_height) &&
                        unsigned(pixel_x) < unsigned(p.in_width);
            x[i] = static_cast<const T*>(p.x) +
                   int64_t((item * p.in_height + pixel_y) * p.in_width + pixel_x) * p.x_pitch;
        }
        float sums[1][FRAGMENTS][4] = {};
        // All lanes of a warp take part in each product, those past the last channel with zeros.
        for (int start = 0; start < p.in_channels; start += AHEAD * STEP) {
            const int first = start + lane % 4 * COUNT;
            uint4 a[AHEAD][2];
#pragma unroll
            for (int i = 0; i < AHEAD; ++i)
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    a[i][j] = make_uint4(0, 0, 0, 0);
                    if (inside[j] && first + i * STEP < p.in_channels)
                        a[i][j] = __ldg(reinterpret_cast<const uint4*>(x[j] + first + i * STEP));
                }
            float batch[1][FRAGMENTS][4] = {};
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const int k = first + i * STEP;
                // A lane's chunk of each row serves two products; k is in the same order for both operands.
                Fragments<1, FRAGMENTS> low, high;
                low.a[0][0] = a[i][0].x, low.a[0][1] = a[i][1].x;
                low.a[0][2] = a[i][0].y, low.a[0][3] = a[i][1].y;
                high.a[0][0] = a[i][0].z, high.a[0][1] = a[i][1].z;
                high.a[0][2] = a[i][0].w, high.a[0][3] = a[i][1].w;
#pragma unroll
                for (int j = 0; j < FRAGMENTS; ++j) {
                    uint4 b = make_uint4(0, 0, 0, 0);
                    if (k < p.in_channels)
                        b = *reinterpret_cast<const uint4*>(weights + (j * 8 + lane / 4) * weight_row +
                                                            k * int(sizeof(T)));
                    low.b[j][0] = b.x, low.b[j][1] = b.y;
                    high.b[j][0] = b.z, high.b[j][1] = b.w;
                }
                Math::multiply(Math::FLUSH ? batch : sums, low);
                Math::multiply(Math::FLUSH ? batch : sums, high);
            }
            if (Math::FLUSH) {
#pragma unroll
                for (int j = 0; j < FRAGMENTS; ++j)
#pragma unroll
                    for (int e = 0; e < 4; ++e) sums[0][j][e] += batch[0][j][e];
            }
        }
        float* to = products + lane % 4 * 2 * PITCH + group * 16 + lane / 4;
#pragma unroll
        for (int j = 0; j < FRAGMENTS; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) to[(j * 8 + e % 2) * PITCH + e / 2 * 8] = sums[0][j][e];
    }
    __syncthreads();

    const Epilogue<T> epilogue(p);
    for (int i = threadIdx.x; i < SIZE * SIZE; i += WARPS * 32) {
        const int y = i / SIZE, x = i % SIZE;
        if (first_y + y >= p.out_height || first_x + x >= p.out_width) continue;
        float sum[COUNT] = {};
#pragma unroll
        for (int position = 0; position < 9; ++position)
#pragma unroll
            for (int channel = 0; channel < CHANNELS; ++channel)
                sum[channel] += products[(position * CHANNELS + channel) * PITCH +
                                         (y + position / 3) * EDGE + x + position % 3];
        epilogue.finish(sum, (item * p.out_height + first_y + y) * p.out_width + first_x + x, 0);
    }
}

#define OXD_CONVOLUTION_FEW(NAME, MATH, SIZE, BLOCKS)                                                      \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS)                                       \
        oxd_convolution_##NAME##_few##SIZE(const __grid_constant__ ConvolutionParams p) {                  \
        convolve_few<MATH, SIZE>(p);                                                                       \
    }

#define OXD_CONVOLUTION_FEW_SIZES(NAME, MATH, BLOCKS)                                                      \
    OXD_CONVOLUTION_FEW(NAME, MATH, 8, BLOCKS)                                                             \
    OXD_CONVOLUTION_FEW(NAME, MATH, 16, BLOCKS)

OXD_CONVOLUTION_FEW_SIZES(bf16, Bf16Math, 2)
OXD_CONVOLUTION_FEW_SIZES(f16, F16Math, 2)
OXD_CONVOLUTION_FEW_SIZES(f32, F32Math, 1)
OXD_CONVOLUTION_FEW_SIZES(tf32, Tf32Math, 1)
