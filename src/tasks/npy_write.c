#include "tasks/npy_write.h"

#include <stdio.h>
#include <string.h>

#define PREFIX 10 // magic, version, and the header's length in two bytes

void npy_header(struct Buffer *out, size_t rows, size_t columns)
{
    char header[128];
    int n = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows,
                     columns);
    size_t length = (size_t)n + 1;                // with a newline at its end
    length += (64 - (PREFIX + length) % 64) % 64; // data start at a multiple of 64
    memset(header + n, ' ', sizeof header - (size_t)n);
    header[length - 1] = '\n';
    buffer_add(out, "\x93NUMPY\x01\x00", 8);
    buffer_add(out, (unsigned char[]){length & 255, length >> 8 & 255}, 2);
    buffer_add(out, header, length);
}
