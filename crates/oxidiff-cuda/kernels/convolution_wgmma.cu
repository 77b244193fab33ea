// Convolution and linear layers of 16-bit elements on Hopper (sm_90a only).
#include "convolution_wgmma.cuh"

#define OXD_CONVOLUTION(NAME, T, TILE_M, TILE_N, SPLITS, OCCUPANCY, END)                                   \
    extern "C" __global__ void __cluster_dims__(SPLITS, 1, 1)                                              \
        __launch_bounds__(Convolution<T, TILE_M, TILE_N, SPLITS, OCCUPANCY, End::END>::THREADS, OCCUPANCY) \
            oxd_convolution_##NAME##_wgmma_##TILE_M##x##TILE_N##x##SPLITS##_##OCCUPANCY##_##END(           \
                const __grid_constant__ ConvolutionWgmmaParams params) {                                   \
        Convolution<T, TILE_M, TILE_N, SPLITS, OCCUPANCY, End::END>::run(params);                          \
    }

#define OXD_CONVOLUTIONS(NAME, T)                                                                          \
    OXD_CONVOLUTION(NAME, T, 128, 80, 1, 1, PLAIN)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 80, 2, 1, PLAIN)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 80, 4, 1, PLAIN)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 80, 6, 1, PLAIN)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 128, 1, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 128, 128, 1, 2, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 128, 160, 1, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 128, 160, 2, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 128, 160, 3, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 256, 128, 1, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 256, 160, 1, 1, PLAIN)                                                        \
    OXD_CONVOLUTION(NAME, T, 128, 128, 1, 2, GATE)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 160, 1, 1, GATE)                                                         \
    OXD_CONVOLUTION(NAME, T, 256, 160, 1, 1, GATE)                                                         \
    OXD_CONVOLUTION(NAME, T, 128, 80, 1, 1, ACTIVATION)                                                    \
    OXD_CONVOLUTION(NAME, T, 128, 128, 1, 2, ACTIVATION)

OXD_CONVOLUTIONS(bf16, __nv_bfloat16)
OXD_CONVOLUTIONS(f16, __half)
