// Group normalization of channels-last images, with or without SiLU.
//
// A block works on a slice of neighbouring groups and a part of the pixels. A thread keeps to one column: V
// neighbouring channels, in every `rows`th pixel of the part. They are units of S channels, each of one
// group. If the image fits, a slice belongs to one block or to one cluster of blocks, which keep it in
// registers and exchange their statistics ("resident"). Otherwise one kernel finds the statistics and another
// applies them.

#include "statistic.cuh"

using namespace oxd;

struct GroupNormParams {
    const void* x;       // T [batch, pixels, channels], pixels x_pitch elements apart
    const void* weight;  // T [channels]
    const void* bias;    // T [channels]
    void* y;             // T [batch, pixels, channels], pixels y_pitch elements apart
    void* partial;       // of the split kernels: Statistic [batch * groups][parts]
    int32_t pixels, x_pitch, y_pitch;
    int32_t activation;    // 0 none, 1 silu
    float epsilon;
    int32_t slice_groups;  // groups of a slice
    int32_t group_units;   // units of a group
    int32_t columns;       // vectors of a slice
    int32_t rows;          // pixels that a block visits at once; columns * rows threads have one
    int32_t reciprocal;    // 2^20 / columns, rounded up
    int32_t part_pixels;   // pixels of a part
    int32_t teams_log2;    // resident: log2 of how many warps share the entries of a group
};

constexpr int MOST_THREADS = 512;
constexpr int MOST_GROUPS = 32;
constexpr int CLUSTER = 8;

// What a block and a thread of it work on. Blocks: x the part, y the slice, z the item of the batch.
template <typename T, int V, int S>
struct Place {
    int column, row;
    int length;     // pixels of the part; 0 for a thread that has no row
    int64_t first;  // this thread's first pixel
    int channel;    // this column's first channel

    __device__ __forceinline__ Place(const GroupNormParams& p, int part) {
        row = threadIdx.x * p.reciprocal >> 20;
        column = threadIdx.x - row * p.columns;
        const int start = part * p.part_pixels;
        length = row < p.rows ? min(p.part_pixels, p.pixels - start) : 0;
        first = static_cast<int64_t>(blockIdx.z) * p.pixels + start + row;
        channel = (blockIdx.y * p.columns + column) * V;
    }
    __device__ __forceinline__ bool has(const GroupNormParams& p, int slot) const {
        return row + slot * p.rows < length;
    }
    __device__ __forceinline__ const T* input(const GroupNormParams& p) const {
        return static_cast<const T*>(p.x) + first * p.x_pitch + channel;
    }
    __device__ __forceinline__ T* output(const GroupNormParams& p) const {
        return static_cast<T*>(p.y) + first * p.y_pitch + channel;
    }
    // The first of this slice's groups, of all items of the batch.
    __device__ __forceinline__ int group(const GroupNormParams& p) const {
        return (blockIdx.z * gridDim.y + blockIdx.y) * p.slice_groups;
    }
};

// The statistics of a thread's column, a unit each.
template <typename T, int V, int S>
struct Column {
    Running unit[V / S];
    int count = 0;

    __device__ __forceinline__ void add(const Vector<T, V>& vector) {
#pragma unroll
        for (int i = 0; i < V / S; ++i) {
            if (count == 0) unit[i].pivot = vector.get(i * S);
#pragma unroll
            for (int j = 0; j < S; ++j) unit[i].add(vector.get(i * S + j));
        }
        ++count;
    }
};

// Combines the statistics of a block's threads. A group is shared by a power of two of warps; `use` gets what
// warp `team` of group `group` of the slice found, in all of its lanes.
template <typename T, int V, int S, typename Use>
__device__ __forceinline__ void combine_threads(const GroupNormParams& p, const Place<T, V, S>& place,
                                                const Column<T, V, S>& own, int teams_log2, Use use) {
    constexpr int UNITS = V / S;
    __shared__ Statistic entries[MOST_THREADS * (UNITS + 1)];
    // The entries of a unit are neighbours, and so are the units of a group. Between columns there is an
    // empty entry if that makes their distance odd: then the stores meet different banks.
    const int distance = UNITS * p.rows | 1;
    Statistic* to = entries + place.column * distance;
    if (place.row < p.rows) {
#pragma unroll
        for (int i = 0; i < UNITS; ++i) to[i * p.rows + place.row] = own.unit[i].statistic(own.count * S);
        if (place.row == 0 && UNITS * p.rows < distance) to[UNITS * p.rows] = {0, 0, 0, 0};
    }
    __syncthreads();
    const auto position = [&](int unit) { return unit / UNITS * distance + unit % UNITS * p.rows; };
#pragma unroll 1
    for (int i = threadIdx.x / 32; i < p.slice_groups << teams_log2; i += blockDim.x / 32) {
        const int group = i >> teams_log2, team = i & (1 << teams_log2) - 1;
        const int start = position(group * p.group_units), end = position((group + 1) * p.group_units);
        const int length = (end - start + (1 << teams_log2) - 1) >> teams_log2;
        const int mine = start + team * length;
        use(group, team, combine(entries + mine, min(length, end - mine)));
    }
}

// Combines `count` neighbouring statistics for each group of the slice; returns those of this thread's units.
template <typename T, int V, int S>
struct Groups {
    Statistic unit[V / S];

    __device__ __forceinline__ Groups(const GroupNormParams& p, const Place<T, V, S>& place,
                                      const Statistic* all, int count) {
        __shared__ Statistic groups[MOST_GROUPS];
#pragma unroll 1
        for (int i = threadIdx.x / 32; i < p.slice_groups; i += blockDim.x / 32) {
            const Statistic one = combine(all + static_cast<int64_t>(i) * count, count);
            if (threadIdx.x % 32 == 0) groups[i] = one;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < V / S; ++i) {
            const int group = (place.column * (V / S) + i) / p.group_units;
            unit[i] = groups[min(group, p.slice_groups - 1)];
        }
    }
};

// Weight and bias of a column, and with the statistics the whole function of an element.
template <typename T, int V, int S>
struct Affine {
    float scale[V], shift[V], pivot[V / S];

    __device__ __forceinline__ Affine(const GroupNormParams& p, int channel) {
        Vector<T, V> weight, bias;
        weight.load(static_cast<const T*>(p.weight) + channel);
        bias.load(static_cast<const T*>(p.bias) + channel);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            scale[i] = weight.get(i);
            shift[i] = bias.get(i);
        }
    }

    __device__ __forceinline__ void normalize(const Groups<T, V, S>& groups, float epsilon) {
#pragma unroll
        for (int i = 0; i < V / S; ++i) {
            const Statistic& all = groups.unit[i];
            const float factor = rsqrtf(__fdividef(all.squares, all.count) + epsilon);
            pivot[i] = all.pivot;
#pragma unroll
            for (int j = i * S; j < (i + 1) * S; ++j) {
                scale[j] *= factor;
                shift[j] = fmaf(-all.offset, scale[j], shift[j]);
            }
        }
    }

    __device__ __forceinline__ void apply(const Vector<T, V>& x, bool with_silu, T* y) const {
        float value[V];
#pragma unroll
        for (int i = 0; i < V; ++i) {
            value[i] = fmaf(x.get(i) - pivot[i / S], scale[i], shift[i]);
            if (with_silu) value[i] = silu(value[i]);
        }
        Vector<T, V> rounded;
        rounded.set(value);
        rounded.store(y);
    }
};

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
// Makes `arrived` ready for one arrival and `bytes` from other blocks, and says so to the cluster. All
// threads call it.
__device__ __forceinline__ void expect(uint64_t* arrived, uint32_t bytes) {
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(arrived)) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(arrived)),
                     "r"(bytes)
                     : "memory");
    }
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
// Waits until all blocks of the cluster have started.
__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// Sends `value` to the same place in the shared memory of another block of the cluster, and tells its
// `arrived`.
__device__ __forceinline__ void send(Statistic* to, uint64_t* arrived, uint32_t rank, const Statistic& one) {
    uint32_t address, barrier;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(to)), "r"(rank));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(barrier) : "r"(shared_address(arrived)), "r"(rank));
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];"
        ::"r"(address), "f"(one.count), "f"(one.pivot), "f"(one.offset), "f"(one.squares), "r"(barrier)
        : "memory");
}
// Waits until everything expected has arrived.
__device__ __forceinline__ void receive(uint64_t* arrived) {
    uint32_t done = 0;
    while (done == 0) {
        asm volatile(
            "{\n.reg .pred ready;\n"
            "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ready, [%1], 0;\n"
            "selp.u32 %0, 1, 0, ready;\n}"
            : "=r"(done)
            : "r"(shared_address(arrived))
            : "memory");
    }
}
#endif

// One block, or the blocks of a cluster, read a slice once and keep it: SLOTS vectors a thread.
template <typename T, int V, int S, int SLOTS, int BLOCKS>
__device__ __forceinline__ void resident(const GroupNormParams& p) {
    __shared__ Statistic exchanged[MOST_GROUPS * BLOCKS];
    const int count = BLOCKS << p.teams_log2;  // statistics of a group: all teams of all blocks
#if __CUDA_ARCH__ >= 900
    __shared__ uint64_t arrived;
    if constexpr (BLOCKS > 1) expect(&arrived, p.slice_groups * count * sizeof(Statistic));
#endif
    const Place<T, V, S> place(p, blockIdx.x);
    await_launches_before();
    const T* x = place.input(p);
    const int64_t x_step = static_cast<int64_t>(p.rows) * p.x_pitch;
    Vector<T, V> kept[SLOTS];
#pragma unroll
    for (int i = 0, at = place.row; i < SLOTS; ++i, at += p.rows) {
        if (at < place.length) kept[i].load(x);
        x += x_step;
    }
    Column<T, V, S> column;
#pragma unroll
    for (int i = 0, at = place.row; i < SLOTS; ++i, at += p.rows) {
        if (at < place.length) column.add(kept[i]);
        kept[i].forget();
    }
    Affine<T, V, S> affine(p, place.channel);

#if __CUDA_ARCH__ >= 900
    if constexpr (BLOCKS > 1) cluster_wait();
#endif
    combine_threads(p, place, column, p.teams_log2, [&](int group, int team, const Statistic& found) {
        const int lane = threadIdx.x % 32;
        if constexpr (BLOCKS == 1) {
            if (lane == 0) exchanged[group * count + team] = found;
        } else {
#if __CUDA_ARCH__ >= 900
            Statistic* to = exchanged + group * count + (cluster_rank() << p.teams_log2) + team;
            if (lane < BLOCKS) send(to, &arrived, lane, found);
#endif
        }
    });
    if constexpr (BLOCKS == 1) {
        __syncthreads();
    } else {
#if __CUDA_ARCH__ >= 900
        receive(&arrived);
#endif
    }
    affine.normalize(Groups<T, V, S>(p, place, exchanged, count), p.epsilon);

    T* y = place.output(p);
    const int64_t y_step = static_cast<int64_t>(p.rows) * p.y_pitch;
#pragma unroll
    for (int i = 0, at = place.row; i < SLOTS; ++i, at += p.rows) {
        if (at < place.length) affine.apply(kept[i], p.activation == 1, y);
        y += y_step;
    }
}

// Vectors that a thread of the split kernels has on their way at once.
constexpr int AHEAD = 4;

// The statistics of a part of a slice.
template <typename T, int V, int S>
__device__ __forceinline__ void statistics(const GroupNormParams& p) {
    const Place<T, V, S> place(p, blockIdx.x);
    await_launches_before();
    const T* x = place.input(p);
    const int64_t x_step = static_cast<int64_t>(p.rows) * p.x_pitch;
    Column<T, V, S> column;
    for (int start = 0; place.has(p, start); start += AHEAD) {
        Vector<T, V> vector[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            if (place.has(p, start + i)) vector[i].load(x + (start + i) * x_step);
        }
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            if (place.has(p, start + i)) column.add(vector[i]);
        }
    }
    const int64_t first = static_cast<int64_t>(place.group(p)) * gridDim.x;
    Statistic* partial = static_cast<Statistic*>(p.partial) + first + blockIdx.x;
    combine_threads(p, place, column, 0, [&](int group, int, const Statistic& found) {
        if (threadIdx.x % 32 == 0) partial[static_cast<int64_t>(group) * gridDim.x] = found;
    });
}

// Combines the statistics of all parts, and applies them to one. It goes backwards: the last pixels that were
// read for the statistics are those that are still in the L2 cache.
template <typename T, int V, int S>
__device__ __forceinline__ void apply(const GroupNormParams& p) {
    const Place<T, V, S> place(p, gridDim.x - 1 - blockIdx.x);
    await_launches_before();
    const T* x = place.input(p);
    T* y = place.output(p);
    const int64_t x_step = static_cast<int64_t>(p.rows) * p.x_pitch;
    const int64_t y_step = static_cast<int64_t>(p.rows) * p.y_pitch;
    int start = (max(p.part_pixels - 1, 0) / p.rows) / AHEAD * AHEAD;
    Vector<T, V> vector[AHEAD];
    const auto load = [&] {
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            if (place.has(p, start + i)) vector[i].load(x + (start + i) * x_step);
        }
    };
    load();
    Affine<T, V, S> affine(p, place.channel);
    const int64_t first = static_cast<int64_t>(place.group(p)) * gridDim.x;
    const Statistic* partial = static_cast<const Statistic*>(p.partial) + first;
    affine.normalize(Groups<T, V, S>(p, place, partial, gridDim.x), p.epsilon);
    while (true) {
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            if (place.has(p, start + i)) affine.apply(vector[i], p.activation == 1, y + (start + i) * y_step);
        }
        start -= AHEAD;
        if (start < 0) break;
        load();
    }
}

#define KERNEL(NAME, ATTRIBUTES, ...)                                                                    \
    extern "C" __global__ void ATTRIBUTES oxd_group_norm_##NAME(                                         \
        const __grid_constant__ GroupNormParams p) {                                                     \
        __VA_ARGS__(p);                                                                                  \
    }
#define BOUNDS __launch_bounds__(MOST_THREADS, 1)
#define CLUSTERS __cluster_dims__(CLUSTER, 1, 1)
#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)
#define CLUSTER_KERNEL(...) KERNEL(__VA_ARGS__)
#else
#define CLUSTER_KERNEL(...)
#endif
// FEW and MANY: vectors that a thread can keep. `choose` in src/launch/norm.rs knows these numbers.
#define KERNELS(NAME, T, V, S, FEW, MANY)                                                                \
    KERNEL(NAME##_v##V##s##S##_block, BOUNDS, resident<T, V, S, FEW, 1>)                                 \
    CLUSTER_KERNEL(NAME##_v##V##s##S##_cluster, BOUNDS CLUSTERS, resident<T, V, S, FEW, CLUSTER>)        \
    CLUSTER_KERNEL(NAME##_v##V##s##S##_cluster_many, BOUNDS CLUSTERS, resident<T, V, S, MANY, CLUSTER>)  \
    KERNEL(NAME##_v##V##s##S##_statistics, BOUNDS, statistics<T, V, S>)                                  \
    KERNEL(NAME##_v##V##s##S##_apply, BOUNDS, apply<T, V, S>)

KERNELS(f32, float, 1, 1, 5, 11)
KERNELS(f32, float, 4, 2, 5, 11)
KERNELS(f32, float, 4, 4, 5, 11)
KERNELS(f16, __half, 1, 1, 5, 11)
KERNELS(f16, __half, 8, 2, 5, 11)
KERNELS(f16, __half, 8, 4, 5, 11)
KERNELS(f16, __half, 8, 8, 5, 11)
KERNELS(bf16, __nv_bfloat16, 1, 1, 5, 11)
KERNELS(bf16, __nv_bfloat16, 8, 2, 5, 11)
KERNELS(bf16, __nv_bfloat16, 8, 4, 5, 11)
KERNELS(bf16, __nv_bfloat16, 8, 8, 5, 11)
