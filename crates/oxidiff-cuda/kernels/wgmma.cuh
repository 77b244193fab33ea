// Products of tiles in shared memory by a warpgroup (PTX ISA: wgmma.mma_async), for 16-bit elements.
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Describes a tile whose rows are 128 bytes of k, swizzled as the copy engine does (the 16-byte chunks of a
// row permuted by the row's number modulo 8). Groups of eight rows follow each other: 1024 bytes.
__device__ __forceinline__ uint64_t matrix_descriptor(uint32_t shared) {
    constexpr uint64_t GROUP_BYTES = 1024, SWIZZLE_128 = 1;
    return uint64_t((shared & 0x3ffff) >> 4) | uint64_t(1) << 16 | (GROUP_BYTES >> 4) << 32 | SWIZZLE_128 << 62;
}

// From one k16 to the next within a row of 128 bytes.
constexpr uint64_t DESCRIPTOR_STEP = 32 >> 4;

__device__ __forceinline__ void products_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING> __device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// sums += a * b, of 64 rows and COLUMNS columns. Of each eight columns a thread holds two neighbouring ones, in
// two rows that are eight apart.
template <typename T, int COLUMNS> struct Product;

#define OXD_N0 "%0, %1, %2, %3, %4, %5, %6, %7"
#define OXD_N1 OXD_N0 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define OXD_N2 OXD_N1 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define OXD_N3 OXD_N2 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define OXD_N4 OXD_N3 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define OXD_N5 OXD_N4 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define OXD_N6 OXD_N5 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define OXD_N7 OXD_N6 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define OXD_N8 OXD_N7 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define OXD_N9 OXD_N8 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define OXD_N10 OXD_N9 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define OXD_N11 OXD_N10 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define OXD_N12 OXD_N11 ", %96, %97, %98, %99, %100, %101, %102, %103"
#define OXD_N13 OXD_N12 ", %104, %105, %106, %107, %108, %109, %110, %111"
#define OXD_N14 OXD_N13 ", %112, %113, %114, %115, %116, %117, %118, %119"
#define OXD_N15 OXD_N14 ", %120, %121, %122, %123, %124, %125, %126, %127"

#define OXD_D(i)                                                                                           \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),            \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define OXD_D0 OXD_D(0)
#define OXD_D1 OXD_D0, OXD_D(8)
#define OXD_D2 OXD_D1, OXD_D(16)
#define OXD_D3 OXD_D2, OXD_D(24)
#define OXD_D4 OXD_D3, OXD_D(32)
#define OXD_D5 OXD_D4, OXD_D(40)
#define OXD_D6 OXD_D5, OXD_D(48)
#define OXD_D7 OXD_D6, OXD_D(56)
#define OXD_D8 OXD_D7, OXD_D(64)
#define OXD_D9 OXD_D8, OXD_D(72)
#define OXD_D10 OXD_D9, OXD_D(80)
#define OXD_D11 OXD_D10, OXD_D(88)
#define OXD_D12 OXD_D11, OXD_D(96)
#define OXD_D13 OXD_D12, OXD_D(104)
#define OXD_D14 OXD_D13, OXD_D(112)
#define OXD_D15 OXD_D14, OXD_D(120)

// LAST is the number of the last eight sums a thread holds; A and B number the operands after the sums.
#define OXD_PRODUCT(T, NAME, COLUMNS, LAST, A, B)                                                          \
    template <> struct Product<T, COLUMNS> {                                                               \
        static __device__ __forceinline__ void add(float (&d)[COLUMNS / 2], uint64_t a, uint64_t b) {      \
            asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." NAME "." NAME             \
                         " {" OXD_N##LAST "}, %" #A ", %" #B ", 1, 1, 1, 0, 0;"                            \
                         : OXD_D##LAST : "l"(a), "l"(b));                                                  \
        }                                                                                                  \
    };

#define OXD_PRODUCTS(COLUMNS, LAST, A, B)                                                                  \
    OXD_PRODUCT(__nv_bfloat16, "bf16", COLUMNS, LAST, A, B)                                                \
    OXD_PRODUCT(__half, "f16", COLUMNS, LAST, A, B)

OXD_PRODUCTS(80, 4, 40, 41)
OXD_PRODUCTS(128, 7, 64, 65)
OXD_PRODUCTS(160, 9, 80, 81)
