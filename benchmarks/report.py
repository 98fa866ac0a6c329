"""Results as text: Markdown tables, and a line for each goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.goals import MET, MISSED, Goal, Verdict
from benchmarks.results import Measurement, Results, columns_of

SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
LEGEND = "Medians, [quartiles], and how many times the first column's median it is."
BYTES = ((float(1 << 20), "MiB"), (float(1 << 10), "KiB"), (1.0, "B"))


def report(facts: Mapping[str, str], results: Results, verdicts: Sequence[Verdict]) -> str:
    """Everything, for people."""
    parts = [list_of_facts(facts), LEGEND]
    for (group, operation), rows in results.tables().items():
        parts.append(f"### {group}: {operation}\n\n{table_of(rows)}")
    if results.mismatches:
        wrong = "\n".join(f"- {mismatch}" for mismatch in results.mismatches)
        parts.append(f"### Wrong results, not timed\n\n{wrong}")
    parts.append(f"### Goals\n\n{table_of_goals(verdicts)}")
    return "\n\n".join(parts)


def list_of_facts(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def table_of(rows: dict[str, dict[str, Measurement]]) -> str:
    """Medians with their quartiles, and how many times the first column's median they are."""
    columns = columns_of(rows)
    unit = unit_of([measurement for row in rows.values() for measurement in row.values()])
    lines = [
        [name, *(cell(row.get(column), row.get(columns[0]), unit) for column in columns)] for name, row in rows.items()
    ]
    return markdown([unit[1], *columns], lines)


def unit_of(measurements: Iterable[Measurement]) -> tuple[float, str]:
    """The largest unit that no median is less than a tenth of."""
    found = list(measurements)
    units = BYTES if found[0].lane.group == "memory" else SECONDS
    smallest = min(abs(measurement.median) for measurement in found)
    return next((unit for unit in units if smallest >= unit[0] / 10), units[-1])


def cell(measurement: Measurement | None, first: Measurement | None, unit: tuple[float, str]) -> str:
    if measurement is None:
        return "-"
    median, low, high = (figure(value / unit[0]) for value in (measurement.median, *measurement.quartiles))
    ratio = f" {figure(measurement.median / first.median)}x" if first and first is not measurement else ""
    return f"{median} [{low}, {high}]{ratio}"


def figure(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table_of_goals(verdicts: Sequence[Verdict]) -> str:
    lines = [
        [str(verdict.goal.number), verdict.goal.name, bounds(verdict.goal), measured(verdict), verdict.status]
        for verdict in verdicts
    ]
    counts = [sum(verdict.status == status for verdict in verdicts) for status in (MET, MISSED)]
    rest = len(verdicts) - sum(counts)
    summary = f"{counts[0]} met, {counts[1]} missed, {rest} not measured."
    return f"{markdown(['goal', 'what', 'wanted', 'measured', ''], lines)}\n\n{summary}"


def bounds(goal: Goal) -> str:
    """What is wanted of the ratios."""
    parts = {
        "mean at least": goal.mean_at_least,
        "each at least": goal.at_least,
        "each at most": goal.at_most,
    }
    return ", ".join(f"{name} {bound:g}" for name, bound in parts.items() if bound is not None)


def measured(verdict: Verdict) -> str:
    """What the ratios are."""
    parts = ["wrong results"] if verdict.wrong else []
    if verdict.mean is not None:
        parts.append(f"mean {verdict.mean:.2f}")
    if verdict.worst is not None:
        of_many = f", worst of {len(verdict.ratios)}: {verdict.worst}" if len(verdict.ratios) > 1 else ""
        parts.append(f"{verdict.ratios[verdict.worst]:.2f}{of_many}")
    return ", ".join(parts) or "-"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up as plain text too."""
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in (head, rule, *lines)
    )
