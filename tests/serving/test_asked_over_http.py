"""The server as programs meet it: what is answered, and what is refused in words."""

import json
from collections.abc import Iterator

import pytest
from served import BOUNDARY, Served, form, serving
from stand_in import picture

from pfedmma_dist.serving.guard import SECURITY

RED, GREEN = picture("red"), picture("green", "JPEG")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(body=20_000, images=3, pixels=10_000) as found:
        yield found


def test_image_as_the_body_is_classified(served: Served) -> None:
    found = served.classify(RED, "?client=1&top=2")
    assert found.status == 200 and found.headers["content-type"] == "application/json"
    [image] = found.json["images"]
    assert found.json["client"] == "1" and (image["width"], image["height"]) == (8, 6)
    assert list(image["answers"]) == ["1", "zero-shot", "shared"]
    assert [one["class"] for one in image["answers"]["1"]] == ["red", "green"]
    assert found.headers["server-timing"].startswith("classify;dur=")


def test_body_without_a_type_may_be_an_image(served: Served) -> None:
    assert served.ask("POST", "/classify", RED).status == 200
    assert served.classify(RED, content_type="image/png").status == 200


def test_images_of_a_form_are_answered_in_their_order(served: Served) -> None:
    found = served.classify_all({"a.png": RED, "b.jpg": GREEN})
    assert [image["name"] for image in found.json["images"]] == ["a.png", "b.jpg"]
    best = [image["answers"]["0"][0]["class"] for image in found.json["images"]]
    assert found.status == 200 and best == ["red", "green"]


def test_bad_image_harms_no_other(served: Served) -> None:
    found = served.classify_all({"bad": b"no image", "good": RED, "cut": RED[:40]})
    first, second, third = found.json["images"]
    assert found.status == 200 and "not an image" in first["error"] and third["error"]
    assert second["answers"]["0"][0]["class"] == "red" and "answers" not in first


def test_bad_images_alone_are_an_error(served: Served) -> None:
    found = served.classify(b"no image")
    assert found.status == 400 and "not an image" in found.json["images"][0]["error"]


def test_top_beyond_the_classes_is_all_of_them(served: Served) -> None:
    found = served.classify(RED, "?top=1000")
    assert found.json["top"] == 3 and len(found.json["images"][0]["answers"]["shared"]) == 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?client=3", "client: there is no client 3; the run has 0 to 2"),
        ("?client=-1", "client: '-1' is no client"),
        ("?top=0", "top: '0' is not 1 or more"),
        ("?top=many", "top: 'many'"),
        ("?clinet=1", "did you mean client?"),
    ],
)
def test_wrong_question_is_told(served: Served, query: str, words: str) -> None:
    found = served.classify(RED, query)
    assert found.status == 400 and words in found.error


def test_nothing_sent_is_told(served: Served) -> None:
    assert "no image was sent" in served.classify(b"").error
    assert "no image was sent" in served.classify_all({}).error


def test_json_is_refused_with_what_is_wanted(served: Served) -> None:
    for body in (b'{"image": "aGVsbG8="}', b"{not json"):
        found = served.classify(body, content_type="application/json")
        assert found.status == 415 and "send an image file as the body" in found.error


def test_form_that_is_none_is_told(served: Served) -> None:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    assert served.classify(b"rubbish", content_type=kind).status == 400
    assert served.classify(b"rubbish", content_type="multipart/form-data").status == 400
    for cut in (4, 30, 60):  # in the last boundary, and in the second image
        cut_off = form({"a": RED, "b": RED})[:-cut]
        assert served.classify(cut_off, content_type=kind).status == 400


def test_field_of_a_form_is_not_dropped_in_silence(served: Served) -> None:
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="client"\r\n\r\n1\r\n'
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    found = served.classify(field.encode() + form({"a": RED}), content_type=kind)
    assert found.status == 400 and "give client and top in the address" in found.error


def test_too_many_images_are_refused(served: Served) -> None:
    found = served.classify_all(dict.fromkeys("abcd", RED))
    assert found.status == 413 and "3 images are the most" in found.error


def test_too_many_bytes_are_refused_by_their_announcement(served: Served) -> None:
    with served.connection() as link:
        link.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 413")  # before one byte of it was sent


def test_too_many_bytes_are_refused_where_nobody_announced_them(served: Served) -> None:
    found = served.ask("POST", "/classify", iter([b"x" * 9000] * 3), {"content-type": "image/png"})
    assert found.status == 413 and "larger than 0.02 MB" in found.error


def test_clients_are_listed(served: Served) -> None:
    facts = served.ask("GET", "/clients").json
    assert facts["num_clients"] == 3 and facts["classes"] == ["red", "green", "blue"]
    assert facts["limits"] == {"bytes": 20_000, "images": 3}
    one = served.ask("GET", "/clients/2").json
    assert one["classes"] == ["blue"] and one["has_trained"] is False
    assert served.ask("GET", "/clients/shared").json["heading"] == "global model"
    assert served.ask("GET", "/clients/3").status == 404


def test_health_is_told(served: Served) -> None:
    assert served.ask("GET", "/health").json == {"status": "ok"}


def test_schema_describes_every_path(served: Served) -> None:
    schema = served.ask("GET", "/openapi.json").json
    assert {"/classify", "/clients", "/clients/{client}", "/health"} == schema["paths"].keys()
    known = schema["components"]["schemas"].keys()
    for word in json.dumps(schema).split('"#/components/schemas/')[1:]:
        assert word.partition('"')[0] in known


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
def test_page_asks_nobody_else(served: Served, path: str) -> None:
    found = served.ask("GET", path)
    assert found.status == 200 and b"http://" not in found.content
    assert b"https://" not in found.content


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.cfg",
        "/page/../../answers.py",
        "/..%2f..%2fsetup.cfg",
        "//etc/passwd",
    ],
)
def test_no_other_file_can_be_asked_for(served: Served, path: str) -> None:
    with served.connection() as link:
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert link.recv(12) == b"HTTP/1.1 404"


@pytest.mark.parametrize("ask", [("GET", "/"), ("GET", "/no"), ("GET", "/classify"), ("POST", "/")])
def test_every_answer_has_the_headers_of_safety(served: Served, ask: tuple[str, str]) -> None:
    found = served.ask(*ask)
    assert SECURITY.items() <= found.headers.items()
    assert not [name for name in found.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""]
)
def test_foreign_name_of_the_server_is_refused(served: Served, host: str) -> None:
    found = served.ask("GET", "/clients", headers={"host": host})
    assert found.status == 421 and "is not a name of this server" in found.error


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1:8000", "[::1]:8000", "[::1]"]
)
def test_own_name_of_the_server_is_heard(served: Served, host: str) -> None:
    assert served.ask("GET", "/clients", headers={"host": host}).status == 200


def test_page_of_somebody_else_may_not_ask(served: Served) -> None:
    foreign = {"origin": "https://evil.example"}
    assert served.classify(RED, **foreign).status == 403
    assert served.classify(RED, origin=f"http://127.0.0.1:{served.port}").status == 200
    assert served.classify(RED, origin="null").status == 403
