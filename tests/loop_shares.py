"""The share of products of matrices (v_wmma) in the loops of prefill, as AMD's compiler makes them for a Navi 31, is not
less than it was (docs/results/coopmat.md). Ends with 77, a skipped test, where Mesa is older than 25: it has no cooperative
matrices for this device.

    loop_shares.py PATH/TO/vendor_stats
"""
import os
import re
import subprocess
import sys

LOOP_STATS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "loop-stats")
SUBGROUP = 64  # lanes, which such a device uses
LEAST = {  # of a round, in %: by kernel, and by the formats of weights and cache
    ("expand_prefill_coopmat", "f16", "f16"): 40.0,
    ("expand_prefill_coopmat", "q8_0", "f16"): 23.5,
    ("expand_prefill_coopmat", "q4_0", "f16"): 25.5,
    ("expand_prefill_coopmat", "q4_k", "f16"): 25.5,
    ("attend_block_coopmat", "f16", "f16"): 7.0,
}
ROW = re.compile(r"\| navi31, subgroups of (\d+): (\w+), prefill, gpt2, (\w+), (\w+) \| ([0-9.]+) % ")


def shares(program, kernel):
    """By kernel and formats."""
    environment = os.environ | {"RADV_FORCE_FAMILY": "navi31"}
    code = subprocess.run([program, "amd", "--assembly", kernel, "gpt2"], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    table = subprocess.run([sys.executable, "-B", LOOP_STATS], input=code, text=True, stdout=subprocess.PIPE).stdout
    return {match.groups()[1:4]: float(match[5]) for match in ROW.finditer(table) if int(match[1]) == SUBGROUP}


def main():
    found = {}
    for kernel in sorted({key[0] for key in LEAST}):
        found |= shares(sys.argv[1], kernel)
    if not found:
        print("this Mesa has no cooperative matrices for navi31")
        sys.exit(77)
    low = {key: found.get(key) for key, least in LEAST.items() if found.get(key, 0.0) < least}
    print(found)
    print("too low:", low)
    sys.exit(1 if low else 0)


main()
