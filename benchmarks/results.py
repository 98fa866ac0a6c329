"""What a run found: measurements, and contenders whose results were wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from benchmarks.cases import Case, Operation


@dataclass(frozen=True)
class Lane:
    """One contender on one case, and its place in the tables. Each group has one for each operation.

    Attributes:
        operation: That of the table, which the case may differ from.
        contender: The contender's name. It is the column too, unless the columns are variants of one contender.
    """

    group: str
    operation: Operation
    row: str
    column: str
    contender: str
    case: Case


@dataclass(frozen=True)
class Measurement:
    """What a lane took in each round, in seconds, or in bytes in the group "memory"."""

    lane: Lane
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = quantiles(self.values, n=4, method="inclusive")
        return lower, upper

    def as_json(self) -> dict[str, Any]:
        values = {"median": self.median, "quartiles": self.quartiles, "values": self.values}
        return {**asdict(self.lane), "unit": "bytes" if self.lane.group == "memory" else "seconds", **values}


@dataclass(frozen=True)
class Mismatch:
    """A lane whose results are wrong. It is not timed."""

    lane: Lane
    problem: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self.lane), "problem": self.problem}

    def __str__(self) -> str:
        lane = self.lane
        return f"{lane.group}, {lane.operation}, {lane.row}, {lane.column}: {self.problem}"


@dataclass
class Results:
    """Everything that was found, in the order in which it was."""

    measurements: list[Measurement] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)

    def extend(self, other: Results) -> None:
        self.measurements += other.measurements
        self.mismatches += other.mismatches

    def tables(self) -> dict[tuple[str, Operation], dict[str, dict[str, Measurement]]]:
        """For each group and operation its rows, for each row its columns."""
        found: dict[tuple[str, Operation], dict[str, dict[str, Measurement]]] = {}
        for measurement in self.measurements:
            lane = measurement.lane
            found.setdefault((lane.group, lane.operation), {}).setdefault(lane.row, {})[lane.column] = measurement
        return found


def columns_of(rows: dict[str, dict[str, Measurement]]) -> list[str]:
    """The columns of a table, in the order in which they first appear."""
    return list(dict.fromkeys(column for row in rows.values() for column in row))
