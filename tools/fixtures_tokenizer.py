"""Writes tests/fixtures/tokenizer/: tokenizer directories in every form that vkgpt reads, and the ids that
Hugging Face's transformers makes of nasty texts with them.

    python3 -m venv venv && venv/bin/pip install tokenizers "transformers<5" sentencepiece protobuf
    venv/bin/python tools/fixtures_tokenizer.py            # write
    venv/bin/python tools/fixtures_tokenizer.py --check    # compare what is there (also with transformers 5)

`NAME/` is a directory as from_pretrained takes it; `tales` is models/tales. `NAME.txt` holds one text a line:

    special|plain  HEX|-  ID ID ...

`special`: special tokens in the text are taken as one id; `plain`: they are text (split_special_tokens). HEX is the
text in UTF-8. The ids are those of the fast tokenizer, which AutoTokenizer gives; transformers before 5 also has the
older one in Python, which has to agree wherever NAME is in SLOW_AGREES.

GPT-1's ids are those of the older one, without ftfy and spacy (transformers 5 has none, and leaves them out): what it
makes of `gpt1` and `gpt1_added`; `gpt1_json` and `gpt1_original` are other forms of `gpt1`. In gpt1_decoded.txt HEX is
what the ids stand for: convert_tokens_to_string before it strips.
"""
import base64
import collections
import itertools
import json
import os
import random
import re
import struct
import sys
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import fixtures_pipeline
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "tests", "fixtures", "tokenizer")
EOT = "<|endoftext|>"
SLOW_AGREES = {"tales", "sorted", "legacy", "opt"}
UNK = "<unk>"

# ------------------------------------------------------------------------------------------------ texts

EDGES = [
    "", " ", "  ", "\n", "a", "Hello world", " Hello  world ", "Hello\n\n\nworld", "tab\tand\r\nline", "\r\r\n \n",
    "I'm you're he's we've they'll I'd can't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D CAN'T", "'s's'S 't't 'tis '", "''s '''",
    "I\u2019m you\u2019re", "'ll'll 'l 'r 're're 've'", "it's'nt", "x's\n's", "1's", "!'s", " 's  's",
    "end   ", "a   b", "a  \n  b", " \t \n x", "\t\tx\t\ty", "   \n\n   ", "x \u3000 y", "a\u00a0b a\u00a0\u00a0b",
    "a\u0085b", "\u0085\u0085x", "a\u2028b\u2029c", "\u3000\u3000\u4f60", "\ufeffa", "a\ufeff b", "a\u200bb", " \u200b ",
    "a\u180eb", " \u180e x", "\u1680a\u2000b\u2009c\u202fd\u205fe", "\x00", "a\x00b", " \x00 ", "\x01\x1c\x1d\x1e\x1f\x7f",
    "cafe\u0301 caf\u00e9 e\u0301e\u0301", "\u0301", "n\u0303o\u0308", "A\u030a\u00c5", "\u0e01\u0e34\u0e48\u0e07",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0917\u0941", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u65e5\u672c\u8a9e \u306e \u30c6\u30ad\u30b9\u30c8\u3001", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u05e9\u05dc\u05d5\u05dd", "\U0001f600\U0001f600 \U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\u2764\ufe0f \U0001f1f0\U0001f1f7",
    "\U0001f44d\U0001f3fd ok", "123 4567", "1,234.5e-6", "\u0661\u0662\u0663 \u0967\u0968 \u2460\u2161\u00bd\u00b2", "3\u00b2x\u2075", "\U0001d7d8\U0001d400",
    "x_y __init__ a-b", "\u203f_\u2040", "C++ (C#) [x]{y}", "https://example.org/?a=1&b=2#c", "$\u20ac\u00a3 \u00a9\u00ae\u2122", "\u00ab\u00bb\u201c\u201d\u2026",
    "\u02b0\u02b9\u01c5\u16ee\u2180", "\ud7ff\ue000\ufffd\uffff\U0010ffff\U000f0000", "\u00aa\u00ba\u00ad\u00b5",
    EOT, EOT + EOT, " " + EOT, EOT + " ", "  " + EOT + "  ", "a" + EOT + "b", "a " + EOT + " b", "a\n" + EOT + "\nb", EOT[:-1],
    EOT[1:], "<" + EOT + ">", "<|endoftext" + EOT, EOT.upper(), "<|ENDOFTEXT|>", "\u3000" + EOT + "\u00a0x", "\U0001f600" + EOT + "1",
    "a" * 5000, "ab" * 500, " " * 1000, " " * 500 + "x", "\n" * 500, "!" * 500, "7" * 500, "\ud55c" * 300, "the " * 300,
    "aaaaaaaaaaab" * 100, "Once upon a time there was a little girl, who's called Red Riding-Hood; she'd 3 apples.\n",
]

EDGES_SHORT = [t for t in EDGES if len(t) < 120 and (EOT in t or len(t) > 5)]

# tokens that the variants below add; in every corpus, so that they are text where they are not added
ADDED = [
    "<m>", "a<m>b", "a <m> b", "a  <m>  b", "<m><m>", " <m> <m> ", "<r>  x", "a <r>\u3000\u0085\n b", "<r> <m>", "<m> <r>", "<r>  <m>  <r>",
    "foo", "foobar", "foofoobar", "foobarfoo fo o", "Foo", "ww", "www", "ww ww.ww-ww", "_ww ww_ 1ww ww1 \u00e9ww ww\u0301 \u0301ww", "ww\u200d ww\u200b", "(ww)\u00b2ww\u4f60ww", "x<m>", "ax<m>b",
    "\u3042\u3042", "\u3042", "\u3042\u3042\u3042x", "<pad>", "a<pad>\n<pad> b", "one two", "one  two", "\u0120z", "<s>", "a<s>b", "<s> <m>" + EOT + "<r> w",
]


GPT1 = [
    "\u039f\u0394\u039f\u03a3 \u03a3 \u03a3\u03a3 \u03bf\u03b4\u03bf\u03c2 A\u03a3. \u03a3\u0301", "\u0130stanbul \u0130\u0131I\u0307 D\u0130\u0323K", "Stra\u00dfe STRA\u1e9eE \ufb01 \u01c5\u01c4",
    "\u00c5ngstr\u00f6m \u212b \u212a \u2126 \u017f", "\u0041\u0301\u0327\u0316 \u1e69\u0323 s\u0307\u0323 \u1f82\u0345", "e\u200d\u0301x e\u0301\u200dx e \u0301x", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \ud55c\u302e\u302f",
    "\u304c\u304b\u3099 \u30d1\uff8a\uff9f \u3071", "a\u4e2d\u6587b\uf900c \U00020000\U0002f800 \u9fff\u3400\U0002ceb0\U00030000", "\u4e2d\u0301\u6587\u0301", "\U0001d15e\U0001d165\U0001d16d \U0001d160x",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u093c \u0958 \u1b05\u1b44\u0301 \u1b44\u302e\u1b44\u302f\u1b44a", "\u0627\u0654 \u0623\u064e\u0651 \u05e9\u05c1\u05bc",
    "\u0e01\u0e33\u0e48 \u0e19\u0e49\u0e33", "a\u3002b\u300cc\u300d\u060cd\u061f\u0964e\u05bef\u2014g\u2026h\u00bfi\u00a1\u1362j\u2cfe\u0f3b\u0f3c", "\u037e\u1fef\u00b4\u0387 a\u0060a^a$a+a<a=a>a|a~a \u00a7\u00b6 \u20ac\u00b1",
    "it's i'm don\u2019t ''x'' -- --a- .5 1,000.00 a_b", "a\tb\nc\rd\x0be\x0cf\x85g\x1ch\x00i\u2028j\u2029k\ufeffl\u00adm\ue000n\ufffdo\u0378p\uffffq", "\x85\x1f\u200b", "\u2028", "\u00a0\u3000\u1680\u2003\u202f",
    UNK, "a" + UNK + "b", " " + UNK + UNK + " x", "<UNK> <Unk>", "<un\u200dk> < unk > <unk", "<\u00fcnk> <\u0075\u0308nk>", "\u03a3" + UNK + "\u03a3", "_start_ a _delimiter_b_classify_ _START_ _Start_", "_start", "__start__",
    "Foo fOO foo FOO Foofoo", "bar <Bar> <bar> <BAR>x", "b" * 5000, "the" * 700 + "\u00e9" * 300, "\u0301" * 300 + "a" + "\u0301\u0323" * 300, "!?" * 300, "\u4e2d" * 300, "\ud55c" * 300,
    "Stop!Now,\"he said.\"(Really?)[yes]{no}", "\U0001f469\u200d\U0001f4bb\U0001f44d\U0001f3fd\u2764\ufe0f x", "caf\u00e9 CAF\u00c9 cafe\u0301 na\u00efve \u00d1and\u00fa Cr\u00e8me Br\u00fbl\u00e9e \u0141\u00f3d\u017a \u00d8l",
]
GPT1_POOLS = [
    "abcdeilnorstuABCDEILNORSTU", "abcdefgh ", " \t\n\u3000\u2028", ".,;:!?'\"-()", "\u03b1\u03c3\u03c2\u03a3\u0391\u03ac\u0386", "\u0130\u0131I\u0307", "\u00e9\u00c9\u00fc\u1e69\u0301\u0323\u0327\u0345",
    "".join(chr(c) for c in range(0xAC00, 0xAC20)) + "\u1100\u1161\u11a8\u302e\u302f", "\u4e00\u4e8c\uf900\U0002f800", "\u304c\u304b\u3099\u30d1", "\x00\x01\x1c\x85\u200d\u00ad\ufffd\ue000\u0378", "\u1b44\u302e\u302f\U0001d165\u0301a",
]
GPT1_WORDS = [UNK, "<UNK>", "_start_", "_START_", "Foo", "<Bar>", "'s", "...", " the "]


MARKS = "()[]{}!\"#$%&'*+,-./:;<=>?\\^_`|~@"
MARKER = "SPL1T-TH1S-Pl3A5E"
GALACTICA = [
    MARKER, "M" + MARKER + "K" + MARKER, " " + MARKER + MARKER + " x", MARKER[:-1] + MARKER, "[START_AMINO]M" + MARKER + "A[END_AMINO]", "<s>a</s> <pad><unk>",
    "2023 1,000.50 x1y2 \u00bd\u2460\u0663\u2162\u00b2\u3007", "wait...what?!!! --- ==> (((a))) [[b]] {c}} a##b$$$c %%&&''\"\"", "!!?? !?!? ~~~``^^||__\\\\//", "...." * 30, "a . b ? c", "it's they'll 's 'S", "@@ \u20ac\u20ac \u2026\u2026 \u3002\u3002",
    "\n\n\na\n b \n\n c\r\n\t\n", "  a   b  ", "\u00a0\u3000x\u2003", "\ufb01ne \uff21\uff42\uff43\uff11 \u2075 \u2122 \u210c \u33a5 \ufdfa \u1e9b\u0323 \u017f\u0307", "e\u0301 \u00e9 a\u0323\u0307 a\u0307\u0323 \u1e69 s\u0307\u0323",
    "\u1112\u1161\u11ab \ud55c \u1112\u1161 \uffa1\uffc2 \u3131", "\uff76\uff9e \u304b\u3099", "\u212b \u2126 \uf900 \U0002f800 \u0344 \u0958 \U0001d15e", "\u0301a", "a" + "\u0323\u0301" * 100, "\u037e \u2024 \u2025 \u2026", "\U0001d7d8\U0001d7d9 \u2474", "<S> [start_ref] [START_REF][START_REF] x[END_REF]\uff1cs\uff1e",
]
GALACTICA_POOLS = ["!!??..--==((", "0123456789", "\n\n ", "\ufb01\uff21\uff11\u2460\u00bd\u2026\u2122", "\u1100\u1161\u11a8\uac00", "\u0301\u0323\u0307aes", "[]{}()<>"]
GALACTICA_WORDS = [MARKER, "<s>", "[START_REF]", "</s>", "'s", " the"]


def random_texts(count, seed, more_pools=(), words=(EOT, "<m>", "foo", "'s", "'LL", "  ")):
    """Texts of assigned characters (by Python's Unicode tables), from pools of awkward ones."""
    rng = random.Random(seed)
    anything = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    pools = [
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " ", " \n\t\r", " \u0085\u00a0\u2028\u3000\u2009", "'sStTreREvVmMlLdD",
        ".,;:!?-_()[]{}<>|/\\\"'`~@#$%^&*+=", "\u0301\u0308\u200b\u200d\ufeff\u180e\u00ad", "".join(chr(c) for c in range(0xAC00, 0xAC40)),
        "".join(chr(c) for c in range(0x4E00, 0x4E40)), "".join(chr(c) for c in range(0x1F600, 0x1F640)), anything, anything,
    ]
    pools.extend(more_pools)
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 9)):
            pool = rng.choice(pools)
            text += "".join(rng.choice(pool) for _ in range(rng.randrange(1, 5)))
            if rng.random() < 0.04:
                text += rng.choice(words)
        texts.append(text)
    return texts


# ------------------------------------------------------------------------------------------ directories

SAMPLE = """Once upon a time there was a little girl whom everybody loved. "What's that, grandmother?" she said;
"it's the better to see you with," they'll answer, and we've heard that there were 12 more of them, the others
the 3 brothers knew. In the other house, in the middle of the wood, they're all there: the then, them, their.
\ud55c\uad6d\uc5b4 \ud55c\uad6d\uc5b4 \u4e16\u754c \u4e16\u754c caf\u00e9 caf\u00e9 aaaa aaaaaaaa foo foo foobar    four    spaces\n\n\nlines\n\n\n"""


def train(alphabet):
    """A vocabulary of 340 tokens or so and its merges, <|endoftext|> last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator([SAMPLE] * 3, trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return {**model["vocab"], EOT: len(model["vocab"])}, merges


MORE = """\u03bf\u03b4\u03cc\u03c2 \u03c4\u03b7\u03c2 \u03bf\u03b4\u03bf\u03c5 \u03bf\u03b4\u03bf\u03c3 bbbbbbbb thethethe start classify delimiter nation stations station
starting stopped stopping yes no really now hello world creme brulee naive strasse istanbul understanding unstoppable
distribution international characteristics tell told telling older colder bolder landlord candle handle bundle noble able"""


def train_words():
    """GPT-1's kind: <unk> first, then the characters, each alone and as the end of a word, then what merges make."""
    text = SAMPLE + MORE
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    words = [[*word[:-1], word[-1] + "</w>"] for word in re.findall(r"\w+|[^\w\s]", text)]
    merges = []
    while pairs := collections.Counter(pair for word in words for pair in zip(word, word[1:])):
        best = max(sorted(pairs), key=pairs.get)  # the first of those that are equally frequent
        merges.append(best)
        for word in words:
            for i in range(len(word) - 1, 0, -1):
                if tuple(word[i - 1:i + 1]) == best:
                    word[i - 1:i + 1] = ["".join(best)]
    characters = set("".join(left + right for left, right in merges).replace("</w>", ""))
    characters |= set("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"-()<>_\u4e2d\u4e8c\u304b\u3099\u1112\u1161\u11ab\u1100\u11a8\u302e\u302f\u1b44\u03b1\u00df\u0131")
    tokens = [UNK] + [c + end for end in ("", "</w>") for c in sorted(characters)]
    tokens += [m for m in dict.fromkeys(left + right for left, right in merges) if m not in set(tokens)]
    return {t: i for i, t in enumerate(tokens)}, [" ".join(m) for m in merges]


def tokenizer_json(vocab, merges, pairs, **parts):
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": vocab[EOT], "content": EOT, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        **parts,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "vocab": vocab,
                  "merges": [m.split(" ") for m in merges] if pairs else merges, **parts.get("model", {})},
    }


def flags(content, lstrip=False, rstrip=False, single_word=False, normalized=False, special=False):
    return {"content": content, "lstrip": lstrip, "normalized": normalized, "rstrip": rstrip, "single_word": single_word,
            "special": special}


def template(vocab, tokens):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": t, "type_id": 0}} for t in tokens] + [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [vocab[t]], "tokens": [t]} for t in tokens}}


def galactica(vocab, merges):
    """Galactica's tokenizer.json around its model, as those of the models that took it over (Nougat) have it too."""
    special = ["<s>", "<pad>", "</s>", UNK, "[START_REF]", "[END_REF]", "[START_AMINO]", "[END_AMINO]"]
    more = [left + " " + c for c in MARKS for left in ("\u0120", c)]  # which a split keeps apart, and does not
    merges = merges + [m for m in more if m not in merges]
    tokens = dict.fromkeys([*special, *vocab, *(m.replace(" ", "") for m in more)])
    vocab = {t: i for i, t in enumerate(tokens)}
    def split(pattern, behavior):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}
    marks = r"""[\(\)\[\]\{\}]|([!"\#\$%\&'\*\+,\-\./:;<=>\?\\\^_`\|\~])\1*"""
    rules = [split({"String": MARKER}, "Removed"), {"type": "Digits", "individual_digits": True}, split({"Regex": marks}, "Isolated"), split({"String": "\n"}, "Isolated"),
             {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
    return {"config.json": {"model_type": "opt", "vocab_size": len(vocab) + 8}, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
            "tokenizer.json": tokenizer_json(vocab, merges, False, added_tokens=[dict(id=i, **flags(t, special=True)) for i, t in enumerate(special)], post_processor=None,
                                             normalizer={"type": "NFKC"}, pre_tokenizer={"type": "Sequence", "pretokenizers": rules})}


def variants():
    """name -> {file name: content}; a str is written as it stands, anything else as JSON."""
    vocab, merges = train(pre_tokenizers.ByteLevel.alphabet())
    n = len(vocab)
    lines = "#version: 0.2\n" + "".join(m + "\n" for m in merges)
    scrambled = dict(sorted(vocab.items()))
    escaped = json.dumps(vocab, ensure_ascii=True)
    config = {"model_type": "gpt2", "vocab_size": n + 16}
    plain = {"config.json": config, "vocab.json": scrambled, "merges.txt": lines}
    few = set("".join(pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(SAMPLE)[i][0] for i in range(20)))
    holes, holes_merges = train(sorted(few))

    added = [flags("<m>", lstrip=True, special=True), flags("<r>", rstrip=True), flags("foo", normalized=True),
             flags("foobar", normalized=True), flags("ww", single_word=True, normalized=True), flags("x<m>", normalized=True),
             flags("\u3042\u3042", normalized=True, special=True), flags("one two", single_word=True, special=True)]
    decoder = {str(n + i): t for i, t in enumerate(added)}
    decoder[str(n - 1)] = flags(EOT, normalized=True, special=True)
    with_list = [dict(id=n - 1, **flags(EOT, special=True))] + [dict(id=n + i, **t) for i, t in enumerate(added)]
    class_fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    bos = {"<s>": n, **{t: i for t, i in vocab.items()}}
    opt = {"<s>": 0, "<pad>": 1, "</s>": 2, UNK: 3, **{t: i + 4 for t, i in vocab.items() if t != EOT}, "madeupword0000": n + 3}
    opt_roles = {role: flags(t, normalized=True) for role, t in [("bos_token", "</s>"), ("eos_token", "</s>"), ("unk_token", "</s>"), ("pad_token", "<pad>")]}
    return {
        "sorted": plain,
        "escaped": {**plain, "vocab.json": escaped, "merges.txt": lines.replace("\n", "\r\n")},
        "strings": {"config.json": config, "tokenizer.json": tokenizer_json(vocab, merges, False)},
        "pairs": {"config.json": config, "tokenizer.json": json.dumps(tokenizer_json(scrambled, merges, True), ensure_ascii=True)},
        "added": {**plain, "tokenizer_config.json": {"added_tokens_decoder": decoder, "pad_token": "<r>"}, "added_tokens.json": {"Foo": n + 15}},
        "listed": {"config.json": config, "tokenizer.json": tokenizer_json(vocab, merges, True, added_tokens=with_list)},
        "legacy": {**plain, "added_tokens.json": {"<pad>": n, "foo": n + 1, "foobar": n + 2},
                   "special_tokens_map.json": {"bos_token": EOT, "eos_token": EOT, "unk_token": EOT, "pad_token": "<pad>"}},
        "roles": {**plain, "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": {"__type": "AddedToken", **flags("<m>", lstrip=True)},
                                                     "pad_token": None, "additional_special_tokens": ["foo"]}},
        "bos": {**plain, "vocab.json": bos, "tokenizer_config.json": {"add_bos_token": True, "bos_token": "<s>"}},
        "opt": {"config.json": {"model_type": "opt", "vocab_size": n + 16, "bos_token_id": 2, "eos_token_id": 2}, "vocab.json": opt, "merges.txt": lines,
                "special_tokens_map.json": {role: {k: v for k, v in t.items() if k != "special"} for role, t in opt_roles.items()},
                "tokenizer_config.json": {"errors": "replace", **{role: {"__type": "AddedToken", **t} for role, t in opt_roles.items()}, "add_prefix_space": False,
                                          "add_bos_token": True, "special_tokens_map_file": None, "tokenizer_class": "GPT2Tokenizer"}},
        "neo": {**plain, "config.json": {"model_type": "gpt_neo", "vocab_size": n + 16, "tokenizer_class": "GPT2Tokenizer"}},
        "galactica": galactica(vocab, merges),
        "space": {**plain, "tokenizer_config.json": {"add_prefix_space": True}},
        "space_json": {"config.json": config, "tokenizer_config.json": {"add_prefix_space": True},
                       "tokenizer.json": tokenizer_json(vocab, merges, True)},
        "space_ignored": {"config.json": config, "tokenizer.json": tokenizer_json(vocab, merges, True, pre_tokenizer={
            "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True})},
        "template": {"config.json": config, "tokenizer_config.json": class_fast,
                     "tokenizer.json": tokenizer_json(vocab, merges, True, post_processor=template(vocab, [EOT]))},
        "bos_json": {"config.json": config, "tokenizer_config.json": {"add_bos_token": True},
                     "tokenizer.json": tokenizer_json(vocab, merges, False)},
        "holes": {"config.json": config, "vocab.json": holes, "merges.txt": "#version: 0.2\n" + "\n".join(holes_merges) + "\n"},
        "unk": {"config.json": config, "tokenizer_config.json": class_fast,
                "tokenizer.json": tokenizer_json(holes, holes_merges, True, model={"unk_token": EOT})},
        "fused": {"config.json": config, "tokenizer_config.json": class_fast,
                  "tokenizer.json": tokenizer_json(holes, holes_merges, True, model={"unk_token": EOT, "fuse_unk": True})},
    }


def gpt1_variants():
    vocab, merges = train_words()
    n = len(vocab)
    lines = "#version: 0.2\n" + "".join(m + "\n" for m in merges)
    config = {"model_type": "openai-gpt", "vocab_size": n + 8}
    added = {str(n): flags("_start_", special=True), str(n + 1): flags("_delimiter_", special=True), str(n + 2): flags("_classify_", special=True, lstrip=True),
             str(n + 3): flags("Foo", normalized=True), str(vocab["foo"]): flags("foo", rstrip=True, normalized=True), str(n + 5): flags("<Bar>", special=True), "0": flags(UNK, special=True)}
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    model = {"type": "BPE", "dropout": None, "unk_token": UNK, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": False, "vocab": vocab, "merges": merges}
    return {
        "gpt1": {"config.json": config, "vocab.json": vocab, "merges.txt": lines},
        "gpt1_json": {"config.json": config, "tokenizer_config.json": {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": UNK}, "tokenizer.json": {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [dict(id=0, **flags(UNK, special=True))], "normalizer": bert,
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None, "decoder": {"type": "BPEDecoder", "suffix": "</w>"}, "model": model}},
        "gpt1_original": {"encoder_bpe_40000.json": json.dumps(vocab), "vocab_40000.bpe": lines},
        "gpt1_added": {"config.json": config, "vocab.json": vocab, "merges.txt": lines, "tokenizer_config.json": {
            "tokenizer_class": "OpenAIGPTTokenizer", "unk_token": UNK, "additional_special_tokens": ["_start_", "_delimiter_", "_classify_", "<Bar>"], "added_tokens_decoder": added}},
        "gpt1_legacy": {"config.json": config, "vocab.json": vocab, "merges.txt": lines, "added_tokens.json": {"_start_": n, "_delimiter_": n + 1, "_classify_": n + 2, "<Bar>": n + 3},
                        "special_tokens_map.json": {"unk_token": UNK, "bos_token": "_start_", "cls_token": "_classify_"}},
    }


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    """One field of a protobuf message: a whole number, a float, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def spiece():
    """A SentencePiece model of Unigram, as sentencepiece_model.proto has it."""
    types = {"<unk>": 2, "</s>": 3, "<m>": 4, "<s>": 3}
    vocab = [[t, float(score)] for t, score in fixtures_pipeline.unigram()["vocab"]]
    vocab[3:3] = [["<s>", 0.0], ["[PAD]", 0.0]]
    pieces = b"".join(field(1, field(1, t.encode()) + field(2, score) + (field(3, types[t]) if t in types else b"")) for t, score in vocab)
    trainer = field(3, 1) + field(40, 0) + field(41, 3) + field(42, 1) + field(43, 4)
    charsmap = base64.b64decode(fixtures_pipeline.charsmap(fixtures_pipeline.SMALL_MAP))
    return pieces + field(2, trainer) + field(3, field(1, b"small") + field(2, charsmap) + field(3, 1) + field(4, 1) + field(5, 1)), len(vocab)


def piece_variants():
    """vocab.txt and spiece.model, alone and with what tokenizer_config.json sets; BERT's class over a tokenizer.json."""
    bert = fixtures_pipeline.of_models()["bert"]
    tokens = [*bert["model"]["vocab"], "[MASK]", "the", "", "Foo", "#", "##!", "x"]
    config = {"model_type": "gpt2", "vocab_size": len(tokens) + 4}
    bert_class = {"tokenizer_class": "BertTokenizer"}
    model, pieces = spiece()
    rinna = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "[PAD]", "bos_token": "<s>", "extra_ids": 0, "additional_special_tokens": []}
    t5 = {"model_type": "gpt2", "vocab_size": pieces + 100}
    return {
        "bert_vocab": {"config.json": config, "vocab.txt": "\n".join(tokens) + "\n", "tokenizer_config.json": bert_class},
        "bert_cased": {"config.json": config, "vocab.txt": "\r\n".join(dict.fromkeys(tokens)), "tokenizer_config.json": {
            **bert_class, "do_lower_case": False, "tokenize_chinese_chars": False, "strip_accents": True, "cls_token": "foo", "sep_token": "bar"}},
        "bert_json": {"config.json": config, "tokenizer.json": bert, "tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}},
        "spiece": {"config.json": t5, "spiece.model": model, "tokenizer_config.json": rinna},
        "spiece_extra": {"config.json": t5, "spiece.model": model, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "legacy": False}},
    }


def write_directories(out):
    for name, files in {**variants(), **gpt1_variants(), **piece_variants()}.items():
        os.makedirs(os.path.join(out, name), exist_ok=True)
        for file, content in files.items():
            if isinstance(content, bytes):
                with open(os.path.join(out, name, file), "wb") as f:
                    f.write(content)
                continue
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            with open(os.path.join(out, name, file), "w", encoding="utf-8", newline="") as f:
                f.write(text)


# -------------------------------------------------------------------------------------------------- ids


def encode(tokenizer, text, special):
    return tokenizer(text, split_special_tokens=not special)["input_ids"]


def open_tokenizers(name, out):
    folder = os.path.join(ROOT, "models", "tales") if name == "tales" else os.path.join(out, name)
    fast = transformers.AutoTokenizer.from_pretrained(folder)
    assert fast.is_fast
    slow = None
    if name in SLOW_AGREES and int(transformers.__version__.split(".")[0]) < 5:
        slow = transformers.GPT2Tokenizer.from_pretrained(folder)
    return fast, slow


def lines_of(name, out):
    fast, slow = open_tokenizers(name, out)
    texts = EDGES + ADDED + random_texts(400, 1) if name == "tales" else EDGES_SHORT + ADDED + random_texts(20, 2)
    if name == "galactica":
        texts = GALACTICA + [f"a {c} {c}{c} x{c}{c}{c}y \u00a7{c}{c}" for c in MARKS] + texts + random_texts(300, 4, GALACTICA_POOLS * 2, GALACTICA_WORDS)
    if name == "opt":
        texts = ["</s>", "a</s>b", " </s> <pad><s> <unk> x", "</s></s>\n", *texts]
    for text in texts:
        for special in (True, False):
            ids = encode(fast, text, special)
            if slow and special:  # the older one takes a text that is nothing but a special token as one id anyway
                assert slow(text)["input_ids"] == ids, (name, text)
            if special or ids != encode(fast, text, True):
                yield " ".join(["special" if special else "plain", text.encode("utf-8").hex() or "-", *map(str, ids)])


def piece_lines(name, out):
    fast = transformers.AutoTokenizer.from_pretrained(os.path.join(out, name))
    assert fast.is_fast
    texts = [t for t in fixtures_pipeline.EDGES if len(t) < 120] + list(fixtures_pipeline.random_texts(40, 7, fixtures_pipeline.agreed()))
    for text in texts + ["[MASK] the\u0301 Foo #! x", "<extra_id_0><extra_id_99> <s>a</s>", "Caf\u00c9 \u4e16the"]:
        for special in (True, False):
            ids = encode(fast, text, special)
            if special or ids != encode(fast, text, True):
                yield " ".join(["special" if special else "plain", text.encode("utf-8").hex() or "-", *map(str, ids)])
            if special:
                decoded = fast.backend_tokenizer.decode(ids, skip_special_tokens=False)
                yield " ".join(["decode", decoded.encode("utf-8").hex() or "-", *map(str, ids)])


def gpt1_lines(name, out):
    same = {"gpt1_json": "gpt1", "gpt1_original": "gpt1", "gpt1_decoded": "gpt1"}.get(name, name)
    slow = transformers.OpenAIGPTTokenizer.from_pretrained(os.path.join(out, same))
    assert not slow.is_fast and slow.fix_text is None
    long = {"gpt1": 1000, "gpt1_added": 300}.get(name, 50)
    texts = [t for t in EDGES + GPT1 if name == "gpt1" or len(t) < 120] + random_texts(long, 3, GPT1_POOLS * 2, GPT1_WORDS)
    for text in texts:
        if name == "gpt1_decoded":
            ids = encode(slow, text, True)
            string = "".join(slow.convert_ids_to_tokens(ids)).replace("</w>", " ")
            assert string.strip() == slow.convert_tokens_to_string(slow.convert_ids_to_tokens(ids))
            yield " ".join(["special", string.encode("utf-8").hex() or "-", *map(str, ids)])
            continue
        for special in (True, False):
            ids = encode(slow, text, special)
            if special or ids != encode(slow, text, True):
                yield " ".join(["special" if special else "plain", text.encode("utf-8").hex() or "-", *map(str, ids)])


def main():
    check = sys.argv[1:] == ["--check"]
    if not check:
        write_directories(OUT)
    names = {name: lines_of for name in ["tales", *variants()]}
    if int(transformers.__version__.split(".")[0]) < 5:
        names.update({name: gpt1_lines for name in [*gpt1_variants(), "gpt1_decoded"]})
        names.update({name: piece_lines for name in piece_variants()})
    for name, lines in names.items():
        text = "".join(line + "\n" for line in lines(name, OUT))
        path = os.path.join(OUT, name + ".txt")
        if check:
            with open(path, encoding="utf-8") as f:
                want = f.read().splitlines()
            wrong = [(w, g) for w, g in itertools.zip_longest(want, text.splitlines()) if w != g]
            print(f"{name}: {len(wrong)} of {len(want)} differ", *(wrong[:3]), sep="\n    " if wrong else "")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            assert "special " in text and (name in piece_variants() or "\nplain " in text or name == "gpt1_decoded")
            print(f"{name}: {text.count(chr(10))} texts, {len(text)} bytes")


if __name__ == "__main__":
    main()
