// Short vectors of elements: loads, stores, conversions, and sums over a warp.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace oxd {

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x) {
    if constexpr (sizeof(T) == 4) {
        return x;
    } else if constexpr (__is_same(T, __half)) {
        return __float2half_rn(x);
    } else {
        return __float2bfloat16_rn(x);
    }
}

template <int BYTES> struct Bits;
template <> struct Bits<16> { using Type = uint4; };
template <> struct Bits<8> { using Type = uint2; };
template <> struct Bits<4> { using Type = uint32_t; };
template <> struct Bits<2> { using Type = uint16_t; };
template <> struct Bits<1> { using Type = uint8_t; };

// V neighbouring elements, moved by one instruction: the address must be a multiple of their size.
template <typename T, int V>
struct Vector {
    using Whole = typename Bits<V * sizeof(T)>::Type;

    alignas(V * sizeof(T)) T element[V];

    __device__ __forceinline__ void load(const void* from) {
        *reinterpret_cast<Whole*>(element) = *reinterpret_cast<const Whole*>(from);
    }
    // To global memory. The compiler would take a plain store of 16 bytes apart if that saves it moving
    // registers, and four times as many stores take four times as long.
    __device__ __forceinline__ void store(void* to) const {
        if constexpr (sizeof(Whole) == 16) {
            const uint4 whole = *reinterpret_cast<const uint4*>(element);
            asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                         "r"(whole.x), "r"(whole.y), "r"(whole.z), "r"(whole.w)
                         : "memory");
        } else {
            *reinterpret_cast<Whole*>(to) = *reinterpret_cast<const Whole*>(element);
        }
    }
    // Makes the compiler forget what it has computed from the elements, so that it keeps them and not their
    // conversions, which take twice the registers.
    __device__ __forceinline__ void forget() {
        if constexpr (V * sizeof(T) >= 4) {
#pragma unroll
            for (int i = 0; i < V * sizeof(T) / 4; ++i) {
                asm volatile("" : "+r"(reinterpret_cast<uint32_t*>(element)[i]));
            }
        }
    }
    __device__ __forceinline__ float get(int i) const { return to_float(element[i]); }

    // Rounds all values; pairs are converted by one instruction.
    __device__ __forceinline__ void set(const float (&value)[V]) {
        if constexpr (sizeof(T) == 4 || V == 1) {
#pragma unroll
            for (int i = 0; i < V; ++i) element[i] = from_float<T>(value[i]);
        } else {
#pragma unroll
            for (int i = 0; i < V; i += 2) {
                if constexpr (__is_same(T, __half)) {
                    *reinterpret_cast<__half2*>(element + i) = __floats2half2_rn(value[i], value[i + 1]);
                } else {
                    *reinterpret_cast<__nv_bfloat162*>(element + i) =
                        __floats2bfloat162_rn(value[i], value[i + 1]);
                }
            }
        }
    }
};

// Programmatic dependent launch, from compute capability 9.0 on: lets the next kernel begin, and waits until
// those before have ended. No memory may be touched before.
__device__ __forceinline__ void await_launches_before() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" ::: "memory");
#endif
}

// The sum over `lanes` neighbouring lanes, a power of two, in each of them.
__device__ __forceinline__ float lane_sum(float value, int lanes = 32) {
    for (int distance = lanes / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    return value;
}

__device__ __forceinline__ float lane_max(float value, int lanes = 32) {
    for (int distance = lanes / 2; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
}

// By the fast exponential and reciprocal, each of which is right to about 2^-22.
__device__ __forceinline__ float sigmoid(float x) {
    float power, inverse;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * -1.44269504f));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1 + power));
    return inverse;
}

__device__ __forceinline__ float silu(float x) { return x * sigmoid(x); }

}  // namespace oxd
