"""Makes the fixtures of what happens inside of a model: hidden states and attention of each layer by transformers.

    python3 tools/fixtures_layers.py [NAME ...]

Needs the packages torch, transformers, safetensors and numpy, as tools/fixtures_gpt2.py does (made with torch 2.15 and
transformers 4.57). Each file tests/fixtures/layers/NAME.json is about a checkpoint of tests/fixtures, in float64 with
eager attention:

    checkpoint   its folder in tests/fixtures
    ids          T tokens, fewer than the context
    hidden       transformers' hidden_states: the embeddings, then what each layer gives, (layers + 1, T, C); the last one is
                 after the final norm and OPT-350M's project_out, and may have another width
    lens         what the head makes of the residual stream, behind the final norm where the model has one: the likeliest
                 next token and its probability, (layers + 1, T, 2), before each layer and after the last one
    attentions   transformers' output_attentions, (layers, heads, T, ...): of row t the first t + 1 numbers, all others are 0
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from fixtures_family import double_scores
from fixtures_gpt2 import FOLDER

BASE = FOLDER.parent
OUT = BASE / "layers"
TOKENS = 20
CHECKPOINTS = {
    "gpt1": "gpt1/gelu-48",
    "gpt2": "gpt2/gelu-new-48",
    "neo": "neo/alternating-48",
    "opt": "opt/before-48",
    "opt-projected": "opt/after-projected-45-bin",
}


def numbers(x):
    return [float(f"{v:.7g}") for v in x.tolist()]


def lens_of(model, hidden):
    """hidden_states but the last one, which has been through the norm and project_out already."""
    decoder = getattr(model.base_model, "decoder", model.base_model)
    for h in hidden:
        if h is not hidden[-1]:
            for part in ("ln_f", "final_layer_norm", "project_out"):
                h = getattr(decoder, part, None)(h) if getattr(decoder, part, None) is not None else h
        best = model.lm_head(h)[0].softmax(-1).max(-1)
        yield [[int(i), float(f"{p:.7g}")] for p, i in zip(best.values.tolist(), best.indices.tolist())]


@torch.no_grad()
def layers_of(name):
    checkpoint = CHECKPOINTS[name]
    model = AutoModelForCausalLM.from_pretrained(BASE / checkpoint, dtype=torch.float64, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    ids = torch.randint(0, model.config.vocab_size, (TOKENS,), generator=generator)
    with double_scores():
        out = model.base_model(ids[None], output_hidden_states=True, output_attentions=True)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    for a in out.attentions:
        assert a.dtype == torch.float64 and a.shape[2:] == (TOKENS, TOKENS)
        assert float(a.triu(1).abs().max()) == 0 and float((a.sum(-1) - 1).abs().max()) < 1e-12
    return {
        "checkpoint": checkpoint,
        "ids": ids.tolist(),
        "hidden": [[numbers(row) for row in h[0]] for h in out.hidden_states],
        "lens": list(lens_of(model, out.hidden_states)),
        "attentions": [[[numbers(row[: t + 1]) for t, row in enumerate(head)] for head in a[0]] for a in out.attentions],
    }


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CHECKPOINTS:
        said = layers_of(name)
        file = OUT / f"{name}.json"
        file.write_text(json.dumps(said, separators=(",", ":")) + "\n")
        print(f"{name:14} {file.stat().st_size / 1024:6.1f} KiB  {len(said['attentions'])} layers")


if __name__ == "__main__":
    main()
