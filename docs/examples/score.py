#!/usr/bin/env python3
"""How likely each continuation is: score.py MODEL "The boy went into the" " forest" " ink" """
import sys

import vkgpt

with vkgpt.Device() as device, vkgpt.Model(device, sys.argv[1]) as model, vkgpt.Session(model) as session:
    for text, scored in zip(sys.argv[3:], session.score(sys.argv[2], sys.argv[3:])):
        print(f"{scored.logprob:9.4f}  {text}")
