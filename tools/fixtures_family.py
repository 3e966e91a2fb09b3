"""Makes the fixtures of GPT-1, GPT-Neo and OPT: tiny checkpoints and what Hugging Face transformers says about them.

    python3 tools/fixtures_family.py [FAMILY/NAME ...]

Folders tests/fixtures/{gpt1,neo,opt}/NAME of the same form as GPT-2's: tools/fixtures_gpt2.py, next to this script,
says what is in them, and has what the families share. gpt1/openai-release is the form in which OpenAI published
GPT-1 (openai/finetune-transformer-lm): ten flat arrays and the shapes to cut them by.
"""
import json
import sys
from contextlib import contextmanager

import numpy as np
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel, OPTConfig, OPTForCausalLM
from transformers.models.gpt_neo import modeling_gpt_neo
from transformers.models.openai import modeling_openai
from transformers.models.opt import modeling_opt
from transformers.utils import logging

from fixtures_gpt2 import BF16, F16, F32, FOLDER, Judge, cast, expect, save_bin, save_safetensors, start
from fixtures_gpt2 import write_config

BASE = FOLDER.parent
FEW = [0, 1, 5, 17, 35, 36]
MODELS = {"gpt1": OpenAIGPTLMHeadModel, "neo": GPTNeoForCausalLM, "opt": OPTForCausalLM}


class DoubleTorch:
    """torch, where float32 is float64: GPT-Neo's and OPT's code ask for scores and softmax in float32."""
    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextmanager
def double_scores():
    modules = [modeling_gpt_neo, modeling_openai, modeling_opt]
    for m in modules:
        m.torch = DoubleTorch()
    try:
        yield
    finally:
        for m in modules:
            m.torch = torch


class FamilyJudge(Judge):
    def logits(self, ids):
        with double_scores():
            return super().logits(ids)


# ------------------------------------------------------------------------------------------ random weights

def random_weights(model, seed):
    """As for GPT-2, loud enough that wrong arithmetic shows. Scores of GPT-Neo, which scales none, stay in bounds."""
    g = torch.Generator().manual_seed(seed)
    config = model.config
    conv1d = config.model_type == "openai-gpt"
    post_norm = conv1d or not getattr(config, "do_layer_norm_before", True)
    weights = {}
    for name, p in model.state_dict().items():
        x = torch.randn(p.shape, generator=g, dtype=torch.float64)
        if "embed" in name or "wte" in name or "wpe" in name or "lm_head" in name:
            token = "positions" not in name and "wpe" not in name
            x *= (3.0 if token and not post_norm else 1.5) / p.shape[1] ** 0.5
        elif p.dim() == 2:
            boost = 1.5 if any(n in name for n in ("c_attn", "c_fc", "fc1", "v_proj")) else 1.0
            if "q_proj" in name or "k_proj" in name:
                head_dim = config.hidden_size // config.num_attention_heads
                boost = 1.5 if config.model_type == "opt" else 1.5 / head_dim ** 0.25
            x *= boost / p.shape[0 if conv1d else 1] ** 0.5
        elif name.endswith("bias"):
            x *= 0.2
        else:
            x = 1 + 0.3 * x
        weights[name] = x.float()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights


# ------------------------------------------------------------------------------------- the forms on disk

def without(prefix):
    return lambda tensors: {name.removeprefix(prefix): t for name, t in tensors.items()}


def with_buffers(middle, dtype):
    """The buffers that older versions of transformers kept beside the weights."""
    def change(tensors):
        layers = {name.split(".attn.")[0] for name in tensors if ".attn." in name}
        for layer in sorted(layers):
            tensors[f"{layer}.{middle}.bias"] = torch.ones(37, 37).tril().to(dtype).view(1, 1, 37, 37)
            tensors[f"{layer}.{middle}.masked_bias"] = torch.tensor(-1e9)
        return tensors
    return change


def save_openai(folder, tensors):
    """Positions first, then tokens, then each layer as its variables were made; ten arrays of about one size."""
    order = ["positions_embed.weight", "tokens_embed.weight"]
    order += [n for n in tensors if n.startswith("h.")]
    assert sorted(order) == sorted(tensors)
    layer = [f"h.0.{n}" for n in ("attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
                                  "ln_1.weight", "ln_1.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight",
                                  "mlp.c_proj.bias", "ln_2.weight", "ln_2.bias")]
    assert order[2:14] == layer
    shapes = [list(tensors[n].shape) for n in order]
    shapes = [[1, *s] if len(s) == 2 and i > 1 else s for i, s in enumerate(shapes)]
    (folder / "params_shapes.json").write_text(json.dumps(shapes))
    flat = np.concatenate([tensors[n].numpy().ravel() for n in order])
    for i, part in enumerate(np.array_split(flat, 10)):
        np.save(folder / f"params_{i}.npy", part)


def wanted(state, tensors, prefixes):
    """Every tensor of the file is a weight of the model, bit for bit."""
    for name, t in tensors.items():
        if name.endswith((".attn.bias", "attention.bias", "masked_bias")):
            continue
        found = [state[p + name] for p in prefixes if p + name in state]
        assert len(found) == 1 and torch.equal(found[0], t.double()), name


def stored(name, config, save, seed, prompt=12, greedy=26, text=100, strides=(37, 18), rows=None, dtypes=F16,
           change=None, without_keys=(), **keys):
    folder = start(name, BASE)
    family = MODELS[name.split("/")[0]]
    tensors = cast(random_weights(family(config), seed), dtypes)
    if change:
        tensors = change(tensors)
    save(folder, tensors)
    noise = ("attn_pdrop", "resid_pdrop", "embd_pdrop", "initializer_range", "dropout", "attention_dropout", "init_std",
             "resid_dropout", "embed_dropout", "classifier_dropout", "layerdrop", "use_cache", "pad_token_id")
    write_config(folder, config, noise + tuple(without_keys), architectures=[family.__name__], **keys)
    model = family.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    for key, value in config.to_dict().items():
        if key not in ("_name_or_path", "dtype", "transformers_version", "architectures", *keys):
            assert getattr(model.config, key, None) == value, (key, value, getattr(model.config, key, None))
    wanted(model.state_dict(), tensors, ("", "transformer.", "model."))
    return expect(folder, model, prompt, greedy, text, strides, rows, seed, FamilyJudge)


def openai_release(name, config, seed):
    folder = start(name, BASE)
    model = OpenAIGPTLMHeadModel(config).double()
    tensors = random_weights(model, seed)
    save_openai(folder, without("transformer.")(tensors))
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and missing == ["lm_head.weight"]
    model.tie_weights()
    return expect(folder, model, 12, 26, 100, (37, 18), None, seed, FamilyJudge)


# ------------------------------------------------------------------------------------------- the fixtures

def gpt1(**facts):
    base = dict(vocab_size=307, n_positions=37, n_embd=48, n_layer=2, n_head=4, attn_implementation="eager")
    return OpenAIGPTConfig(**{**base, **facts})


def neo(types, **facts):
    base = dict(vocab_size=307, max_position_embeddings=37, hidden_size=48, num_layers=2, num_heads=4, window_size=7,
                attention_types=types, bos_token_id=306, eos_token_id=306, attn_implementation="eager")
    return GPTNeoConfig(**{**base, **facts})


def opt(**facts):
    base = dict(vocab_size=307, max_position_embeddings=37, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
                ffn_dim=72, word_embed_proj_dim=48, attn_implementation="eager")
    return OPTConfig(**{**base, **facts})


def fixtures():
    safe, pickle = save_safetensors, save_bin
    alternating = [[["global", "local"], 1]]
    return {
        "gpt1/gelu-48": lambda n: stored(n, gpt1(), safe, 21),
        "gpt1/relu-45-bin": lambda n: stored(
            n, gpt1(n_embd=45, n_head=3, afn="relu", n_layer=1), pickle, 22, dtypes=[BF16, F16], rows=FEW,
            change=lambda t: without("transformer.")(with_buffers("attn", F32)(t)),
            # as files of 2019 have it; the inner width is none of the class's business
            without_keys=("model_type",), n_ctx=37, n_special=0, n_inner=5),
        "gpt1/silu-40-bf16": lambda n: stored(
            n, gpt1(n_embd=40, n_head=5, afn="silu", layer_norm_epsilon=1e-2, bos_token_id=1, eos_token_id=2), safe,
            23, dtypes=BF16, change=head_copy_gpt1),
        "gpt1/swish-45-head": lambda n: stored(
            n, gpt1(n_embd=45, n_head=3, n_layer=1, afn="swish", tie_word_embeddings=False),
            lambda d, t: safe(d, t, 2), 24, rows=FEW),
        "gpt1/openai-release": lambda n: openai_release(n, gpt1(n_embd=24, n_head=12), 25),
        "neo/alternating-48": lambda n: stored(n, neo(alternating), safe, 31, prompt=20, greedy=18),
        "neo/window-1-45": lambda n: stored(
            n, neo([[["local", "global", "local"], 1]], hidden_size=45, num_heads=3, num_layers=3, window_size=1,
                   intermediate_size=77, activation_function="gelu"), safe, 32, change=without("transformer."),
            # the list of layers goes before the types, which contradict it here
            attention_types=[[["global"], 3]], attention_layers=["local", "global", "local"]),
        "neo/local-45-bin": lambda n: stored(
            n, neo([[["local"], 2]], hidden_size=45, num_heads=5, window_size=36, activation_function="relu",
                   layer_norm_epsilon=1e-3), pickle, 33, dtypes=[BF16, F16],
            change=with_buffers("attn.attention", torch.uint8), without_keys=("attention_layers",)),
        "neo/types-40-shards": lambda n: stored(
            n, neo([[["local"], 2], [["global", "local"], 1]], hidden_size=40, num_heads=1, num_layers=4, window_size=5,
                   intermediate_size=40, tie_word_embeddings=False),
            lambda d, t: safe(d, t, 3), 34, rows=FEW, without_keys=("attention_layers",)),
        "neo/long-300": lambda n: stored(
            n, neo([[["local", "global"], 1]], hidden_size=32, num_heads=2, max_position_embeddings=300,
                   window_size=65), safe, 35, dtypes=BF16, prompt=290, greedy=11, text=700, strides=(300, 200),
            rows=[0, 1, 63, 64, 65, 66, 127, 128, 129, 191, 192, 255, 256, 257, -2, -1]),
        "opt/before-48": lambda n: stored(n, opt(), safe, 41),
        "opt/after-projected-45-bin": lambda n: stored(  # OPT-350M
            n, opt(hidden_size=45, num_attention_heads=3, word_embed_proj_dim=20, do_layer_norm_before=False), pickle,
            42, change=without("model.")),
        "opt/before-projected-40": lambda n: stored(
            n, opt(hidden_size=40, num_attention_heads=5, word_embed_proj_dim=50, ffn_dim=33,
                   activation_function="gelu", tie_word_embeddings=False), safe, 43, dtypes=[F16, BF16], rows=FEW),
        "opt/plain-48": lambda n: stored(
            n, opt(enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu"), safe, 44,
            without_keys=("word_embed_proj_dim",)),
        "opt/plain-after-45": lambda n: stored(
            n, opt(hidden_size=45, num_attention_heads=3, word_embed_proj_dim=45, num_hidden_layers=1,
                   do_layer_norm_before=False, layer_norm_elementwise_affine=False), pickle, 45, dtypes=BF16, rows=FEW,
            change=without("model.")),
        "opt/no-final-norm-45": lambda n: stored(
            n, opt(hidden_size=45, num_attention_heads=5, word_embed_proj_dim=45, _remove_final_layer_norm=True,
                   enable_bias=False), lambda d, t: safe(d, t, 2), 46, rows=FEW),
    }


def head_copy_gpt1(tensors):
    return {**tensors, "lm_head.weight": tensors["transformer.tokens_embed.weight"].clone()}


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    every = fixtures()
    for name in sys.argv[1:] or every:
        every[name](name)
    total = sum(p.stat().st_size for d in MODELS for p in (BASE / d).rglob("*") if p.is_file())
    print(f"{total / 2 ** 20:.2f} MiB in all")


if __name__ == "__main__":
    main()
