#!/usr/bin/env python3
"""Several prompts at once, each text with its prompt's number as it comes: batch.py MODEL "Once upon a time" "He said" """
import sys

import vkgpt

prompts = sys.argv[2:]
with vkgpt.Device() as device, vkgpt.Model(device, sys.argv[1]) as model:
    with vkgpt.Session(model, sequences=len(prompts)) as session:
        for sequence, text in session.generate_batch(prompts, max_tokens=24):
            print(f"{sequence}:{text}|", end="", flush=True)
print()
