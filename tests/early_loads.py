"""A product of decode starts to load its weights before it reads the row and computes the norm. One compiler, Mesa's for
AMD, would move these loads to after the norm; the loop `do ... while (a.count == 0)` in shaders/product_rows.glsl keeps it
from that. This test looks at the code that it makes of qkv: at least LOADS loads of 128 bits come before the first wait
for one. Without the loop there are five.

    early_loads.py PATH/TO/vendor_stats
"""
import os
import re
import subprocess
import sys

LOADS = 12  # in flight at a time, on AMD: src/engine/variants.c
VARIANT = re.compile(r"; navi21, .*: qkv \| 1 \| gpt2 \| f16 \| \w+$")  # steps of one row, weights in f16


def early_loads(lines):
    """The loads before the first wait for one, for each variant."""
    found, loads = {}, None
    for line in lines:
        if line.startswith(";") and "qkv |" in line:
            name, loads = line.strip(), 0 if VARIANT.match(line.strip()) else None
        elif loads is None:
            continue
        elif "buffer_load_dwordx4" in line:
            loads += 1
        elif "s_waitcnt" in line and "vmcnt" in line:
            found[name], loads = loads, None
            if len(found) == 2:
                return found
    return found


def main():
    environment = os.environ | {"RADV_FORCE_FAMILY": "navi21"}
    with subprocess.Popen([sys.argv[1], "amd", "--assembly", "qkv", "gpt2"], env=environment, text=True,
                          stdout=subprocess.PIPE) as program:
        found = early_loads(program.stdout)
        program.kill()
    print(found)
    sys.exit(0 if len(found) == 2 and min(found.values()) >= LOADS else 1)


main()
