"""lm-evaluation-harness (local-completions, with its remote tokenizer) against `vkgpt serve`: the log likelihood of every
answer, and which are the likeliest, are those of `vkgpt score`; the accuracy follows. One prompt a request, as ids, and eight
of them as texts.

tests/clients/run BUILD harness
"""
import json
import os
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", OPENAI_API_KEY="none")
SCRATCH = tempfile.TemporaryDirectory()
os.environ.update(HF_HOME=SCRATCH.name)

import lm_eval  # noqa: E402  (reads the variables above)
from lm_eval.tasks import TaskManager  # noqa: E402

from served import TALES, Served  # noqa: E402

TOLERANCE = 1e-4
TASK = """
task: tales
dataset_path: json
dataset_kwargs:
  data_files:
    test: {items}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{answers}}}}"
doc_to_target: gold
target_delimiter: ""
metric_list:
  - metric: acc
"""
# context, answers, and the one that counts as right. Some are right by chance only: it is the numbers that must agree.
ITEMS = [
    ("Once upon a", [" time", " table", " tim"], 0),
    ("The little girl opened the", [" door", " window, and looked out", " elephant"], 0),
    ("\"Good morning,\" said the", [" wolf", " old man", "\n"], 1),
    ("He gave the king a", [" golden crown", " crown of gold and silver", "!"], 0),
    ("Caf\u00e9, na\u00efve, \u65e5\u672c\u8a9e and", [" \u00fcber", " \u2603", " the end"], 2),
    ("One.\n\nTwo.\n\n", ["Three.", "Four.", " "], 0),
    ("A", ["B", " b", " cat sat on the mat and did not move for a whole day."], 2),
    ("They walked and walked, until they came to a house in the middle of the forest, and in it", [" lived", " lives",
     " there lived an old woman who had"], 0),
]


def write_task(folder):
    items = os.path.join(folder, "items.jsonl")
    with open(items, "w", encoding="utf-8") as file:
        for context, answers, gold in ITEMS:
            file.write(json.dumps({"context": context, "answers": answers, "gold": gold}) + "\n")
    with open(os.path.join(folder, "tales.yaml"), "w", encoding="utf-8") as file:
        file.write(TASK.format(items=items))


def by_harness(url, folder, options, batch):
    """Returns for each item (log likelihood, greedy) of each answer, and the accuracy."""
    result = lm_eval.simple_evaluate(
        model="local-completions", tasks=["tales"], task_manager=TaskManager(include_path=folder, include_defaults=False),
        model_args=f"model=tales,base_url={url}/v1/completions,tokenizer_backend=remote,max_length=256,{options}",
        batch_size=batch, log_samples=True, bootstrap_iters=0)
    samples = sorted(result["samples"]["tales"], key=lambda sample: sample["doc_id"])
    return [[tuple(answer[0]) for answer in sample["resps"]] for sample in samples], result["results"]["tales"]["acc,none"]


def by_score(program):
    """The same from `vkgpt score`."""
    scores = []
    for context, answers, _ in ITEMS:
        flags = [flag for answer in answers for flag in ("--continuation", answer)]
        out = subprocess.run([program, "score", "-m", TALES, "-p", context, "--json", *flags], check=True, capture_output=True)
        scores.append([(answer["logprob"], answer["greedy"]) for answer in json.loads(out.stdout)["continuations"]])
    right = sum(max(range(len(item)), key=lambda i: item[i][0]) == ITEMS[n][2] for n, item in enumerate(scores))
    return scores, right / len(ITEMS)


def main(build):
    folder = SCRATCH.name
    write_task(folder)
    expected, expected_accuracy = by_score(os.path.join(build, "vkgpt"))
    wrong = False
    with Served(build) as server:
        for options, batch in [("num_concurrent=4", 1), ("tokenized_requests=False", 8)]:
            wrong |= differ(expected, expected_accuracy, *by_harness(server.url, folder, options, batch))
    return wrong


def differ(expected, expected_accuracy, found, accuracy):
    """Says what differs; returns whether anything does."""
    differences = 0
    for (context, answers, _), ours, theirs in zip(ITEMS, expected, found, strict=True):
        for answer, (logprob, greedy), (their_logprob, their_greedy) in zip(answers, ours, theirs, strict=True):
            if abs(logprob - float(their_logprob)) > TOLERANCE or greedy != (str(their_greedy) == "True"):
                print(f"{context!r} {answer!r}: {their_logprob} {their_greedy}, vkgpt score has {logprob} {greedy}")
                differences += 1
    print(f"{sum(len(item) for item in found)} answers, {differences} differ; accuracy {accuracy}, and {expected_accuracy}")
    return differences > 0 or accuracy != expected_accuracy


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1]) else 0)
