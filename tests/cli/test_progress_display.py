"""What is shown of progress: lines for programs, a bar and a line for each image for people."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.cli import bar
from binary_split.cli import progress as display
from binary_split.cli.bar import choose_shown
from binary_split.model import ItemProgress, Progress

MIB = 1 << 20


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("binary_split.cli.progress.time.monotonic", clock)
    return clock


def read_events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def items(*done: int, total: int = 10) -> tuple[ItemProgress, ...]:
    return tuple(ItemProgress(f"image-{number}", each, total) for number, each in enumerate(done))


class TestLines:
    def test_an_event_each_second_is_never_swallowed(
        self, capsys: pytest.CaptureFixture[str], clock: Clock
    ) -> None:
        with display.show_progress("json") as report:
            for _ in range(30):
                report(Progress("loading_images", 5, 10))  # nothing moves
                clock.now += 1
        assert len(read_events(capsys)) == 31

    def test_a_flood_becomes_five_lines_a_second(
        self, capsys: pytest.CaptureFixture[str], clock: Clock
    ) -> None:
        with display.show_progress("json") as report:
            for done in range(1000):
                report(Progress("loading_images", done, 1000))
                clock.now += 0.001
        events = read_events(capsys)
        assert 5 <= len(events) <= 7
        assert events[-1]["done_bytes"] == events[-1]["total_bytes"] == 1000

    def test_waiting_at_the_total_is_no_flood_either(
        self, capsys: pytest.CaptureFixture[str], clock: Clock
    ) -> None:
        with display.show_progress("json") as report:
            for _ in range(1000):
                report(Progress("loading_images", 10, 10))
        assert len(read_events(capsys)) == 1

    def test_a_stall_and_its_end_and_an_image_that_is_done_are_told_at_once(
        self, capsys: pytest.CaptureFixture[str], clock: Clock
    ) -> None:
        with display.show_progress("json") as report:
            report(Progress("loading_images", 9, 20, items(9, 0)))
            report(Progress("loading_images", 9, 20, items(9, 0), "the engine"))
            report(Progress("loading_images", 10, 20, items(10, 0)))
        events = read_events(capsys)
        assert [event["waiting_for"] for event in events] == [None, "the engine", None, None]
        assert [event["images"][0]["done_bytes"] for event in events] == [9, 9, 10, 10]
        assert [event["done_bytes"] for event in events] == [9, 9, 10, 20]


class TestChoice:
    @given(st.lists(st.integers(0, 10), max_size=30), st.integers(-3, 20))
    def test_every_image_is_shown_or_counted(self, done: list[int], rows: int) -> None:
        shown = choose_shown(items(*done), rows)
        assert len(shown.items) + shown.done + shown.to_come == len(done)
        assert len(shown.items) <= max(rows, 0)
        assert list(shown.items) == sorted(shown.items, key=lambda item: int(item.name[6:]))

    def test_where_there_is_room_all_are_shown_done_or_not(self) -> None:
        assert choose_shown(items(10, 5, 0), 3).items == items(10, 5, 0)

    def test_where_there_is_none_the_done_collapse_and_those_under_way_come_first(self) -> None:
        images = items(10, 10, 0, 0, 3, 0)
        shown = choose_shown(images, 2)
        assert shown == bar.Shown((images[2], images[4]), done=2, to_come=2)


def draw(*events: Progress, height: int = 20, width: int = 100) -> str:
    """Return what the last event looks like on a terminal, without its colours."""
    console = bar._Terminal(
        file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None
    )
    bars = bar._Bars(console)
    text = ""
    for event in events:
        bars.report(event)
        with console.capture() as capture:
            console.print(bars)
        text = capture.get()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class TestBars:
    def test_the_whole_and_each_image_have_a_line(self) -> None:
        images = (
            ItemProgress("azaion/flights:1.0.0", 3 * MIB, 4 * MIB),
            ItemProgress("azaion/autopilot:1.0.0", 0, 12 * MIB),
        )
        lines = draw(Progress("loading_images", 3 * MIB, 16 * MIB, images)).splitlines()
        assert [line.split("━")[0].strip(" ⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏") for line in lines] == [
            "loading images",
            "azaion/flights:1.0.0",
            "azaion/autopilot:1.0.0",
        ]
        assert "3.0/16.0 MiB" in lines[0]
        assert "-:--:--" in lines[0]
        assert lines[1].rstrip().endswith("3.0/4.0 MiB"), "only the whole has a rate and a rest"
        assert "0.0/12.0 MiB" in lines[2]

    def test_a_stall_says_who_is_waited_for_and_its_end_does_not(self) -> None:
        moving = Progress("loading_images", MIB, 2 * MIB)
        stalled = Progress("loading_images", MIB, 2 * MIB, (), "the engine")
        assert "waiting for the engine" in draw(moving, stalled)
        assert "waiting" not in draw(stalled, moving)

    def test_a_step_without_bytes_shows_none(self) -> None:
        assert "bytes" not in draw(Progress("checking"))

    def test_more_images_than_rows_leave_the_terminal_unscrolled(self) -> None:
        images = items(*([10] * 30), 5, *([0] * 30))
        lines = draw(Progress("loading_images", 305, 610, images), height=12).splitlines()
        assert len(lines) == 11
        assert lines[1].strip().startswith("image-30 ")
        assert lines[-1].strip() == "30 done, 22 to come"

    def test_there_is_room_for_what_the_terminal_echoes_of_ctrl_c(self) -> None:
        images = items(*([10] * 30), *([0] * 30))
        text = draw(Progress("loading_images", 300, 600, images), height=12, width=80)
        assert max(map(len, text.splitlines())) <= 80 - len("^C") - 1

    @pytest.mark.parametrize("width", [10, 40, 80])
    def test_a_narrow_terminal_keeps_a_line_for_each(self, width: int) -> None:
        images = (ItemProgress("registry.example.com:5000/azaion/flights:1.0.0", 3, 4),) * 2
        assert len(draw(Progress("loading_images", 3, 8, images), width=width).splitlines()) == 3

    def test_a_terminal_that_goes_away_is_no_error(self) -> None:
        class Gone(io.StringIO):
            def write(self, _text: str) -> int:
                raise BrokenPipeError

        console = bar._Terminal(file=Gone(), force_terminal=True)
        console.print("anything")
        assert console.quiet
