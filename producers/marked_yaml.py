"""YAML whose values are text that knows its place: what a person wrote, and line and column for an error.

Owns every word with PyYAML. No scalar is ever resolved (0.1 stays "0.1", no float is made); duplicate keys
are refused, and so are anchors and tags, which a file of prices needs none of.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches

import yaml

MOST_CHARACTERS = 4_000_000
Report = Callable[["Node", str], None]
"""Told about a node what is wrong with it; reading goes on."""
_NULLS = {"", "~", "null", "Null", "NULL"}


class MarkedYamlError(ValueError):
    """Text that is no YAML, or YAML that is refused as a whole; line and column count from 1."""

    def __init__(self, line: int, column: int, problem: str) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.line = line
        self.column = column
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file and where it stands."""

    path: str
    """As people name it: meters[0].versions[1].valid_from."""
    _node: yaml.Node

    @property
    def line(self) -> int:
        """Return its first line, from 1."""
        return int(self._node.start_mark.line) + 1

    @property
    def column(self) -> int:
        """Return its first column, from 1."""
        return int(self._node.start_mark.column) + 1

    def fields(
        self, report: Report, *, needed: Collection[str], allowed: Collection[str]
    ) -> dict[str, "Node"]:
        """Return a mapping's values by key; reports unknown, repeated and missing keys."""
        if not isinstance(self._node, yaml.MappingNode):
            report(self, f"must have the fields {', '.join((*needed, *allowed))}")
            return {}
        known = (*needed, *allowed)
        found: dict[str, Node] = {}
        for key_node, value_node in self._node.value:
            key = Node(self.path, key_node)
            name = key.text(report)
            if name is None:
                continue
            value = Node(f"{self.path}.{name}" if self.path else name, value_node)
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else f" (known: {', '.join(known)})"
                report(Node(value.path, key_node), f"is no field of this file{hint}")
            elif name in found:
                report(Node(value.path, key_node), f"is given twice, first in line {found[name].line}")
            else:
                found[name] = value
        for name in needed:
            if name not in found:
                report(Node(f"{self.path}.{name}" if self.path else name, self._node), "is missing")
        return found

    def items(self, report: Report) -> list["Node"]:
        """Return a list's values."""
        if not isinstance(self._node, yaml.SequenceNode):
            report(self, "must be a list")
            return []
        return [Node(f"{self.path}[{at}]", node) for at, node in enumerate(self._node.value)]

    def text(self, report: Report) -> str | None:
        """Return a scalar as it was written, or None, reported, where there is none."""
        if not isinstance(self._node, yaml.ScalarNode):
            report(self, "must be a single value")
            return None
        if self._node.style is None and self._node.value in _NULLS:
            report(self, "has no value")
            return None
        return str(self._node.value)


def load(text: str) -> Node:
    """Return the root of the one document in a text; raises MarkedYamlError."""
    if len(text) > MOST_CHARACTERS:
        raise MarkedYamlError(1, 1, f"the file is longer than {MOST_CHARACTERS:,} characters")
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise MarkedYamlError(line, column, e.problem or "is no YAML") from None
    except yaml.reader.ReaderError as e:
        line = text.count("\n", 0, e.position) + 1
        column = e.position - text.rfind("\n", 0, e.position)
        raise MarkedYamlError(line, column, f"character {chr(int(e.character))!r} is not allowed") from None
    except RecursionError:
        raise MarkedYamlError(1, 1, "is nested too deeply") from None
    if root is None:
        raise MarkedYamlError(1, 1, "the file is empty")
    return Node("", root)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; refuses what would make a value stand in two places or be something else."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not allowed: write the value out",
                problem_mark=event.start_mark,
            )
        if getattr(event, "tag", None) is not None and event.tag != "!":
            raise yaml.MarkedYAMLError(problem="tags are not allowed", problem_mark=event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node
