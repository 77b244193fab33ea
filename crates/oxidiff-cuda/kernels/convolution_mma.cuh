// The pieces of the tensor-core convolution below the level of tiles: asynchronous copies, matrix fragments
// and the products of the element types (PTX ISA: cp.async, ldmatrix, mma).
#pragma once

#include "convolution.cuh"

// Let the next launch start as soon as there is room, and wait until the launches before have ended, if this
// one was allowed to start early (programmatic dependent launch, from compute capability 9.0 on). No memory
// may be touched before.
__device__ __forceinline__ void join_launches() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" ::: "memory");
#endif
}

// Shared memory holds tiles as lines of 128 bytes, each a row of the tile. The 16-byte chunks of a line are
// permuted by the lowest bits of the row's number, so that ldmatrix, which reads the same chunk of eight
// rows at once, finds them in different banks.
constexpr int LINE_BYTES = 128;
constexpr int LINE_CHUNKS = LINE_BYTES / 16;

// One mma takes 32 bytes of a line (16 elements of 16 bits, or 8 of 32).
constexpr int LINE_PRODUCTS = LINE_BYTES / 32;

__device__ __forceinline__ uint32_t line_chunk(int row, int chunk) {
    return row * LINE_BYTES + ((chunk ^ (row & 7)) << 4);
}

// Copy 16 bytes to shared memory without passing through registers or L1; zeros where not `valid`.
__device__ __forceinline__ void copy_chunk(uint32_t to, const void* from, bool valid) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(valid ? 16 : 0) : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int PENDING> __device__ __forceinline__ void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t (&to)[2], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1]) : "r"(from) : "memory");
}

// The operands of a warp for one step of 32 bytes along k: ROWS fragments of 16 rows, COLUMNS of 8 columns.
template <int ROWS, int COLUMNS> struct Fragments {
    uint32_t a[ROWS][4];
    uint32_t b[COLUMNS][2];
};

// Where a lane's addresses for ldmatrix start. For 32-bit elements ldmatrix works as for pairs of 16-bit
// ones: each thread gets the element that mma wants from it.
struct FragmentReader {
    uint32_t a, b;          // shared addresses of the lane's line in the tiles, without the slot's offset
    uint32_t a_chunk, b_chunk;  // the permuted chunk of product 0

    __device__ __forceinline__ FragmentReader(uint32_t tile_a, uint32_t tile_b, int lane)
        : a(tile_a + ((lane & 7) + ((lane >> 3) & 1) * 8) * LINE_BYTES),
          b(tile_b + ((lane & 7) + (lane >> 4) * 8) * LINE_BYTES),
          a_chunk(((lane >> 4) ^ (lane & 7)) << 4), b_chunk((((lane >> 3) & 1) ^ (lane & 7)) << 4) {}

    template <int ROWS, int COLUMNS>
    __device__ __forceinline__ void read(Fragments<ROWS, COLUMNS>& to, uint32_t slot, int product) const {
        const uint32_t from_a = a + slot + (a_chunk ^ (product * 32));
        const uint32_t from_b = b + slot + (b_chunk ^ (product * 32));
#pragma unroll
        for (int i = 0; i < ROWS; ++i) load_matrices(to.a[i], from_a + i * 16 * LINE_BYTES);
#pragma unroll
        for (int i = 0; i + 1 < COLUMNS; i += 2) {
            uint32_t pair[4];
            load_matrices(pair, from_b + i * 8 * LINE_BYTES);
            to.b[i][0] = pair[0], to.b[i][1] = pair[1];
            to.b[i + 1][0] = pair[2], to.b[i + 1][1] = pair[3];
        }
        if (COLUMNS % 2 == 1) load_matrices(to.b[COLUMNS - 1], from_b + (COLUMNS - 1) * 8 * LINE_BYTES);
    }
};

// sums += a * b for all pairs of fragments.
template <typename Math, int ROWS, int COLUMNS>
__device__ __forceinline__ void multiply_all(float (&sums)[ROWS][COLUMNS][4],
                                             const Fragments<ROWS, COLUMNS>& operands) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
#pragma unroll
        // Back and forth, so that neighbouring products share an operand.
        for (int j = 0; j < COLUMNS; ++j) {
            const int column = i % 2 == 0 ? j : COLUMNS - 1 - j;
            Math::product(sums[i][column], operands.a[i], operands.b[column]);
        }
    }
}

#define OXD_MMA(SHAPE, TYPES)                                                                            \
    asm("mma.sync.aligned." SHAPE ".row.col." TYPES                                              \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                       \
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                                 \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

struct Bf16Math {
    using Element = __nv_bfloat16;
    static constexpr bool FLUSH = false;
    __device__ static __forceinline__ void product(float (&sum)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
        OXD_MMA("m16n8k16", "f32.bf16.bf16.f32");
    }
    template <int ROWS, int COLUMNS>
    __device__ static __forceinline__ void multiply(float (&sums)[ROWS][COLUMNS][4],
                                                    Fragments<ROWS, COLUMNS>& operands) {
        multiply_all<Bf16Math>(sums, operands);
    }
};

struct F16Math {
    using Element = __half;
    static constexpr bool FLUSH = false;
    __device__ static __forceinline__ void product(float (&sum)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
        OXD_MMA("m16n8k16", "f32.f16.f16.f32");
    }
    template <int ROWS, int COLUMNS>
    __device__ static __forceinline__ void multiply(float (&sums)[ROWS][COLUMNS][4],
                                                    Fragments<ROWS, COLUMNS>& operands) {
        multiply_all<F16Math>(sums, operands);
    }
};

// The nearest number with 10 bits of mantissa.
__device__ __forceinline__ uint32_t to_tf32(uint32_t bits) {
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
    return rounded;
}

// f32 elements rounded to TF32.
struct Tf32Math {
    using Element = float;
    static constexpr bool FLUSH = false;
    __device__ static __forceinline__ void product(float (&sum)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
        OXD_MMA("m16n8k8", "f32.tf32.tf32.f32");
    }
    template <int ROWS, int COLUMNS>
    __device__ static __forceinline__ void multiply(float (&sums)[ROWS][COLUMNS][4],
                                                    Fragments<ROWS, COLUMNS>& operands) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) operands.a[i][j] = to_tf32(operands.a[i][j]);
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i)
#pragma unroll
            for (int j = 0; j < 2; ++j) operands.b[i][j] = to_tf32(operands.b[i][j]);
        multiply_all<Tf32Math>(sums, operands);
    }
};

// f32 products nearly exact: x = big + small, both TF32, and x * y = big * big + big * small + small * big
// (the fourth product is below the rounding of f32). The tensor core cuts off what does not fit into the
// sum where f32 addition rounds, which would add up over a long k; FLUSH therefore has each line's sum
// formed apart and added in f32 (Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores
// while surpassing the FP32 theoretical peak performance", 2022).
struct F32Math {
    using Element = float;
    static constexpr bool FLUSH = true;
    // `small` is left to the tensor core, which ignores the bits that TF32 does not have.
    __device__ static __forceinline__ void split(uint32_t& value, uint32_t& small) {
        const uint32_t big = (value + 0x1000) & 0xffffe000;
        small = __float_as_uint(__uint_as_float(value) - __uint_as_float(big));
        value = big;
    }
    template <int ROWS, int COLUMNS>
    __device__ static __forceinline__ void multiply(float (&sums)[ROWS][COLUMNS][4],
                                                    Fragments<ROWS, COLUMNS>& operands) {
        uint32_t small_a[ROWS][4], small_b[COLUMNS][2];
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) split(operands.a[i][j], small_a[i][j]);
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i)
#pragma unroll
            for (int j = 0; j < 2; ++j) split(operands.b[i][j], small_b[i][j]);
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) Tf32Math::product(sums[i][j], small_a[i], operands.b[j]);
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) Tf32Math::product(sums[i][j], operands.a[i], small_b[j]);
        multiply_all<Tf32Math>(sums, operands);
    }
};
