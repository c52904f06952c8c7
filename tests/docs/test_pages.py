"""The pages hold together: every block is of a kind that something checks, and every name in them exists."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from binary_split.agent.settings import parse_agent_settings
from binary_split.config import load_settings
from binary_split.transports.configured import configured
from scripts.commands import Command, read_commands
from tests.docs.pages import NOT_RUN, PAGES, SUBSTITUTIONS, TRIAL
from tests.docs.shell_blocks import Block, parse_steps, pattern_of, read_blocks

ROOT = Path(__file__).resolve().parents[2]
ALL = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = [block for page in ALL for block in read_blocks(ROOT, page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
COMMANDS = {command.path[1:]: command for command in read_commands().walk()}
OPTIONS = {name for command in COMMANDS.values() for option in command.options for name in option.names}
DOCKERS_OPTIONS = {"--host", "--context", "--config", "--tls", "--tlsverify"} | {
    f"--tls{name}" for name in ("cacert", "cert", "key")
}
LOOKS_LIKE_A_COMMAND = re.compile(
    r"^(\$ )?(binary-split|docker|curl|pip|make|age|openssl|systemctl)\b", re.MULTILINE
)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {"sh", "text", "toml", "json", "python", "mermaid", ""}

    assert [block.place for block in BLOCKS if block.language not in kinds] == []
    drawings = [block for block in BLOCKS if not block.language]
    assert [block.place for block in drawings if LOOKS_LIKE_A_COMMAND.search(block.text)] == []


def test_every_page_with_commands_is_followed_or_says_why_not() -> None:
    followed = {*TRIAL, *PAGES}
    left = [block.place for block in SHELL if block.page not in followed and key(block) not in NOT_RUN]

    assert left == []
    assert followed <= {block.page for block in SHELL}


def test_what_is_not_run_is_in_the_pages_and_has_a_reason() -> None:
    assert set(NOT_RUN) <= {key(block) for block in SHELL}
    assert all(NOT_RUN.values())


def test_every_substitution_stands_in_a_page() -> None:
    text = "\n".join(block.text for block in BLOCKS) + "".join(page.setup for page in PAGES.values())

    assert [shown for shown in SUBSTITUTIONS if shown not in text] == []


def test_what_is_shown_stands_right_after_what_prints_it() -> None:
    before = {later.place: block for block, later in pairwise(BLOCKS)}
    shown = [block for block in BLOCKS if block.language == "text"]

    assert [block.place for block in shown if before[block.place].language != "sh"] == []
    assert [block.place for block in shown if not block.text.strip("… \n")] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=lambda block: block.place)
def test_settings_that_are_shown_are_settings(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(block.text.replace("sha256:…", f"sha256:{'0' * 64}"))

    settings = load_settings({"BINARY_SPLIT_CONFIG": str(path)})

    assert tomllib.loads(path.read_text())
    assert parse_agent_settings(settings.agent, configured(settings)) is not None


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=lambda block: block.place
)
def test_programs_that_are_shown_are_programs(block: Block) -> None:
    assert compile(block.text, block.place, "exec").co_filename == block.place


def test_documents_that_are_shown_are_json() -> None:
    for block in BLOCKS:
        if block.language == "json":
            for line in (
                [block.text]
                if block.text.startswith(("{\n", "[\n", "[{", '{"number"'))
                else block.text.splitlines()
            ):
                json.loads(line)


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]

    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", [page for page in ALL if "/adr/" not in page and page != "CHANGELOG.md"])
def test_commands_and_options_that_are_named_exist(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)

    assert [span for span in re.findall(r"`([^`\n]+)`", text) if not is_known(span)] == []


def is_known(span: str) -> bool:
    """Whether what looks like a command or an option of ours is one."""
    words = span.split()
    if words[0] == "binary-split":
        path: tuple[str, ...] = ()
        command = COMMANDS[path]
        rest = words[1:]
        while rest and command.commands:
            path = (*path, rest.pop(0))
            if path not in COMMANDS:
                return False
            command = COMMANDS[path]
        return all(word in names_of(command) for word in rest if re.fullmatch(r"--[a-z-]+", word))
    return not re.fullmatch(r"--[a-z-]+", words[0]) or words[0] in OPTIONS | DOCKERS_OPTIONS | {"--help"}


def names_of(command: Command) -> set[str]:
    return {name for option in command.options for name in option.names} | {"--help"}


def key(block: Block) -> tuple[str, str]:
    return block.page, block.first_line


def test_a_block_is_split_into_whole_commands() -> None:
    loop = "for n in 1 2; do\n  echo $n\ndone"
    text = f"# a word\nfirst \\\n  --option\n\ncat <<END\n$x\nEND\n{loop}\nfalse # exit code 1"

    steps = parse_steps(text)

    assert [step.command.partition("\n")[0] for step in steps] == [
        "first \\",
        "cat <<END",
        "for n in 1 2; do",
        "false # exit code 1",
    ]
    assert [step.status for step in steps] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("a … c", "a b c\n", True),
        ("a … c", "a b\nc\n", False),
        ("…\nlast", "1\n2\nlast\n", True),
        ("…\nlast", "1\nlast\nmore\n", False),
        ("(1.5)", "(1x5)\n", False),
        ("a     b  c", "a  b      c\n", True),
        ("a  b", "a b\n", False),
    ],
)
def test_what_is_printed_must_be_what_is_shown(shown: str, printed: str, *, fits: bool) -> None:
    assert (pattern_of(shown).fullmatch(printed) is not None) is fits


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("**/*.md")}

    assert {page for page in pages if f"]({page})" not in index and not page.startswith("adr/")} == {
        "README.md"
    }


def test_no_word_has_two_meanings() -> None:
    words = re.findall(r"^\| ([^|]+) \| ", (ROOT / "docs" / "terminology.md").read_text(), re.MULTILINE)

    assert len(words) == len(set(words)) > 50
