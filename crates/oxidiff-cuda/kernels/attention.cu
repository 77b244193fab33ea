// The instances of the attention kernels for any card; those for Hopper are in attention_wgmma.cu.
#include "attention_any.cuh"
#include "attention_mma.cuh"
#include "attention_wide.cuh"

// `BLOCKS` is how many blocks should fit on a multiprocessor, which bounds the registers.
#define OXD_TILED(TYPE, MATH, DIM, ROWS, WARPS, KEYS, SPLIT, BLOCKS)                                       \
    extern "C" __global__ void __launch_bounds__(WARPS * SPLIT * 32, BLOCKS)                               \
        oxd_attention_##TYPE##_d##DIM##_r##ROWS##_w##WARPS##_k##KEYS##_s##SPLIT(                           \
            const __grid_constant__ AttentionParams p) {                                                   \
        Attention<MATH, DIM, ROWS, WARPS, KEYS, SPLIT, false>::run(p);                                     \
    }

#define OXD_MASKED(TYPE, MATH, DIM, ROWS, WARPS, KEYS, SPLIT, BLOCKS)                                      \
    extern "C" __global__ void __launch_bounds__(WARPS * SPLIT * 32, BLOCKS)                               \
        oxd_attention_##TYPE##_d##DIM##_r##ROWS##_w##WARPS##_k##KEYS##_s##SPLIT##_masked(                  \
            const __grid_constant__ AttentionParams p) {                                                   \
        Attention<MATH, DIM, ROWS, WARPS, KEYS, SPLIT, true>::run(p);                                      \
    }

#define OXD_WIDE(TYPE, MATH, QUERIES, KEYS)                                                                \
    extern "C" __global__ void __launch_bounds__(256, 1)                                                   \
        oxd_attention_##TYPE##_wide_q##QUERIES##_k##KEYS##_c1(const __grid_constant__ AttentionParams p) { \
        WideAttention<MATH, QUERIES, KEYS, 1>::run(p);                                                     \
    }

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)
#define OXD_WIDE_CLUSTER(TYPE, MATH, QUERIES, KEYS)                                                        \
    extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(256, 1)                         \
        oxd_attention_##TYPE##_wide_q##QUERIES##_k##KEYS##_c2(const __grid_constant__ AttentionParams p) { \
        WideAttention<MATH, QUERIES, KEYS, 2>::run(p);                                                     \
    }
#else
#define OXD_WIDE_CLUSTER(TYPE, MATH, QUERIES, KEYS)
#endif

#define OXD_ANY(TYPE, T, WIDTH, WHOLE, SUFFIX, BLOCKS)                                                     \
    extern "C" __global__ void __launch_bounds__(128, BLOCKS)                                              \
        oxd_attention_##TYPE##_any##WIDTH##SUFFIX(const __grid_constant__ AttentionParams p) {             \
        AnyAttention<T, WIDTH, WIDTH, WHOLE>::run(p);                                                      \
    }

#define OXD_ATTENTION_16_BITS(TYPE, MATH)                                                                  \
    OXD_TILED(TYPE, MATH, 40, 32, 4, 32, 1, 4)                                                             \
    OXD_TILED(TYPE, MATH, 64, 32, 4, 32, 1, 3)                                                             \
    OXD_TILED(TYPE, MATH, 64, 16, 4, 64, 1, 3)                                                             \
    OXD_TILED(TYPE, MATH, 80, 32, 4, 64, 1, 2)                                                             \
    OXD_TILED(TYPE, MATH, 96, 32, 4, 32, 1, 2)                                                             \
    OXD_TILED(TYPE, MATH, 128, 32, 4, 32, 1, 2)                                                            \
    OXD_TILED(TYPE, MATH, 160, 16, 4, 32, 1, 2)                                                            \
    OXD_TILED(TYPE, MATH, 160, 16, 2, 32, 2, 2)                                                            \
    OXD_TILED(TYPE, MATH, 256, 16, 4, 32, 1, 1)                                                            \
    OXD_MASKED(TYPE, MATH, 40, 16, 4, 64, 1, 3)                                                            \
    OXD_MASKED(TYPE, MATH, 64, 16, 4, 64, 1, 3)                                                            \
    OXD_MASKED(TYPE, MATH, 80, 16, 4, 64, 1, 2)                                                            \
    OXD_MASKED(TYPE, MATH, 128, 16, 4, 32, 1, 2)                                                           \
    OXD_MASKED(TYPE, MATH, 160, 16, 4, 32, 1, 2)                                                           \
    OXD_MASKED(TYPE, MATH, 256, 16, 4, 32, 1, 1)                                                           \
    OXD_WIDE(TYPE, MATH, 64, 64)                                                                           \
    OXD_WIDE(TYPE, MATH, 64, 32)                                                                           \
    OXD_WIDE(TYPE, MATH, 32, 32)                                                                           \
    OXD_WIDE_CLUSTER(TYPE, MATH, 64, 64)

OXD_ATTENTION_16_BITS(bf16, Bf16Math)
OXD_ATTENTION_16_BITS(f16, F16Math)
OXD_ANY(f32, float, 64, true, _whole, 3)
OXD_ANY(f32, float, 128, true, _whole, 2)
OXD_ANY(f32, float, 160, true, _whole, 2)
OXD_ANY(f32, float, 128, false, , 2)
OXD_ANY(bf16, __nv_bfloat16, 128, false, , 2)
OXD_ANY(f16, __half, 128, false, , 2)
