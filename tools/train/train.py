"""Train a small GPT-2 on a text file and export it in Hugging Face form.

    python3 tools/train/train.py --corpus corpus.txt --out build/tales --minutes 15 --dim 256 --layers 6 --heads 4

Needs the packages torch and numpy.  Writes config.json, model.safetensors, vocab.json and merges.txt.  The
architecture is GPT-2's exactly: learned positions, pre-LayerNorm, biases, gelu_new, tied input/output
embeddings.  Runs on a CPU with torch 1.13 and on a GPU with any newer torch (bf16 autocast, fused attention,
torch.compile if asked).  On Debian install libopenblas0-openmp beside python3-torch: with the reference BLAS
it crawls.  The corpus holds documents separated by lines reading <|endoftext|>; a .xz file is read as it is.
"""
import argparse
import ctypes
import json
import lzma
import math
import os
import struct
import time
from array import array

import torch
import torch.nn as nn
import torch.nn.functional as F

import bpe


class Block(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.c_attn, self.attn_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.c_fc, self.mlp_proj = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def attention(self, x, mask):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in self.c_attn(x).split(d, 2))
        p = self.dropout if self.training else 0.0
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        else:
            w = (q @ k.transpose(2, 3)) * (d // self.heads) ** -0.5 + mask[:t, :t]
            y = F.dropout(w.softmax(-1), p) @ v
        return self.attn_proj(y.transpose(1, 2).reshape(b, t, d))

    def forward(self, x, mask):
        p = self.dropout if self.training else 0.0
        x = x + F.dropout(self.attention(self.ln_1(x), mask), p)
        h = F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")
        return x + F.dropout(self.mlp_proj(h), p)


class GPT2(nn.Module):
    def __init__(self, vocab, context, dim, layers, heads, dropout=0.0):
        super().__init__()
        self.shape = dict(vocab=vocab, context=context, dim=dim, layers=layers, heads=heads)
        self.dropout = dropout
        self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.ln_f = nn.LayerNorm(dim)
        self.register_buffer("mask", torch.full((context, context), float("-inf")).triu(1), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.02 / math.sqrt(2 * layers) if name.endswith("_proj.weight") else 0.02
                nn.init.normal_(p, 0.0, std)
            elif name.endswith(".bias"):
                nn.init.zeros_(p)

    def forward(self, ids, targets=None):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        x = F.dropout(x, self.dropout if self.training else 0.0)
        for block in self.blocks:
            x = block(x, self.mask)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        if targets is None:
            return logits
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def hf_tensors(self):
        """The weights under GPT-2's names; its Conv1D layers keep (in, out) matrices."""
        out = {"transformer.wte.weight": self.wte.weight, "transformer.wpe.weight": self.wpe.weight}
        for i, b in enumerate(self.blocks):
            pre = f"transformer.h.{i}."
            for name, ln in (("ln_1", b.ln_1), ("ln_2", b.ln_2)):
                out[pre + name + ".weight"], out[pre + name + ".bias"] = ln.weight, ln.bias
            for name, lin in (("attn.c_attn", b.c_attn), ("attn.c_proj", b.attn_proj),
                              ("mlp.c_fc", b.c_fc), ("mlp.c_proj", b.mlp_proj)):
                out[pre + name + ".weight"], out[pre + name + ".bias"] = lin.weight.t(), lin.bias
        out["transformer.ln_f.weight"], out["transformer.ln_f.bias"] = self.ln_f.weight, self.ln_f.bias
        return {k: v.detach().float().cpu().contiguous() for k, v in out.items()}


def save_safetensors(path, tensors, dtype):
    name, kind = {"f32": ("F32", torch.float32), "f16": ("F16", torch.float16), "bf16": ("BF16", torch.bfloat16)}[dtype]
    header, blobs, pos = {"__metadata__": {"format": "pt"}}, [], 0
    for key, t in tensors.items():
        t = t.to(kind).contiguous()
        raw = (t.view(torch.int16) if kind != torch.float32 else t).numpy().tobytes()
        header[key] = {"dtype": name, "shape": list(t.shape), "data_offsets": [pos, pos + len(raw)]}
        blobs.append(raw)
        pos += len(raw)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        f.writelines(blobs)


def export(model, tok, folder, dtype):
    tok.save(folder)
    s = model.shape
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
        "vocab_size": s["vocab"], "n_positions": s["context"], "n_ctx": s["context"], "n_embd": s["dim"],
        "n_layer": s["layers"], "n_head": s["heads"], "n_inner": None, "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True, "tie_word_embeddings": True, "bos_token_id": tok.eot, "eos_token_id": tok.eot,
        "attn_pdrop": model.dropout, "embd_pdrop": model.dropout, "resid_pdrop": model.dropout,
        "initializer_range": 0.02, "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[dtype],
    }
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    save_safetensors(os.path.join(folder, "model.safetensors"), model.hf_tensors(), dtype)


def has_bf16():
    """Whether matrix products in bf16 are fast here: any GPU we train on, or a CPU with the instructions."""
    if torch.cuda.is_available():
        return True
    try:
        with open("/proc/cpuinfo") as f:
            return bool({"avx512_bf16", "amx_bf16"} & set(f.read().split()))
    except OSError:
        return False


def keep_heap():
    """Have glibc reuse big blocks in place of mapping fresh pages each step (a quarter faster on a CPU)."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2 ** 31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass


def load_corpus(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as f:
        return [d.strip("\n") for d in f.read().split(bpe.EOT) if d.strip()]


def prepare(args):
    """Tokenizer plus train/validation token tensors (both kept in the output folder for the next run)."""
    os.makedirs(args.out, exist_ok=True)
    cache = os.path.join(args.out, f"tokens-{args.vocab}.pt")
    if os.path.exists(cache) and os.path.exists(os.path.join(args.out, "merges.txt")):
        data = torch.load(cache)
        return bpe.Tokenizer.load(args.out), data["train"], data["val"], data["val_bytes"]
    docs = load_corpus(args.corpus)
    start = time.time()
    tok = bpe.Tokenizer(bpe.train(docs, args.vocab))
    tok.save(args.out)
    print(f"BPE: {len(tok)} tokens in {time.time() - start:.0f} s", flush=True)

    def pack(part):
        ids = array("H")
        for doc in part:
            ids.extend(tok.encode(doc))
            ids.append(tok.eot)
        return torch.tensor(ids, dtype=torch.int16 if len(tok) < 32768 else torch.int32)

    cut = max(1, len(docs) // 100)
    train, val = pack(docs[cut:]), pack(docs[:cut])
    val_bytes = sum(len(d.encode()) for d in docs[:cut])
    torch.save({"train": train, "val": val, "val_bytes": val_bytes}, cache)
    print(f"tokens: {len(train)} train, {len(val)} validation, {val_bytes / len(val):.2f} bytes a token", flush=True)
    return tok, train, val, val_bytes


@torch.no_grad()
def evaluate(run, val, context, device, autocast, windows=64, batch=16):
    n = min(windows, (len(val) - 1) // context)
    x = torch.stack([val[i * context: i * context + context + 1] for i in range(n)]).long()
    total = 0.0
    for part in x.split(batch):
        part = part.to(device)
        with autocast():
            total += run(part[:, :-1], part[:, 1:]).item() * len(part)
    return total / n


@torch.no_grad()
def sample(model, tok, prompt, device, count=180, temperature=0.8, top_k=40, seed=0):
    gen = torch.Generator().manual_seed(seed)
    ids = [tok.eot] + tok.encode(prompt)
    for _ in range(count):
        x = torch.tensor([ids[-model.shape["context"]:]], device=device)
        logits = model(x)[0, -1].float().cpu() / temperature
        logits[logits < logits.topk(top_k)[0][-1]] = float("-inf")
        nxt = int(torch.multinomial(logits.softmax(0), 1, generator=gen))
        if nxt == tok.eot:
            break
        ids.append(nxt)
    return tok.decode(ids[1:])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--corpus", default="corpus.txt.xz")
    p.add_argument("--out", default="model")
    p.add_argument("--vocab", type=int, default=4096)
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--dim", type=int, default=256)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--batch", type=int, default=16, help="sequences a step")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--decay", type=float, default=0.1, help="weight decay")
    p.add_argument("--warmup", type=int, default=100, help="steps")
    p.add_argument("--minutes", type=float, default=15, help="time budget; the learning rate follows it")
    p.add_argument("--steps", type=int, default=0, help="a step budget in place of the time budget")
    p.add_argument("--every", type=int, default=250, help="steps between evaluations")
    p.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="f32", help="of the exported weights")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--f32", action="store_true", help="no bf16 autocast")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--keep-best", action="store_true", help="export the best evaluation, not the last")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = device == "cuda"
    if on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = True
    else:
        keep_heap()
    bf16 = has_bf16() and not args.f32
    autocast = lambda: torch.autocast(device, dtype=torch.bfloat16, enabled=bf16)

    tok, train, val, val_bytes = prepare(args)
    train = train.to(device)
    model = GPT2(len(tok), args.context, args.dim, args.layers, args.heads, args.dropout).to(device)
    params = sum(x.numel() for x in model.parameters())
    print(f"{params / 1e6:.2f} M parameters, {device}, {'bf16' if bf16 else 'f32'}, torch {torch.__version__}", flush=True)
    run = torch.compile(model) if args.compile else model
    groups = [{"params": [x for x in model.parameters() if x.dim() == 2], "weight_decay": args.decay},
              {"params": [x for x in model.parameters() if x.dim() != 2], "weight_decay": 0.0}]
    extra = {"fused": True} if on_gpu else {}
    opt = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), **extra)
    span = torch.arange(args.context + 1, device=device)
    to_bpb = len(val) / val_bytes / math.log(2)

    best, best_state, step, done = float("inf"), None, 0, 0.0
    start, tokens, shown = time.time(), 0, (time.time(), 0)
    while done < 1.0:
        rate = args.lr * min(1.0, (step + 1) / args.warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
        for g in opt.param_groups:
            g["lr"] = rate
        at = torch.randint(len(train) - args.context - 1, (args.batch, 1), device=device)
        chunk = train[at + span].long()
        with autocast():
            loss = run(chunk[:, :-1], chunk[:, 1:])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        tokens += args.batch * args.context
        done = min(1.0, step / args.steps if args.steps else (time.time() - start) / (args.minutes * 60))
        if step % args.every == 0 or done >= 1.0:
            shown_loss = loss.item()
            speed = (tokens - shown[1]) / (time.time() - shown[0])
            model.eval()
            v = evaluate(model, val, args.context, device, autocast, 4096 if on_gpu or done >= 1.0 else 64)
            model.train()
            print(f"step {step} {tokens / 1e6:.2f} M tokens {time.time() - start:.0f} s {speed:.0f} tok/s lr {rate:.2e} "
                  f"train {shown_loss:.3f} val {v:.4f} ({v * to_bpb:.3f} bits a byte)", flush=True)
            if args.keep_best and v < best:
                best, best_state = v, {k: x.detach().cpu().clone() for k, x in model.state_dict().items()}
            shown = (time.time(), tokens)
    if best_state is not None:
        model.load_state_dict(best_state)
        print(f"keeping the best: val {best:.4f}")
    model.eval()
    export(model, tok, args.out, args.dtype)
    for i, prompt in enumerate(["Once upon a time", "The old man", '"Where are you going?" asked', ""]):
        print(f"--- {prompt!r}\n{sample(model, tok, prompt, device, seed=i)}\n", flush=True)


if __name__ == "__main__":
    main()
