"""The program ``age-plugin-binary-split``, which `age` starts to open an archive with a fragment."""

from __future__ import annotations

import sys

from binary_split.archive.age.plugin_channel import Channel
from binary_split.archive.age.plugin_identity import FragmentLocation
from binary_split.archive.age.plugin_protocol import refuse_recipient_v1, run_identity_v1
from binary_split.cli.openers import fetch_located
from binary_split.cli.output import BROKEN_PIPE, INTERRUPTED, emit, phrase_error, say, silence_stdout
from binary_split.errors import BinarySplitError, PluginProtocolError
from binary_split.model import Fragment
from binary_split.version import __version__

_HELP = """\
Usage: age -d -i IDENTITY-FILE ARCHIVE

The plugin by which `age` opens an archive that is sealed for a key fragment. It is
started by `age`, which finds it on PATH; there is nothing to run by hand.

Make an identity file with `binary-split identity`: it names the key service and the
token's file, or a file that holds the fragment. Seal with `binary-split seal`.
"""
_OPTION = "--age-plugin="
_USAGE = 2


def main() -> None:
    """Speak the plugin protocol on stdin and stdout, or say what this program is for."""
    match sys.argv[1:]:
        case [option] if option.startswith(_OPTION):
            sys.exit(_converse(option.removeprefix(_OPTION)))
        case [] | ["-h" | "--help"]:
            _show(_HELP.rstrip())
        case ["--version"]:
            _show(f"age-plugin-binary-split, version {__version__}")
        case _:
            say(_HELP.rstrip())
            sys.exit(_USAGE)


def _show(text: str) -> None:
    try:
        emit(text)
    except BrokenPipeError:
        silence_stdout()
        sys.exit(BROKEN_PIPE)
    except BinarySplitError as error:
        say(phrase_error(error))
        sys.exit(error.exit_code)


def _converse(state_machine: str) -> int:
    """Run a state machine and return the exit code."""
    try:
        # Unbuffered: a buffered read would wait for more while the client waits for us.
        with open(0, "rb", buffering=0, closefd=False) as source, open(1, "wb", 0, closefd=False) as sink:
            channel = Channel(source, sink)
            if state_machine == "identity-v1":
                return 0 if run_identity_v1(channel, _fetch, phrase_error) else 1
            if state_machine == "recipient-v1":
                refuse_recipient_v1(channel, phrase_error)
                return 1
    except PluginProtocolError as error:
        say(phrase_error(error))
        return error.exit_code
    except OSError as error:  # no stdin or stdout at all
        say(f"cannot speak with the client: {error.strerror or error}")
        return PluginProtocolError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    say(f"this plugin does not know the state machine {state_machine[:40]!r}")
    return _USAGE


def _fetch(location: FragmentLocation) -> Fragment:
    """Fetch a fragment; what nobody foresaw becomes an error that the client can show, too."""
    try:
        return fetch_located(location)
    except BinarySplitError:
        raise
    except Exception as error:
        raise BinarySplitError(
            f"internal error ({type(error).__name__}) while the fragment was read"
        ) from error


if __name__ == "__main__":
    main()
