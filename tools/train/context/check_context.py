"""Accuracy by number of shots of a model trained by train_context.py, computed by Hugging Face's transformers.

    python3 tools/train/context/check_context.py models/shots [models/tasks/context/*.jsonl]

Without files: every family, each prompt of another held-out rule.  With files: each file's one rule, the examples
drawn from its other lines.  Prints the share of exactly right answers in per cent, +- half of its 95 % interval.
"""
import argparse
import json
import math
import os
import random
import sys

import torch
from transformers import GPT2LMHeadModel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import bpe
import tasks

SHOTS = [0, 1, 2, 4, 8, 16]


def of_family(rng, family, shots, count):
    """Prompts and answers; the questions asked do not stand among their own examples."""
    while count:
        _, example = tasks.rule(rng, family, True)
        lines = [example(rng)[:2] for _ in range(shots + 1)]
        if lines[-1] not in lines[:-1]:
            yield "".join(f"\n{q} = {a}" for q, a in lines[:-1]) + f"\n{lines[-1][0]} =", " " + lines[-1][1]
            count -= 1


def of_file(rng, lines, shots):
    for i, line in enumerate(lines):
        drawn = rng.sample(lines[:i] + lines[i + 1:], shots)
        yield "".join(d["context"] + d["completion"] for d in drawn) + line["context"], line["completion"]


@torch.no_grad()
def right(model, tok, pairs, size=32):
    """Which answers greedy decoding would give exactly: each token of them and the line break is the likeliest."""
    out = []
    for at in range(0, len(pairs), size):
        rows = [(len(tok.encode(p)), tok.encode(p + a + "\n")) for p, a in pairs[at:at + size]]
        longest = max(len(r) for _, r in rows)
        if longest > model.config.n_positions:
            sys.exit(f"a prompt of {longest} tokens, the context is {model.config.n_positions}")
        best = model(torch.tensor([r + [tok.eot] * (longest - len(r)) for _, r in rows])).logits.argmax(-1)
        out += [b[start - 1:len(r) - 1].tolist() == r[start:] for b, (start, r) in zip(best, rows)]
    return out


def interval(hits, count):
    """Centre and half width of the 95 % interval (Wilson), in per cent."""
    z, p = 1.96, hits / count
    d = 1 + z * z / count
    return 100 * p, 100 * z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / d


def show(name, results):
    print(f"{name:14}" + "".join(f"{p:6.1f} ±{h:4.1f}" for p, h in (interval(sum(r), len(r)) for r in results)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("files", nargs="*")
    p.add_argument("--count", type=int, default=400, help="prompts a family and number of shots")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model, tok = GPT2LMHeadModel.from_pretrained(args.model, dtype=torch.float32).eval(), bpe.Tokenizer.load(args.model)
    print(f"{'shots':14}" + "".join(f"{k:6d}      " for k in SHOTS))
    every = [[] for _ in SHOTS]
    for name in args.files or tasks.FAMILIES:
        results = []
        for k in SHOTS:
            rng = random.Random(f"{args.seed} {k}")
            if args.files:
                with open(name, encoding="utf-8") as f:
                    pairs = list(of_file(rng, [json.loads(line) for line in f], k))
            else:
                pairs = list(of_family(rng, name, k, args.count))
            results.append(right(model, tok, pairs))
        show(os.path.basename(name).removesuffix(".jsonl"), results)
        every = [a + b for a, b in zip(every, results)]
    show("all", every)


if __name__ == "__main__":
    main()
