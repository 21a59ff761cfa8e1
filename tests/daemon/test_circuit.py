"""The circuit of a system, as a value with the time handed in."""

from __future__ import annotations

from connectord.config import CircuitPolicy
from connectord.lanes.circuit import Circuit
from hypothesis import given
from hypothesis import strategies as st

POLICY = CircuitPolicy(failures=5, ratio=0.5, window_ms=10_000, pause_ms=1_000, max_pause_ms=4_000, trials=2)


def opened(circuit: Circuit, now: float = 0.0) -> None:
    assert [circuit.failed(now, str(number)) for number in range(POLICY.failures)] == [False] * 4 + [True]


def test_as_many_different_actions_in_a_row_open_it() -> None:
    circuit = Circuit(POLICY)
    opened(circuit, 100.0)
    assert circuit.is_open(100.9)
    assert not circuit.is_open(101.0)
    assert circuit.state == "half_open"


def test_failures_in_a_row_may_be_far_apart() -> None:
    circuit = Circuit(POLICY)
    assert [circuit.failed(number * 3600.0, str(number)) for number in range(5)][-1]


def test_one_action_never_opens_it_however_often_it_fails() -> None:
    circuit = Circuit(POLICY)
    assert not any(circuit.failed(number / 10, "one") for number in range(1000))
    assert circuit.state == "closed"


def test_one_that_gets_through_ends_the_row() -> None:
    circuit = Circuit(POLICY)
    for now in range(0, 1000, 100):
        for number in range(4):
            assert not circuit.failed(now, f"{now} {number}")
        circuit.reached(now)
    assert circuit.state == "closed"


def test_half_of_a_window_opens_it_and_less_does_not() -> None:
    for well, opens in ((1, True), (2, False)):
        circuit = Circuit(POLICY)
        said = False
        for number in range(5):
            for _ in range(well):
                circuit.reached(number / 10)
            said = said or circuit.failed(number / 10, str(number))
        assert said is opens


def test_what_failed_before_the_window_does_not_count() -> None:
    circuit = Circuit(POLICY)
    for number in range(40):
        circuit.reached(number * 3.0)
        assert not circuit.failed(number * 3.0, str(number))


def test_trials_that_fail_double_the_pause_up_to_its_cap() -> None:
    circuit = Circuit(POLICY)
    opened(circuit)
    pauses, now = [], 0.0
    for number in range(5):
        pauses.append(circuit.pause_seconds)
        assert circuit.is_open(circuit.next_trial_at - 0.001)
        now = circuit.next_trial_at
        assert not circuit.is_open(now)
        assert circuit.failed(now, f"trial {number}")
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_trials_that_go_well_close_it_and_the_next_pause_is_short_again() -> None:
    circuit = Circuit(POLICY)
    opened(circuit)
    assert not circuit.is_open(1.0)
    assert circuit.failed(1.0, "x")
    assert not circuit.is_open(3.0)
    assert [circuit.reached(3.0), circuit.state] == [False, "half_open"]
    assert [circuit.reached(3.0), circuit.state] == [True, "closed"]
    opened(circuit, 4.0)
    assert circuit.pause_seconds == 1.0


def test_a_failure_that_a_person_asked_for_does_not_lengthen_the_pause_and_a_success_ends_it() -> None:
    circuit = Circuit(POLICY)
    opened(circuit)
    assert not circuit.failed(0.5, "by hand")
    assert circuit.next_trial_at == 1.0
    circuit.reached(0.6)
    assert circuit.state == "half_open"


def test_without_a_policy_it_never_opens() -> None:
    circuit = Circuit(None)
    assert not any(circuit.failed(0.0, str(number)) for number in range(10_000))
    assert not circuit.is_open(0.0)


def test_another_policy_shortens_the_pause_under_way() -> None:
    circuit = Circuit(POLICY)
    opened(circuit)
    circuit.configure(CircuitPolicy(pause_ms=100, max_pause_ms=200), 0.0)
    assert not circuit.is_open(0.2)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 30), st.booleans()), max_size=300))
def test_whatever_comes_memory_is_bounded_and_an_open_circuit_ends(steps: list[tuple[float, int, bool]]) -> None:
    circuit, now = Circuit(POLICY), 0.0
    for pause, name, well in steps:
        now += pause
        if not circuit.is_open(now):
            if well:
                circuit.reached(now)
            else:
                circuit.failed(now, str(name))
        assert len(circuit._failing) <= POLICY.failures
        assert len(circuit._in_a_row) <= POLICY.failures
        assert len(circuit._window._slots) <= 10
        assert circuit.next_trial_at <= now + POLICY.max_pause_ms / 1000
