"""Read an exported folder with numpy alone, run GPT-2's forward pass and print the loss on some text.

    python3 tools/train/check.py MODEL_DIR TEXT_FILE

An independent check of what train.py exports. Needs the package numpy; no torch.
"""
import json, math, struct, sys
import numpy as np
import bpe

def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head, body = json.loads(f.read(n)), f.read()
    out = {}
    for k, v in head.items():
        if k == "__metadata__":
            continue
        a, b = v["data_offsets"]
        raw = body[a:b]
        if v["dtype"] == "BF16":
            t = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            t = np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[v["dtype"]]).astype(np.float32)
        out[k] = t.reshape(v["shape"])
    return out

def ln(x, w, b):
    m = x.mean(-1, keepdims=True)
    return (x - m) / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + 1e-5) * w + b

def forward(w, cfg, ids):
    t, d, h = len(ids), cfg["n_embd"], cfg["n_head"]
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:t]
    mask = np.triu(np.full((t, t), -np.inf, np.float32), 1)
    for i in range(cfg["n_layer"]):
        g = lambda n: w[f"transformer.h.{i}.{n}"]
        y = ln(x, g("ln_1.weight"), g("ln_1.bias")) @ g("attn.c_attn.weight") + g("attn.c_attn.bias")
        q, k, v = (z.reshape(t, h, d // h).transpose(1, 0, 2) for z in np.split(y, 3, -1))
        s = q @ k.transpose(0, 2, 1) / math.sqrt(d // h) + mask
        s = np.exp(s - s.max(-1, keepdims=True)); s /= s.sum(-1, keepdims=True)
        x = x + (s @ v).transpose(1, 0, 2).reshape(t, d) @ g("attn.c_proj.weight") + g("attn.c_proj.bias")
        y = ln(x, g("ln_2.weight"), g("ln_2.bias")) @ g("mlp.c_fc.weight") + g("mlp.c_fc.bias")
        y = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y ** 3)))
        x = x + y @ g("mlp.c_proj.weight") + g("mlp.c_proj.bias")
    return ln(x, w["transformer.ln_f.weight"], w["transformer.ln_f.bias"]) @ w["transformer.wte.weight"].T

folder = sys.argv[1]
cfg = json.load(open(folder + "/config.json")); w = load(folder + "/model.safetensors"); tok = bpe.Tokenizer.load(folder)
vocab = json.load(open(folder + "/vocab.json", encoding="utf-8"))
assert vocab == tok.vocab and len(vocab) == cfg["vocab_size"] == w["transformer.wte.weight"].shape[0]
ids = tok.encode(open(sys.argv[2], encoding="utf-8").read().replace(bpe.EOT, ""))
n, total, seen = cfg["n_positions"], 0.0, 0
for a in range(0, min(len(ids) - n - 1, 40 * n), n):
    z = forward(w, cfg, ids[a:a + n]); z -= z.max(-1, keepdims=True)
    total -= (z[np.arange(n), ids[a + 1:a + n + 1]] - np.log(np.exp(z).sum(-1))).sum(); seen += n
print(f"{seen} tokens, loss {total / seen:.4f}")
