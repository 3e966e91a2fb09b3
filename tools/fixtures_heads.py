"""Makes the fixtures of the heads: tiny checkpoints of Hugging Face's classes for tasks, and the scores that they give.

    python3 tools/fixtures_heads.py [NAME ...]

Needs the packages torch, transformers, safetensors and numpy, as tools/fixtures_gpt2.py does (made with torch 2.15 and
transformers 5.24). Each folder tests/fixtures/heads/NAME holds a checkpoint and expected.json, all of it in float64:

    labels      id2label, in order; absent for multiple_choice_head
    sequences   ids, `position`: the token that the head reads, and `hidden`: last_hidden_state there
    rows        of the last sequence: `hidden` of some more of its tokens
    classify    a sequence: its scores, the place of the highest
    similar     two sequences: the scores of the sum of their hidden states
    choose      sequences: one score each, the place of the highest
    text        arguments of the program, where there is a tokenizer: the ids of each sequence that they stand for, the
                scores and the place of the highest
"""
import json
import sys

import torch
from tokenizers import pre_tokenizers
from transformers import (AutoTokenizer, GPT2Config, GPT2DoubleHeadsModel, GPT2ForSequenceClassification, GPTNeoConfig,
                          GPTNeoForSequenceClassification, OpenAIGPTConfig, OpenAIGPTDoubleHeadsModel,
                          OpenAIGPTForSequenceClassification, OPTConfig, OPTForSequenceClassification)
from transformers.utils import logging

from fixtures_family import double_scores
from fixtures_gpt2 import BF16, F16, F32, FOLDER, cast, save_bin, save_safetensors, start
from fixtures_tokenizer import flags, train, train_words, variants

BASE = FOLDER.parent / "heads"
START, DELIMITER, EXTRACT = SPECIAL = ["_start_", "_delimiter_", "_classify_"]
GAP = 0.05  # between the best score and the next


# ------------------------------------------------------------------------------------------ the checkpoint

def random_weights(model, seed):
    """Loud enough that a wrong row, a norm left out or another label shows in the scores."""
    g = torch.Generator().manual_seed(seed)
    conv1d = model.config.model_type in ("gpt2", "openai-gpt")
    weights = {}
    for name, p in model.state_dict().items():
        x = torch.randn(p.shape, generator=g, dtype=torch.float64)
        linear = not conv1d or any(n in name for n in ("score", "summary", "lm_head", "wte", "wpe", "embed"))
        if p.dim() == 2:
            x *= (1.0 if "score" in name else 1.5) / p.shape[1 if linear else 0] ** 0.5
        elif name.endswith("bias"):
            x *= 0.2
        else:
            x = 1 + 0.3 * x
        weights[name] = x.float()
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    return weights


NOISE = {"transformers_version", "dtype", "torch_dtype", "attn_implementation", "_attn_implementation", "attn_pdrop", "resid_pdrop",
         "embd_pdrop", "initializer_range", "dropout", "attention_dropout", "init_std", "resid_dropout", "embed_dropout",
         "classifier_dropout", "layerdrop", "use_cache", "summary_first_dropout"}


def write_checkpoint(folder, kind, config, save, seed, dtypes, without):
    tensors = cast(random_weights(kind(config), seed), dtypes)
    save(folder, tensors)
    facts = {**config.to_dict(), "architectures": [kind.__name__]}
    facts = {k: v for k, v in facts.items() if k not in NOISE and k not in without}
    (folder / "config.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    model = kind.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").double().eval()
    for key, value in config.to_dict().items():
        if key not in NOISE | {"architectures", "_name_or_path"}:
            assert getattr(model.config, key, None) == value, (key, value, getattr(model.config, key, None))
    state = model.state_dict()
    for name, t in tensors.items():
        assert torch.equal(state[name], t.double()), name
    return model


# --------------------------------------------------------------------------------------- what it should say

@torch.no_grad()
def hidden_states(model, ids):
    with double_scores():
        return model.base_model(torch.tensor([ids])).last_hidden_state[0]


@torch.no_grad()
def label_scores(model, ids):
    with double_scores():
        return model(torch.tensor([ids])).logits[0]


@torch.no_grad()
def choice_scores(model, sequences):
    """One question with its answers, padded to one length, and where the last token of each is."""
    longest = max(map(len, sequences))
    ids = torch.tensor([[[*s, *[0] * (longest - len(s))] for s in sequences]])
    with double_scores():
        return model(ids, mc_token_ids=torch.tensor([[len(s) - 1 for s in sequences]])).mc_logits[0]


def numbers(x):
    return [float(f"{v:.9g}") for v in x.tolist()]


def clear(scores):
    top = scores.sort(descending=True).values
    return len(top) < 2 or float(top[0] - top[1]) > GAP


def position_of(model, ids):
    """By the scores that the class gives: the one token whose hidden state makes them."""
    if not hasattr(model, "score"):
        return len(ids) - 1
    with torch.no_grad():
        every = model.score(hidden_states(model, ids))
    off = (every - label_scores(model, ids)).abs().amax(-1)
    assert (off < 1e-9).sum() == 1
    return int(off.argmin())


def sequences_of(model, seed, lengths, pads):
    """Random ids; `pads`: so many pad tokens behind those of a sequence, and one inside it."""
    g = torch.Generator().manual_seed(seed)
    pad = model.config.pad_token_id
    out = []
    for length, behind in zip(lengths, pads):
        ids = torch.randint(2, model.config.vocab_size, (length,), generator=g).tolist()
        if behind:
            ids[length // 2] = pad
        out.append(ids + [pad] * behind)
    return out


def choice(model, sequences):
    return torch.cat([label_scores(model, s) for s in sequences]) if hasattr(model, "score") else choice_scores(model, sequences)


@torch.no_grad()
def both(model, sequences):
    """The score of two hidden states that are added."""
    return model.score(sum(hidden_states(model, ids)[position_of(model, ids)] for ids in sequences))


def scored(places, scores):
    return {"sequences": places, "scores": numbers(scores), "best": int(scores.argmax())}


def judge_text(model, runs):
    said = []
    for arguments, ids in runs:
        task = arguments[0]
        scores = choice(model, ids) if task == "choose" else both(model, ids) if task == "similar" else label_scores(model, ids[0])
        said.append({"arguments": arguments, "ids": ids, "scores": numbers(scores), "best": int(scores.argmax())})
    return said


def judge(model, sequences, runs):
    places = [position_of(model, ids) for ids in sequences]
    states = [hidden_states(model, ids) for ids in sequences]
    said = {"sequences": [{"ids": ids, "position": p, "hidden": numbers(h[p])} for ids, p, h in zip(sequences, places, states)]}
    last, n = states[-1], range(len(sequences))
    rows = sorted({0, 1, len(last) // 2, len(last) // 2 + 1, max(0, len(last) - 33), max(0, len(last) - 32), len(last) - 1})
    said["rows"] = [{"row": r, "hidden": numbers(last[r])} for r in rows]
    if hasattr(model, "score"):
        said["labels"] = [model.config.id2label[i] for i in range(model.config.num_labels)]
        said["classify"] = [scored([i], label_scores(model, sequences[i])) for i in n]
        said["similar"] = [scored([i, i + 1], both(model, sequences[i:i + 2])) for i in n[:-1]]
    if model.config.num_labels == 1:
        said["choose"] = [scored(list(n[:m]), choice(model, sequences[:m])) for m in (2, len(n))]
    if runs:
        said["text"] = judge_text(model, runs)
    every = [c for task in ("classify", "similar", "choose", "text") for c in said.get(task, [])]
    return said, all(clear(torch.tensor(c["scores"])) for c in every)


# ------------------------------------------------------------------------------------------ tokenizers

def gpt2_files(added):
    """A byte-level tokenizer of some 340 tokens, with more at the end."""
    vocab, merges = train(pre_tokenizers.ByteLevel.alphabet())
    decoder = {str(len(vocab) + i): flags(t, special=True) for i, t in enumerate(added)}
    decoder[str(vocab["<|endoftext|>"])] = flags("<|endoftext|>", special=True)
    config = {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": decoder}
    return len(vocab) + len(added), {"vocab.json": vocab, "merges.txt": lines(merges), "tokenizer_config.json": config}


def gpt1_files():
    vocab, merges = train_words()
    decoder = {str(len(vocab) + i): flags(t, special=True) for i, t in enumerate(SPECIAL)}
    decoder["0"] = flags("<unk>", special=True)
    config = {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": "<unk>", "additional_special_tokens": SPECIAL,
              "added_tokens_decoder": decoder}
    return len(vocab) + len(SPECIAL), {"vocab.json": vocab, "merges.txt": lines(merges), "tokenizer_config.json": config}


def opt_files():
    files = dict(variants()["opt"])
    return files.pop("config.json")["vocab_size"], files


def lines(merges):
    return "#version: 0.2\n" + "".join(m + "\n" for m in merges)


def write_files(folder, files):
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")


A, B, C = "Once upon a time", "there was a little girl.", "they were all in the house"


def whole(tokenizer, *parts):
    """One text with the special tokens in it."""
    return tokenizer("".join(parts)).input_ids


def gpt1_text(tok):
    """What transformers makes of whole texts with the three special tokens in them."""
    s, d, e = SPECIAL
    return [
        (["classify", "-p", A], [whole(tok, s, A, e)]),
        (["classify", "-p", A, "--start", "", "--extract", d], [whole(tok, A, d)]),
        (["entail", "--premise", A, "--hypothesis", B], [whole(tok, s, A, d, B, e)]),
        (["similar", "--first", A, "--second", C], [whole(tok, s, A, d, C, e), whole(tok, s, C, d, A, e)]),
    ]


def number_text(tok):
    s, d, e = SPECIAL
    return [(["choose", "-p", A, "--answer", B, "--answer", C], [whole(tok, s, A, d, B, e), whole(tok, s, A, d, C, e)])]


def gpt2_text(tok):
    """A text alone, and a pair as transformers encodes one."""
    return [(["classify", "-p", A], [tok(A).input_ids]), (["similar", A, C], [tok(A, C).input_ids, tok(C, A).input_ids])]


def cls_text(tok):
    return [(["choose", "-p", A, "--answer", B, "--answer", C, "--extract", "[CLS]"], [whole(tok, A, t, "[CLS]") for t in (B, C)])]


def opt_text(tok):
    return [
        (["entail", "--premise", A, "--hypothesis", B], [tok(A, B).input_ids]),
        (["classify", "-p", A, "--start", "</s>", "--extract", "<pad>"], [whole(tok, "</s>", A, "<pad>")]),
    ]


# ------------------------------------------------------------------------------------------- the fixtures

def stored(name, kind, config, seed, lengths, pads=(0, 0, 0, 0), save=save_safetensors, dtypes=F32, without=(), files=(), text=None):
    folder = start(name, BASE)
    for attempt in range(100):
        write_files(folder, dict(files))
        model = write_checkpoint(folder, kind, config, save, seed + 1000 * attempt, dtypes, without)
        runs = text(AutoTokenizer.from_pretrained(folder)) if text else []
        said, good = judge(model, sequences_of(model, seed, lengths, pads), runs)
        if good:
            break
    else:
        raise SystemExit(f"{name}: every model nearly ties")
    (folder / "expected.json").write_text(json.dumps(said) + "\n")
    spread = [x for c in said.get("classify", said.get("choose")) for x in c["scores"]]
    print(f"{name:16} {sum(p.stat().st_size for p in folder.iterdir()) / 1024:6.1f} KiB  scores {min(spread):.2f} to {max(spread):.2f}")


def gpt1(vocab, **facts):
    return OpenAIGPTConfig(**{**dict(vocab_size=vocab, n_positions=48, n_embd=24, n_layer=2, n_head=3, attn_implementation="eager"), **facts})


def gpt2(vocab, **facts):
    return GPT2Config(**{**dict(vocab_size=vocab, n_positions=80, n_embd=24, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=1,
                                attn_implementation="eager"), **facts})


def opt(vocab, **facts):
    return OPTConfig(**{**dict(vocab_size=vocab, max_position_embeddings=48, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
                               ffn_dim=40, word_embed_proj_dim=24, attn_implementation="eager"), **facts})


def neo(vocab, **facts):
    return GPTNeoConfig(**{**dict(vocab_size=vocab, max_position_embeddings=48, hidden_size=24, num_layers=2, num_heads=2, window_size=5,
                                  attention_types=[[["global", "local"], 1]], bos_token_id=1, eos_token_id=1, attn_implementation="eager"), **facts})


def named(*labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {t: i for i, t in enumerate(labels)}}


def fixtures():
    gpt1_size, gpt1_tok = gpt1_files()
    gpt2_size, gpt2_tok = gpt2_files([])
    added_size, added_tok = gpt2_files(SPECIAL)
    cls_size, cls_tok = gpt2_files(["[CLS]"])
    opt_size, opt_tok = opt_files()
    return {
        "gpt1-labels": lambda n: stored(
            n, OpenAIGPTForSequenceClassification, gpt1(gpt1_size, **named("entailment", "neutral", "contradiction")), 51, (5, 9, 1, 48), dtypes=F16,
            files=gpt1_tok, text=gpt1_text),
        "gpt1-choice": lambda n: stored(
            n, OpenAIGPTDoubleHeadsModel, gpt1(60, summary_activation="tanh", n_embd=21, tie_word_embeddings=False), 52, (5, 9, 1, 40)),
        "gpt2-labels": lambda n: stored(
            n, GPT2ForSequenceClassification, gpt2(gpt2_size, pad_token_id=0, **named("negative", "positive")), 53, (7, 12, 3, 70),
            (0, 4, 1, 0), dtypes=F16, files=gpt2_tok, text=gpt2_text),
        "gpt2-choice": lambda n: stored(
            n, GPT2DoubleHeadsModel, gpt2(cls_size), 54, (5, 9, 1, 70), dtypes=BF16, files=cls_tok, text=cls_text,
            without=("summary_type", "summary_use_proj", "summary_proj_to_labels", "summary_activation")),
        "gpt2-number": lambda n: stored(
            n, GPT2ForSequenceClassification, gpt2(added_size, problem_type="regression", num_labels=1), 55, (7, 12, 3, 70), save=save_bin,
            dtypes=[F16, BF16], files=added_tok, text=number_text),
        "opt-each": lambda n: stored(
            n, OPTForSequenceClassification, opt(opt_size, word_embed_proj_dim=20, do_layer_norm_before=False,
                                                 problem_type="multi_label_classification", **named("a|b", "\ud55c\uad6d\uc5b4", "c d", "e")), 56,
            (5, 9, 1, 40), (2, 0, 1, 0), dtypes=F16, without=("pad_token_id",), files=opt_tok, text=opt_text),
        "opt-labels": lambda n: stored(
            n, OPTForSequenceClassification, opt(60, num_labels=3), 57, (5, 9, 1, 40), (0, 1, 0, 5)),
        "neo-labels": lambda n: stored(
            n, GPTNeoForSequenceClassification, neo(60, tie_word_embeddings=False, pad_token_id=59), 58, (5, 9, 2, 40), (0, 3, 0, 0),
            without=("id2label", "label2id")),
    }


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    every = fixtures()
    for name in sys.argv[1:] or every:
        every[name](name)
    total = sum(p.stat().st_size for p in BASE.rglob("*") if p.is_file())
    print(f"{total / 2 ** 20:.2f} MiB in all")


if __name__ == "__main__":
    main()
