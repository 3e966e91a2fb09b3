"""Makes the GPT-2 fixtures of the tests: tiny checkpoints and what Hugging Face transformers says about them.

    python3 tools/fixtures_gpt2.py [NAME ...]

Needs the packages torch, transformers, safetensors and numpy (made with torch 2.15 and transformers 5.23).

Each folder tests/fixtures/gpt2/NAME holds a checkpoint (config.json and its weights) and expected.bin: logits,
greedy continuation and negative log likelihoods in float64 with eager attention. The checkpoint is first
written, then read back by transformers, so what is compared is what lies in the folder. A folder with
synthetic.txt in place of a checkpoint is too large to commit: both this script and tests/synthetic_model.c
make its weights, bit for bit alike, from a seed.

expected.bin, little-endian, in this order:
    char   magic[8]             "VKGPTFX1"
    u32    vocab, context, prompts, greedies, rows, texts, nlls, windows     (counts)
    f64    float32_error        largest |float32 - float64| of the logits below, transformers in float32
    u32    prompt[prompts], greedy[greedies]
    u32    row[rows]            row t: the logits behind tokens 0..t of prompt + greedy
    f32    logits[rows][vocab]
    u32    text[texts]
    f64    nll[nlls]            of text[1], text[2], ... as far as one context reaches
    {u32 stride, scored; f64 nll} window[windows]     mean over the scored tokens of text, windows of one context
"""
import copy
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "gpt2"
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


# ------------------------------------------------------------------------------------------ random weights

def random_weights(config, seed, mean=0.0, loud=1.0):
    """A state dict under transformers' names, loud enough that wrong arithmetic shows: scores and logits spread
    over several units, activations reach where the kinds of gelu differ. loud: louder still, so that those kinds,
    4e-4 apart at most, differ by several 1e-3 in the logits."""
    g = torch.Generator().manual_seed(seed)
    model = GPT2LMHeadModel(config)
    weights = {}
    for name, p in model.state_dict().items():
        x = torch.randn(p.shape, generator=g, dtype=torch.float64)
        if p.dim() == 2:
            fan_in = config.n_embd if "wpe" in name or "wte" in name or "lm_head" in name else p.shape[0]
            boost = 1.5 if "c_attn" in name or "c_fc" in name else 3.0 if "wte" in name or "lm_head" in name else 1.0
            x *= boost / fan_in ** 0.5 * (loud if "wte" in name or "mlp.c_proj" in name else 1.0)
        elif name.endswith("bias"):
            x *= 0.2
        else:
            x = 1 + 0.3 * x
        weights[name] = (x + mean if "wpe" in name else x).float()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights


def mix(x):  # Chris Wellons' lowbias32, as in tests/synthetic_model.c
    x = np.asarray(x, np.uint32)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def synthetic_weights(config, seed, dtype, mean=0.0):
    """The weights of tests/synthetic_model.c: uniform numbers of as many bits as the format keeps."""
    bits = {F32: 24, F16: 11, BF16: 8}[dtype]
    weights = {}

    def tensor(name, shape, bits, offset, exponent):
        base = mix(np.uint32(seed) ^ mix(len(weights) + 1))
        h = mix(np.arange(np.prod(shape), dtype=np.uint32) ^ base)
        k = (h >> np.uint32(32 - bits)).astype(np.int32) - np.int32(1 << (bits - 1))
        u = k.astype(np.float32) * np.float32(2.0 ** (exponent - bits + 1)) + np.float32(offset)
        weights[name] = torch.from_numpy(u).reshape(shape).to(dtype).float()

    def matrix(name, rows, cols, fan_in, boost, offset=0.0):
        e = 0
        while fan_in > 3 << 2 * e:  # uniform on [-1, 1) has a variance of 1/3
            e += 1
        tensor(name, (rows, cols), bits, offset, boost - e)

    def norm(name):
        tensor(name + ".weight", (dim,), bits - 2, 1.0, -1)
        tensor(name + ".bias", (dim,), bits, 0.0, -2)

    def linear(name, fan_in, out, boost):
        matrix(name + ".weight", fan_in, out, fan_in, boost)
        tensor(name + ".bias", (out,), bits, 0.0, -2)

    dim, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    matrix("transformer.wte.weight", config.vocab_size, dim, dim, 2)
    matrix("transformer.wpe.weight", config.n_positions, dim, dim, 2, mean)
    for i in range(config.n_layer):
        h = f"transformer.h.{i}."
        norm(h + "ln_1")
        linear(h + "attn.c_attn", dim, 3 * dim, 1)
        linear(h + "attn.c_proj", dim, dim, 0)
        norm(h + "ln_2")
        linear(h + "mlp.c_fc", dim, inner, 1)
        linear(h + "mlp.c_proj", inner, dim, 0)
    norm("transformer.ln_f")
    if not config.tie_word_embeddings:
        matrix("lm_head.weight", config.vocab_size, dim, dim, 2)
    return weights


# ------------------------------------------------------------------------------------- the forms on disk

def cast(weights, dtypes):
    """dtypes: one for all, or a list that tensors take in turn. wpe keeps a large mean only in float32."""
    dtypes = dtypes if isinstance(dtypes, list) else [dtypes]
    return {name: w.to(F32 if float(w.mean()) > 100 else dtypes[i % len(dtypes)]).contiguous()
            for i, (name, w) in enumerate(weights.items())}


def mask_buffers(tensors, config, dtype):
    """The buffers that older versions of transformers kept beside the weights."""
    n = config.n_positions
    for i in range(config.n_layer):
        tensors[f"transformer.h.{i}.attn.bias"] = torch.ones(n, n).tril().to(dtype).view(1, 1, n, n)
        tensors[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)


def bare(tensors):
    return {name.removeprefix("transformer."): t for name, t in tensors.items()}


def shards(tensors, count):
    names = list(tensors)
    return [{n: tensors[n] for n in names[i::count]} for i in range(count)]


def save_index(folder, files, stem, ending):
    names = [f"{stem}-{i + 1:05d}-of-{len(files):05d}.{ending}" for i in range(len(files))]
    where = {t: name for name, part in zip(names, files) for t in part}
    total = sum(t.numel() * t.element_size() for part in files for t in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index, indent=1) + "\n")
    return names


def save_safetensors(folder, tensors, count=1):
    if count == 1:
        return save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    files = shards(tensors, count)
    for name, part in zip(save_index(folder, files, "model", "safetensors"), files):
        save_file(part, folder / name, metadata={"format": "pt"})


def save_bin(folder, tensors, count=1):
    if count == 1:
        return torch.save(tensors, folder / "pytorch_model.bin")
    files = shards(tensors, count)
    for name, part in zip(save_index(folder, files, "pytorch_model", "bin"), files):
        torch.save(part, folder / name)


def as_views(tensors):
    """What torch.save keeps of a view: storages larger than the tensor, offsets, strides, one storage for two."""
    out = {}
    for name, t in tensors.items():
        if name.endswith("c_fc.weight"):
            out[name] = t.t().contiguous().t()                                  # strides (1, n)
        elif name.endswith("ln_1.weight"):
            pair = torch.stack([t, tensors[name.replace("weight", "bias")]])    # two tensors, one storage
            out[name], out[name.replace("weight", "bias")] = pair[0], pair[1]
        elif name.endswith("wpe.weight"):
            out[name] = torch.cat([torch.full_like(t[:3], 99.0), t])[3:]        # an offset
        else:
            out.setdefault(name, t)
    out["lm_head.weight"] = out["transformer.wte.weight"]                       # a redundant copy
    return out


# --------------------------------------------------------------------------------------- what it should say

class Judge:
    """Transformers' model in float64, and a copy in float32 to see how far that is off."""

    def __init__(self, model):
        self.model = model.double().eval()
        self.narrow = copy.deepcopy(self.model).float()
        self.config = model.config
        assert model.config._attn_implementation == "eager"

    @torch.no_grad()
    def logits(self, ids):
        return self.model(torch.tensor([ids])).logits[0]

    @torch.no_grad()
    def logits_float32(self, ids):
        return self.narrow(torch.tensor([ids])).logits[0].double()

    def greedy(self, prompt, count, gap):
        """The continuation, or None when one of its choices is nearly a tie."""
        ids = list(prompt)
        for _ in range(count):
            top = self.logits(ids)[-1].topk(2)
            if float(top.values[0] - top.values[1]) < gap:
                return None
            ids.append(int(top.indices[0]))
        return ids[len(prompt):]

    def windows(self, text, stride):
        """Perplexity of fixed-length models as transformers' documentation computes it, weighted by the tokens
        that are truly scored: in a window that starts the text or overlaps nothing, all but the first."""
        total, scored, previous = 0.0, 0, 0
        for begin in range(0, len(text), stride):
            end = min(begin + self.config.max_position_embeddings, len(text))
            nll = self.nll(text[begin:end])
            fresh = nll[max(previous - begin, 1) - 1:]
            total, scored, previous = total + float(fresh.sum()), scored + len(fresh), end
            if end == len(text):
                break
        return total / scored, scored

    def nll(self, ids):
        """-log p of ids[1:], each from all before it."""
        x = self.logits(ids)[:-1].log_softmax(-1)
        return -x[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


def expect(folder, model, prompt_count, greedy_count, text_count, strides, rows=None, seed=0, kind=Judge):
    judge = kind(model)
    vocab, context = model.config.vocab_size, model.config.max_position_embeddings
    for attempt in range(1000):
        rng = np.random.RandomState(seed * 1000 + attempt)
        prompt = rng.randint(0, vocab, prompt_count).tolist()
        probe = judge.logits(prompt)
        error = float((judge.logits_float32(prompt) - probe).abs().max())
        greedy = judge.greedy(prompt, greedy_count, max(1e-2, 20 * error))
        if greedy:
            break
    else:
        raise SystemExit(f"{folder.name}: every prompt leads to a near tie")
    ids = (prompt + greedy)[:context]
    rows = list(range(len(ids))) if rows is None else [r if r >= 0 else len(ids) + r for r in rows]
    logits = judge.logits(ids)
    error = float((judge.logits_float32(ids) - logits).abs().max())
    text = rng.randint(0, vocab, text_count).tolist()
    nll = judge.nll(text[:context]) if text_count > 1 else torch.zeros(0)
    windows = [(s, *reversed(judge.windows(text, s))) for s in strides]

    kept = logits[rows].float().numpy()
    with open(folder / "expected.bin", "wb") as f:
        counts = (len(x) for x in (prompt, greedy, rows, text, nll, windows))
        f.write(b"VKGPTFX1" + struct.pack("<8I", vocab, context, *counts))
        f.write(struct.pack("<d", error))
        for ints in (prompt, greedy, rows):
            f.write(np.array(ints, "<u4").tobytes())
        f.write(kept.astype("<f4").tobytes())
        f.write(np.array(text, "<u4").tobytes())
        f.write(nll.numpy().astype("<f8").tobytes())
        for s, n, v in windows:
            f.write(struct.pack("<IId", s, n, v))
    size = sum(p.stat().st_size for p in folder.iterdir())
    top = logits.softmax(-1).max(-1).values.median()
    spans = " ".join(f"{s}:{n}:{v:.4f}" for s, n, v in windows)
    print(f"{folder.name:24} {size / 1024:7.1f} KiB  logits {logits.std():.2f} (largest {logits.abs().max():.1f}, "
          f"median p {top:.2f})  float32 off by {error:.1e}  nll {spans}")
    return size


# ------------------------------------------------------------------------------------------- the fixtures

def config(**facts):
    base = dict(vocab_size=307, n_positions=37, n_embd=48, n_layer=2, n_head=4, n_inner=None,
                activation_function="gelu_new", layer_norm_epsilon=1e-5, bos_token_id=306, eos_token_id=306,
                attn_implementation="eager")
    return GPT2Config(**{**base, **facts})


def start(name, base=FOLDER):
    folder = base / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_config(folder, config, without=(), **extra):
    """As transformers writes it, but without what says nothing, or is to be absent here."""
    noise = {"transformers_version", "dtype", "torch_dtype", "_attn_implementation", "attn_implementation",
             "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
             "summary_use_proj"}
    facts = {**config.to_dict(), "architectures": ["GPT2LMHeadModel"], **extra}
    facts = {k: v for k, v in facts.items() if k not in noise and k not in without}
    (folder / "config.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def stored(name, c, save, seed, prompt=12, greedy=26, text=150, strides=(37, 18, 5), rows=None, mean=0.0, dtypes=F32,
           buffers=None, prefix=True, change=None, loud=1.0, **keys):
    folder = start(name)
    tensors = cast(random_weights(c, seed, mean, loud), dtypes)
    if buffers is not None:
        mask_buffers(tensors, c, buffers)
    if change:
        tensors = change(tensors)
    save(folder, tensors if prefix else bare(tensors))
    write_config(folder, c, **keys)
    # float64 from the start: a float16 tensor widened through another format could lose bits
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    for key in ("n_layer", "n_inner", "activation_function", "layer_norm_epsilon", "scale_attn_weights",
                "scale_attn_by_inverse_layer_idx", "tie_word_embeddings",
                "n_positions"):
        assert getattr(model.config, key) == getattr(c, key), key
    model.config.reorder_and_upcast_attn = False
    for block in model.transformer.h:
        block.attn.reorder_and_upcast_attn = False  # it asks for float32, which is all that it says
    state = model.state_dict()
    for k, t in tensors.items():
        if not k.endswith(("attn.bias", "masked_bias")):
            assert torch.equal(state[k], t.double()), k
    return expect(folder, model, prompt, greedy, text, strides, rows, seed)


def synthetic(name, dtype, seed, prompt, greedy, text, strides, rows=None, mean=0.0, **facts):
    folder = start(name)
    c = config(**facts)
    model = GPT2LMHeadModel(c).double()
    missing, unexpected = model.load_state_dict(synthetic_weights(c, seed, dtype, mean), strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"])
    model.tie_weights()
    sizes = {"layers": c.n_layer, "heads": c.n_head, "dim": c.n_embd, "inner": c.n_inner or 4 * c.n_embd,
             "context": c.n_positions, "vocab": c.vocab_size, "seed": seed, "bits": {F32: 24, F16: 11, BF16: 8}[dtype],
             "mean": int(mean), "separate_head": int(not c.tie_word_embeddings)}
    assert c.activation_function == "gelu_new"
    (folder / "synthetic.txt").write_text("".join(f"{k} {v}\n" for k, v in sizes.items()))
    return expect(folder, model, prompt, greedy, text, strides, rows, seed)


def head_copy(tensors):
    return {**tensors, "lm_head.weight": tensors["transformer.wte.weight"].clone()}


def fixtures():
    safe, pickle = save_safetensors, save_bin
    return {
        "gelu-new-48": lambda n: stored(n, config(), safe, 1, buffers=torch.uint8),
        "gelu-erf-45-f16": lambda n: stored(
            n, config(n_embd=45, n_head=3, n_inner=77, n_layer=1, activation_function="gelu"), safe, 2, dtypes=F16,
            buffers=F32, prefix=False, loud=3.0),
        "relu-45-bf16": lambda n: stored(
            n, config(n_embd=45, n_head=5, n_inner=72, activation_function="relu", scale_attn_weights=False), safe, 3,
            dtypes=BF16, change=head_copy),
        "silu-160-shards": lambda n: stored(
            n, config(n_embd=160, n_head=5, n_inner=200, activation_function="silu", tie_word_embeddings=False,
                      scale_attn_by_inverse_layer_idx=True),
            lambda d, t: safe(d, t, 3), 4, dtypes=[F16, BF16, F16, F32, BF16]),
        "quick-gelu-48-bin": lambda n: stored(
            n, config(activation_function="quick_gelu", layer_norm_epsilon=1e-2), pickle, 5, dtypes=[F32, F16],
            buffers=torch.bool, change=as_views),
        "swish-48-bin-shards": lambda n: stored(
            n, config(n_layer=1, n_head=3, activation_function="swish", scale_attn_weights=False,
                      scale_attn_by_inverse_layer_idx=True),
            lambda d, t: pickle(d, t, 2), 6, dtypes=[BF16, F16], prefix=False, reorder_and_upcast_attn=True),
        "deep-45-f16": lambda n: stored(
            n, config(n_embd=45, n_head=3, n_inner=72, n_layer=12, activation_function="gelu_pytorch_tanh"), safe, 7,
            dtypes=F16, buffers=torch.bool),
        "long-1100": lambda n: stored(
            n, config(n_head=3, n_inner=77, n_layer=1, n_positions=1100, activation_function="gelu_fast"), safe, 8,
            dtypes=BF16, prompt=1090, greedy=11, text=2500, strides=(1100, 1000, 550),
            rows=[0, 1, 62, 63, 64, 127, 128, 255, 256, 257, 511, 512, 1023, 1024, -2, -1]),
        "large-mean-160": lambda n: stored(
            n, config(n_embd=160, n_head=5, n_inner=72, n_layer=1), safe, 9, mean=1000.0,
            dtypes=F16),
        "defaults-48": lambda n: stored(
            n, config(n_layer=1, n_positions=1024), safe, 10, dtypes=F16, prompt=30, greedy=8, text=100, strides=(512,),
            without=("n_positions", "n_inner", "activation_function", "layer_norm_epsilon", "scale_attn_weights",
                     "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "tie_word_embeddings",
                     "add_cross_attention", "architectures", "bos_token_id", "eos_token_id"),
            some_key_of_the_future={"a": [1]}),
        "smallest": lambda n: stored(
            n, config(n_embd=4, n_head=4, n_inner=1, n_layer=1, n_positions=1, vocab_size=2, bos_token_id=1,
                      eos_token_id=1), safe, 11, prompt=1, greedy=1, text=1, strides=()),
        "synthetic-wide-1600": lambda n: synthetic(
            n, F16, 12, 12, 6, 20, (37,), n_embd=1600, n_head=25, n_layer=1),
        "synthetic-vocab-50257": lambda n: synthetic(
            n, F32, 13, 20, 4, 60, (20,), rows=[0, -1], vocab_size=50257, bos_token_id=50256, eos_token_id=50256),
        "synthetic-deep-160": lambda n: synthetic(
            n, BF16, 14, 255, 6, 140, (1100,), rows=[0, 31, 32, 64, 127, 255, 256, 257, -1], n_embd=160, n_head=5,
            n_layer=12, n_positions=1100, n_inner=200),
        "synthetic-mean-1600": lambda n: synthetic(
            n, F32, 15, 12, 6, 20, (37,), mean=1000.0, n_embd=1600, n_head=25, n_layer=1, n_inner=72,
            tie_word_embeddings=False),
    }


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    every = fixtures()
    for name in sys.argv[1:] or every:
        every[name](name)
    total = sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file())
    print(f"{total / 2 ** 20:.2f} MiB in all")


if __name__ == "__main__":
    main()
