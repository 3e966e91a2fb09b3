#!/usr/bin/env python3
"""Writes on from a prompt, and prints the text as it comes: generate.py MODEL "Once upon a time" """
import sys

import vkgpt

with vkgpt.Device() as device, vkgpt.Model(device, sys.argv[1]) as model, vkgpt.Session(model) as session:
    for text in session.generate(sys.argv[2], max_tokens=64, stop=["\n\n"]):
        print(text, end="", flush=True)
    print()
