"""The page of a run of tools/gpu-suite, as Markdown. A section for each question; one without numbers is left out."""

import re
import statistics
import textwrap

import plots
from reading import DEFAULT, GREEDY
from steps import AS_SHIPPED, NO_COOPMAT

PEERS = ["llama.cpp", "PyTorch"]
NONE = "not measured"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def text_of(row):
    return number(row["rate"]) + (" (by hand)" if row.get("by_hand") else "") if row else NONE


def ratio(one, other):
    return f"{one['rate'] / other['rate']:.2f}" if one and other else NONE


def table(head, rows):
    """Text to the left, numbers to the right. A column that has no number at all is left out."""
    kept = [column for column in range(len(head)) if any(row[column] != NONE for row in rows)]
    numeric = [any(re.match(r"-?[\d.,]+(%|$| \()", row[column]) for row in rows) for column in range(len(head))]
    line = lambda cells: "| " + " | ".join(cells[column] for column in kept) + " |"
    rule = "|" + "|".join("---:" if numeric[column] else "---" for column in kept) + "|"
    return "\n".join([line(head), rule] + [line(row) for row in rows])


def wrapped(text):
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def model_name(results, model):
    name = results.names(model)
    return name if model == name else f"{name} ({model})"


def tests_of(results, start, **wanted):
    """The names of tests that begin with pp or tg, the shorter ones first."""
    found = {row["test"]: row["tokens"] for row in results.find(**wanted) if row["test"].startswith(start)}
    return sorted(found, key=lambda test: found[test])


# ------------------------------------------------------------------------------------------------- sections


def head(results):
    suite = results.suite
    device, host = suite["device"], suite["host"]
    text = f"{device['driver']}, Vulkan {device['api']}. vkgpt at commit {suite['commit']}."
    host_text = [f"{host['processor']}, {host['cores']} cores"] if "cores" in host else []
    text += f" Host: {', '.join(host_text + [host['system']])}." if host.get("system") else ""
    shipped = next((row for row in results.find(engine="vkgpt", variant=AS_SHIPPED) if "copy_gb_per_s" in row), None)
    if shipped:
        text += f" A large copy reads and writes {number(shipped['copy_gb_per_s'])} GB/s"
        text += (
            f", an empty dispatch with its barrier takes {shipped['dispatch_us']:.3g} µs."
            if "dispatch_us" in shipped
            else "."
        )
    lines = [f"# {device['name']}, {suite['date']}", wrapped(text)]
    if suite.get("rehearsal"):
        lines.append(
            wrapped(
                "**A rehearsal**: the default model stands in for both models, and a few tokens for many. It shows "
                "that everything runs; its numbers say nothing."
            )
        )
    labels = dict.fromkeys(row["label"] for row in results.rows if "label" in row)
    if labels:
        lines.append("Peers: " + "; ".join(labels) + ".")
    return "\n\n".join(lines)


def failures(results):
    """What did not succeed stands first."""
    lines = [
        f"- `{step['name']}`: {step['status']}: {step['why']}"
        for step in results.steps
        if step["status"] == "cut" or (step["status"] == "failed" and step["name"] != "tests")
    ]
    for test in results.tests:
        if not test["ok"]:
            where = ", ".join(test["failures"]) or (
                "cut off" if test["status"] is None else f"exit status {test['status']}"
            )
            lines.append(f"- `{test['test']}`: {where}")
    lines += [f"- selftest: {kernel}" for selftest in results.selftests for kernel in selftest["failed"]]
    return "## What did not succeed\n\n" + "\n".join(lines) if lines else ""


def decode(results):
    rows = []
    for model in results.models():
        for test in tests_of(
            results, "tg", engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, depth=0, sequences=1
        ):
            ours = results.speed(engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, test=test)
            peers = [results.speed(engine=peer, model=model, weights="f16", test=test) for peer in PEERS]
            limit = ours.get("limit_tokens_per_s")
            rows.append(
                [
                    model_name(results, model),
                    test[2:],
                    text_of(ours),
                    f"{1000 / ours['rate']:.3f}",
                    *map(text_of, peers),
                    *(ratio(ours, peer) for peer in peers),
                    number(limit) if limit else NONE,
                    f"{ours['rate'] / limit:.0%}" if limit else NONE,
                ]
            )
    if not rows:
        return ""
    intro = (
        "tokens/s of one sequence, f16, greedy, from an empty cache. The limit is what the copy's speed and the empty "
        "dispatches allow."
    )
    return f"## New tokens\n\n{wrapped(intro)}\n\n" + table(
        [
            "model",
            "tokens",
            "vkgpt",
            "ms a token",
            *PEERS,
            *(f"vkgpt / {peer}" for peer in PEERS),
            "limit",
            "share of it",
        ],
        rows,
    )


def sampling(results):
    rows = []
    for model in dict.fromkeys(row["model"] for row in results.generated if "sampling" in row):
        rates = {
            name: [row["rate"] for row in results.generated if row["model"] == model and row.get("sampling") == name]
            for name in (GREEDY, DEFAULT)
        }
        if not all(rates.values()):
            continue
        greedy, default = (statistics.median(rates[name]) for name in (GREEDY, DEFAULT))
        rows.append(
            [
                model_name(results, model),
                number(greedy),
                number(default),
                f"{1000 / default - 1000 / greedy:.3f}",
                f"{default / greedy:.0%}",
            ]
        )
    if not rows:
        return ""
    return (
        "### Default sampling\n\n`vkgpt generate`, tokens/s; temperature, top-k, top-p and min-p are the defaults.\n\n"
        + table(["model", "greedy", "default", "ms a token more", "of greedy"], rows)
    )


def prefill(results):
    rows = []
    for model in results.models():
        for test in tests_of(results, "pp", model=model, weights="f16", depth=0, sequences=1):
            ours = results.speed(engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, test=test)
            plain = results.speed(engine="vkgpt", model=model, weights="f16", variant=NO_COOPMAT, test=test)
            peers = [results.speed(engine=peer, model=model, weights="f16", test=test) for peer in PEERS]
            rows.append(
                [
                    model_name(results, model),
                    test[2:],
                    text_of(ours),
                    text_of(plain),
                    *map(text_of, peers),
                    *(ratio(ours, peer) for peer in peers),
                ]
            )
    if not rows:
        return ""
    return "## Prompts\n\ntokens/s of one prompt, f16, from an empty cache.\n\n" + table(
        ["model", "tokens", "vkgpt", "without cooperative matrices", *PEERS, *(f"vkgpt / {peer}" for peer in PEERS)],
        rows,
    )


def profile_table(profile):
    rows = [
        [
            kernel["step"],
            kernel["kernel"],
            str(kernel["dispatches"]),
            f"{kernel['us_per_token']:.2f}",
            f"{kernel['share_of_time']:.1%}",
            number(kernel["gb_per_s"]) if kernel.get("gb_per_s") else "-",
            f"{kernel['share_of_copy']:.1%}" if kernel.get("share_of_copy") else "-",
        ]
        for kernel in profile["kernels"]
    ]
    rows.append(
        [
            "all",
            "",
            str(sum(kernel["dispatches"] for kernel in profile["kernels"])),
            f"{profile['us_per_token']:.2f}",
            "100.0%",
            "",
            "",
        ]
    )
    rows[-1] = [cell or "-" for cell in rows[-1]]
    return table(["step", "kernel", "dispatches", "µs a token", "of the time", "GB/s", "of a copy"], rows)


def profiles(results):
    if not results.profiles:
        return ""
    parts = [
        "## Where the time goes\n\n"
        + wrapped(
            "`vkgpt bench --profile`: a timestamp behind each dispatch, so that the sum is more than a token takes."
        ),
        "![Share of the time by kernel]({folder}/profile.svg)",
    ]
    for profile in results.profiles:
        variant = "" if profile["variant"] == AS_SHIPPED else f", {profile['variant']}"
        parts.append(
            f"### {model_name(results, profile['model'])}, {profile['test']}{variant}: {profile['what']}\n\n"
            + profile_table(profile)
        )
    return "\n\n".join(parts)


def variant_rows(results, model, test):
    """Of the step that ran them in turn; where there was none, of any."""
    found = {"engine": "vkgpt", "model": model, "weights": "f16", "test": test}
    turn = {**found, "step": f"variants-{model.lower()}"}
    wanted = turn if results.find(**turn, variant=AS_SHIPPED) else found
    shipped, rows = results.speed(**wanted, variant=AS_SHIPPED), []
    for variant in dict.fromkeys(row["variant"] for row in results.find(**wanted)):
        row, rates = results.speed(**wanted, variant=variant), results.rates(**wanted, variant=variant)
        spread = f"{number(min(rates))} to {number(max(rates))}" if len(rates) > 1 else "-"
        rows.append(
            [model_name(results, model), test, variant, text_of(row), str(len(rates) or 1), spread, ratio(row, shipped)]
        )
    return rows if len(rows) > 1 else []


def variants(results):
    rows = []
    for model in results.models():
        for test in tests_of(
            results, "tg", engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, depth=0, sequences=1
        ):
            rows += variant_rows(results, model, test)
    if not rows:
        return ""
    switches = [
        f"- {name}: `{' '.join(f'{key}={value}' for key, value in environment.items())}`"
        for name, environment in results.suite.get("variants", [])
    ]
    return (
        "## Variants\n\nThe same test with each; f16, greedy, tokens/s.\n\n"
        + table(["model", "test", "variant", "vkgpt", "runs", "least to most", "times as shipped"], rows)
        + ("\n\n" + "\n".join(switches) if switches else "")
    )


def form(variant):
    return f"{variant['rows']} rows, {variant['size']} lanes, norm {'inside' if variant['staged'] else 'apart'}"


def tunings(results):
    parts = []
    for tuning in results.tunings:
        rows = [
            [
                one["kernel"],
                f"{one['outputs']} x {one['width']}",
                str(one["rows"]),
                form(one["built_in"]),
                f"{one['built_in']['seconds'] * 1e6:.2f}",
                form(one["best"]),
                f"{one['best']['seconds'] * 1e6:.2f}",
            ]
            for one in tuning["results"]
            if one.get("best")
        ]
        if rows:
            parts.append(
                f"### What `vkgpt tune` finds, {model_name(results, tuning['model'])}\n\n"
                + table(["kernel", "matrix", "sequences", "built in", "µs", "quickest", "µs"], rows)
            )
    return "\n\n".join(parts)


def formats(results):
    rows = []
    for model in results.models():
        base = {}
        for weights in dict.fromkeys(
            row["weights"] for row in results.find(engine="vkgpt", model=model, variant=AS_SHIPPED)
        ):
            cells = []
            for start in ("tg", "pp"):
                found = results.find(
                    engine="vkgpt", model=model, weights=weights, variant=AS_SHIPPED, depth=0, sequences=1
                )
                found = [
                    row
                    for row in found
                    if row["test"].startswith(start)
                    and "rates" in row
                    and (start == "tg" or row["test"] == prompt_of(results, model))
                ]
                rate = statistics.median(rate for row in found for rate in row["rates"]) if found else None
                if weights == "f16":
                    base[start] = rate
                times = f"{rate / base[start]:.2f}" if rate and base.get(start) else NONE
                cells += [number(rate) if rate else NONE, times]
            size = next(
                (row["size"] for row in results.find(engine="vkgpt", model=model, weights=weights) if "size" in row),
                None,
            )
            rows.append([model_name(results, model), weights, number(size / 2**20) if size else NONE, *cells])
    if len(rows) <= len(results.models()):
        return ""
    return "## Formats of the weights\n\ntokens/s, and times f16.\n\n" + table(
        [
            "model",
            "weights",
            "MiB",
            "new tokens",
            "times f16",
            f"prompt of {prompt_of(results, results.models()[0])[2:]}",
            "times f16",
        ],
        rows,
    )


def prompt_of(results, model):
    """The prompt that every format was measured with."""
    small = next(
        (
            row["test"]
            for row in results.find(engine="vkgpt", model=model, depth=0, sequences=1, variant=AS_SHIPPED)
            if row["weights"] != "f16" and row["test"].startswith("pp")
        ),
        "pp512",
    )
    return small


def batches(results):
    rows = []
    for model in results.models():
        found = [
            row
            for row in results.find(engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, depth=0)
            if row["test"].startswith("tg") and "rates" in row
        ]
        if all(row["sequences"] == 1 for row in found):
            continue
        one = (
            statistics.median(rate for row in found if row["sequences"] == 1 for rate in row["rates"])
            if any(row["sequences"] == 1 for row in found)
            else None
        )
        for row in found:
            if row["sequences"] > 1:
                rows.append(
                    [
                        model_name(results, model),
                        str(row["sequences"]),
                        number(row["avg_ts"]),
                        f"{row['avg_ts'] / one:.2f}" if one else NONE,
                        number(row["limit_tokens_per_s"]) if row.get("limit_tokens_per_s") else NONE,
                    ]
                )
    if not rows:
        return ""
    return "## Sequences at once\n\ntokens/s of all of them together (`vkgpt bench -np`), f16, greedy.\n\n" + table(
        ["model", "sequences", "vkgpt", "times one", "limit"], rows
    )


def depths(results):
    rows = []
    for model in results.models():
        for row in results.find(engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED):
            if row["depth"]:
                spread = number(row["stddev_ts"])
                rows.append(
                    [model_name(results, model), str(row["depth"]), str(row["tokens"]), number(row["avg_ts"]), spread]
                )
    if not rows:
        return ""
    return "## Deep in the context\n\ntokens/s after so many tokens, f16, greedy.\n\n" + table(
        ["model", "tokens before", "new tokens", "vkgpt", "standard deviation"], rows
    )


def start(results):
    rows = [
        [f"{row['start']} caches", f"{row['load_s']:.2f}", f"{row['prefill_s'] * 1000:.3g}", number(row["rate"])]
        for row in results.generated
        if "start" in row
    ]
    if not rows:
        return ""
    return "## The default model's start\n\n" + table(["with", "load, s", "first prompt, ms", "then tokens/s"], rows)


def tests(results):
    lines = []
    for selftest in results.selftests:
        cut = f"; it was cut off after {selftest['seconds']:.0f} s" if selftest["cut"] else ""
        lines.append(f"Selftest: {selftest['passed']} results pass, {len(selftest['failed'])} fail{cut}.")
    good = [test for test in results.tests if test["ok"]]
    if results.tests and all(test["seconds"] is not None for test in results.tests):
        lines.append(
            f"Programs `test_gpu_*`: {len(good)} of {len(results.tests)} pass"
            + (": " + ", ".join(f"{test['test']} ({test['seconds']:.0f} s)" for test in good) if good else "")
            + "."
        )
    return "## Tests\n\n" + "\n\n".join(map(wrapped, lines)) if lines else ""


def steps(results):
    if any(step["seconds"] is None for step in results.steps):
        return ""
    there = {step["name"]: step for step in results.steps}
    rows = [
        [
            name,
            there[name]["status"] if name in there else "not reached",
            f"{there[name]['seconds']:.1f}" if name in there else "-",
            str(len(there[name]["commands"])) if name in there else "-",
            (there[name]["why"] or "-") if name in there else "-",
        ]
        for name in results.suite["order"]
    ]
    total = sum(step["seconds"] for step in results.steps)
    return f"## The run\n\n`tools/gpu-suite run`, {total:.0f} s.\n\n" + table(
        ["step", "ended", "seconds", "commands", "why"], rows
    )


SECTIONS = [
    failures,
    decode,
    sampling,
    prefill,
    profiles,
    variants,
    tunings,
    formats,
    batches,
    depths,
    start,
    tests,
    steps,
]


def markdown(results, folder, notes=""):
    """`folder` is the place of the plots, seen from the page; `notes` are a person's, and stand at the end."""
    parts = [head(results)]
    if plots.has_speed(results):
        parts.append("![tokens/s of each engine, with the device's limit]({folder}/speed.svg)")
    parts += [section for section in (make(results) for make in SECTIONS) if section]
    return "\n\n".join(parts).replace("{folder}", folder) + ("\n\n" + notes.strip() if notes else "") + "\n"
