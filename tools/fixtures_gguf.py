"""Makes tests/fixtures/gguf: what the package gguf, an implementation of its own, says about GGUF's formats.

    python3 tools/fixtures_gguf.py

Needs the packages gguf and numpy (made with gguf 0.19). FORMAT.unpack holds random blocks, then their values in
float32; FORMAT.pack holds values, then their blocks.
"""
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "gguf"
BLOCKS = 6  # of each format
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0]}  # where a block keeps its scale, and its minimum


def unpacking(random, name):
    weights, size = GGML_QUANT_SIZES[Type[name]]
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for place in HALVES[name]:
        scales = random.normal(0, 0.1, BLOCKS).astype(np.float16)
        scales[0] = 0
        scales[1] = 6e-8  # subnormal
        blocks[:, place:place + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
    values = dequantize(blocks.reshape(-1), Type[name]).astype("<f4")
    assert values.size == BLOCKS * weights
    return blocks.tobytes() + values.tobytes()


def packing(random, name):
    values = random.normal(0, 0.3, (12, 32)).astype(np.float32)
    values[0] = 0
    values[1] = np.float32(-1.5)
    values[2] = np.arange(32) - 15.5
    values[3, 7] = 1000
    values[4] *= np.float32(1e-6)
    values[5] *= np.float32(1e4)
    values[6, 31] = -30000
    values[7, :16] = 0
    return values.astype("<f4").tobytes() + quantize(values.reshape(-1), Type[name]).tobytes()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in HALVES:
        random = np.random.default_rng([7, Type[name].value])
        (FOLDER / f"{name.lower()}.unpack").write_bytes(unpacking(random, name))
        if name in ("Q8_0", "Q4_0"):
            (FOLDER / f"{name.lower()}.pack").write_bytes(packing(random, name))


if __name__ == "__main__":
    main()
