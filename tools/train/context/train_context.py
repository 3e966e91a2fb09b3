"""Train the small GPT-2 of models/shots on episodes of tasks.py, and export it in Hugging Face form.

    python3 tools/train/context/train_context.py --out build/shots --steps 2000

Each sequence is one episode: examples of one rule, as a few-shot prompt has them.  The loss is on the answers
only (the questions are random), after 0, 1, 2, ... examples alike.  The model is GPT-2's, from ../train.py; its
learned positions start as sines and cosines, from which "so many letters back" is easy to learn.  Matrices are
trained by Muon, all else by AdamW.  A checkpoint is exported every few minutes.
"""
import argparse
import math
import os
import random
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import bpe
import tasks
from train import GPT2, export, keep_heap

SPACE = bpe.B2U[32]
TOK = bpe.Tokenizer([(SPACE, "=")])  # 256 bytes, " =", <|endoftext|>
BYTE = [TOK.vocab[bpe.B2U[b]] for b in range(256)]
EQUALS = TOK.vocab[SPACE + "="]


def encode(text):
    return [BYTE[b] for b in text.encode()]


def episode(rng, length, hard):
    """`length` + 1 token ids of one episode, the mask of those that belong to an answer, and the guides' rows."""
    family = rng.choices(tasks.FAMILIES, tasks.WEIGHTS)[0]
    _, example = tasks.rule(rng, family, False, hard)
    between = encode(rng.choice(["\n", "\n", "\n\n"]))
    ids = [TOK.eot] if rng.random() < 0.3 else []
    ids += between if rng.random() < 0.7 else []
    mask, rows, same_place, same_letter = [0] * len(ids), [], {}, {}
    while len(ids) <= length:
        text, answer, links = example(rng)
        start, q, a = len(ids), encode(text), encode(answer)
        ids += q + [EQUALS, BYTE[32]] + a + between
        mask += [0] * (len(q) + 1) + [1] * (len(a) + 2) + [0] * (len(between) - 1)
        at = start + len(q) + 2
        for j, link in enumerate(links):  # at + j holds a letter of the answer, at + j - 1 has to foretell it
            if link is None:
                continue
            source, earlier = start + link, same_letter.setdefault(text[link], [])
            if family in tasks.LOOKED_UP:
                rows += [("look-source", at + j, [source]), ("look-key", at + j - 1, [source])]
                if earlier:
                    rows.append(("look-answer", at + j - 1, list(earlier)))
                earlier.append(at + j)
            else:
                equal = [start + i for i, c in enumerate(text) if c == text[link]]
                rows.append(("copy-source", at + j, equal))
                if j in same_place:
                    rows += [("copy-place", at + j - 1, list(same_place[j])), ("copy-answer", at + j - 1, [source])]
            same_place.setdefault(j, []).append(at + j)
    return ids[:length + 1], mask[:length + 1], [r for r in rows if r[1] < length]


# Guides: attention heads that are told in the first part of the training where to look, by layer and head.  Order:
# a letter of an answer finds itself in its question; the next answer asks the same letter of earlier answers where
# they came from; then it fetches its own.  Look-up: a letter of an answer finds the letter that it stands for; the
# next answer finds the letter it has to translate; then it looks up the earlier answers that stand for that letter.
GUIDES = {"copy-source": (1, 0), "copy-place": (2, 0), "copy-answer": (3, 0),
          "look-source": (1, 1), "look-key": (2, 1), "look-answer": (3, 1)}


def guide_loss(model, attn, guides):
    """Mean of -log of the attention that the guided heads pay to the places wanted; attn: each layer's q, k, v."""
    dim, size = model.shape["dim"], model.shape["dim"] // model.shape["heads"]
    total, count = 0.0, 0
    for name, (layer, head) in GUIDES.items():
        if not guides[name][0]:
            continue
        who, row, wanted = guides[name]
        q = attn[layer][..., head * size:(head + 1) * size]
        k = attn[layer][..., dim + head * size:dim + (head + 1) * size]
        score = (q @ k.transpose(1, 2) * size ** -0.5)[who, row]
        where = torch.arange(score.shape[1])
        score = score.masked_fill(where > torch.tensor(row)[:, None], float("-inf"))
        hit = torch.zeros_like(score, dtype=torch.bool)
        hit[[i for i, w in enumerate(wanted) for _ in w], [x for w in wanted for x in w]] = True
        total = total + (score.logsumexp(1) - score.masked_fill(~hit, float("-inf")).logsumexp(1)).sum()
        count += len(row)
    return total / count


def batch(rng, count, length, hard):
    made = [episode(rng, length, hard) for _ in range(count)]
    ids, mask = (torch.tensor([m[i] for m in made]) for i in (0, 1))
    guides = {name: ([], [], []) for name in GUIDES}
    for i, (_, _, rows) in enumerate(made):
        for name, row, wanted in rows:
            for to, x in zip(guides[name], (i, row, wanted)):
                to.append(x)
    return ids[:, :-1], ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100), guides


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Keller Jordan's Muon), in fp32: torch's own works in bf16, slow on CPUs."""

    def __init__(self, params, lr, momentum=0.95, decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @staticmethod
    def orthogonal(g):
        """Five Newton-Schulz steps, with Jordan's coefficients, on the wide orientation of the matrix."""
        x = g.t() if g.shape[0] > g.shape[1] else g
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            a = x @ x.t()
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.t() if g.shape[0] > g.shape[1] else x

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                m = self.state[w].setdefault("momentum", torch.zeros_like(w))
                m.lerp_(w.grad, 1 - group["momentum"])
                step = self.orthogonal(w.grad.lerp(m, group["momentum"]))
                w.mul_(1 - group["lr"] * group["decay"])
                w.add_(step, alpha=-group["lr"] * max(1, w.shape[0] / w.shape[1]) ** 0.5)


def sines(context, dim):
    """Sinusoidal positions over half of the width, periods from 4 to 4 * context."""
    pairs = dim // 4
    period = 4.0 * context ** (torch.arange(pairs) / (pairs - 1))
    angle = 2 * math.pi * torch.arange(context)[:, None] / period
    return torch.cat([angle.sin(), angle.cos(), torch.zeros(context, dim - 2 * pairs)], 1)


@torch.no_grad()
def accuracy(model, rng, family, shots, count):
    """Share of exact answers after `shots` examples, on held-out rules, each prompt of a rule of its own.

    Greedy decoding gives the right answer exactly when every token of it is the likeliest after the tokens before.
    """
    rows, spans = [], []
    for _ in range(count):
        _, example = tasks.rule(rng, family, True)
        examples = [example(rng)[:2] for _ in range(shots + 1)]
        text = "".join(f"\n{q} = {a}" for q, a in examples) + "\n"
        ids = TOK.encode(text)
        spans.append((len(ids) - len(examples[-1][1]) - 2, len(ids)))
        rows.append(ids)
    longest, right = max(map(len, rows)), 0
    x = torch.tensor([r + [TOK.eot] * (longest - len(r)) for r in rows])
    for at in range(0, count, 50):
        best = model(x[at:at + 50, :-1]).argmax(-1)
        for row, ids, (a, b) in zip(best, x[at:at + 50], spans[at:at + 50]):
            right += torch.equal(row[a - 1:b - 1], ids[a:b])
    return right / count


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", default="build/shots")
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--dim", type=int, default=96)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--batch", type=int, default=16, help="episodes a step while they are short, half of it afterwards")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--finish", type=int, default=300, help="last steps, in which the learning rate goes down to nothing")
    p.add_argument("--short", type=int, default=600, help="first steps, with half the context")
    p.add_argument("--easy", type=int, default=600, help="steps in which full-size questions come in")
    p.add_argument("--guided", type=int, default=1000, help="steps until the guides are down to nothing")
    p.add_argument("--guide", type=float, default=0.5, help="weight of the guides' loss at the start")
    p.add_argument("--lr", type=float, default=2e-2, help="Muon's")
    p.add_argument("--adam-lr", type=float, default=3e-3)
    p.add_argument("--decay", type=float, default=0.01)
    p.add_argument("--warmup", type=int, default=100, help="steps")
    p.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    keep_heap()

    model = GPT2(len(TOK), args.context, args.dim, args.layers, args.heads)
    with torch.no_grad():
        model.wte.weight.mul_(3)
        model.wpe.weight.copy_(0.08 * sines(args.context, args.dim))
    attn = []
    for block in model.blocks:
        block.c_attn.register_forward_hook(lambda module, x, out: attn.append(out) if module.training else None)
    inner = [x for x in model.blocks.parameters() if x.dim() == 2]
    chosen = {id(x) for x in inner}
    outer = [x for x in model.parameters() if id(x) not in chosen]
    opts = [Muon(inner, args.lr, decay=args.decay),
            torch.optim.AdamW(outer, lr=args.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]
    first, tokens, checkpoint = 0, 0, os.path.join(args.out, "checkpoint.pt")
    if args.resume:
        state = torch.load(checkpoint)
        first, tokens = state["step"], state["tokens"]
        model.load_state_dict(state["model"])
        for opt, kept in zip(opts, state["opts"]):
            opt.load_state_dict(kept)
    print(f"{sum(x.numel() for x in model.parameters()) / 1e6:.2f} M parameters, from step {first}", flush=True)

    losses, leads, shown = [], [], time.time()
    for step in range(first, args.steps):
        rate = min(1.0, (step + 1) / args.warmup, (args.steps - step) / args.finish)
        for opt, lr in zip(opts, (args.lr, args.adam_lr)):
            for g in opt.param_groups:
                g["lr"] = lr * rate
        short = step < args.short
        rng = random.Random(f"{args.seed} {step}")
        x, y, guides = batch(rng, args.batch if short else args.batch // 2, args.context // 2 if short else args.context,
                             min(0.9, 0.4 + 0.5 * step / args.easy))
        attn.clear()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        losses.append(loss.item())
        guided = args.guide * max(0.0, 1 - step / args.guided)
        if guided:
            lead = guide_loss(model, attn, guides)
            leads.append(lead.item())
            loss = loss + guided * lead
        for opt in opts:
            opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(outer, 1.0)
        for opt in opts:
            opt.step()
        tokens += x.numel()
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            model.eval()
            export(model, TOK, args.out, "f16")
            torch.save({"step": step + 1, "tokens": tokens, "model": model.state_dict(),
                        "opts": [opt.state_dict() for opt in opts]}, checkpoint)
            test = random.Random(0)
            print(f"step {step + 1} {tokens / 1e6:.2f} M tokens {time.time() - shown:.0f} s rate {rate:.2f} loss "
                  f"{sum(losses) / len(losses):.4f} guides {sum(leads) / max(1, len(leads)):.4f}  held out, 8 shots: " +
                  " ".join(f"{f} {100 * accuracy(model, test, f, 8, 16):.0f}" for f in tasks.FAMILIES), flush=True)
            model.train()
            losses, leads, shown = [], [], time.time()


if __name__ == "__main__":
    main()
