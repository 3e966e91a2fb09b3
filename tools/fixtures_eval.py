#!/usr/bin/env python3
"""Makes tests/fixtures/eval: small hand-made files in the forms of lambada, hellaswag, piqa, arc, winogrande and
wikitext, and what lm-evaluation-harness's definitions give for them with models/tales, by transformers on the CPU.

    python3 tools/fixtures_eval.py        (needs torch and transformers)

The definitions are written down here a second time, apart from the program's: that is the point of it.
"""
import json
import math
import re
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel, GPT2TokenizerFast

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/fixtures/eval"
CONTEXT = 64

LAMBADA = [
    "Once upon a time there was a little girl who lived with her mother in a small house near the great forest",
    "The old man sat down by the fire and told the children a story, and when he had done they all went to bed",
    "\u201cWhere are you going?\u201d asked the fox. \u201cI am going to the king\u2019s palace,\u201d said the hare, and he ran away from the fox",
    "There was once a king who had a daughter, and she was so fair that all the world spoke of her. Once upon a time",
    "He looked for his hat in the garden, in the kitchen and under the table, and at last he found his hat",
    " ".join(["The wind blew and the rain fell and the boy walked on along the road."] * 5) + " At last he came to his mother",
]

HELLASWAG = [
    {"activity_label": "Baking bread", "ctx_a": "A woman stands in the kitchen.", "ctx_b": "she takes some Flour and water and",
     "endings": ["makes a loaf of bread.", "flies over the roof of the house.", "rides the horse to the mill ."], "label": 0},
    {"activity_label": "Pets and Animals", "ctx_a": "[header] How to feed a dog [title] Buy some food. [step] Go to the shop",
     "ctx_b": "and ask for it.", "endings": ["[substeps] Give it to the dog  every morning.", "Sing.", "Throw the dog into the deep blue sea [now] and the food too."],
     "label": "0"},
    {"activity_label": "Sailing", "ctx_a": " The captain looked at the sky.", "ctx_b": "",
     "endings": ["\"There will be a storm,\" he said.", "He ate the ship.", "He was a little \u00e9clair."], "label": 0},
]

PIQA = [
    {"goal": "To light a fire", "sol1": "put dry wood together and strike a match.", "sol2": "put wet stones together and strike a fish.", "label": 0},
    {"goal": "How do you cross a river?", "sol1": "Drink it.", "sol2": "Go over the bridge, or take a boat.", "label": 1},
]

ARC = [
    {"id": "a", "question": "Which of these is the largest?", "choices": {"text": ["a horse", "a bird", "a fish", "a dog"], "label": ["A", "B", "C", "D"]}, "answerKey": "A"},
    {"id": "b", "question": "What falls from the clouds?", "choices": {"text": ["rain", "bread", "stones"], "label": ["1", "2", "3"]}, "answerKey": "1"},
]

WINOGRANDE = [
    {"sentence": "The boy was thanked by the old man, for _ had been given an apple.", "option1": "the boy", "option2": "the old man", "answer": "2"},
    {"sentence": "The cup did not fit into the box, for _ was too large.", "option1": "the cup", "option2": "the box", "answer": "1"},
]

# a page that fits into one window, one of several, and one whose title is no heading of a section
WIKITEXT = """ 
 = The River = 
 
 The river is about 1 @,@ 200 miles long , and well @-@ known for its fish ( mostly trout ) . It was the miller 's ; " a good river , " he said . 
 
 = = Course = = 
 
 It rises at 3 @.@ 5 ° north : in the hills . N people live there ! Who are they ? 
 
 = The Forest = 
 
""" + " The king and his men rode into the forest , and they rode for seven days and seven nights . The trees were so high that the sun was never seen ; the birds [ of which there were few ] did not sing . \n" * 3 + """ 
 = = = Trees = = = 
 
 Oaks ' leaves are { mostly } green . 
 
 = Short = 
 
 A short one ."""


def whole_file(name, lines):
    (OUT / name).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


class Scorer:
    def __init__(self):
        self.tokenizer = GPT2TokenizerFast.from_pretrained(ROOT / "models/tales")
        self.model = GPT2LMHeadModel.from_pretrained(ROOT / "models/tales", torch_dtype=torch.float32).eval()
        self.eot = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")

    def encode(self, text):
        return self.tokenizer(text)["input_ids"]

    def tokens(self, context, continuation):
        """The log probability of each of the continuation's tokens, and whether each is the likeliest."""
        row = torch.tensor([context + continuation])
        with torch.no_grad():
            logprobs = torch.log_softmax(self.model(row[:, :-1]).logits[0].double(), -1)[len(context) - 1:]
        target = torch.tensor(continuation)
        return logprobs.gather(1, target[:, None]).sum().item(), bool((logprobs.argmax(-1) == target).all())

    def pair(self, context, continuation):
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        first = self.encode(context)
        rest = self.encode(context + continuation)[len(first):]
        if not first:
            first = [self.eot]
        cut = max(0, len(first) + len(rest) - CONTEXT - 1)
        return (*self.tokens(first[cut:], rest), cut)

    def rolling(self, text):
        tokens = self.encode(text)
        total = self.tokens([self.eot], tokens[:CONTEXT])[0]
        done = CONTEXT
        while done < len(tokens):
            take = min(CONTEXT, len(tokens) - done)
            window = tokens[done + take - CONTEXT - 1:done + take]
            total += self.tokens(window[:len(window) - take], window[len(window) - take:])[0]
            done += take
        return total


def mean_and_error(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def lambada(scorer):
    scores = [scorer.pair(*[text.rsplit(" ", 1)[0], " " + text.rsplit(" ", 1)[1]]) for text in LAMBADA]
    accuracy, accuracy_error = mean_and_error([float(s[1]) for s in scores])
    mean, error = mean_and_error([s[0] for s in scores])
    return {"acc": accuracy, "acc_stderr": accuracy_error, "perplexity": math.exp(-mean),
            "perplexity_stderr": math.exp(-mean) * error, "truncated": sum(s[2] > 0 for s in scores),
            "logprobs": [[s[0]] for s in scores]}


def choices(scorer, items, normalized=True):
    """items: (list of contexts, list of answers, which is right)"""
    right, right_norm, logprobs = [], [], []
    for contexts, answers, gold in items:
        scores = [scorer.pair(context, " " + answer)[0] for context, answer in zip(contexts, answers)]
        logprobs.append(scores)
        by_length = [score / len(answer) for score, answer in zip(scores, answers)]
        right.append(float(scores.index(max(scores)) == gold))
        right_norm.append(float(by_length.index(max(by_length)) == gold))
    accuracy, error = mean_and_error(right)
    result = {"acc": accuracy, "acc_stderr": error, "logprobs": logprobs}
    if normalized:
        result["acc_norm"], result["acc_norm_stderr"] = mean_and_error(right_norm)
    return result


def hellaswag_text(text):
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def hellaswag_items():
    for item in HELLASWAG:
        query = hellaswag_text(f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()}")
        endings = [hellaswag_text(ending) for ending in item["endings"]]
        yield [query] * len(endings), endings, int(item["label"])


def piqa_items():
    for item in PIQA:
        yield [f"Question: {item['goal']}\nAnswer:"] * 2, [item["sol1"], item["sol2"]], item["label"]


def arc_items():
    for item in ARC:
        answers = item["choices"]["text"]
        yield [f"Question: {item['question']}\nAnswer:"] * len(answers), answers, item["choices"]["label"].index(item["answerKey"])


def winogrande_items():
    for item in WINOGRANDE:
        before, after = item["sentence"].split("_")
        yield [before + item["option1"], before + item["option2"]], [after.strip()] * 2, int(item["answer"]) - 1


SPACES = ["@-@", "@,@", "@.@"]
AFTER = [":", ";", ".", "!", "?", ","]


def wikitext_plain(page):
    page = page.replace("s '", "s'")
    for mark in SPACES:
        page = page.replace(f" {mark} ", mark[1])
    for mark in AFTER:
        page = page.replace(f" {mark} ", f"{mark} ")
    for left, right in ["()", "[]", "{}", '""', "''"]:
        inside = re.compile(rf"{re.escape(left)}\s*([^{re.escape(right)}]*?)\s*{re.escape(right)}")
        page = inside.sub(lambda m: left + m.group(1) + right, page)
    for level in (4, 3, 2):
        page = page.replace(" ".join("=" * level), "=" * level)
    page = page.replace(" \u00b0 ", "\u00b0").replace(" \n", "\n").replace("\n ", "\n").replace(" N ", " 1 ")
    return page.replace(" 's", "'s")


def wikitext_pages():
    page = []
    for line in WIKITEXT.split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            if "".join(page).strip():
                yield "\n".join(page)
            page = []
        page.append(line)
    yield "\n".join(page)


def wikitext(scorer):
    pages = list(wikitext_pages())
    scores = [scorer.rolling(wikitext_plain(page)) for page in pages]
    words = [len(re.split(r"\s+", page)) for page in pages]
    sizes = [len(page.encode("utf-8")) for page in pages]

    def ratio(of):
        value = sum(scores) / sum(of)
        n = len(of)
        spread = sum((s - value * size) ** 2 for s, size in zip(scores, of))
        return value, math.sqrt(n / (n - 1) * spread) / sum(of)

    word, word_error = ratio(words)
    byte, byte_error = ratio(sizes)
    return {"word_perplexity": math.exp(-word), "word_perplexity_stderr": math.exp(-word) * word_error,
            "byte_perplexity": math.exp(-byte), "byte_perplexity_stderr": math.exp(-byte) * byte_error,
            "bits_per_byte": -byte / math.log(2), "bits_per_byte_stderr": byte_error / math.log(2),
            "logprobs": [[s] for s in scores]}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    whole_file("lambada.jsonl", [{"text": text} for text in LAMBADA])
    whole_file("hellaswag.jsonl", HELLASWAG)
    whole_file("piqa.jsonl", PIQA)
    whole_file("arc.jsonl", ARC)
    whole_file("winogrande.jsonl", WINOGRANDE)
    (OUT / "wikitext.txt").write_text(WIKITEXT, encoding="utf-8")
    whole_file("wikitext.jsonl", [{"page": page} for page in wikitext_pages()])
    scorer = Scorer()
    expected = {
        "lambada": lambada(scorer),
        "hellaswag": choices(scorer, hellaswag_items()),
        "piqa": choices(scorer, piqa_items()),
        "arc_easy": choices(scorer, arc_items()),
        "winogrande": choices(scorer, winogrande_items(), normalized=False),
        "wikitext": wikitext(scorer),
    }
    expected["plain"] = [wikitext_plain(page) for page in wikitext_pages()]
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
