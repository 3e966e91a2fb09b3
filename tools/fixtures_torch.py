"""Makes tests/fixtures/torch: one tiny GPT-2 in each of the forms in which PyTorch writes a state dict.

    python3 tools/fixtures_torch.py

Needs the packages torch and numpy (made with torch 2.15). tests/test_pickle.c knows every value:
element (row, column) of a tensor is ((sum of its name's bytes * 31 + row * 7 + column * 3) % 64 - 32) / 8, which
is exact in every format.
"""
import collections
import json
import shutil
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "torch"
LAYERS, HEADS, DIM, INNER, CONTEXT, VOCAB = 1, 2, 8, 12, 5, 11


def values(name, shape, dtype):
    rows, columns = shape if len(shape) == 2 else (1, shape[0])
    grid = (sum(name.encode()) * 31 + torch.arange(rows)[:, None] * 7 + torch.arange(columns)[None, :] * 3) % 64
    return ((grid - 32) / 8).reshape(shape).to(dtype)


def weights(dtype):
    shapes = {"wte.weight": (VOCAB, DIM), "wpe.weight": (CONTEXT, DIM)}
    for layer in range(LAYERS):
        h = f"h.{layer}."
        shapes |= {h + "ln_1.weight": (DIM,), h + "ln_1.bias": (DIM,),
                   h + "attn.c_attn.weight": (DIM, 3 * DIM), h + "attn.c_attn.bias": (3 * DIM,),
                   h + "attn.c_proj.weight": (DIM, DIM), h + "attn.c_proj.bias": (DIM,),
                   h + "ln_2.weight": (DIM,), h + "ln_2.bias": (DIM,),
                   h + "mlp.c_fc.weight": (DIM, INNER), h + "mlp.c_fc.bias": (INNER,),
                   h + "mlp.c_proj.weight": (INNER, DIM), h + "mlp.c_proj.bias": (DIM,)}
    shapes |= {"ln_f.weight": (DIM,), "ln_f.bias": (DIM,)}
    return {name: values(name, shape, dtype) for name, shape in shapes.items()}


def folder(name):
    path = FOLDER / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": LAYERS, "n_head": HEADS,
              "n_embd": DIM, "n_inner": INNER, "n_positions": CONTEXT, "vocab_size": VOCAB}
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return path


def metadata():
    """As Module.state_dict() leaves it: an OrderedDict with an attribute, pickled through BUILD; the head is wte."""
    state = collections.OrderedDict({"transformer." + k: v for k, v in weights(torch.float32).items()})
    state["lm_head.weight"] = state["transformer.wte.weight"]
    state._metadata = collections.OrderedDict({"": {"version": 1}, "transformer": {"version": 1}})
    torch.save(state, folder("metadata") / "pytorch_model.bin")


def strided():
    """Half precision: matrices as transposed views, vectors as parts of one storage at an offset."""
    state, parts = {}, weights(torch.float16)
    pool = torch.cat([v for v in parts.values() if v.dim() == 1])
    at = 0
    for name, value in parts.items():
        if value.dim() == 2:
            state[name] = value.t().contiguous().t()
        else:
            state[name] = pool[at:at + len(value)]
            at += len(value)
    torch.save(state, folder("strided") / "pytorch_model.bin")


def parameters():
    """bfloat16 and float mixed, as parameters; GPT-2's mask buffers; something that is no tensor."""
    wide = weights(torch.float32)
    state = {k: torch.nn.Parameter(wide[k] if "ln_" in k else v) for k, v in weights(torch.bfloat16).items()}
    state["h.0.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.uint8).tril()
    state["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    state["step"] = 100000
    state["rates"] = [0.5, None, True, -3, 1 << 40]
    torch.save(state, folder("parameters") / "pytorch_model.bin")


def sharded():
    path, state = folder("sharded"), weights(torch.float16)
    names = list(state)
    shards = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i * 8:i * 8 + 8] for i in range(2)}
    for file, held in shards.items():
        torch.save({n: state[n] for n in held}, path / file)
    index = {"metadata": {"total_size": 0}, "weight_map": {n: f for f, held in shards.items() for n in held}}
    (path / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


def tied(dtype):
    """As Module.state_dict() leaves it; the head is wte, and one vector is a view of a larger storage."""
    state = collections.OrderedDict({"transformer." + k: v for k, v in weights(dtype).items()})
    pool = torch.cat([state["transformer.ln_f.bias"], state["transformer.ln_f.weight"]])
    state["transformer.ln_f.weight"] = pool[DIM:]
    state["lm_head.weight"] = state["transformer.wte.weight"]
    state["transformer.h.0.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.uint8).tril()
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


def legacy():
    """The form before PyTorch 1.6: a stream of pickles, then the storages."""
    torch.save(tied(torch.float32), folder("legacy") / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def legacy_4():
    torch.save(tied(torch.float16), folder("legacy-4") / "pytorch_model.bin", _use_new_zipfile_serialization=False, pickle_protocol=4)


def protocol_4():
    torch.save(tied(torch.float64), folder("protocol-4") / "pytorch_model.bin", pickle_protocol=4)


def protocol_5():
    torch.save(tied(torch.bfloat16), folder("protocol-5") / "pytorch_model.bin", pickle_protocol=5)


if __name__ == "__main__":
    for make in (metadata, strided, parameters, sharded, legacy, legacy_4, protocol_4, protocol_5):
        make()
        name = make.__name__.replace("_", "-")
        print(f"{name}: {sum(f.stat().st_size for f in (FOLDER / name).iterdir())} bytes")
