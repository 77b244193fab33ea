// Wrappers for what Hopper (sm_90a) adds: barriers in shared memory that count bytes, bulk copies of tensor
// boxes, clusters of blocks (PTX ISA: mbarrier, cp.async.bulk.tensor, barrier.cluster).
#pragma once

#include <cstdint>

// A description of a tensor that the driver encodes (cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col).
struct alignas(64) TensorMap {
    uint64_t words[16];
};

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return uint32_t(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes initialized barriers visible to the copy engine.
__device__ __forceinline__ void barrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Arrive, and announce the bytes that copies will bring.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Arrive.
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Wait until the phase of this parity is complete.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(barrier), "r"(parity) : "memory");
}

__device__ __forceinline__ void prefetch_map(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// A box of a matrix into shared memory.
__device__ __forceinline__ void copy_box(uint32_t to, const TensorMap& map, uint32_t barrier, int column,
                                         int row) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
                 " [%0], [%1, {%3, %4}], [%2];" ::"r"(to), "l"(&map), "r"(barrier), "r"(column), "r"(row)
                 : "memory");
}

// The same of a tensor with five dimensions, of which the middle ones are copied whole.
__device__ __forceinline__ void copy_box_5d(uint32_t to, const TensorMap& map, uint32_t barrier, int column,
                                            int layer) {
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
                 " [%0], [%1, {%3, %4, %4, %4, %5}], [%2];" ::"r"(to), "l"(&map), "r"(barrier), "r"(column),
                 "r"(0), "r"(layer) : "memory");
}

// Consecutive pixels of images, each moved by (offset_x, offset_y), from pixel (x, y) of image `item` on;
// they wrap at the edges of the map's bounding box. Outside of the images are zeros.
__device__ __forceinline__ void copy_pixels(uint32_t to, const TensorMap& map, uint32_t barrier, int channel,
                                            int x, int y, int item, int offset_x, int offset_y) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes"
                 " [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(to), "l"(&map), "r"(barrier),
                 "r"(channel), "r"(x), "r"(y), "r"(item), "h"(uint16_t(offset_x)), "h"(uint16_t(offset_y))
                 : "memory");
}

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ __forceinline__ void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// An address in this block's shared memory, in that of block `rank` of the cluster.
__device__ __forceinline__ uint32_t address_at(uint32_t shared, uint32_t rank) {
    uint32_t remote;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared), "r"(rank));
    return remote;
}

__device__ __forceinline__ float4 load_remote(uint32_t address) {
    float4 four;
    asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(four.x), "=f"(four.y), "=f"(four.z), "=f"(four.w) : "r"(address) : "memory");
    return four;
}

// Wait until the launches before have ended, if this one was allowed to start early (programmatic dependent
// launch); what they wrote is visible then.
__device__ __forceinline__ void await_launches_before() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// Allow the next launch to start as soon as there is room.
__device__ __forceinline__ void allow_next_launch() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// A barrier of some warps of the block.
__device__ __forceinline__ void warps_sync(int number, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

// A warpgroup's registers per thread (setmaxnreg), in a kernel that is launched with between these.
template <int REGISTERS> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS> __device__ __forceinline__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
