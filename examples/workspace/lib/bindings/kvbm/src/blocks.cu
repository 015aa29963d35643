// Copies cache blocks on a GPU: block `to[i]` of a pool gets what block `from[i]` holds.
#include <cstdint>
#include <cuda_runtime.h>

__global__ void copy_blocks(uint8_t *pool, const uint32_t *from, const uint32_t *to, size_t size)
{
    const uint8_t *source = pool + from[blockIdx.x] * size;
    uint8_t *target = pool + to[blockIdx.x] * size;
    for (size_t byte = threadIdx.x; byte < size; byte += blockDim.x)
        target[byte] = source[byte];
}

// Starts the copies; what it returns is CUDA's status.
extern "C" int kvbm_copy(void *pool, const uint32_t *from, const uint32_t *to, uint32_t count,
                         size_t size)
{
    copy_blocks<<<count, 256>>>(static_cast<uint8_t *>(pool), from, to, size);
    return cudaGetLastError();
}

// The version of the CUDA runtime, such as 13000, and how many GPUs it finds; without a
// driver there are none.
extern "C" void kvbm_cuda(uint64_t *version, uint64_t *devices)
{
    int found = 0, number = 0;
    *version = cudaRuntimeGetVersion(&number) == cudaSuccess ? number : 0;
    *devices = cudaGetDeviceCount(&found) == cudaSuccess ? found : 0;
}
