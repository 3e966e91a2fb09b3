"""Writes tests/fixtures/tokenizer/pipeline_*.txt: tokenizers of every kind that a tokenizer.json can say, and what Hugging
Face's tokenizers makes of texts with them. Made with tokenizers 0.22.

    python3 -m venv venv && venv/bin/pip install tokenizers
    venv/bin/python tools/fixtures_pipeline.py             # write
    venv/bin/python tools/fixtures_pipeline.py --check     # compare what is there
    venv/bin/python tools/fixtures_pipeline.py --long build/tokenize_lines [COUNT]  # random texts against vkgpt

Lines of a file:

    tokenizer NAME JSON           the tokenizer of the lines behind it
    special|plain HEX|- ID ID ... the ids of a text in UTF-8; special tokens in it are taken as one id, or are text
    decode HEX|- ID ID ...        the text of the ids
"""
import base64
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "tests", "fixtures", "tokenizer")
SPACE = "\u2581"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SAMPLE = """the little girl, whom everybody loved. "What's that?" she said; it's the better to see you with. the the then
other 12 345 6 \ud55c\uad6d\uc5b4 \ud55c\uad6d \u4e16\u754c \u4e16\u754c\u4eba caf\u00e9 caf\u00e9s aaaa aaab foobar foo bar \u65e5\u672c\u8a9e \u65e5\u672c \u3067\u3059 \u3059\u308b
"""

# ---------------------------------------------------------------------------------------------------- characters


def agreed():
    """Characters that Unicode 8, on which parts of tokenizers stand, and later versions agree on."""
    assigned = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    marks = pre_tokenizers.Punctuation("removed")
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    accents = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    forms = {f: getattr(normalizers, f)() for f in ("NFC", "NFD", "NFKC", "NFKD")}

    def same(c):
        kind = unicodedata.category(c)
        punctuation = kind[0] == "P" or (c.isascii() and 0x20 < ord(c) < 0x7F and not c.isalnum())
        nfd = unicodedata.normalize("NFD", c)
        return (punctuation == (not marks.pre_tokenize_str(c)) and
                (clean.normalize_str(c) == "") == (c == "\ufffd" or (kind in ("Cc", "Cf", "Co") and c not in "\t\n\r")) and
                accents.normalize_str(c) == "".join(x for x in nfd if unicodedata.category(x) != "Mn") and
                (normalizers.StripAccents().normalize_str(c) == "") == (kind[0] == "M") and
                all(n.normalize_str(c) == unicodedata.normalize(f, c) for f, n in forms.items()))

    return [c for c in assigned if same(c)]


EDGES = [
    "", " ", "  ", "\n", "a", " a", "a ", "  a  b  ", "the little girl", "The Little GIRL's", "it's", "caf\u00e9 CAFE\u0301S", "e\u0301\u0323x \u0130I \u03a3\u03c2",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\u4e16\u754c\u4eba12\uff13", "foo<m>bar <m> x", "<m>", "<m><m>a", "[UNK] <unk> </s> [CLS]", "\u2581the \u2581\u2581", "12 345,6.7", "a-b--c---d", "--", "-a-",
    "foo  \u3000\u00a0 bar\t\tx\r\n\r\ny", "aaaaaaaaaaaaaaaa", "\ufb01\u2460\u00bd\ufdfa\uff76\uff9e", "x\x00y", "\x00", "\u200b\ufeff\u00ad", "\ufffd", "\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1f0\U0001f1f7",
    "don't do not can't ' ' . , ! ?", "abcabc123ABC", "Hello, World!", "\u0301a", "a.b. c .d", "\u00df\u1e9e", "FOO foo Foo fOo", "foo" * 40, "a \u0301 b", "\u65e5\u672c\u8a9e\u3067\u3059\u3002",
]


def random_texts(count, seed, characters):
    rng = random.Random(seed)
    pools = ["abcdefghij", "the lit", "   ", " \n\t\r", "0123456789", ".,;:!?-_'\"()[]<>/", "-", "aA", "\u0301\u0308\u0323e", "\ud55c\uad6d\uc5b4\uc138", "\u4e16\u754c\u65e5\u672c\u4eba\u8a9e",
             "\u3067\u3059\u308b\u3002", "\u2581", "\u00e9\u00c9\u00fc\u0130", "\u3000\u00a0\u2028\u0085", "\U0001f469\u200d\U0001f3fd\ufe0f", "\u1100\u1161\u11a8\uac00", "\ufb01\u2460\uff21\u00bd\u212b", characters, characters]
    words = ["<m>", "the", " the", "[UNK]", "<unk>", "foo", "FOO", "  ", "'s", "not", "\u2581", "</s>", "12", "<0x41>"]
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 8)):
            pool = rng.choice(pools)
            text += "".join(rng.choice(pool) for _ in range(rng.randrange(1, 5)))
            if rng.random() < 0.15:
                text += rng.choice(words)
        yield text


# ---------------------------------------------------------------------------------------------------- tokenizers


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


def whole(model, tokens=(), **parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens), "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None, **parts, "model": model}


def pieces(tokens=(), **parts):
    """A tokenizer whose ids show where pieces begin: every character is a token, and another one where it goes on."""
    alphabet = " abcdefox0123-.,'\n\t\u00e9\u0301\u2581\u0120\u010a\u4e16A_"
    vocab = {"[UNK]": 0}
    for c in alphabet:
        for t in (c, "##" + c):
            vocab[t] = len(vocab)
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10000, "vocab": vocab}
    return whole(model, tokens, **parts)


def bpe(alphabet=(), size=150, split=None, limit=(), **settings):
    tokenizer = Tokenizer(models.BPE(unk_token=settings.get("unk_token")))
    if split:
        tokenizer.pre_tokenizer = split
    tokenizer.train_from_iterator([SAMPLE] * 3, trainers.BpeTrainer(vocab_size=size, initial_alphabet=list(alphabet), special_tokens=list(limit), show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return {**model, **settings}


def bytes_bpe(**settings):
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return bpe(pre_tokenizers.ByteLevel.alphabet(), 300, split, **settings)


def byte_level(**flags):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **flags}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def metaspace(scheme="always", **more):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": True, **more}


def metaspace_bpe(fallback=True, **settings):
    more = ["<unk>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] * fallback
    model = bpe(size=110 + len(more), split=pre_tokenizers.Metaspace(), limit=more, unk_token="<unk>", **settings)
    model["vocab"] = {t: i for t, i in model["vocab"].items()}
    return {**model, "byte_fallback": fallback, "fuse_unk": True}


def unigram(fallback=False, **settings):
    words = ["the", SPACE + "the", SPACE, "t", "h", "e", "a", "aa", "aaaa", "l", "i", "tt", "le", SPACE + "li", "g", "r", "o", "f", "foo", "ba", "b", "r", "s", "'", ",", ".", "\u4e16", "\u4e16\u754c", "\u65e5", "\u65e5\u672c",
             "\u672c", "\u3067\u3059", "\ud55c", "\uad6d\uc5b4", "1", "2", "12", "A", "caf\u00e9", "\u00e9", "e\u0301"]
    rng = random.Random(5)
    vocab = [["<unk>", 0.0], ["</s>", 0.0], ["<m>", 0.0]] + [[w, round(-2 - 6 * rng.random() + 0.7 * len(w), 6)] for w in dict.fromkeys(words)]
    if fallback:
        vocab += [[f"<0x{b:02X}>", -12.0] for b in range(256)]
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": fallback, **settings}


def charsmap(pairs):
    """SentencePiece's precompiled_charsmap of {text: text}: a double array as Darts-clone lays it out, and the texts."""
    texts, values = b"", {}
    for text in sorted(set(pairs.values())):
        values[text] = len(texts)
        texts += text.encode() + b"\0"
    keys = sorted((k.encode(), values[v]) for k, v in pairs.items())
    units, used = {0: 0}, {0}

    def place(node, entries, depth):
        children = {}
        for key, value in entries:
            children.setdefault(key[depth] if len(key) > depth else 0, []).append((key, value))
        base = next(b for b in itertools.count(1) if (b ^ node) < 1 << 21 and not any((b ^ c) in used for c in children) and (b ^ 0) not in used)
        for c in children:
            used.add(base ^ c)
        used.add(base)
        offset = base ^ node
        units[node] = units.get(node, 0) | offset << 10
        for c, rest in children.items():
            if c == 0:
                units[node] |= 1 << 8
                units[base] = 1 << 31 | rest[0][1]
            else:
                units[base ^ c] = c
                place(base ^ c, rest, depth + 1)

    place(0, keys, 0)
    size = (max(used) | 0xFF) + 1
    array = struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size)))
    return base64.b64encode(struct.pack("<I", len(array)) + array + texts).decode()


SMALL_MAP = {"\ufb01": "fi", "\u2460": "1", "\t": " ", "\n": " ", "\uff21": "A", "e\u0301": "\u00e9", "\u00a0": " ", "\u3000": " ", "\u200b": "", "\u00bd": "1/2", "a": "\u00e0", "\uff76\uff9e": "\u30ac"}


def template(tokens, before=(), behind=()):
    def one(t):
        return {"SpecialToken": {"id": t, "type_id": 0}}
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {"type": "TemplateProcessing", "single": [one(t) for t in before] + [a] + [one(t) for t in behind], "pair": [a, b],
            "special_tokens": {t: {"id": t, "ids": [tokens[t]], "tokens": [t]} for t in {*before, *behind}}}


def bert(**flags):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True, **flags}


def of_normalizers():
    def one(*parts, **more):
        return pieces(normalizer=parts[0] if len(parts) == 1 else sequence("normalizers", *parts), **more)
    mark = {"tokens": [added(1000, "<m>")]}
    plain = [added(900, "<m>"), added(901, "FOO", normalized=True, special=False), added(902, "\u00e9x", normalized=True, special=False, lstrip=True)]
    for i, t in enumerate(plain):
        t["id"] = i + len(pieces()["model"]["vocab"])
    return {
        "nfc": one({"type": "NFC"}), "nfd": one({"type": "NFD"}), "nfkc": one({"type": "NFKC"}, tokens=plain), "nfkd": one({"type": "NFKD"}),
        "lowercase": one({"type": "Lowercase"}, tokens=plain),
        "accents": one({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, tokens=plain),
        "strip": one({"type": "Strip", "strip_left": True, "strip_right": True}), "strip_right": one({"type": "Strip", "strip_left": False, "strip_right": True}),
        "prepend": one({"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}, tokens=plain),
        "replace": one({"type": "Replace", "pattern": {"Regex": r"\s{2,}|\d+"}, "content": "-"}, {"type": "Replace", "pattern": {"String": "."}, "content": ""}),
        "byte_level_normalizer": one({"type": "ByteLevel"}), "nmt": one({"type": "Nmt"}),
        "bert_normalizer": one(bert(), tokens=plain, pre_tokenizer={"type": "BertPreTokenizer"}),
        "bert_cased": one(bert(lowercase=False, strip_accents=True, handle_chinese_chars=False)), "bert_accents": one(bert(strip_accents=False, clean_text=False)),
        "precompiled": one({"type": "Precompiled", "precompiled_charsmap": charsmap(SMALL_MAP)}),
    }


def of_splits():
    out = {}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        out[f"split_{behavior}"] = pieces(pre_tokenizer=split({"String": "-"}, behavior))
        out[f"split_{behavior}_inverted"] = pieces(pre_tokenizer=split({"Regex": r"[a-f]+|\d"}, behavior, True))
        out[f"punctuation_{behavior}"] = pieces(pre_tokenizer={"type": "Punctuation", "behavior": behavior})
    one = {
        "split_empty": split({"Regex": "(?=b)"}), "split_nothing": split({"String": ""}), "split_stars": split({"Regex": "x*"}, "MergedWithPrevious"),
        "split_classes": split({"Regex": r"\w+\b|[^\w\s]|\h+\s?|\u4e16{,2}$"}), "split_lines": split({"Regex": "^.|.$"}, "Contiguous"),
        "whitespace": {"type": "Whitespace"}, "whitespace_split": {"type": "WhitespaceSplit"}, "bert_pre": {"type": "BertPreTokenizer"},
        "digits": {"type": "Digits", "individual_digits": False}, "digits_each": {"type": "Digits", "individual_digits": True},
        "delimiter": {"type": "CharDelimiterSplit", "delimiter": "-"}, "fixed": {"type": "FixedLength", "length": 3},
        "metaspace": metaspace(), "metaspace_never": metaspace("never"), "metaspace_whole": metaspace(split=False),
        "words_then_metaspace": sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first")),
        "byte_level_first": sequence("pretokenizers", byte_level(add_prefix_space=True), split({"String": "\u0120"}, "MergedWithNext")),
        "digits_then_byte_level": sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level(add_prefix_space=True)),
    }
    out.update({name: pieces(pre_tokenizer=p) for name, p in one.items()})
    first = pieces(pre_tokenizer=metaspace("first"))
    first["added_tokens"] = [added(len(first["model"]["vocab"]), "<m>")]
    out["metaspace_first"] = first
    return out


def of_models():
    eot = "<|endoftext|>"
    model = bytes_bpe()
    model["vocab"][eot] = len(model["vocab"])
    tokens = [added(model["vocab"][eot], eot)]
    names = {**model["vocab"]}
    merged = bytes_bpe(ignore_merges=True)
    merged["vocab"]["\u0120little\u0120girl"] = len(merged["vocab"])
    merged["vocab"]["foobars"] = len(merged["vocab"])
    decoder = byte_level()
    space = metaspace_bpe()
    words = {w: i for i, w in enumerate(["[UNK]", "the", "girl", "a", "C", "C(=O)", "foo", "[CLS]", "[SEP]", ".", "'", "s", "\u4e16", "it", "12"])}
    piece = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 12,
             "vocab": {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "##the", "t", "##t", "##h", "##e", "##he", "a", "##a", "##aaa", "foo", "##bar", "##b", "\u4e16", "\u754c", "##\u754c", ".", ",", "'", "s", "do", "not", "n", "##'", "1", "##2", "cafe", "\ud55c"])}}
    cls = {t: piece["vocab"][t] for t in ("[CLS]", "[SEP]")}
    bert_tokens = [added(i, t) for t, i in piece["vocab"].items() if t[0] == "["]
    marks = [added(0, "<unk>"), added(1, "</s>"), added(2, "<m>", special=False)]
    llama = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    suffixed = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": "@", "end_of_word_suffix": "</w>", "fuse_unk": False,
                "vocab": {t: i for i, t in enumerate(["<unk>", "a", "@a", "@a</w>", "a</w>", "t", "@h", "@e</w>", "th", "the</w>", "aa", "@e", "aa</w>"])},
                "merges": [["t", "@h"], ["th", "@e</w>"], ["a", "@a"], ["a", "@a</w>"]]}
    return {
        "gpt2_written_out": whole(model, tokens, pre_tokenizer=sequence("pretokenizers", split({"Regex": GPT2}), byte_level(use_regex=False)), decoder=decoder),
        "gpt4": whole(merged, normalizer={"type": "NFC"}, pre_tokenizer=sequence("pretokenizers", split({"Regex": GPT4}), byte_level(use_regex=False)), decoder=decoder),
        "byte_level_whole": whole(model, tokens, pre_tokenizer=byte_level(use_regex=False, add_prefix_space=True), decoder=decoder,
                                  post_processor=template(names, [eot], [eot, "a"])),
        "roberta": whole(model, tokens, pre_tokenizer=byte_level(), decoder=decoder, post_processor={
            "type": "RobertaProcessing", "sep": [eot, names[eot]], "cls": ["a", names["a"]], "trim_offsets": True, "add_prefix_space": False}),
        "kogpt2": whole(space, [added(0, "<unk>"), added(1, "</s>")], pre_tokenizer=metaspace(), decoder=metaspace()),
        "kogpt2_fused": whole(metaspace_bpe(False), [added(1, "</s>")], normalizer={"type": "NFKC"}, pre_tokenizer=metaspace(), decoder=metaspace(),
                              post_processor=sequence("processors", byte_level(), template({"</s>": 1, "<unk>": 0}, ["<unk>"], ["</s>", "</s>"]))),
        "llama": whole(space, [added(0, "<unk>"), added(1, "</s>")], normalizer=sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}),
                       decoder=sequence("decoders", *llama)),
        "smiles": whole({**bpe(["C", "c", "(", ")", "=", "O", "N", "1"], 60), "unk_token": None}, decoder=None),
        "suffixed": whole(suffixed, pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "BPEDecoder", "suffix": "</w>"}),
        "bert": whole(piece, bert_tokens, normalizer=bert(), pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
                      post_processor=template(cls, ["[CLS]"], ["[SEP]"])),
        "bert_uncleaned": whole({**piece, "max_input_chars_per_word": 100}, bert_tokens, pre_tokenizer={"type": "Whitespace"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": False},
                                post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}),
        "words": whole({"type": "WordLevel", "unk_token": "[UNK]", "vocab": words}, pre_tokenizer={"type": "Whitespace"}),
        "words_whole": whole({"type": "WordLevel", "unk_token": "[UNK]", "vocab": words}, [added(words["[CLS]"], "[CLS]")], normalizer={"type": "Lowercase"}),
        "unigram": whole(unigram(), marks, normalizer=sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": charsmap(SMALL_MAP)}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
                         pre_tokenizer=metaspace(), decoder=metaspace(), post_processor=template({"</s>": 1}, [], ["</s>"])),
        "unigram_bytes": whole(unigram(True), marks, pre_tokenizer=metaspace("first"), decoder=sequence("decoders", {"type": "ByteFallback"}, metaspace("first"))),
        "unigram_whole": whole(unigram(), normalizer={"type": "NFKC"}, decoder=sequence("decoders", {"type": "Strip", "content": "a", "start": 2, "stop": 0}, {"type": "Fuse"},
                                                                                        {"type": "Replace", "pattern": {"Regex": "[e\u2581]+"}, "content": "~"})),
    }


GROUPS = {"pipeline_normalizers": (of_normalizers, 12), "pipeline_splits": (of_splits, 10), "pipeline_models": (of_models, 20)}

# ---------------------------------------------------------------------------------------------------------- lines


def hexed(text):
    return text.encode("utf-8").hex() or "-"


def has_byte_level(tokenizer):
    return "ByteLevel" in str(tokenizer.decoder)


def checks(tokenizer, texts, decode_one_in=1):
    """The lines of each text. What is decoded are its ids and those backwards, which cuts characters apart."""
    for i, text in enumerate(texts):
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text).ids
        yield " ".join(["special", hexed(text), *map(str, ids)])
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text).ids
        if plain != ids:
            yield " ".join(["plain", hexed(text), *map(str, plain)])
        for some in (ids, ids[::-1]) if i % decode_one_in == 0 else ():
            decoded = tokenizer.decode(some, skip_special_tokens=False) if some else ""
            if not (has_byte_level(tokenizer) and "\ufffd" in decoded):  # vkgpt gives the bytes
                yield " ".join(["decode", hexed(decoded), *map(str, some)])


def lines_of(group, characters):
    make, count = GROUPS[group]
    for number, (name, tokenizer) in enumerate(make().items()):
        text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
        yield f"tokenizer {name} {text}"
        texts = EDGES[:8] + [t for i, t in enumerate(EDGES[8:]) if (i + number) % 3 == 0] + list(random_texts(count, number, characters))
        yield from checks(Tokenizer.from_str(text), [t for t in texts if len(t) < 100], 4)


# ----------------------------------------------------------------------------------------------------- the long run


def long_run(program, count, characters):
    wrong = 0
    for group, (make, _) in GROUPS.items():
        for number, (name, tokenizer) in enumerate(make().items()):
            text = json.dumps(tokenizer, ensure_ascii=False)
            with tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
                    f.write(text)
                with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
                    f.write('{"tokenizer_class": "PreTrainedTokenizerFast"}')
                wrong += compare(program, folder, f"{group} {name}", Tokenizer.from_str(text), random_texts(count, 1000 + number, characters))
    return wrong


def compare(program, folder, name, tokenizer, texts):
    lines = list(checks(tokenizer, texts))
    asked = "\n".join(" ".join(l.split(" ")[:2]) if l[0] != "d" else " ".join(["decode", *l.split(" ")[2:]]) for l in lines) + "\n"
    got = subprocess.run([program, folder], input=asked, capture_output=True, text=True)
    answers = got.stdout.split("\n")[:-1]
    differ = [(w, g) for w, g in itertools.zip_longest(lines, answers) if w is None or g is None or (w.split(" ")[1] if w[0] == "d" else " ".join(w.split(" ")[2:])) != g]
    print(f"{name}: {len(differ)} of {len(lines)} differ", got.stderr.strip(), flush=True)
    for want, is_ in differ[:4]:
        shown = repr(bytes.fromhex(want.split(" ")[1].replace("-", "")).decode()) if want else ""
        print(f"    {shown[:200]}\n    wanted {want}\n    is     {is_}")
    return len(differ)


def main():
    characters = agreed()
    if sys.argv[1:2] == ["--long"]:
        sys.exit(long_run(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 100000, characters) > 0)
    for group in GROUPS:
        path = os.path.join(OUT, group + ".txt")
        text = "".join(line + "\n" for line in lines_of(group, characters))
        if sys.argv[1:] == ["--check"]:
            with open(path, encoding="utf-8") as f:
                print(f"{group}: {'same' if f.read() == text else 'differs'}")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            print(f"{group}: {text.count(chr(10))} lines, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
