// Convolution and linear layers on the tensor cores of any card from sm_80 on, by mma.sync.
#include "convolution_tile.cuh"

// BLOCKS is how many blocks should fit on a multiprocessor, which bounds the registers.
#define OXD_CONVOLUTION(NAME, MATH, TILE_M, TILE_N, WARPS_M, WARPS_N, SLOTS, BLOCKS)                       \
    extern "C" __global__ void __launch_bounds__(WARPS_M * WARPS_N * 32, BLOCKS)                           \
        oxd_convolution_##NAME##_##TILE_M##x##TILE_N(const __grid_constant__ ConvolutionParams p) {        \
        convolve<MATH, TILE_M, TILE_N, WARPS_M, WARPS_N, SLOTS>(p);                                        \
    }

#define OXD_CONVOLUTION_ELEMENTS(NAME, MATH, BLOCKS)                                                       \
    extern "C" __global__ void __launch_bounds__(128, BLOCKS)                                              \
        oxd_convolution_##NAME##_any(const __grid_constant__ ConvolutionParams p) {                        \
        convolve_elements<MATH, 64, 64, 2, 2>(p);                                                          \
    }

#define OXD_CONVOLUTIONS_16_BITS(NAME, MATH)                                                               \
    OXD_CONVOLUTION(NAME, MATH, 128, 256, 2, 4, 3, 1)                                                      \
    OXD_CONVOLUTION(NAME, MATH, 128, 160, 2, 4, 3, 1)                                                      \
    OXD_CONVOLUTION(NAME, MATH, 128, 128, 2, 2, 3, 2)                                                      \
    OXD_CONVOLUTION(NAME, MATH, 64, 160, 1, 4, 3, 2)                                                       \
    OXD_CONVOLUTION(NAME, MATH, 64, 64, 2, 2, 3, 3)                                                        \
    OXD_CONVOLUTION(NAME, MATH, 32, 64, 1, 4, 4, 4)                                                        \
    OXD_CONVOLUTION(NAME, MATH, 128, 16, 4, 1, 4, 3)                                                       \
    OXD_CONVOLUTION_ELEMENTS(NAME, MATH, 5)

OXD_CONVOLUTIONS_16_BITS(bf16, Bf16Math)
OXD_CONVOLUTIONS_16_BITS(f16, F16Math)
OXD_CONVOLUTION(f32, F32Math, 64, 64, 2, 2, 3, 2)
OXD_CONVOLUTION(f32, F32Math, 32, 64, 1, 4, 4, 4)
OXD_CONVOLUTION_ELEMENTS(f32, F32Math, 4)
OXD_CONVOLUTION(tf32, Tf32Math, 128, 160, 2, 4, 3, 1)
OXD_CONVOLUTION(tf32, Tf32Math, 128, 128, 2, 2, 3, 2)
OXD_CONVOLUTION(tf32, Tf32Math, 64, 64, 2, 2, 3, 3)
OXD_CONVOLUTION(tf32, Tf32Math, 32, 64, 1, 4, 4, 4)
OXD_CONVOLUTION_ELEMENTS(tf32, Tf32Math, 5)
