"""Figures by verb: convergence, correlation maps, errors against cost, cost against size."""

from __future__ import annotations

from seqtant.findings import Measurement, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def ground_state(result: Result) -> list[Figure]:
    """Energy per site against optimization steps, with the exact line."""
    energy, error = result.series("energy_per_site"), result.series("energy_error")
    if not energy:
        return []
    steps = [m.step or 0.0 for m in energy]
    values, errors = [m.value for m in energy], [1.96 * m.value for m in error]
    low, high = ([v + sign * e for v, e in zip(values, errors, strict=True)] for sign in (-1, 1))
    traces = line(steps, values, "trained state", low=low, high=high, mode="lines")
    exact = result.values.get("exact_energy_per_site")
    if exact is not None:
        traces += line([steps[0], steps[-1]], [exact, exact], "reference", color=3, dash="dash", mode="lines")
    settled = values[len(values) // 4 :]
    bottom, top = min(settled) if exact is None else min(*settled, float(exact)), max(settled)
    margin = 0.1 * (top - bottom) or 1e-6
    rows = [(s, v, e / 1.96) for s, v, e in zip(steps, values, errors, strict=True)]
    columns = ("step", "energy per site", "standard error")
    return [
        Figure(
            name="convergence",
            title="The energy falls to the reference",
            caption="Energy per site of the samples of each step, with its 95 % interval. The axis shows the last "
            "three quarters of the run.",
            alt=f"Energy per site from {values[0]:.4f} to {values[-1]:.6f} over {len(values)} steps"
            + (f"; reference {exact:.6f}" if exact is not None else ""),
            data=traces,
            layout=axes("step", "energy per site", yaxis={"range": [bottom - margin, top + margin]}),
            table=Table(name="convergence", title="Energy by step", columns=columns, rows=tuple(rows)),
        )
    ]


transfer = ground_state


def observe(result: Result) -> list[Figure]:
    """Correlation of every site with the central one, as a map of the lattice."""
    found, errors = result.series("correlation"), result.series("correlation_error")
    columns = int(result.values.get("columns") or 0)
    if not found or not columns:
        return []
    values = [m.value for m in found]
    grid = [values[start : start + columns] for start in range(0, len(values), columns)]
    rows = [(n // columns, n % columns, m.value, e.value) for n, (m, e) in enumerate(zip(found, errors, strict=True))]
    names = ("row", "column", "correlation", "standard error")
    title = "Correlation with the central site"
    heat = {"type": "heatmap", "z": grid, "zmin": -1, "zmax": 1, "colorscale": "RdBu", "reversescale": True}
    return [
        Figure(
            name="correlations",
            title="How spins go together with the one in the center",
            caption="<Z Z> of each site with the central site, which itself has 1.",
            alt=f"Map of {len(grid)} by {columns} sites with correlations from {min(values):.3f} to {max(values):.3f}",
            data=[heat | {"colorbar": {"title": {"text": "<Z Z>"}}}],
            layout=axes("column", "row", yaxis={"autorange": "reversed", "scaleanchor": "x"}),
            table=Table(name="correlations", title=title, columns=names, rows=tuple(rows)),
        )
    ]


def compare_sampling(result: Result) -> list[Figure]:
    """Error of the magnetization against evaluations of psi, for both ways of sampling."""
    groups: dict[str, list[Measurement]] = {}
    for m in result.series("error"):
        groups.setdefault(m.group, []).append(m)
    if not groups:
        return []
    traces = []
    cases = list(dict.fromkeys(group.split(", ", 1)[1] for group in groups))
    for group, series in groups.items():
        way, case = group.split(", ", 1)
        steps = [m.step or 0.0 for m in series]
        dash = "solid" if way == "exact sampling" else "dot"
        traces += line(steps, [m.value for m in series], group, color=cases.index(case), dash=dash, mode="lines")
    rows = tuple((group, m.step, m.value) for group, series in groups.items() for m in series)
    columns, logarithmic = ("way and case", "evaluations", "error"), {"type": "log"}
    return [
        Figure(
            name="error_against_cost",
            title="Metropolis needs more evaluations for the same error, without bound as the field falls",
            caption="Root mean square error of the magnetization against evaluations of the wave function. Solid: "
            "exact sampling; dotted: Metropolis, started with all spins up.",
            alt=f"Two curves for each of {len(cases)} cases; the dotted ones lie above the solid ones",
            data=traces,
            layout=axes("evaluations of psi", "error of the magnetization", xaxis=logarithmic, yaxis=logarithmic),
            table=Table(name="error_against_cost", title="Error against cost", columns=columns, rows=rows),
        )
    ]


def benchmark(result: Result) -> list[Figure]:
    """Seconds per step and its parts against the number of spins, with the counted operations."""
    traces = []
    names = ("seconds_step", "seconds_sampling", "seconds_local_energies", "seconds_update")
    total = result.series("seconds_step")
    if not total:
        return []
    spins = [m.step or 0.0 for m in total]
    for color, name in enumerate(names):
        label = name.removeprefix("seconds_").replace("_", " ")
        traces += line(spins, [m.value for m in result.series(name)], label, color=color)
    counted = [m.value for m in result.series("operations")]
    scaled = [total[-1].value / counted[-1] * c for c in counted]
    traces += line(spins, scaled, "counted operations, scaled", color=len(COLORS) - 1, dash="dash")
    columns = ("spins", "step", "sampling", "local energies", "update", "multiplications per sample")
    rows = tuple((m.step, *(result.series(name)[n].value for name in names), counted[n]) for n, m in enumerate(total))
    return [
        Figure(
            name="cost_against_spins",
            title="What one step costs on growing lattices",
            caption="Median seconds of one step and its parts; the dashed line is the number of counted "
            "multiplications, scaled to the largest lattice.",
            alt=f"Seconds per step from {total[0].value:.3g} at {spins[0]:.0f} spins to {total[-1].value:.3g} at "
            f"{spins[-1]:.0f} spins",
            data=traces,
            layout=axes("spins", "seconds", xaxis={"type": "log"}, yaxis={"type": "log"}),
            table=Table(name="cost_against_spins", title="Seconds per step", columns=columns, rows=rows),
        )
    ]
