"""Writes what the documentation says of real speech from the records in this folder: no number in it is typed by hand.

    python results/ctc/write_pages.py

Fills the marked parts of docs/instruments/ctc.md and recipes/ctc/README.md and draws docs/instruments/ctc-frontier.svg.
How each record was made stands in README.md, which this script writes as well.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from seqtant.findings import Cell, Finding, Result, Table, format_number, from_json
from seqtant.report.markdown import fill
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGES = (ROOT / "docs" / "instruments" / "ctc.md", ROOT / "recipes" / "ctc" / "README.md")
sys.path.insert(0, str(ROOT / "docs"))


def read(name: str) -> Result:
    """A record of this folder."""
    return from_json(Result, (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def rows_of(result: Result, table: str = "frontier") -> list[dict[str, Cell]]:
    """Rows of a table, by column."""
    found = next(each for each in result.tables if each.name == table)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def interval(row: dict[str, Cell], value: str, name: str) -> str:
    """A number with its interval, for a cell."""
    low, high = row[f"{name} low"], row[f"{name} high"]
    middle = number(row[value])
    return middle if low is None else f"{middle} [{number(low)}, {number(high)}]"


def number(value: Cell) -> str:
    """Two decimals below 10, whole numbers above 100."""
    if value is None:
        return "–"
    assert isinstance(value, int | float)
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def measured(finding: Finding) -> str:
    """What a finding measured, with its interval."""
    estimate = finding.measured
    assert estimate is not None
    unit = f" {estimate.unit}" if estimate.unit else ""
    if estimate.low is None or estimate.high is None:
        return f"{number(estimate.value)}{unit}"
    return f"{number(estimate.value)}{unit} [{number(estimate.low)}, {number(estimate.high)}]"


def finding(result: Result, key: str) -> Finding:
    """A finding by its key."""
    return next(each for each in result.findings if each.key == key)


def table(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> str:
    """Markdown of a table."""
    return to_markdown(Table(name="page", title="", columns=columns, rows=tuple(rows)))


def frontier() -> str:
    """Every method at every weight, over seeds."""
    result = read("frontier")
    rows: list[tuple[Cell, ...]] = []
    for row in rows_of(result):
        plain = row["method"] == "ctc"
        name = str(row["method"]).replace("-", "_") + f"_{row['weight']:g}"
        rows.append(
            (
                row["method"],
                "–" if plain else f"{row['weight']:g}",
                interval(row, "WER, %", "WER"),
                interval(row, "delay, ms", "delay"),
                "–" if plain else measured(finding(result, f"earlier_{name}")),
                "–" if plain else f"{row['WER change, points']:+.2f}",
            )
        )
    words = f"{result.config['seeds']} seeds, intervals are Student's t over seeds (95 %)"
    headings = ("method", "weight", "WER, %", "delay, ms", "on the same words", "WER change, points")
    return f"{table(headings, rows)}\n\nDelay is after the word's start; {words}."


def one_command() -> str:
    """The single run that anybody can repeat, with its processor time."""
    result = read("one-command")
    plain, *others = rows_of(result)
    said = [
        f"at {row['weight']:g} {-float(row['same words, ms'] or 0):.0f} ms earlier for "
        f"{float(row['WER change, points'] or 0):+.2f} points"
        for row in others
    ]
    return (
        f"One seed, {result.cpu_seconds:.0f} s of processor time on one core: plain CTC {number(plain['WER, %'])} %; "
        f"Align With Purpose {'; '.join(said)}. Weight 0 is plain CTC to the bit: "
        f"{'yes' if result.values['zero_is_ctc'] == 1 else 'NO'}. More weight is always earlier: "
        f"{finding(result, 'monotone').verdict}."
    )


def confirmation() -> str:
    """The same command on recordings and seeds that no choice was made on."""
    result = read("confirmation")
    plain, *others = rows_of(result)
    first = int(result.config["utterances"]["first_test_take"])
    said = [
        f"at {row['weight']:g} {measured(finding(result, f'earlier_{_name(row)}'))} on the same words for "
        f"{float(row['WER change, points'] or 0):+.2f} points"
        for row in others
    ]
    return (
        f"Steps, rates and speeds were chosen with the numbers above in sight. So the same command was run once on "
        f"recordings never tested before (takes {first} to {first + 4} of every speaker, out of training this "
        f"time) with {result.config['seeds']} seeds never used before: plain CTC {interval(plain, 'WER, %', 'WER')} %; "
        f"Align With Purpose {'; '.join(said)}. More weight is always earlier: {finding(result, 'monotone').verdict}."
    )


def speakers() -> str:
    """Each speaker held out in turn."""
    rows: list[tuple[Cell, ...]] = []
    for path in sorted(FOLDER.glob("held-out-*.json")):
        result = from_json(Result, path.read_text(encoding="utf-8"))
        plain, *others = rows_of(result)
        cells = [result.config["test_speaker"], interval(plain, "WER, %", "WER"), number(plain["delay, ms"])]
        for row in others:
            name = f"earlier_awp_{row['weight']:g}"
            cells += [measured(finding(result, name)), f"{row['WER change, points']:+.2f}"]
        rows.append(tuple(cells))
    headings = (
        "held out",
        "CTC WER, %",
        "CTC delay, ms",
        "0.2 against CTC",
        "WER, points",
        "0.5 against CTC",
        "points",
    )
    return table(headings, rows) + "\n\nOne seed each; intervals resample utterances (95 %)."


def budget() -> str:
    """What the budget bought."""
    result = read("budget")
    values = result.values
    spent = finding(result, "budget")
    earlier = finding(result, "earlier")
    trials = next(each for each in result.tables if each.name == "trials")
    points, steps = result.config["budget_wer"], result.config["base_steps"]
    return (
        f"`--budget-wer {points:g}` on a recognizer of {steps} steps of CTC, "
        f"{number(values['wer_before'])} % word errors: weight {format_number(float(values['weight'] or 0))} after "
        f"{values['runs']} runs; on held-out utterances {measured(spent)} spent of {points:g} "
        f"({spent.verdict}), mean delay on the same words {measured(earlier)}. Further training lowers the errors as "
        "well, so a change below 0 is not the purpose's doing. The search, on development utterances:"
        f"\n\n{to_markdown(trials)}"
    )


def word_errors() -> str:
    """The minimum-WER property in noise, whatever came out."""
    result = read("word-errors")
    rows: list[tuple[Cell, ...]] = []
    for row in rows_of(result):
        plain = row["method"] == "ctc"
        change = "–" if plain else measured(finding(result, f"errors_{_name(row)}"))
        rows.append((row["method"], "–" if plain else f"{row['weight']:g}", interval(row, "WER, %", "WER"), change))
    needed = [value for name, value in result.values.items() if name.startswith("words_needed_") and value]
    return (
        table(("method", "weight", "WER, %", "change, points"), rows)
        + f"\n\n{result.values['words_measured']:,} words over {result.config['seeds']} seeds, intervals over seeds; "
        f"to see 4 % relative at this error rate would take about {max(needed):,} words (`theory.words_to_resolve`, "
        f"with the share of words on which the systems differ as measured).\n\n{gaps()}"
    )


def gaps() -> str:
    """What the training statistics of the minimum-WER property say."""
    result = read("word-errors-training")
    changed = [point.value for point in result.measurements if point.key.endswith(".changed")]
    gap = [point.value for point in result.measurements if point.key.endswith(".gap")]
    quarter = max(len(gap) // 4, 1)
    return (
        f"While training, {100 * sum(changed) / len(changed):.0f} % of the sampled paths had a word to put right, and "
        f"the score of the better path over the sampled one rose from {sum(gap[:quarter]) / quarter:+.4f} to "
        f"{sum(gap[-quarter:]) / quarter:+.4f} nats per frame (first and last quarter of the steps)."
    )


def _name(row: dict[str, Cell]) -> str:
    return str(row["method"]).replace("-", "_") + f"_{row['weight']:g}"


SECTIONS = {
    "frontier": (frontier, "frontier.json"),
    "one-command": (one_command, "one-command.json"),
    "confirmation": (confirmation, "confirmation.json"),
    "speakers": (speakers, "held-out-*.json"),
    "budget": (budget, "budget.json"),
    "word-errors": (word_errors, "word-errors.json"),
}
"""Parts of the pages, what writes them, and the records they need: a part without its record is left as it is."""


def readme() -> str:
    """How each record was made."""
    rows: list[tuple[Cell, ...]] = []
    for path in sorted(FOLDER.glob("*.json")):
        result = from_json(Result, path.read_text(encoding="utf-8"))
        rows.append(
            (
                path.name,
                f"`{result.command}`",
                result.created[:10],
                result.environment.get("torch"),
            )
        )
    listed = table(("record", "command", "made", "torch"), rows)
    return (
        "# Runs of the CTC room\n\nWritten by `write_pages.py` from the records in this folder. Speech is the Free "
        "Spoken Digit Dataset (CC BY-SA 4.0), read from a checkout beside the working directory.\n\n" + listed + "\n"
    )


if __name__ == "__main__":
    from ctc_pictures import frontier as draw

    draw(
        json.loads((FOLDER / "frontier.json").read_text(encoding="utf-8")),
        ROOT / "docs" / "instruments" / "ctc-frontier.svg",
    )
    for chosen in PAGES:
        fill(chosen, SECTIONS, FOLDER)
    (FOLDER / "README.md").write_text(readme(), encoding="utf-8")
