"""The plots of a page, as SVG: who is how fast, and where the time goes. Drawn with tools/plot-results."""

import importlib.machinery
import importlib.util
from pathlib import Path

from steps import AS_SHIPPED

LOADER = importlib.machinery.SourceFileLoader(
    "plot_results", str(Path(__file__).resolve().parent.parent / "plot-results")
)
SPEC = importlib.util.spec_from_loader("plot_results", LOADER)
plot_results = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(plot_results)

STEPS = {
    "embed": "#9aa5b1",
    "norm": "#c9b458",
    "qkv": "#1b6fb8",
    "attend": "#d9822b",
    "project": "#5aa469",
    "expand": "#8e6bbf",
    "contract": "#c2504b",
    "head": "#4bb3b3",
    "sample": "#6b6b6b",
}
OTHER = "#d0d7de"
LABEL, WIDE = 280, 460  # widths: of a line's name, of its longest bar


def speed_lines(results):
    """(name, limit, rows of the engines) of every test that vkgpt and a peer, or vkgpt alone, was measured in."""
    for kind, words in (("tg", "new tokens"), ("pp", "tokens of a prompt")):
        for model in results.models():
            tests = dict.fromkeys(
                row["test"]
                for row in results.find(model=model, weights="f16", depth=0, sequences=1)
                if row["test"].startswith(kind) and row["variant"] in ("", AS_SHIPPED)
            )
            for test in sorted(tests, key=lambda test: int(test[2:])):
                ours = results.speed(engine="vkgpt", model=model, weights="f16", variant=AS_SHIPPED, test=test)
                rows = [ours] + [
                    results.speed(engine=engine, model=model, weights="f16", test=test)
                    for engine in ("llama.cpp", "PyTorch")
                ]
                rows = [row for row in rows if row and "rate" in row]
                if rows and rows[0]["engine"] == "vkgpt":
                    yield f"{results.names(model)}, {test[2:]} {words}", (ours or {}).get("limit_tokens_per_s"), rows


def has_speed(results):
    return any(True for _ in speed_lines(results))


def start(results, title):
    drawing = plot_results.Drawing()
    drawing.width = LABEL + WIDE + 100
    drawing.text(16, 28, f"{results.suite['device']['name']}, {results.suite['date']}: {title}", 14, weight="bold")
    return drawing


def draw_speed(results, path):
    drawing = start(results, "tokens/s, f16")
    lines = list(speed_lines(results))
    there = {row["engine"] for _, _, rows in lines for row in rows}
    plot_results.draw_legend(drawing, 16, 50, [engine for engine in plot_results.ENGINES if engine in there])
    y = 76
    for name, limit, rows in lines:
        scale = WIDE / max([row["rate"] for row in rows] + [limit or 0])
        drawing.text(16, y + plot_results.BAR - 2, name, 12)
        for place, row in enumerate(rows):
            top = y + place * plot_results.STEP
            words = plot_results.number(row["rate"])
            drawing.bar(
                LABEL,
                top,
                row["rate"] * scale,
                plot_results.ENGINES[row["engine"]],
                f"{row['engine']}: {words} tokens/s",
            )
            drawing.text(LABEL + row["rate"] * scale + 4, top + plot_results.BAR - 2.5, words, 11)
        if limit:
            end = LABEL + limit * scale
            drawing.rule(end, y - 4, end, y + len(rows) * plot_results.STEP, plot_results.INK, "3 2")
            drawing.text(
                end + 4,
                y + len(rows) * plot_results.STEP - 4,
                f"limit {plot_results.number(limit)}",
                10,
                plot_results.FAINT,
            )
        y += len(rows) * plot_results.STEP + 14
    drawing.y = y
    drawing.write(path)


def draw_profiles(results, path):
    drawing = start(results, "share of the time by kernel")
    x = 16
    for step, colour in STEPS.items():
        drawing.bar(x, 40, plot_results.BAR, colour, step)
        drawing.text(x + plot_results.BAR + 4, 51, step, 12)
        x += plot_results.BAR + 18 + 7 * len(step)
    y = 74
    for profile in results.profiles:
        variant = "" if profile["variant"] == AS_SHIPPED else f", {profile['variant']}"
        drawing.text(16, y + plot_results.BAR - 2, f"{results.names(profile['model'])}, {profile['test']}{variant}", 12)
        left = LABEL
        for kernel in profile["kernels"]:
            wide = kernel["share_of_time"] * WIDE
            drawing.bar(
                left,
                y,
                wide,
                STEPS.get(kernel["step"], OTHER),
                f"{kernel['kernel']}: {kernel['us_per_token']:.2f} µs a token, {kernel['share_of_time']:.1%}",
            )
            left += wide
        drawing.text(left + 6, y + plot_results.BAR - 2.5, f"{profile['us_per_token']:,.1f} µs", 11)
        y += plot_results.STEP + 6
    drawing.y = y
    drawing.write(path)
