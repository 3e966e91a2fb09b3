#include "engine/products.h"

const char *product_kernel_name(enum ProductKernel product)
{
    static const char *const names[PRODUCT_KERNELS] = {
        [QKV] = "qkv", [PROJECT] = "project", [EXPAND] = "expand", [CONTRACT] = "contract", [HEAD] = "head"};
    return names[product];
}
