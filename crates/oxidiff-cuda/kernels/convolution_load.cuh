// How the operands' tiles of the tensor-core convolution come into shared memory.
#pragma once

#include "convolution_mma.cuh"

// Where the rows of a tile (output pixels) begin to read x: the number of pixels in x before their item, and
// the coordinates of the kernel's first position, upsampled, which lie outside the image where it is padded.
template <int ROWS> struct RowTable {
    int item[ROWS], y[ROWS], x[ROWS];

    // A row past the last one lies outside the image at every position.
    static constexpr int OUTSIDE = -(1 << 30);

    __device__ __forceinline__ void fill(const ConvolutionParams& p, int first_row) {
        const int rows = output_rows(p);
        for (int i = threadIdx.x; i < ROWS; i += blockDim.x) {
            const unsigned row = first_row + i;
            const unsigned line = row / unsigned(p.out_width);
            const unsigned batch = line / unsigned(p.out_height);
            item[i] = batch * p.in_height * p.in_width;
            y[i] = row < unsigned(rows) ? int(line - batch * p.out_height) * p.stride - p.pad_top : OUTSIDE;
            x[i] = int(row - line * p.out_width) * p.stride - p.pad_left;
        }
    }
};

// Loads by 16-byte chunks. k is walked in steps of one line of channels at one position of the kernel.
template <typename T, int TILE_M, int TILE_N, int THREADS> struct ChunkLoader {
    static constexpr int COUNT = Pack<T>::COUNT;
    static constexpr int LINE = LINE_CHUNKS * COUNT;
    static constexpr int PASS = THREADS / LINE_CHUNKS;  // rows that the block loads at once
    static constexpr int PIXELS = TILE_M / PASS;
    static constexpr int WEIGHTS = TILE_N / PASS;
    static_assert(TILE_M % PASS == 0 && TILE_N % PASS == 0 && PASS % 8 == 0, "whole passes");
    static_assert(PIXELS + WEIGHTS <= 32, "a bit each");

    const ConvolutionParams& p;
    const RowTable<TILE_M>& table;
    int channels;             // how many channels are left from this thread's chunk on
    int kernel_y, kernel_x;
    const char* weight;       // this thread's chunk of its first row's line
    uint32_t x[PIXELS];       // this thread's chunk of each row's line, by its number in p.x
    uint32_t inside;          // bit i: whether x[i] lies in the image; PIXELS + i: whether weight i exists

    // This thread's first row of a tile, its chunk of each line, and the offset of its first chunk in a tile.
    static __device__ __forceinline__ int row() { return threadIdx.x / LINE_CHUNKS; }
    static __device__ __forceinline__ int chunk() { return threadIdx.x % LINE_CHUNKS; }
    static __device__ __forceinline__ uint32_t to() { return line_chunk(row(), chunk()); }

    static __device__ __forceinline__ int lines(const ConvolutionParams& p) {
        return (p.in_channels + LINE - 1) / LINE;
    }
    static __device__ __forceinline__ int steps(const ConvolutionParams& p) {
        return p.kernel_height * p.kernel_width * lines(p);
    }

    __device__ __forceinline__ ChunkLoader(const ConvolutionParams& params, const RowTable<TILE_M>& rows,
                                           int first_column, int first_step)
        : p(params), table(rows), kernel_y(0), kernel_x(0), inside(0) {
        int line = first_step, position = 0;
        if (first_step >= lines(p)) {
            position = first_step / lines(p);
            line = first_step - position * lines(p);
            kernel_y = position / p.kernel_width;
            kernel_x = position - kernel_y * p.kernel_width;
        }
        weight = static_cast<const char*>(p.weight) +
                 (int64_t(first_column + row()) * p.weight_pitch + int64_t(position) * p.in_channels +
                  line * LINE + chunk() * COUNT) * int(sizeof(T));
#pragma unroll
        for (int i = 0; i < WEIGHTS; ++i) {
            if (first_column + row() + i * PASS < p.out_channels) inside |= 1u << (PIXELS + i);
        }
        enter_position(line);
    }

    __device__ __forceinline__ void enter_position(int line) {
        const int shift = p.upsample - 1;
        channels = p.in_channels - line * LINE - chunk() * COUNT;
        inside &= ~0u << PIXELS;
#pragma unroll
        for (int i = 0; i < PIXELS; ++i) {
            const int pixel_y = table.y[row() + i * PASS] + kernel_y;
            const int pixel_x = table.x[row() + i * PASS] + kernel_x;
            if (unsigned(pixel_y) < unsigned(p.in_height << shift) &&
                unsigned(pixel_x) < unsigned(p.in_width << shift))
                inside |= 1u << i;
            const int pixel =
                table.item[row() + i * PASS] + (pixel_y >> shift) * p.in_width + (pixel_x >> shift);
            x[i] = uint32_t(pixel) * (p.x_pitch / COUNT) + line * LINE_CHUNKS + chunk();
        }
    }

    // Start the copies of share `SHARE` of `SHARES` of the present step into the tiles.
    template <int SHARE, int SHARES>
    __device__ __forceinline__ void copy(uint32_t tile_a, uint32_t tile_b) const {
#pragma unroll
        for (int i = SHARE * PIXELS / SHARES; i < (SHARE + 1) * PIXELS / SHARES; ++i)
            copy_chunk(tile_a + to() + i * PASS * LINE_BYTES,
                       static_cast<const char*>(p.x) + uint64_t(x[i]) * 16,
                       channels > 0 && (inside >> i & 1) != 0);
#pragma unroll
        for (int i = SHARE * WEIGHTS / SHARES; i < (SHARE + 1) * WEIGHTS / SHARES; ++i)
            copy_chunk(tile_b + to() + i * PASS * LINE_BYTES,
                       weight + int64_t(i * PASS) * p.weight_pitch * int(sizeof(T)),
                       channels > 0 && (inside >> (PIXELS + i) & 1) != 0);
    }

    __device__ __forceinline__ void next_step() {
        const int left = channels + chunk() * COUNT;  // channels at this position, from the line's start on
        channels -= LINE;
        if (left > LINE) {
            weight += LINE_BYTES;
#pragma unroll
            for (int i = 0; i < PIXELS; ++i) x[i] += LINE_CHUNKS;
            return;
        }
        // The next position's channels follow those of this one, which need not have filled the last line.
        weight += left * int(sizeof(T));
        if (++kernel_x == p.kernel_width) {
            kernel_x = 0;
            ++kernel_y;
        }
        enter_position(0);
    }
};

// Loads for channels, pitches and addresses that 16-byte chunks do not fit: by 8 bytes where that is possible
// (four channels of 16 bits, as latents have), else by single elements. k is walked as (position, channel)
// without gaps, so that few channels do not leave the lines mostly empty.
template <typename T, int TILE_M, int TILE_N, int THREADS> struct ElementLoader {
    static constexpr int LINE = LINE_BYTES / sizeof(T);

    static __device__ __forceinline__ int steps(const ConvolutionParams& p) {
        return (p.kernel_height * p.kernel_width * p.in_channels + LINE - 1) / LINE;
    }

    // Whether all units of 8 bytes along k are in one position of the kernel, and aligned.
    static __device__ __forceinline__ bool eights_fit(const ConvolutionParams& p) {
        const uintptr_t bytes = uint32_t(p.in_channels | p.x_pitch | p.weight_pitch) * sizeof(T);
        return ((bytes | reinterpret_cast<uintptr_t>(p.x) | reinterpret_cast<uintptr_t>(p.weight)) & 7) == 0;
    }

    static __device__ __forceinline__ void load(const ConvolutionParams& p, const RowTable<TILE_M>& table,
                                                int first_column, int step, char* tile_a, char* tile_b) {
        if (eights_fit(p)) {
            load_units<8>(p, table, first_column, step, tile_a, tile_b);
            commit_copies();
            await_copies<0>();
        } else {
            load_units<sizeof(T)>(p, table, first_column, step, tile_a, tile_b);
        }
    }

    template <int BYTES>
    static __device__ __forceinline__ void load_unit(char* tile, int row, int at, const T* from, bool valid) {
        char* to = tile + line_chunk(row, at * BYTES / 16) + at * BYTES % 16;
        if (BYTES == 8) {
            const uint32_t shared = uint32_t(__cvta_generic_to_shared(to));
            asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared), "l"(from),
                         "r"(valid ? 8 : 0) : "memory");
        } else {
            *reinterpret_cast<T*>(to) = valid ? *from : from_float<T>(0.0f);
        }
    }

    template <int BYTES>
    static __device__ __forceinline__ void load_units(const ConvolutionParams& p,
                                                      const RowTable<TILE_M>& table, int first_column,
                                                      int step, char* tile_a, char* tile_b) {
        constexpr int UNITS = LINE_BYTES / BYTES;
        constexpr int PASS = THREADS / UNITS;  // rows that the block loads at once
        const int at = threadIdx.x % UNITS;
        const int k = step * LINE + at * (BYTES / int(sizeof(T)));
        const int position = k / p.in_channels;
        const int channel = k - position * p.in_channels;
        const int kernel_y = position / p.kernel_width;
        const int kernel_x = position - kernel_y * p.kernel_width;
        const bool exists = kernel_y < p.kernel_height;
        const int shift = p.upsample - 1;
        const T* x = static_cast<const T*>(p.x) + channel;
        const T* weight = static_cast<const T*>(p.weight) + int64_t(first_column) * p.weight_pitch + k;
#pragma unroll 16
        for (int row = threadIdx.x / UNITS; row < TILE_M; row += PASS) {
            const int pixel_y = table.y[row] + kernel_y;
            const int pixel_x = table.x[row] + kernel_x;
            const bool inside = exists && unsigned(pixel_y) < unsigned(p.in_height << shift) &&
                                unsigned(pixel_x) < unsigned(p.in_width << shift);
            const int pixel = table.item[row] + (pixel_y >> shift) * p.in_width + (pixel_x >> shift);
            load_unit<BYTES>(tile_a, row, at, x + int64_t(pixel) * p.x_pitch, inside);
        }
#pragma unroll 16
        for (int row = threadIdx.x / UNITS; row < TILE_N; row += PASS)
            load_unit<BYTES>(tile_b, row, at, weight + int64_t(row) * p.weight_pitch,
                             exists && first_column + row < p.out_channels);
    }
};
