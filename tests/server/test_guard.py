"""Foreign hosts, origins and tokens are refused; a server for other machines has a token; every answer is guarded."""

from __future__ import annotations

import socket

import pytest
from live import serving

from unspool.errors import SettingError
from unspool.server.guard import allowed_hosts
from unspool.server.serving import prepare
from unspool.server.settings import ServerSettings, is_loopback

GUARDED = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}
PAGE = {"referrer-policy": "no-referrer", "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin"}


def check_guarded(answer):
    assert answer.headers | GUARDED == answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if answer.headers.get("content-type") != "application/json":
        assert answer.headers | PAGE == answer.headers
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/nothing", "/api/predict", "/api/sessions/x"])
def test_every_answer_is_guarded(live, path):
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        check_guarded(live.request(method, path, b"{}" if method == "POST" else None))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "",
        "10.0.0.1:{port}",
    ],
)
def test_a_foreign_host_is_refused(live, host):
    answer = live.get("/health", {"Host": host.format(port=live.port)})
    assert answer.status == 403
    assert answer.error.endswith("is not this server's; behind a proxy, start with --names NAME")
    check_guarded(answer)


def test_the_own_hosts_are_served(live):
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert live.get("/health", {"Host": f"{host}:{live.port}"}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://{host}"}, 200),
        ({"Origin": "https://{host}"}, 200),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://{host}.evil.example"}, 403),
        ({"Origin": "http://evil.example@{host}"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "file://{host}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
    ids=str,
)
def test_a_page_of_another_site_is_refused(live, headers, status):
    sent = {name: value.format(host=live.host) for name, value in headers.items()}
    answer = live.post("/api/predict", {"input": "good"}, sent)
    assert answer.status == status
    if status == 403:
        assert answer.error in (
            "the Origin is another site; open the studio at this server's own address",
            "the request comes from a page of another site",
        )


def test_a_form_of_a_page_is_refused(live):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = live.request("POST", "/api/predict", b'{"input": "good"}', {"Content-Type": kind})
        assert answer.status == 415
        assert answer.error == "the request is not JSON; send the header Content-Type: application/json"
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert live.request("POST", "/api/predict", b'{"input": "good"}', kind).status == 200


def test_a_token_is_required_where_there_is_one(served):
    with serving(served[:1], token="s3cret") as live:
        assert live.address.endswith("/#token=s3cret")
        for path in ("/api/info", "/v1/models", "/metrics", "/%61pi/info", "/api/nothing", "/api/info/"):
            for value in (None, "Bearer wrong", "Bearer ", "s3cret", "Basic s3cret", "Bearer s3cret2", "bearer \u00e9"):
                headers = {} if value is None else {"Authorization": value}
                answer = live.get(path, headers)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.error == "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            assert live.get(path, {"Authorization": "Bearer s3cret"}).status in (200, 404)
        assert live.get("/api/info", {"Authorization": "bearer s3cret"}).status == 200
        assert b"s3cret" not in live.get("/api/info", {"Authorization": "bearer s3cret"}).body
        assert live.get("/health").status == 200
        assert live.get("/openapi.json").status == 200


def test_an_address_for_other_machines_gets_a_token(served):
    with serving(served[:1], host="0.0.0.0") as live:
        token = live.address.partition("#token=")[2]
        assert len(token) >= 32
        assert live.address.startswith(f"http://{socket.gethostname()}:{live.port}/")
        assert live.get("/api/info").status == 401
        own = {"Authorization": f"Bearer {token}"}
        for host in ("127.0.0.1", "localhost", socket.gethostname(), "10.1.2.3", "[fe80::1]"):
            assert live.get("/api/info", {**own, "Host": f"{host}:{live.port}"}).status == 200
        for host in ("evil.example", "10.1.2.3.evil.example", "10.1.2.3"):
            assert live.get("/api/info", {**own, "Host": f"{host}:1"}).status == 403


def test_a_name_for_a_proxy(served):
    with serving(served[:1], names="models.example, other.example:8443", token="t") as live:
        own = {"Authorization": "Bearer t"}
        for host in ("models.example", f"models.example:{live.port}", "Other.example:8443"):
            assert live.get("/api/info", {**own, "Host": host}).status == 200
        good = {**own, "Host": "models.example", "Origin": "https://models.example"}
        assert live.get("/api/info", good).status == 200
        assert live.get("/api/info", {**good, "Origin": "https://other.example"}).status == 403
        assert live.get("/api/info", {**own, "Host": "other.example"}).status == 403


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(served):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback address")
    for host in ("::1", "[::1]"):
        state, listener, address = prepare(served[:1], ServerSettings(host=host, port=0))
        port = listener.getsockname()[1]
        listener.close()
        assert address == f"http://[::1]:{port}/"
        assert not state.settings.token
        assert f"[::1]:{port}" in allowed_hosts(state.settings, port)


def test_loopback_addresses():
    assert all(map(is_loopback, ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "127.0.0.1.evil.example", "box"]))


@pytest.mark.parametrize("values", [{"token": "a b"}, {"token": "\u00e9"}, {"token": "a\nb"}, {"host": " "}])
def test_settings_that_no_header_can_hold_are_refused(values):
    with pytest.raises(SettingError):
        ServerSettings(**values)


def test_headers_that_come_twice_are_refused(live):
    for name, value in (("Host", live.host), ("Origin", f"http://{live.host}"), ("Authorization", "Bearer x")):
        lines = f"GET /health HTTP/1.1\r\nHost: {live.host}\r\nConnection: close\r\n" + f"{name}: {value}\r\n" * 2
        answer = live.raw(lines.encode() + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"message":"' in answer


# ---- Starlette's own errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing", 404, "there is nothing at /nothing"),
        ("GET", "/", 404, "there is nothing at /"),
        ("GET", "/health/", 404, "there is nothing at /health/"),
        ("GET", "//health", 404, "there is nothing at //health"),
        ("GET", "/%0d%0aX:%20y", 404, "there is nothing at /X: y"),
        ("GET", "/api/units", 404, "there is nothing at /api/units"),
        ("PUT", "/health", 405, "PUT is not possible at /health; expected GET or HEAD"),
        ("OPTIONS", "/api/predict", 405, "OPTIONS is not possible at /api/predict; expected POST"),
        ("PATCH", "/api/sessions/x", 405, "PATCH is not possible at /api/sessions/x; expected DELETE or GET or HEAD"),
        ("GET", "/api/predict", 405, "GET is not possible at /api/predict; expected POST"),
    ],
)
def test_paths_and_methods_that_do_not_exist(live, method, path, status, sentence):
    answer = live.request(method, path)
    assert (answer.status, answer.error) == (status, sentence)
    if status == 405:
        assert set(answer.headers["allow"].split(", ")) == set(sentence.partition("expected ")[2].split(" or "))


def test_head_has_the_headers_of_get(live):
    whole, head = live.get("/v1/models"), live.request("HEAD", "/v1/models")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_what_changes_models_belongs_to_the_studio(served):
    paths = ["/api/units", "/api/correct", "/api/prune", "/api/concepts", "/api/disagreements"]
    with serving(served[2:3], studio=True) as live:
        described = live.get("/openapi.json").json["paths"]
        assert all(live.post(path, {}).status == 400 and path in described for path in paths)
        assert live.get("/").status == 200
        check_guarded(live.get("/"))
        check_guarded(live.get("/metrics"))
        assert live.get("/studio/../settings.py").status == 404
        assert live.get("/studio/%2e%2e/settings.py").status == 404
    with serving(served[2:3]) as live:
        described = live.get("/openapi.json").json["paths"]
        assert all(live.post(path, {}).status == 404 and path not in described for path in paths)
