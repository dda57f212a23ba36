"""A client that repeats itself is heard once in a while."""

import logging

from streams.seldom import AGAIN_SECONDS, Seldom


def line(name: str, text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, text, arguments, None)


def test_the_same_line_of_the_client_comes_once_in_a_while_and_another_at_once() -> None:
    now = 5.0
    seldom = Seldom(lambda: now)

    heard = [seldom.filter(line("aiokafka.conn", "no connection to %s", n)) for n in range(3)]
    another = seldom.filter(line("aiokafka.conn", "no metadata from %s", 1))
    now += AGAIN_SECONDS
    later = seldom.filter(line("aiokafka.conn", "no connection to %s", 9))

    assert heard == [True, False, False]
    assert another
    assert later


def test_our_own_lines_always_come() -> None:
    seldom = Seldom(lambda: 5.0)

    assert all(seldom.filter(line("streams.app", "lane stopped the worker")) for _ in range(3))
