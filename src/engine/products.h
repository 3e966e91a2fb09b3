// The matrix products of a model, y = W x + b: four in a layer, and the head.
#ifndef VKGPT_ENGINE_PRODUCTS_H
#define VKGPT_ENGINE_PRODUCTS_H

enum ProductKernel { QKV, PROJECT, EXPAND, CONTRACT, HEAD, PRODUCT_KERNELS };
#define LAYER_PRODUCTS HEAD // of a layer: those before it

const char *product_kernel_name(enum ProductKernel product); // "qkv"

#endif
