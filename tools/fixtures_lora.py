"""Makes the fixtures of adapters: a tiny checkpoint, LoRA weights of PEFT for it, and the logits of the merged model.

    python3 tools/fixtures_lora.py [NAME ...]

Needs the packages torch, transformers, peft, safetensors and numpy (made with torch 2.15, transformers 5.24 and peft
0.21). Each folder tests/fixtures/lora/NAME holds a checkpoint, adapter/ as PeftModel.save_pretrained writes it, and
expected.json, of peft's own merge_and_unload in float64:

    ids       a sequence
    logits    of its last two tokens, merged
    base      likewise, without the adapter
    merged    the matrices and biases that the merge changed
"""
import json
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel, OPTConfig,
                          OPTForCausalLM)
from transformers.utils import logging

from fixtures_family import double_scores
from fixtures_gpt2 import BF16, F16, F32, FOLDER, cast, save_safetensors, start
from fixtures_heads import NOISE, random_weights

BASE = FOLDER.parent / "lora"


def write_base(folder, kind, config, seed, dtype):
    save_safetensors(folder, cast(random_weights(kind(config), seed), dtype))
    facts = {**config.to_dict(), "architectures": [kind.__name__]}
    facts = {k: v for k, v in facts.items() if k not in NOISE and not k.startswith("summary_")}
    (folder / "config.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def load(folder, kind):
    return kind.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").double().eval()


def write_adapter(folder, kind, lora, seed, dtype, as_bin):
    """Random A and B, and biases that are not the model's, where the adapter trains them."""
    g = torch.Generator().manual_seed(seed)
    model = get_peft_model(load(folder, kind), LoraConfig(**lora))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = (torch.randn(p.shape, generator=g, dtype=torch.float64) * 0.3).to(dtype).double()
    model = model.to(dtype)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    if as_bin:
        from safetensors.torch import load_file
        torch.save(load_file(folder / "adapter" / "adapter_model.safetensors"), folder / "adapter" / "adapter_model.bin")
        (folder / "adapter" / "adapter_model.safetensors").unlink()
    path = folder / "adapter" / "adapter_config.json"
    facts = json.loads(path.read_text())
    facts["base_model_name_or_path"] = "base"
    path.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


@torch.no_grad()
def last_logits(model, ids):
    with double_scores():
        return model(torch.tensor([ids])).logits[0, -2:]


def numbers(x):
    return [[float(f"{v:.9g}") for v in row] for row in x.tolist()]


def judge(folder, kind, ids):
    base = load(folder, kind)
    before, said = {k: v.clone() for k, v in base.state_dict().items()}, {"ids": ids, "base": numbers(last_logits(base, ids))}
    merged = PeftModel.from_pretrained(base, folder / "adapter").double().merge_and_unload()
    said["logits"] = numbers(last_logits(merged, ids))
    after = merged.state_dict()
    said["merged"] = sorted(k for k in before if not torch.equal(before[k], after[k]))
    return said


def stored(name, kind, config, seed, lora, base=F32, dtype=F32, as_bin=False):
    folder = start(name, BASE)
    write_base(folder, kind, config, seed, base)
    write_adapter(folder, kind, lora, seed + 1, dtype, as_bin)
    g = torch.Generator().manual_seed(seed + 2)
    said = judge(folder, kind, torch.randint(0, config.vocab_size, (11,), generator=g).tolist())
    (folder / "expected.json").write_text(json.dumps(said) + "\n")
    off = max(abs(a - b) for x, y in zip(said["base"], said["logits"]) for a, b in zip(x, y))
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1024
    print(f"{name:14} {size:6.1f} KiB  logits move by {off:.2f}; merged: {len(said['merged'])}")
    assert off > 0.3


def gpt2(**facts):
    return GPT2Config(**{**dict(vocab_size=40, n_positions=24, n_embd=16, n_layer=2, n_head=2, n_inner=24, bos_token_id=1, eos_token_id=1), **facts})


def gpt1():
    return OpenAIGPTConfig(vocab_size=40, n_positions=24, n_embd=16, n_layer=2, n_head=2)


def opt(**facts):
    return OPTConfig(**{**dict(vocab_size=40, max_position_embeddings=24, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=24,
                               word_embed_proj_dim=12, do_layer_norm_before=False), **facts})


def neo():
    return GPTNeoConfig(vocab_size=40, max_position_embeddings=24, hidden_size=16, num_layers=2, num_heads=2, window_size=5,
                        attention_types=[[["global", "local"], 1]], bos_token_id=1, eos_token_id=1)


def fixtures():
    return {
        "gpt2-patterns": lambda n: stored(n, GPT2LMHeadModel, gpt2(), 71, dict(
            r=4, lora_alpha=8, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True,
            rank_pattern={"h.0.attn.c_attn": 2, "c_fc": 3}, alpha_pattern={"^transformer.h.1.mlp.c_proj": 5, "h.[01].attn.c_proj": 3}), F16),
        "gpt2-rslora": lambda n: stored(n, GPT2LMHeadModel, gpt2(), 74, dict(
            r=4, lora_alpha=5, use_rslora=True, target_modules=["c_attn", "c_fc"], bias="all", fan_in_fan_out=True), BF16, F16, as_bin=True),
        "gpt2-tables": lambda n: stored(n, GPT2LMHeadModel, gpt2(), 77, dict(
            r=3, lora_alpha=6, target_modules=["wte", "wpe", "attn.c_proj"], fan_in_fan_out=True)),
        "gpt2-head": lambda n: stored(n, GPT2LMHeadModel, gpt2(tie_word_embeddings=False), 80, dict(
            r=3, lora_alpha=6, target_modules=["lm_head"]), F16),
        "gpt1": lambda n: stored(n, OpenAIGPTLMHeadModel, gpt1(), 83, dict(
            r=2, lora_alpha=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
        "opt": lambda n: stored(n, OPTForCausalLM, opt(), 86, dict(
            r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "out_proj", "fc1", "project_in"], bias="lora_only"), F16, F16),
        "opt-bias": lambda n: stored(n, OPTForCausalLM, opt(word_embed_proj_dim=16, do_layer_norm_before=True), 89, dict(
            r=4, lora_alpha=8, target_modules=["k_proj", "fc2"], lora_bias=True)),
        "neo": lambda n: stored(n, GPTNeoForCausalLM, neo(), 92, dict(
            r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"], fan_in_fan_out=True), BF16, BF16),
    }


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    every = fixtures()
    for name in sys.argv[1:] or every:
        every[name](name)


if __name__ == "__main__":
    main()
