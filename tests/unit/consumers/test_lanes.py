"""Which offset may be committed: everything before it is answered."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.lanes import Lane


def command(account_id, command_id="c", kind="charge"):
    return {"account_id": account_id, "command_id": command_id, "kind": kind}


def test_nothing_can_be_committed_before_anything_is_read():
    assert Lane(0, {}, 0.0).next_offset == -1


def test_the_first_open_command_holds_the_offset_back_and_no_other_account():
    lane = Lane(0, {}, 0.0)
    slow, quick = lane.admit(7, command("slow")), lane.admit(9, command("quick"))

    lane.close_first(quick)

    assert lane.next_offset == 7
    lane.close_first(slow)
    assert lane.next_offset == 10


def test_an_account_has_one_command_worked_on_and_the_others_wait_in_order():
    lane = Lane(0, {}, 0.0)
    line = lane.admit(0, command("a", "first"))

    assert lane.admit(1, command("a", "second")) is None
    assert line.command["command_id"] == "first"
    assert lane.close_first(line)
    assert line.command["command_id"] == "second"
    assert not lane.close_first(line)
    assert lane.lines == {}


def test_a_cancel_that_waits_is_seen_where_it_is_of_the_same_command():
    lane = Lane(0, {}, 0.0)
    line = lane.admit(0, command("a", "first"))
    lane.admit(1, command("a", "other", "cancel"))

    assert not line.cancel_waits
    lane.admit(2, command("a", "first", "cancel"))
    assert line.cancel_waits


def test_what_is_no_command_is_passed_over_once_all_before_it_is_answered():
    lane = Lane(0, {}, 0.0)
    line = lane.admit(3, command("a"))
    lane.pass_over(6)

    assert lane.next_offset == 3
    lane.close_first(line)
    assert lane.next_offset == 6


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_no_open_command_is_ever_left_behind(accounts, random):
    lane = Lane(0, {}, 0.0)
    for offset, account in enumerate(accounts):
        lane.admit(offset * 2, command(str(account)))
    still_open = {offset * 2 for offset in range(len(accounts))}

    while lane.lines:
        line = random.choice(list(lane.lines.values()))
        still_open.discard(line.commands[0][0])
        lane.close_first(line)

        assert lane.next_offset == min(still_open, default=len(accounts) * 2 - 1)
