from __future__ import annotations

import pytest

from muse_core.errors import UserError
from muse_core.pretrain.launch import Launch, launch

GROUP = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
}


def test_who_sets_all_that_torchrun_sets_starts_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in GROUP.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(rank=3, processes=4, processes_here=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RANK", "4"), ("LOCAL_RANK", "2"), ("LOCAL_WORLD_SIZE", "3"), ("LOCAL_WORLD_SIZE", "8")],
)
def test_numbers_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for known, number in (GROUP | {name: value}).items():
        monkeypatch.setenv(known, number)
    with pytest.raises(UserError, match="contradict each other"):
        launch()


@pytest.mark.parametrize("missing", sorted(set(GROUP) - {"WORLD_SIZE"}))
def test_a_part_of_it_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in GROUP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(UserError, match="WORLD_SIZE is 4, but torchrun has not started this"):
        launch()


@pytest.mark.parametrize("port", ["abc", "0", "-1"])
def test_what_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    for name, value in (GROUP | {"MASTER_PORT": port}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="torchrun has not started this"):
        launch()
