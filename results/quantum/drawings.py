"""Draws the figures of the quantum page from records, as SVG that reads on light and on dark paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqtant.findings import Result

BLUE, AMBER, GRAY, INK = "#3b7dd8", "#c2700f", "#6b7280", "#1f2937"
WIDTH, HEIGHT, TOP, BOTTOM, LEFT = 780, 210, 50, 48, 66
Points = Sequence[tuple[float, float]]
Place = Callable[[float], float]


def svg(title: str, height: int, parts: Sequence[str]) -> str:
    """A whole drawing."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="{GRAY}"><title>{title}</title>{"".join(parts)}</svg>\n'
    )


def text(x: float, y: float, words: str, anchor: str = "start", shade: str = GRAY) -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{shade}">{words}</text>'


def polyline(points: Points, panel: Panel, shade: str, dash: str = "") -> str:
    """A line through points of a panel."""
    places = " ".join(f"{panel.x(a):.1f},{panel.y(b):.1f}" for a, b in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{places}" fill="none" stroke="{shade}" stroke-width="2"{dashed}/>'


@dataclass(frozen=True)
class Panel:
    """A rectangle with its own axes, each linear or logarithmic."""

    left: float
    width: float
    height: float
    across: tuple[float, float]
    """Smallest and largest number on the lower axis."""
    up: tuple[float, float]
    """Smallest and largest number on the left axis."""
    logarithmic: tuple[bool, bool] = (True, True)

    def x(self, value: float) -> float:
        """Where a number lies across."""
        return self.left + self.width * _share(value, self.across, self.logarithmic[0])

    def y(self, value: float) -> float:
        """Where a number lies up."""
        return TOP + self.height * (1 - _share(value, self.up, self.logarithmic[1]))

    def axes(self, across: Sequence[float], up: Sequence[float], below: str, title: str, digits: int = 4) -> str:
        """Grid, numbers, words."""
        bottom = TOP + self.height
        parts = [text(self.left, TOP - 12, title)]
        for value in up:
            y = self.y(value)
            parts.append(
                f'<line x1="{self.left:.1f}" x2="{self.left + self.width:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{GRAY}" stroke-opacity="0.3"/>{text(self.left - 6, y + 4, f"{value:.{digits}g}", "end")}'
            )
        parts += [text(self.x(value), bottom + 18, _short(value), "middle") for value in across]
        parts.append(text(self.left + self.width / 2, bottom + 38, below, "middle"))
        return "".join(parts)


def _share(value: float, ends: tuple[float, float], logarithmic: bool) -> float:
    low, high, at = (math.log(v) for v in (*ends, value)) if logarithmic else (*ends, value)
    return (at - low) / (high - low)


def _short(value: float) -> str:
    exponent = round(math.log10(value)) if value > 0 else 0
    if value >= 1e4 and math.isclose(value, 10**exponent):
        return f'10<tspan dy="-5" font-size="10">{exponent}</tspan>'
    return f"{value:g}"


def powers(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers."""
    return [10.0**n for n in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def columns(number: int, gap: float = 52) -> tuple[list[float], float]:
    """Left ends and width of panels side by side."""
    width = (WIDTH - LEFT - 14 - gap * (number - 1)) / number
    return [LEFT + n * (width + gap) for n in range(number)], width


def error_against_cost(record: Result, fields: Sequence[str]) -> str:
    """Error of the magnetization against evaluations, by exact sampling and by Metropolis, a panel for each field."""
    series = {
        (way, field): [(m.step or 1.0, m.value) for m in record.series("error") if m.group == f"{way}, field {field}"]
        for way in ("exact sampling", "Metropolis")
        for field in fields
    }
    every = [point for points in series.values() for point in points]
    across = min(a for a, _ in every), max(a for a, _ in every)
    up = min(b for _, b in every) / 1.3, max(b for _, b in every) * 1.3
    lefts, width = columns(len(fields))
    parts = []
    for left, field in zip(lefts, fields, strict=True):
        panel = Panel(left, width, HEIGHT, across, up)
        sweeps = record.values[f"relaxation_sweeps_field_{field.replace('.', '_')}"]
        title = f"field {field}: relaxation {sweeps:,.3g} sweeps"
        parts.append(panel.axes(powers(*across)[::2], powers(*up), "evaluations of psi", title))
        parts.append(polyline(series["exact sampling", field], panel, BLUE))
        parts.append(polyline(series["Metropolis", field], panel, AMBER))
    parts.append(
        text(LEFT, 16, "exact sampling", shade=BLUE) + text(LEFT + 110, 16, "Metropolis, all up at first", shade=AMBER)
    )
    parts.append(text(WIDTH - 14, 16, "root mean square error of the magnetization", "end"))
    return svg("Error of the magnetization against cost, exact sampling and Metropolis", TOP + HEIGHT + BOTTOM, parts)


def convergence(records: Sequence[tuple[str, Result]], last: float = 0.75) -> str:
    """Energy per site by step with its interval and the exact line, a panel for each record."""
    lefts, width = columns(len(records), 86)
    parts = []
    for left, (title, record) in zip(lefts, records, strict=True):
        rows = [
            (m.step or 0.0, m.value, 1.96 * e.value)
            for m, e in zip(record.series("energy_per_site"), record.series("energy_error"), strict=True)
        ]
        exact = float(record.values["exact_energy_per_site"] or 0)
        rows = rows[round(len(rows) * (1 - last)) :]
        up = min(exact, *(v - e for _, v, e in rows)), max(v + e for _, v, e in rows)
        room = 0.06 * (up[1] - up[0])
        panel = Panel(left, width, HEIGHT, (rows[0][0], rows[-1][0]), (up[0] - room, up[1]), (False, False))
        ticks = [exact, *(exact + share * (up[1] - exact) for share in (1 / 3, 2 / 3, 1))]
        parts.append(panel.axes(_round(rows[0][0], rows[-1][0]), ticks, "step", title, 5))
        band = [(panel.x(s), panel.y(v - e)) for s, v, e in rows] + [
            (panel.x(s), panel.y(v + e)) for s, v, e in rows[::-1]
        ]
        if any(e for _, _, e in rows):
            corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in band)
            parts.append(f'<polygon points="{corners}" fill="{BLUE}" fill-opacity="0.25"/>')
        parts.append(polyline([(rows[0][0], exact), (rows[-1][0], exact)], panel, AMBER, "6 4"))
        parts.append(polyline([(s, v) for s, v, _ in rows], panel, BLUE))
    parts.append(
        text(LEFT, 16, "energy per site of each step, 95 %", shade=BLUE)
        + text(LEFT + 250, 16, "exact or reference", shade=AMBER)
    )
    return svg("Energy per site against optimization steps", TOP + HEIGHT + BOTTOM, parts)


def _round(low: float, high: float) -> list[float]:
    step = next(s for s in (5, 10, 20, 25, 50, 100, 200) if (high - low) / s <= 5)
    return [float(n) for n in range(math.ceil(low / step) * step, math.floor(high) + 1, step)]


def correlation_maps(records: Sequence[tuple[str, Result]]) -> str:
    """Correlation of each site with the central one, as colored squares with their number, a map a record."""
    lefts, width = columns(len(records))
    parts, bottom = [], 0.0
    for left, (title, record) in zip(lefts, records, strict=True):
        across = int(record.values["columns"] or 1)
        side = width / across
        error = max(m.value for m in record.series("correlation_error"))
        parts.append(text(left, 18, f"{title}, standard errors up to {error:.2f}"))
        for n, m in enumerate(record.series("correlation")):
            x, y = left + side * (n % across), 30 + side * (n // across)
            parts.append(_square(x, y, side - 3, m.value))
            bottom = max(bottom, y + side)
    return svg("Correlation of each site with the central one", round(bottom) + 6, parts)


def _square(x: float, y: float, side: float, value: float) -> str:
    strength = min(1.0, abs(value)) ** 0.5
    words = f"{value:.2f}".replace("-", "\u2212")
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" rx="4" '
        f'fill="{_paler(BLUE if value < 0 else AMBER, strength)}"/>'
        + text(x + side / 2, y + side / 2 + 5, words, "middle", "#ffffff" if strength > 0.8 else INK)
    )


def _paler(shade: str, strength: float) -> str:
    """A color mixed with white, so that it is the same on light and on dark paper."""
    parts = (int(shade[n : n + 2], 16) for n in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)


def step_cost(record: Result) -> str:
    """Seconds of a step and counted multiplications against the number of spins."""
    seconds = [(m.step or 1.0, m.value) for m in record.series("seconds_step")]
    counted = [(m.step or 1.0, m.value) for m in record.series("operations")]
    scale = seconds[-1][1] / counted[-1][1]
    scaled = [(n, scale * c) for n, c in counted]
    up = min(v for _, v in [*seconds, *scaled]) / 1.3, max(v for _, v in [*seconds, *scaled]) * 1.3
    panel = Panel(LEFT, WIDTH - LEFT - 14, HEIGHT, (seconds[0][0], seconds[-1][0]), up)
    parts = [
        panel.axes([n for n, _ in seconds], powers(*up), "spins", "processor seconds of one step"),
        polyline(scaled, panel, AMBER, "6 4"),
        polyline(seconds, panel, BLUE),
        text(LEFT, 16, f"measured, slope {record.values['slope_of_seconds']:.2f}", shade=BLUE)
        + text(LEFT + 180, 16, f"counted, scaled to the last, slope {record.values['slope_counted']:.2f}", shade=AMBER),
    ]
    return svg("Cost of one step against the number of spins", TOP + HEIGHT + BOTTOM, parts)
