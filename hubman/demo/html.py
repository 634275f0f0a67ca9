"""The demo's report as one HTML file: pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from hubman.demo.records import DemoReport, Step, Trained

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fafaf8 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .25rem .6rem .25rem 0; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums } img { image-rendering: pixelated; max-width: 100% }
img.sample { width: 128px; margin: 0 6px 6px 0 } .ok { color: #1a7f37 } .bad { color: #c62828 } figure { margin: 1rem 0 }
figcaption { color: #666; font-size: .9em } svg { background: #fff; border: 1px solid #ddd }
"""


def page(report: DemoReport) -> str:
    """A whole document."""
    word = "every step held" if report.held else "not every step held"
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>hubman demo</title>",
        f"<style>{_STYLE}</style>",
        "<h1>hubman: train → sweep → publish → sync, on this machine</h1>",
        f"<p>{escape(word)} in {report.seconds:g} s; at most {report.peak_memory_mb:g} MB of memory at once.</p>",
        _steps(report.steps),
        *(_lora(lora) for lora in report.loras),
    ]
    if report.combination_grid:
        parts += ["<h2>Both together</h2>", _picture(report.combination_grid, "every pair of strengths")]
    return "\n".join(parts) + "\n</html>\n"


def _steps(steps: list[Step]) -> str:
    rows = "".join(
        f"<tr><td class='{'ok' if step.held else 'bad'}'>{'✔' if step.held else '✘'}</td><td>{escape(step.name)}</td>"
        f"<td>{escape(step.summary)}</td><td class='n'>{step.seconds:.1f} s</td></tr>"
        for step in steps
    )
    return f"<table>{rows}</table>"


def _lora(lora: Trained) -> str:
    return "\n".join(
        [
            f"<h2>{escape(lora.name)} ({escape(lora.style)})</h2>",
            f"<p>Trained in {lora.seconds:.0f} s; recommended strength {lora.chosen:g} ({escape(lora.reason)}).</p>",
            "<figure>" + "".join(_image(path, "sample") for path in lora.samples) + "<figcaption>one seed, strengths "
            + ", ".join(lora.detected) + "</figcaption></figure>",
            _loss_curve(lora.losses),
            _measures(lora),
            _picture(lora.grid_path, "strengths across, seeds down"),
        ]
    )  # fmt: skip


def _measures(lora: Trained) -> str:
    head = "<tr><th>strength</th><th>style seen by rules</th><th>right shapes</th><th>distance</th><th>CLIP</th><th>burn</th></tr>"
    rows = "".join(
        f"<tr><td>{strength}</td><td>{seen:.2f}</td><td>{lora.shapes[strength]:.0%}</td>"
        f"<td>{_number(point.get('distance'))}</td><td>{_number(point.get('clip'))}</td><td>{_number(point.get('burn'))}</td></tr>"
        for (strength, seen), point in zip(lora.detected.items(), lora.curve, strict=True)
    )
    return f"<table>{head}{rows}</table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _picture(path: str, caption: str) -> str:
    if not path:
        return ""
    return f"<figure>{_image(path, 'grid')}<figcaption>{escape(caption)}</figcaption></figure>"


def _image(path: str, kind: str) -> str:
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f"<img class='{kind}' alt='' src='data:image/png;base64,{data}'>"


def _loss_curve(losses: list[tuple[int, float]], width: int = 640, height: int = 160) -> str:
    """The raw losses in grey and their running mean over a tenth of the run in blue."""
    if len(losses) < 2:
        return ""
    window = max(1, len(losses) // 10)
    values = [loss for _, loss in losses]
    smooth = [
        sum(values[max(0, i - window + 1) : i + 1]) / len(values[max(0, i - window + 1) : i + 1])
        for i in range(len(values))
    ]
    top = sorted(values)[int(0.98 * (len(values) - 1))] or 1.0
    last = losses[-1][0] or 1

    def line(ys: list[float], colour: str) -> str:
        points = " ".join(
            f"{width * step / last:.1f},{height - height * min(1.0, y / top) * 0.95:.1f}"
            for (step, _), y in zip(losses, ys, strict=True)
        )
        return f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{points}'/>"

    return (
        f"<figure><svg viewBox='0 0 {width} {height}' width='{width}' height='{height}'>"
        f"{line(values, '#ccc')}{line(smooth, '#0b62c4')}</svg>"
        f"<figcaption>loss over {last} steps: {smooth[0]:.3f} → {smooth[-1]:.3f}</figcaption></figure>"
    )
