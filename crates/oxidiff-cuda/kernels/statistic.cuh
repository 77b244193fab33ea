// Means and variances that are found in parts.
//
// Variances are never differences of large numbers: a thread subtracts its own first value from the others,
// and parts are combined by the formula of Chan, Golub and LeVeque (1979), in an order that does not depend
// on timing. A mean is the sum of a pivot and an offset, because f32 holds a mean of 3000 only to 1e-4.
#pragma once

#include "vector.cuh"

namespace oxd {

// Of `count` values: their mean, which is pivot + offset, and the sum of the squares of their distances from
// it.
struct alignas(16) Statistic {
    float count, pivot, offset, squares;
};

// The statistic of values that one thread sees. The pivot is one of them, so it cannot be far from all of
// them.
struct Running {
    float pivot = 0, sum = 0, squares = 0;

    __device__ __forceinline__ void add(float value) {
        const float distance = value - pivot;
        sum += distance;
        squares = fmaf(distance, distance, squares);
    }

    __device__ __forceinline__ Statistic statistic(int count) const {
        if (count == 0) return {0, 0, 0, 0};
        const float number = static_cast<float>(count);
        const float offset = __fdividef(sum, number);
        return {number, pivot, offset, fmaxf(squares - sum * offset, 0)};
    }
};

// Combines neighbouring statistics, some of which may be empty; all lanes of a warp do it together and get
// the result.
__device__ __forceinline__ Statistic combine(const Statistic* all, int entries) {
    const int lane = threadIdx.x % 32;
    const Statistic empty = {0, 0, 0, 0};
    const Statistic own = lane < entries ? all[lane] : empty;
    // The pivot is that of one that is not empty.
    Statistic some = own;
    for (int i = lane + 32; i < entries && some.count == 0; i += 32) some = all[i];
    const uint32_t present = __ballot_sync(0xffffffffu, some.count > 0);
    const float pivot = __shfl_sync(0xffffffffu, some.pivot, max(__ffs(present), 1) - 1);
    float count = own.count, sum = own.count * ((own.pivot - pivot) + own.offset);
#pragma unroll 4
    for (int i = lane + 32; i < entries; i += 32) {
        const Statistic one = all[i];
        count += one.count;
        sum += one.count * ((one.pivot - pivot) + one.offset);
    }
    count = lane_sum(count);
    sum = lane_sum(sum);
    const float offset = __fdividef(sum, fmaxf(count, 1));
    const auto distant = [&](const Statistic& one) {
        const float distance = ((one.pivot - pivot) - offset) + one.offset;
        return one.squares + one.count * distance * distance;
    };
    float squares = distant(own);
#pragma unroll 4
    for (int i = lane + 32; i < entries; i += 32) squares += distant(all[i]);
    const float mean = pivot + offset;
    return {count, mean, (pivot - mean) + offset, lane_sum(squares)};
}

}  // namespace oxd
