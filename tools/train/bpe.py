"""Byte-level BPE as used by GPT-2: trainer, encoder, decoder, vocab.json / merges.txt.

Pure Python, no dependencies.  ``python3 tools/train/bpe.py CORPUS OUT_DIR VOCAB_SIZE`` trains and saves one.
"""
import heapq
import json
import os
import re
import sys
from collections import Counter, defaultdict

EOT = "<|endoftext|>"
# GPT-2's split pattern, written for the standard `re` module (\p{L} -> [^\W\d_], \p{N} -> \d).
SPLIT = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def byte_to_unicode():
    """GPT-2's printable stand-in for every byte value (dict byte -> character)."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {b: chr(b) for b in keep}
    extra = 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return {b: table[b] for b in keep + [b for b in range(256) if b not in keep]}


B2U = byte_to_unicode()
U2B = {u: b for b, u in B2U.items()}


def to_symbols(piece):
    return "".join(B2U[b] for b in piece.encode("utf-8"))


def train(texts, vocab_size, min_count=2):
    """Learn merges from an iterable of strings; returns the list of merged pairs."""
    counts = Counter()
    for text in texts:
        counts.update(SPLIT.findall(text))
    words = [list(to_symbols(w)) for w in counts]
    freqs = list(counts.values())
    pair_count, pair_words = Counter(), defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_count[pair] += freqs[i]
            pair_words[pair].add(i)
    heap = [(-c, p) for p, c in pair_count.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < vocab_size - 257:
        neg, pair = heapq.heappop(heap)
        if pair_count[pair] != -neg:  # stale entry: put the true count back
            if pair_count[pair] > 0:
                heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        if -neg < min_count:
            break
        merges.append(pair)
        a, b = pair
        changed = set()
        for i in list(pair_words[pair]):
            word, f = words[i], freqs[i]
            for old in zip(word, word[1:]):
                pair_count[old] -= f
                pair_words[old].discard(i)
                changed.add(old)
            out, j = [], 0
            while j < len(word):
                if j + 1 < len(word) and word[j] == a and word[j + 1] == b:
                    out.append(a + b)
                    j += 2
                else:
                    out.append(word[j])
                    j += 1
            words[i] = out
            for new in zip(out, out[1:]):
                pair_count[new] += f
                pair_words[new].add(i)
                changed.add(new)
        for p in changed:
            if pair_count[p] > 0:
                heapq.heappush(heap, (-pair_count[p], p))
    return merges


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        symbols = list(B2U.values()) + [a + b for a, b in self.merges] + [EOT]
        self.vocab = {s: i for i, s in enumerate(symbols)}
        self.symbols = symbols
        self.eot = self.vocab[EOT]
        self.cache = {}

    def __len__(self):
        return len(self.symbols)

    def piece(self, text):
        ids = self.cache.get(text)
        if ids is None:
            word = list(to_symbols(text))
            while len(word) > 1:
                best = min(zip(word, word[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if best not in self.rank:
                    break
                out, j = [], 0
                while j < len(word):
                    if j + 1 < len(word) and (word[j], word[j + 1]) == best:
                        out.append(word[j] + word[j + 1])
                        j += 2
                    else:
                        out.append(word[j])
                        j += 1
                word = out
            ids = self.cache[text] = [self.vocab[s] for s in word]
        return ids

    def encode(self, text):
        ids = []
        for p in SPLIT.findall(text):
            ids.extend(self.piece(p))
        return ids

    def decode(self, ids):
        data = b"".join(EOT.encode() if i == self.eot else bytes(U2B[c] for c in self.symbols[i]) for i in ids)
        return data.decode("utf-8", "replace")

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
            json.dump(self.vocab, f, ensure_ascii=False)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
            f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self.merges))

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as f:
            lines = f.read().split("\n")
        return cls([tuple(x.split(" ")) for x in lines if x and not x.startswith("#version")])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        docs = f.read().split(EOT)
    tok = Tokenizer(train(docs, int(sys.argv[3])))
    tok.save(sys.argv[2])
    print(f"{len(tok)} tokens")
