"""What an engine may answer when it is asked to list, tag, remove or prove, and what we make of it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from binary_split.engines import Abort, IdKind, LayerReuse, LoadStep, open_engine
from binary_split.errors import (
    EngineAbortedError,
    EngineAnswerError,
    EngineImageInUseError,
    EngineUnreachableError,
    ImageIncompleteError,
    ImageMissingError,
)
from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression
from tests.engines.conftest import Serve
from tests.engines.scripted import Peer, Script, Scripts, say, swallow_and_say

REF = ImageRef.parse("contract/one:2.0.0")
ID = f"sha256:{'1' * 64}"
INSPECT = f"GET /images/{REF}/json"
CREATE, CONTAINERS = "POST /containers/create", "GET /containers/json"
REMOVE = "DELETE /containers/new"


def document(content: object, status: str = "200 OK") -> Script:
    return say(json.dumps(content).encode(), status=status)


IMAGE = document({"Id": ID, "RootFS": {"Layers": []}})
CONTAINERD_STORE = document({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]})


class TestProving:
    def scripts(self, **more: Script) -> Scripts:
        names = {
            "create": CREATE,
            "remove": "DELETE /containers/new",
            "listed": CONTAINERS,
            "inspect": INSPECT,
        }
        usual: dict[str, Script] = {
            "create": document({"Id": "new"}, "201 Created"),
            "remove": document({}),
            "listed": document([]),
            "inspect": IMAGE,
        }
        scripts = {names[name]: script for name, script in {**usual, **more}.items()}
        return {"GET /info": CONTAINERD_STORE, "DELETE /containers/old": document({}), **scripts}

    def test_a_container_is_made_and_removed_and_none_is_started(self, scripted: Serve) -> None:
        engine = scripted(self.scripts())
        open_engine(None).verify_unpacked(REF)
        assert engine.requests[-2:] == [CREATE, REMOVE]
        assert not [asked for asked in engine.requests if "start" in asked]

    def test_the_container_of_a_killed_run_is_removed(self, scripted: Serve) -> None:
        engine = scripted(self.scripts(listed=document([{"Id": "old"}])))
        open_engine(None).verify_unpacked(REF)
        assert "DELETE /containers/old" in engine.requests

    def test_an_image_of_which_none_can_be_made_is_incomplete(self, scripted: Serve) -> None:
        words = "failed to prepare snapshot: parent does not exist"
        scripted(self.scripts(create=document({"message": words}, "404 Not Found")))
        with pytest.raises(ImageIncompleteError, match=words):
            open_engine(None).verify_unpacked(REF)

    def test_an_image_that_goes_away_meanwhile_is_missing(self, scripted: Serve) -> None:
        scripted(self.scripts(create=document({"message": "No such image: x"}, "404 Not Found")))
        with pytest.raises(ImageMissingError):
            open_engine(None).verify_unpacked(REF)

    def test_a_container_that_cannot_be_removed_is_an_error(self, scripted: Serve) -> None:
        scripted(self.scripts(remove=document({"message": "busy"}, "500 Oops")))
        with pytest.raises(EngineAnswerError, match="busy"):
            open_engine(None).verify_unpacked(REF)

    @pytest.mark.parametrize("answer", [[], {}, {"Id": None}, 5])
    def test_an_answer_without_sense_is_an_error(self, scripted: Serve, answer: object) -> None:
        scripted(self.scripts(create=document(answer, "201 Created")))
        with pytest.raises(EngineAnswerError):
            open_engine(None).verify_unpacked(REF)

    def test_the_classic_store_makes_none(self, scripted: Serve) -> None:
        engine = scripted({"GET /info": document({"Driver": "overlay2"}), INSPECT: IMAGE})
        open_engine(None).verify_unpacked(REF)
        assert CREATE not in engine.requests


class TestDescribing:
    def test_what_the_containerd_store_can_do_is_said(self, scripted: Serve) -> None:
        scripted({"GET /info": CONTAINERD_STORE})
        description = open_engine(None).describe()
        assert (description.id_kind, description.reuse) == (IdKind.MANIFEST, LayerReuse.BLOB)
        assert description.compressions == frozenset(Compression)

    @pytest.mark.parametrize("root", [None, "", 5, "relative", "/nowhere/at/all"])
    def test_a_data_root_that_is_not_here_is_none(self, scripted: Serve, root: object) -> None:
        scripted({"GET /info": document({"DockerRootDir": root})})
        assert open_engine(None).describe().data_root is None

    @pytest.mark.parametrize("components", [None, 5, [5], [{}], [{"Name": "Engine"}]])
    def test_what_is_not_podman_is_docker(self, scripted: Serve, components: object) -> None:
        version = {"ApiVersion": "1.41", "Components": components}
        scripted({"GET /version": document(version), "GET /info": document({})})
        assert open_engine(None).describe().kind == "docker"

    @pytest.mark.parametrize("version", [None, 5, "", "../x", "1.41/x"])
    def test_a_version_without_sense_is_no_engine(self, scripted: Serve, version: object) -> None:
        scripted({"GET /version": document({"ApiVersion": version})})
        with pytest.raises(EngineAnswerError):
            open_engine(None)


class TestListing:
    def test_names_that_are_no_references_are_left_out(self, scripted: Serve) -> None:
        rows = [
            {"Id": ID, "RepoTags": ["<none>:<none>", str(REF), "UPPER:1"]},
            {"Id": f"sha256:{'2' * 64}", "RepoTags": None},
        ]
        other = document({"Id": f"sha256:{'2' * 64}", "RootFS": {"Layers": [ID]}})
        scripted(
            {
                "GET /images/json": document(rows),
                f"GET /images/{ID}/json": IMAGE,
                f"GET /images/sha256:{'2' * 64}/json": other,
            }
        )
        one, two = open_engine(None).list_images()
        assert (one.refs, one.diff_ids) == ((REF,), ())
        assert (two.refs, two.diff_ids) == ((), (Digest.parse(ID),))

    def test_an_image_that_goes_away_meanwhile_is_left_out(self, scripted: Serve) -> None:
        scripted({"GET /images/json": document([{"Id": ID, "RepoTags": []}])})
        assert open_engine(None).list_images() == ()

    def test_what_was_listed_before_is_not_asked_for_again(self, scripted: Serve) -> None:
        inspect = f"GET /images/{ID}/json"
        served = scripted({"GET /images/json": document([{"Id": ID, "RepoTags": []}]), inspect: IMAGE})
        engine = open_engine(None)
        assert engine.list_images() == engine.list_images() != ()
        assert served.requests.count(inspect) == 1

    @pytest.mark.parametrize("rows", [{}, [5], [{}], [{"Id": "x"}], [{"Id": ID, "RepoTags": 5}], None])
    def test_an_answer_without_sense_is_an_error(self, scripted: Serve, rows: object) -> None:
        scripted({"GET /images/json": document(rows), f"GET /images/{ID}/json": IMAGE})
        with pytest.raises(EngineAnswerError):
            open_engine(None).list_images()


class TestNaming:
    def test_a_conflict_is_an_image_in_use(self, scripted: Serve) -> None:
        words = "unable to remove repository reference: container 5 is using its image"
        scripted({f"DELETE /images/{REF}": document({"message": words}, "409 Conflict")})
        with pytest.raises(EngineImageInUseError, match="container 5"):
            open_engine(None).untag(REF)

    def test_the_words_of_a_refusal_come_through(self, scripted: Serve) -> None:
        refusal = document({"message": "read-only file system"}, "500 Oops")
        tag = f"POST /images/{REF}/tag"
        scripted({f"DELETE /images/{REF}": refusal, tag: refusal, INSPECT: IMAGE})
        engine = open_engine(None)
        with pytest.raises(EngineAnswerError, match="read-only"):
            engine.untag(REF)
        with pytest.raises(EngineAnswerError, match="read-only"):
            engine.tag(REF, REF)


class TestLoading:
    def test_progress_is_reported_and_what_is_none_is_not(self, scripted: Serve) -> None:
        lines: list[object] = [
            {"status": "Loading layer", "id": "abc", "progressDetail": {"current": 5, "total": 10}},
            {"status": "Loading layer", "id": "abc", "progressDetail": {"current": 10}},
            {"id": "abc", "progressDetail": {}},
            {"id": 5, "progressDetail": {"current": 5, "total": 10}},
            {"id": "abc", "progressDetail": {"current": "5", "total": 10}},
            {"progressDetail": {"current": 5, "total": 10}},
            {"id": "abc", "progressDetail": 7},
            {"stream": "Loaded image: x:1"},
        ]
        scripted({"POST /images/load": swallow_and_say("\n".join(map(json.dumps, lines)).encode())})
        steps: list[LoadStep] = []
        open_engine(None).load([b"x"], report=steps.append)
        assert steps == [LoadStep("abc", 5, 10), LoadStep("abc", 10, 0)]

    @pytest.mark.parametrize("says", [b"", b'{"stream":"x"}\n'], ids=["silent", "in mid answer"])
    def test_an_abort_ends_a_load_while_the_engine_is_silent(self, scripted: Serve, says: bytes) -> None:
        is_silent = threading.Event()

        def hang(peer: Peer) -> None:
            peer.read_body()
            if says:
                peer.answer(says, length=1000)
            is_silent.set()
            peer.pause(10)

        scripted({"POST /images/load": hang})
        abort, engine = Abort(), open_engine(None)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(engine.load, [b"x"], abort=abort)
            assert is_silent.wait(10)
            begun = time.monotonic()
            abort.set()
            with pytest.raises(EngineAbortedError):
                load.result(5)
            assert time.monotonic() - begun < 1

    def test_an_abort_that_comes_too_late_changes_nothing(self, scripted: Serve) -> None:
        scripted({"POST /images/load": swallow_and_say(b"{}")})
        abort, engine = Abort(), open_engine(None)
        engine.load([b"x"], abort=abort)
        abort.set()
        assert abort.is_set()
        with pytest.raises(EngineAbortedError):
            engine.load([b"x"], abort=abort)

    def test_an_engine_that_went_away_is_unreachable(self, scripted: Serve) -> None:
        served = scripted({})
        engine = open_engine(None)
        served.path.unlink()
        with pytest.raises(EngineUnreachableError, match=str(served.path)):
            engine.load([b"x"])
