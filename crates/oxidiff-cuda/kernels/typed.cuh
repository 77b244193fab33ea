// Elements whose type is known only when a kernel runs.
#pragma once

#include "vector.cuh"

namespace oxd {

enum ElementType : int32_t { F32, F16, BF16, I64, I32, U8 };

// Calls `use` with a value of the type that `type` names; all threads of a block must have the same one.
template <typename Use>
__device__ __forceinline__ void with_type(int32_t type, Use use) {
    switch (type) {
        case F32: return use(float());
        case F16: return use(__half());
        case BF16: return use(__nv_bfloat16());
        case I64: return use(static_cast<long long>(0));
        case I32: return use(static_cast<int>(0));
        default: return use(static_cast<unsigned char>(0));
    }
}

// Conversion for computing in R, which is float or long long; from there, numbers are cut off to integers.
template <typename R, typename T>
__device__ __forceinline__ R widen(T x) {
    if constexpr (__is_same(T, __half) || __is_same(T, __nv_bfloat16)) {
        return static_cast<R>(to_float(x));
    } else {
        return static_cast<R>(x);
    }
}

template <typename T, typename R>
__device__ __forceinline__ T narrow(R x) {
    if constexpr (__is_same(T, __half) || __is_same(T, __nv_bfloat16)) {
        return from_float<T>(static_cast<float>(x));
    } else {
        return static_cast<T>(x);
    }
}

template <typename R>
__device__ __forceinline__ R load_typed(const void* from, int32_t type, int64_t position) {
    R value;
    with_type(type, [&](auto one) {
        using T = decltype(one);
        value = widen<R>(static_cast<const T*>(from)[position]);
    });
    return value;
}

template <typename R>
__device__ __forceinline__ void store_typed(void* to, int32_t type, int64_t position, R value) {
    with_type(type, [&](auto one) {
        using T = decltype(one);
        static_cast<T*>(to)[position] = narrow<T>(value);
    });
}

}  // namespace oxd
