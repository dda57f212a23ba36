"""When processes are killed is a function of the seed: in every month, during closes and elsewhere."""

from cli.injuries import plan

MONTH = [False] * 15 + [True] * 9
YEAR = [False, *MONTH * 12]


def test_the_same_seed_is_the_same_injuries_and_another_seed_others() -> None:
    assert plan(7, YEAR) == plan(7, YEAR)
    assert plan(7, YEAR) != plan(8, YEAR)


def test_there_are_as_many_kills_during_closes_as_months_and_more_elsewhere() -> None:
    injuries = plan(7, YEAR)

    in_closes = [number for number, injury in injuries.items() if injury.in_close]
    assert len(in_closes) == 12
    assert all(YEAR[number] for number in in_closes)
    assert len(injuries) - len(in_closes) == 15
    assert not any(YEAR[number] for number in injuries.keys() - in_closes)


def test_the_payment_consumer_is_killed_rarely_and_at_least_once() -> None:
    assert sum(injury.payments for injury in plan(7, YEAR).values()) == 2
    assert sum(injury.payments for injury in plan(7, [False, *MONTH]).values()) == 1


def test_the_first_step_is_spared() -> None:
    assert 0 not in plan(7, [True, True, False, False])
