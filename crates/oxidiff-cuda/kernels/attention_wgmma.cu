// The instances of the attention kernel for Hopper.

// Other architectures have no wgmma.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#include "attention_wgmma.cuh"

#define OXD_ATTENTION(TYPE, T, DIM, GROUPS, KEYS, SLOTS, BLOCKS)                                           \
    extern "C" __global__ void __launch_bounds__((GROUPS + 1) * 128, BLOCKS)                               \
        oxd_attention_##TYPE##_wgmma_d##DIM##_g##GROUPS##_k##KEYS##_l##SLOTS##_b##BLOCKS(                  \
            const __grid_constant__ AttentionWgmmaParams p) {                                              \
        WgmmaAttention<T, DIM, GROUPS, KEYS, SLOTS, BLOCKS>::run(p);                                       \
    }

#define OXD_ATTENTIONS(TYPE, T)                                                                            \
    OXD_ATTENTION(TYPE, T, 40, 4, 64, 3, 1)                                                                \
    OXD_ATTENTION(TYPE, T, 64, 1, 64, 2, 3)                                                                \
    OXD_ATTENTION(TYPE, T, 80, 2, 128, 2, 1)                                                               \
    OXD_ATTENTION(TYPE, T, 96, 2, 128, 2, 1)                                                               \
    OXD_ATTENTION(TYPE, T, 128, 2, 128, 2, 1)                                                              \
    OXD_ATTENTION(TYPE, T, 160, 2, 64, 2, 1)                                                               \
    OXD_ATTENTION(TYPE, T, 160, 1, 64, 2, 2)                                                               \
    OXD_ATTENTION(TYPE, T, 256, 2, 64, 2, 1)

OXD_ATTENTIONS(bf16, __nv_bfloat16)
OXD_ATTENTIONS(f16, __half)
#endif
