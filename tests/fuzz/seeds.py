"""First inputs of the harnesses, made of the tests' fixtures: python3 seeds.py FOLDER. Those of GGUF files are made by
build/fuzz_seeds where it is built."""
import gzip
import hashlib
import pathlib
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
OUT = pathlib.Path(sys.argv[1])
MOST = 64 << 10  # bytes of an input


def seed(harness, data):
    if len(data) > MOST:
        return
    folder = OUT / harness
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def several(harness, folder, names):
    parts = [b"\x1d" + name.encode() + b"\n" + (folder / name).read_bytes() for name in names if (folder / name).exists()]
    if parts:
        seed(harness, b"".join(parts))


TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model",
             "special_tokens_map.json", "added_tokens.json", "config.json", "encoder_bpe_40000.json", "vocab_40000.bpe"]
DIRECTORY = ["config.json", "generation_config.json", "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json",
             "pytorch_model.bin.index.json", "adapter_config.json"]

for folder in sorted(p for p in FIXTURES.rglob("*") if p.is_dir()):
    several("tokenizer", folder, TOKENIZER)
    several("config", folder, ["config.json", "generation_config.json"])
    several("directory", folder, DIRECTORY)
    several("lora", folder, ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
    if folder.parent.name == "heads":
        several("heads", folder, ["config.json", "model.safetensors"])
    for path in folder.iterdir():
        data = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".json":
            seed("json", data)
        if path.name.endswith("index.json"):
            seed("index", data)
        if path.name == "params_shapes.json":
            seed("openai", data)
        if path.suffix == ".npy":
            seed("npy", data[:MOST])
        if path.suffix == ".safetensors":
            seed("safetensors", data)
        if path.suffix == ".bin":
            seed("torch", data)
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        if name.endswith("data.pkl"):
                            seed("pickle", archive.read(name))
        if path.suffix == ".jsonl":
            lines = data.split(b"\n")
            seed("items", b"\n".join(lines[:4]) + b"\n")
            seed("items", gzip.compress(b"\n".join(lines[:4]), mtime=0))
            seed("few_shot", b"\x1ditems.jsonl\n" + b"\n".join(lines[:3]) + b"\n\x1dexamples.jsonl\n" + b"\n".join(lines[2:6]) + b"\n")

for path in sorted((ROOT / "models" / "tasks").iterdir()):
    if path.is_file():
        seed("task", path.read_bytes())
for path in sorted((FIXTURES / "tokenizer").glob("*.txt")):
    for line in path.read_bytes().split(b"\n")[:20]:
        seed("encode", line)
seed("wikitext", (FIXTURES / "eval" / "wikitext.txt").read_bytes()[:8192])
seed("index", b'{"weight_map": {"a": "a.safetensors"}}')
seed("npy", b"\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".ljust(80) + bytes(8))
seed("tuning", b"vkgpt-tuning 4 0.1.0 0000 0000 00000000 00000000000000000000000000000000 no device\n"
               b"contract gpu f16 64 256 1 4 128 12 0 thorough\ntile contract matrices f16 3072 768 128 64 64 128 split thorough\n"
               b"step dispatches software f16 12 768 3072 50264 quick\n")


def fnv(data, value=14695981039346656037):
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


ITEMS = b'{"text": "one two"}\n{"text": "three four"}\n'  # of fuzz_record.c, whose model has no files
seed("record", b'{"format":"vkgpt-eval-1","model":"tales","model_hash":"%016x","weights":"f32","kv":"f16","context":"256"}\n'
               b'{"task":"lambada","file":"t.jsonl","bytes":%d,"hash":"%016x"}\n'
               b'{"task":"lambada","item":0,"logprobs":[-1.5],"greedy":true,"cut":0}\n'
               % (fnv(b""), len(ITEMS), fnv(len(ITEMS).to_bytes(8, "little") + ITEMS)))
uuid = bytes(16)
seed("cache", (32).to_bytes(4, "little") + (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4) + uuid + b"data")
seed("cache", b"vkgptpc1" + bytes(8) + (32).to_bytes(4, "little"))
for command in range(20):
    for words in ("-m\0model\0-p\0text\0-n\0" "5\0--temp\0" "0.8\0--seed\0" "1", "--json\0--ids\0" "1,2,3\0--device\0" "0", "a\0b\0--help", "--weights\0q8_0\0-c\0" "1K"):
        seed("options", bytes([command]) + words.encode())

program = ROOT / "build" / "fuzz_seeds"
if program.exists():
    (OUT / "gguf").mkdir(parents=True, exist_ok=True)
    subprocess.run([program, OUT / "gguf"], check=True)
