"""Fits the depth law to losses: crossings of depth pairs, the line through them, and what it predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import stats

from seqtant.architecture.config import FitConfig
from seqtant.architecture.experiments import depth_law
from seqtant.architecture.experiments.depth_law import Crossing, FittedLaw
from seqtant.architecture.theory import FITTED, Z95, optimal_depth
from seqtant.findings import Assumption, Estimate, Result
from seqtant.findings import Cell as TableCell
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path

PREDICTED_SIZES = (1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12)
SIGNIFICANCE = 0.05


@verb(FitConfig)
def fit(config: FitConfig, context: Context) -> Result:
    """Fits the depth law to losses: where each deeper network starts to win, the line through it, what it predicts.

    Each pair of neighboring depths has a crossing size N at which both are equally good; ln d = a + b L is fitted
    through the widths d = sqrt(N / 12 L) of the crossings, weighted by the scatter over seeds.

    Returns:
        The line's coefficients with their errors, whether the crossings lie on it, and the depths that it predicts.

    Raises:
        InputError: The losses cannot be read.
        InconclusiveError: Fewer than three pairs of depths change places.

    Example:
        >>> from seqtant import architecture
        >>> result = architecture.fit()  # losses simulated from the published law
        >>> result.values["crossings"], round(result.values["b"], 2)
        (5, 0.06)
    """
    generator = np.random.default_rng(context.seed)
    source = "losses simulated from the published law"
    if config.losses is not None:
        source = Path(config.losses).name if is_path(config.losses) else "losses in memory"
    with Recorder("architecture.fit", f"Depth law of {source}", config, context, papers=(8,)) as record:
        if config.losses is not None:
            rows = depth_law.read_losses(config.losses, embedding=config.embedding)
        else:
            rows = depth_law.simulate_losses(
                FITTED, config.simulated_depths, spread=config.spread, generator=generator, pair_depth=config.pair_depth
            )
        crossings, missing = depth_law.find_crossings(
            rows, draws=config.draws, generator=generator, pair_depth=config.pair_depth
        )
        for (shallow, deep), reason in missing.items():
            record.warn(f"{shallow} against {deep} layers is left out: {reason}")
        fitted = depth_law.fit_law(crossings)
        _record_crossings(record, crossings, missing)
        line, law = fitted.fit, fitted.law
        for name, number in {
            "a": law.a,
            "b": law.b,
            "a_error": law.var_a**0.5,
            "b_error": law.var_b**0.5,
            "covariance_ab": law.cov_ab,
            "r_squared": line.r_squared,
            "reduced_chi_squared": line.reduced_chi_squared,
            "crossings": len(crossings),
        }.items():
            record.value(name, number)
        if not line.errors_given:
            record.warn(
                "one seed per network: crossings have no errors, the line is not weighted and chi^2 is not defined"
            )
        # Both lines of the figure, at their ends.
        depths = [crossing.depth for crossing in crossings]
        for depth in (min(depths), max(depths)):
            record.measure("fitted_width", law.transition_width(depth), step=depth)
            record.measure("published_width", FITTED.transition_width(depth), step=depth)
        _record_findings(record, fitted, crossings, config)
        if law.b <= 0:
            record.warn("the fitted slope is not positive: depth never pays more, so no optimal depth is predicted")
        else:
            best = {size: optimal_depth(size, law) for size in PREDICTED_SIZES}
            record.table(
                "predictions",
                "Optimal depth by the fitted line",
                ("size", "depth", "+- (95 %)", "width", "depth by paper 8"),
                [(n, each.depth, each.margin, each.width, optimal_depth(n).depth) for n, each in best.items()],
                "The error is that of the line alone; far from the sizes trained it is extrapolation.",
            )
    return record.result


def _record_crossings(record: Recorder, crossings: list[Crossing], missing: dict[tuple[int, int], str]) -> None:
    rows: list[tuple[TableCell, ...]] = []
    for each in crossings:
        pair = f"{each.shallow} / {each.deep}"
        size, error = each.size, each.log_width_error
        record.measure("crossing_size", size.value, unit="parameters", step=each.depth, group=pair)
        record.measure("log_width", each.log_width, step=each.depth, group=pair)
        if error is not None:
            record.measure("log_width_error", error, step=each.depth, group=pair)
        note = "several sign changes" if each.ambiguous else ""
        rows.append((pair, each.depth, size.value, size.low, size.high, each.log_width, error, note))
    rows += [(f"{shallow} / {deep}", *[None] * 6, reason) for (shallow, deep), reason in missing.items()]
    columns = ("pair", "L", "crossing size", "low", "high", "ln d", "error of ln d", "note")
    record.table("crossings", "Where the deeper network starts to win", columns, rows)


def _record_findings(record: Recorder, fitted: FittedLaw, crossings: list[Crossing], config: FitConfig) -> None:
    """Tests whether the crossings lie on a line within their errors, and whether it is that of paper 8."""
    p, chi = fitted.fit.p_value, fitted.fit.reduced_chi_squared
    spread = "" if chi is None or p is None else f", reduced chi^2 = {chi:.3g} (p = {p:.2g})"
    record.finding(
        "line",
        "Does the logarithm of the transition width grow linearly with depth?",
        "inconclusive" if p is None else "agrees" if p >= SIGNIFICANCE else "disagrees",
        f"ln d = {fitted.law.a:.4g} + {fitted.law.b:.4g} L through {len(crossings)} crossings"
        f"{'' if fitted.fit.r_squared is None else f', R^2 = {fitted.fit.r_squared:.4g}'}{spread}.",
        measured=fitted.b,
        assumptions=(
            Assumption(
                statement="The gap of a pair runs straight in ln N between neighboring sizes",
                how="crossings are interpolated; sizes closer together make it safer",
            ),
            Assumption(
                statement="Losses scatter over seeds alike at all sizes",
                how="their scatter is pooled over sizes; a few seeds per size cannot tell",
            ),
            Assumption(
                statement="Each pair changes places once",
                status="fails" if any(each.ambiguous for each in crossings) else "holds",
                how="sign changes of the mean gap",
            ),
        ),
    )
    # Both coefficients at once against paper 8's, with both covariances.
    law = fitted.law
    difference = np.array([law.a - FITTED.a, law.b - FITTED.b])
    covariance = np.array([[law.var_a, law.cov_ab], [law.cov_ab, law.var_b]])
    # Simulated losses follow the published line itself, which has no error then.
    if config.losses is not None:
        covariance += np.array([[FITTED.var_a, FITTED.cov_ab], [FITTED.cov_ab, FITTED.var_b]])
    # chi^2 = x^T S^-1 x of the two differences, on two degrees of freedom.
    chi_both = float(difference @ np.linalg.solve(covariance, difference))
    p_both = float(stats.chi2.sf(chi_both, 2))
    half = Z95 * FITTED.var_b**0.5
    record.finding(
        "published",
        "Is it the law of paper 8?",
        "agrees" if p_both >= SIGNIFICANCE else "disagrees",
        f"a = {law.a:.4g} against {FITTED.a}, b = {law.b:.4g} against {FITTED.b}: "
        f"chi^2 = {chi_both:.3g} on 2 degrees of freedom (p = {p_both:.2g}).",
        predicted=Estimate(
            value=FITTED.b, low=FITTED.b - half, high=FITTED.b + half, method="published fit", unit="per layer"
        ),
        measured=fitted.b,
        assumptions=(
            Assumption(
                statement=f"The {config.pair_depth} network stands for a pair",
                how="the paper does not say which depth of a pair it means",
            ),
            Assumption(statement="The published covariance", how="its values are recalled, not read at the source"),
        ),
    )
