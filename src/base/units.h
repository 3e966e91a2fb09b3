// Sizes in the units that people read.
#ifndef VKGPT_BASE_UNITS_H
#define VKGPT_BASE_UNITS_H

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GB 1e9

#endif
