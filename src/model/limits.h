// Limits of the sizes that a config may have, whatever file it is read from.
#ifndef VKGPT_MODEL_LIMITS_H
#define VKGPT_MODEL_LIMITS_H

#define CONFIG_MAX_LAYERS 4096
#define CONFIG_MAX_DIM (1 << 20)
#define CONFIG_MAX_ROWS (1 << 24) // rows of the tables, and the inner width
#define MAX_STAGES 64             // devices that a model is cut over

#endif
