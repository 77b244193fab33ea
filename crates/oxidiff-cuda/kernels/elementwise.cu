// A program run for each element, and copies.
//
// A thread computes V neighbouring elements, so that decoding an instruction costs little for each. Its
// registers are in shared memory, because an instruction names them by number.

#include "typed.cuh"

using namespace oxd;

constexpr int MOST_DIMENSIONS = 6;
constexpr int MOST_OPERANDS = 10;
constexpr int MOST_INSTRUCTIONS = 32;
constexpr int THREADS = 128;

struct Operand {
    void* address;
    int64_t stride;  // along the innermost dimension, in elements; 0 repeats an element
    int32_t type;
    int32_t place;  // the register of an output
};

// What each launch needs comes first: every other line of the parameters costs a miss in the constant cache.
struct ElementwiseParams {
    int32_t dimensions, input_count, output_count, instruction_count;
    uint32_t row_vectors;  // vectors of the innermost dimension
    uint32_t vectors;      // of all
    int32_t length;        // of the innermost dimension
    int32_t unused;
    Operand operands[MOST_OPERANDS];   // input i, which is in register i at first; then the outputs
    uint32_t code[MOST_INSTRUCTIONS];  // from the lowest bit: 8 opcode, then 5 each: result, three arguments
    float constants[MOST_INSTRUCTIONS];
    int32_t outer_lengths[MOST_DIMENSIONS - 1];  // of the other dimensions, the innermost of them first
    int32_t unused_too;
    int64_t outer_strides[MOST_OPERANDS][MOST_DIMENSIONS - 1];
};

enum Opcode : uint32_t {
    CONSTANT,
    // One argument.
    NEG = 16, ABS, EXP, LOG, LOG1P, SQRT, RSQRT, RECIP, SQUARE, SIN, COS, TANH, ERF, SIGMOID, SILU, GELU,
    GELU_TANH, QUICK_GELU, RELU, FLOOR, CEIL, ROUND, TRUNC, SIGN, NOT,
    // Two arguments.
    ADD = 64, SUB, MUL, DIV, MIN, MAX, POW, REMAINDER, EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL,
    AND, OR,
    // Three arguments.
    SELECT = 128, CLAMP,
};

// The registers of a thread. Four elements are side by side, so that they move by one instruction.
template <typename R, int V>
struct Registers {
    static constexpr int SIDE = V % 4 == 0 ? 4 : 1;
    R* file;

    __device__ __forceinline__ R& at(int place, int element) const {
        return file[((place * (V / SIDE) + element / SIDE) * THREADS + threadIdx.x) * SIDE + element % SIDE];
    }
    __device__ __forceinline__ void get(int place, R (&value)[V]) const {
        if constexpr (SIDE == 4) {
#pragma unroll
            for (int i = 0; i < V; i += 4) {
                *reinterpret_cast<float4*>(value + i) = *reinterpret_cast<const float4*>(&at(place, i));
            }
        } else {
            value[0] = at(place, 0);
        }
    }
    __device__ __forceinline__ void set(int place, const R (&value)[V]) const {
        if constexpr (SIDE == 4) {
#pragma unroll
            for (int i = 0; i < V; i += 4) {
                *reinterpret_cast<float4*>(&at(place, i)) = *reinterpret_cast<const float4*>(value + i);
            }
        } else {
            at(place, 0) = value[0];
        }
    }
};

// Where a thread's elements are: `count` of them, along the innermost dimension.
struct Position {
    int inner, outer[MOST_DIMENSIONS - 1];
    int count;

    __device__ __forceinline__ Position(const ElementwiseParams& p, uint32_t vector, int width) {
        uint32_t row = 0;
        if (p.dimensions > 1) {
            row = vector / p.row_vectors;
            vector -= row * p.row_vectors;
        }
        inner = vector * width;
        count = min(width, p.length - inner);
#pragma unroll
        for (int i = 0; i < MOST_DIMENSIONS - 1; ++i) {
            if (i + 1 >= p.dimensions) break;
            const uint32_t next = row / p.outer_lengths[i];
            outer[i] = row - next * p.outer_lengths[i];
            row = next;
        }
    }
    __device__ __forceinline__ int64_t offset(const ElementwiseParams& p, int operand) const {
        int64_t sum = inner * p.operands[operand].stride;
#pragma unroll
        for (int i = 0; i < MOST_DIMENSIONS - 1; ++i) {
            if (i + 1 >= p.dimensions) break;
            sum += outer[i] * p.outer_strides[operand][i];
        }
        return sum;
    }
};

// Elements of one operand of type T as a thread has them; in as large pieces as the address allows.
template <typename T, int V>
struct Piece {
    static constexpr int WIDTH = V * sizeof(T) > 16 ? 16 / sizeof(T) : V;
    Vector<T, WIDTH> part[V / WIDTH];

    __device__ __forceinline__ T& element(int i) { return part[i / WIDTH].element[i % WIDTH]; }

    static __device__ __forceinline__ bool whole(const T* address, int64_t stride, int count) {
        const bool aligned = reinterpret_cast<uintptr_t>(address) % (WIDTH * sizeof(T)) == 0;
        return V > 1 && stride == 1 && count == V && aligned;
    }
    __device__ __forceinline__ void load(const T* from, int64_t stride, int count) {
        if (whole(from, stride, count)) {
#pragma unroll
            for (int i = 0; i < V / WIDTH; ++i) part[i].load(from + i * WIDTH);
        } else {
#pragma unroll
            for (int i = 0; i < V; ++i) {
                if (i < count) element(i) = from[i * stride];
            }
        }
    }
    __device__ __forceinline__ void store(T* to, int64_t stride, int count) {
        if (whole(to, stride, count)) {
#pragma unroll
            for (int i = 0; i < V / WIDTH; ++i) part[i].store(to + i * WIDTH);
        } else {
#pragma unroll
            for (int i = 0; i < V; ++i) {
                if (i < count) to[i * stride] = element(i);
            }
        }
    }
};

// Sine (or cosine) of x. The argument in half turns comes from f64, so that large ones need no slow path.
__device__ __forceinline__ float sine(float x, bool cosine) {
    double turns = x * 0.31830988618379067154;
    turns -= 2 * rint(turns / 2);
    return cosine ? cospif(static_cast<float>(turns)) : sinpif(static_cast<float>(turns));
}

// The remainder has the sign of the divisor.
template <typename R>
__device__ __forceinline__ R remainder_of(R a, R b) {
    R rest;
    if constexpr (__is_same(R, float)) {
        rest = fmodf(a, b);
    } else {
        rest = b == 0 ? 0 : a % b;
    }
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}


#define EACH(CODE, VALUE)                                                                                \
    case CODE:                                                                                           \
        _Pragma("unroll") for (int i = 0; i < V; ++i) a[i] = VALUE;                                      \
        break;
// For long functions: a loop, which reads and writes the registers one by one.
#define LOOP(CODE, VALUE)                                                                                \
    case CODE:                                                                                           \
        _Pragma("unroll 1") for (int i = 0; i < V; ++i) {                                                \
            const R x = registers.at(first, i), y = registers.at(second, i);                             \
            registers.at(result, i) = VALUE;                                                             \
        }                                                                                                \
        continue;

template <typename R, int V>
__device__ __forceinline__ void execute(const ElementwiseParams& p, const Registers<R, V>& registers) {
    for (int at = 0; at < p.instruction_count; ++at) {
        const uint32_t code = p.code[at];
        const uint32_t opcode = code & 255;
        const int result = code >> 8 & 31;
        const int first = code >> 13 & 31, second = code >> 18 & 31, third = code >> 23 & 31;
        R a[V], b[V], c[V];
        if (opcode >= NEG) registers.get(first, a);
        if (opcode >= ADD) registers.get(second, b);
        if (opcode >= SELECT) registers.get(third, c);
        switch (opcode) {
            EACH(CONSTANT, static_cast<R>(p.constants[at]))
            EACH(NEG, -a[i])
            EACH(ABS, a[i] < 0 ? -a[i] : a[i] + 0)
            EACH(SQUARE, a[i] * a[i])
            EACH(RELU, a[i] > 0 || a[i] != a[i] ? a[i] : 0)
            EACH(SIGN, a[i] > 0 ? 1 : a[i] < 0 ? -1 : a[i])
            EACH(NOT, a[i] == 0 ? 1 : 0)
            EACH(ADD, a[i] + b[i])
            EACH(SUB, a[i] - b[i])
            EACH(MUL, a[i] * b[i])
            EACH(MIN, a[i] != a[i] || a[i] < b[i] ? a[i] : b[i])
            EACH(MAX, a[i] != a[i] || a[i] > b[i] ? a[i] : b[i])
            EACH(EQUAL, a[i] == b[i] ? 1 : 0)
            EACH(LESS, a[i] < b[i] ? 1 : 0)
            EACH(LESS_EQUAL, a[i] <= b[i] ? 1 : 0)
            EACH(GREATER, a[i] > b[i] ? 1 : 0)
            EACH(GREATER_EQUAL, a[i] >= b[i] ? 1 : 0)
            EACH(AND, a[i] != 0 && b[i] != 0 ? 1 : 0)
            EACH(OR, a[i] != 0 || b[i] != 0 ? 1 : 0)
            EACH(SELECT, a[i] != 0 ? b[i] : c[i])
            LOOP(REMAINDER, remainder_of(x, y))
            EACH(CLAMP, a[i] < b[i] ? b[i] : a[i] > c[i] ? c[i] : a[i])
            default:
                if constexpr (__is_same(R, float)) {
                    switch (opcode) {
                        EACH(EXP, expf(a[i]))
                        EACH(SQRT, sqrtf(a[i]))
                        EACH(RSQRT, rsqrtf(a[i]))
                        EACH(RECIP, 1 / a[i])
                        EACH(DIV, a[i] / b[i])
                        EACH(SIGMOID, sigmoid(a[i]))
                        EACH(SILU, silu(a[i]))
                        EACH(QUICK_GELU, a[i] * sigmoid(1.702f * a[i]))
                        EACH(FLOOR, floorf(a[i]))
                        EACH(CEIL, ceilf(a[i]))
                        EACH(ROUND, rintf(a[i]))
                        EACH(TRUNC, truncf(a[i]))
                        LOOP(LOG, logf(x))
                        LOOP(LOG1P, log1pf(x))
                        LOOP(SIN, sine(x, false))
                        LOOP(COS, sine(x, true))
                        LOOP(TANH, tanhf(x))
                        LOOP(ERF, erff(x))
                        EACH(GELU, 0.5f * a[i] * (1 + erff(a[i] * 0.70710678f)))
                        LOOP(GELU_TANH, 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x))))
                        LOOP(POW, powf(x, y))
                        default: break;
                    }
                }
        }
        registers.set(result, a);
    }
}

template <typename R, int V>
__device__ __forceinline__ void elementwise(const ElementwiseParams& p) {
    extern __shared__ __align__(16) unsigned char memory[];
    const Registers<R, V> registers{reinterpret_cast<R*>(memory)};
    const uint32_t vector = blockIdx.x * THREADS + threadIdx.x;
    if (vector >= p.vectors) return;
    const Position position(p, vector, V);
    for (int input = 0; input < p.input_count; ++input) {
        const Operand& operand = p.operands[input];
        const int64_t offset = position.offset(p, input);
        R value[V];
        with_type(operand.type, [&](auto one) {
            using T = decltype(one);
            Piece<T, V> piece;
            piece.load(static_cast<const T*>(operand.address) + offset, operand.stride, position.count);
#pragma unroll
            for (int i = 0; i < V; ++i) value[i] = widen<R>(piece.element(i));
        });
        registers.set(input, value);
    }
    execute(p, registers);
    for (int output = 0; output < p.output_count; ++output) {
        const Operand& operand = p.operands[p.input_count + output];
        const int64_t offset = position.offset(p, p.input_count + output);
        R value[V];
        registers.get(operand.place, value);
        with_type(operand.type, [&](auto one) {
            using T = decltype(one);
            Piece<T, V> piece;
#pragma unroll
            for (int i = 0; i < V; ++i) piece.element(i) = narrow<T>(value[i]);
            piece.store(static_cast<T*>(operand.address) + offset, operand.stride, position.count);
        });
    }
}

// Moves elements of the type T, whatever they mean; all bits are kept.
template <typename T>
__device__ __forceinline__ void copy(const ElementwiseParams& p) {
    constexpr int V = 16 / sizeof(T);
    const uint32_t vector = blockIdx.x * THREADS + threadIdx.x;
    if (vector >= p.vectors) return;
    const Position position(p, vector, V);
    const Operand& from = p.operands[0];
    const Operand& to = p.operands[1];
    Piece<T, V> piece;
    piece.load(static_cast<const T*>(from.address) + position.offset(p, 0), from.stride, position.count);
    piece.store(static_cast<T*>(to.address) + position.offset(p, 1), to.stride, position.count);
}

#define KERNEL(NAME, ...)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                \
        oxd_##NAME(const __grid_constant__ ElementwiseParams p) {                                        \
        __VA_ARGS__(p);                                                                                  \
    }

KERNEL(elementwise_f32_v8, elementwise<float, 8>)
KERNEL(elementwise_f32_v1, elementwise<float, 1>)
KERNEL(elementwise_i64_v1, elementwise<long long, 1>)
KERNEL(copy_1, copy<uint8_t>)
KERNEL(copy_2, copy<uint16_t>)
KERNEL(copy_4, copy<uint32_t>)
KERNEL(copy_8, copy<uint2>)
