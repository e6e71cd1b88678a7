"""Who may say what: tokens, the coordinator's monopoly on its sessions, and clients that waste the server's time."""

import contextlib
import itertools
import socket
import threading
import time

import pytest

from harness import audit
from harness.federation import PLUG, instant, now, peer_token
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
LIMITS = {"head_seconds_max": 1, "connections_max": 16}

PEER_CALLS = [
    ("POST", "/reserva-temporaria"),
    ("POST", "/confirmar-reserva"),
    ("DELETE", "/cancelar-reserva"),
    ("GET", "/transacoes/{session}"),
    ("POST", "/lote"),
]
OPEN_CALLS = ["/disponibilidade", "/pontos", "/saude", "/metrics", "/openapi.json"]


@pytest.mark.parametrize("method, path", PEER_CALLS)
def test_peers_calls_need_a_peers_token(stage, method, path):
    """None, a wrong one, the operator's, and another company's token for somebody else."""
    federation = stage.federation
    path = path.format(session=_made_up_session(federation))
    body = None if method == "GET" else {}
    tokens = {
        None: (401, "nao-autenticado"),
        "wrong-token": (401, "nao-autenticado"),
        federation.b.operator_token: (403, "nao-permitido"),
        peer_token(B, A): (401, "nao-autenticado"),  # what B presents to A is not known at B
    }
    for token, expected in tokens.items():
        answer = federation.b.call(method, path, body, token=token)
        assert (answer.status, answer.kind) == expected, (token, answer)
        if expected[0] == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
    assert _untouched(federation)


def test_only_the_operator_reads_everything(stage):
    """/auditoria holds the ids of trips."""
    federation = stage.federation
    for token, status in [(None, 401), ("wrong-token", 401), (peer_token(B, A), 403), (None, 401)]:
        assert federation.a.call("GET", "/auditoria", token=token).status == status
    assert federation.a.as_operator("GET", "/auditoria").status == 200
    assert federation.a.call("GET", "/auditoria", token=federation.b.operator_token).status == 401


def test_a_wrong_token_is_refused_even_where_none_is_needed(stage):
    """Whoever presents one means to be known."""
    for path in OPEN_CALLS:
        assert stage.federation.a.call("GET", path).status == 200
        assert stage.federation.a.call("GET", path, token="wrong-token").status == 401


@pytest.mark.parametrize("state", ["held", "prepared", "confirmed"])
@pytest.mark.parametrize("operation", ["confirm", "abort", "release", "inquire", "hold"])
@pytest.mark.parametrize("batched", [False, True], ids=["alone", "batched"])
def test_nobody_but_the_coordinator_speaks_for_a_session(stage, state, operation, batched):
    """B holds for A. C has no part in it: refused, and nothing changes."""
    federation = stage.federation
    session = _made_up_session(federation)
    hold = _hold(federation, session, [A, B], "provisoria" if state == "held" else "preparada")
    assert federation.b.as_peer(A, "POST", "/reserva-temporaria", hold).status == 201
    if state == "confirmed":
        assert federation.b.as_peer(A, "POST", "/confirmar-reserva", {"sessao": session}).status == 200
    before = _branch(federation.b, session)
    answer = _try(federation.b, C, operation, session, hold, batched)
    assert answer[0] in (403, 404), answer
    assert _branch(federation.b, session) == before
    _end(federation, session, state)


def test_a_participant_may_ask_but_not_decide(stage):
    """C takes part: it may inquire, and nothing else."""
    federation = stage.federation
    session = _made_up_session(federation)
    hold = _hold(federation, session, [A, B, C], "preparada")
    assert federation.b.as_peer(A, "POST", "/reserva-temporaria", hold).status == 201
    for operation in ("confirm", "abort", "release"):
        assert _try(federation.b, C, operation, session, hold, False)[0] in (403, 404)
    asked = federation.b.as_peer(C, "GET", f"/transacoes/{session}")
    assert asked.status == 200 and asked.json["estado"] == "em_duvida", asked
    assert _branch(federation.b, session)["estado"] == "preparada"
    _end(federation, session, "prepared")


def test_a_session_says_who_coordinates_it(stage):
    """A body that names somebody else is refused."""
    federation = stage.federation
    session = _made_up_session(federation)
    hold = {**_hold(federation, session, [A, B, C], "preparada"), "coordenador": C}
    answer = federation.b.as_peer(A, "POST", "/reserva-temporaria", hold)
    assert (answer.status, answer.kind, answer.json["campo"]) == (422, "campo-invalido", "coordenador"), answer


def test_what_was_never_prepared_is_not_confirmed(stage):
    """An alarm, never a success; it is counted."""
    federation = stage.federation
    alarms = federation.b.metric("alarms")
    answer = federation.b.as_peer(A, "POST", "/confirmar-reserva", {"sessao": _made_up_session(federation)})
    assert (answer.status, answer.kind) == (409, "sessao-desconhecida"), answer
    assert federation.b.metric("alarms") == alarms + 1


def test_a_soft_hold_expires_alone_and_a_prepared_one_does_not(stage):
    """`provisoria` is given back when its time is up, `preparada` is not."""
    federation = stage.federation
    soft, firm = _made_up_session(federation), _made_up_session(federation)
    for session, kind in ((soft, "provisoria"), (firm, "preparada")):
        hold = {**_hold(federation, session, [A, B], kind), "validade_s": 1}
        assert federation.b.as_peer(A, "POST", "/reserva-temporaria", hold).status == 201
    until(lambda: _branch(federation.b, soft)["estado"] == "abortada", "the soft hold to expire", 5)
    assert _branch(federation.b, soft)["causa"] == "vencida"
    assert _branch(federation.b, firm)["estado"] == "preparada"
    _end(federation, firm, "prepared")


def test_a_repeated_soft_hold_does_not_promise_more_time(stage):
    """The time limit runs from the first request; a repeat that named a later one would be a broken promise."""
    federation = stage.federation
    session = _made_up_session(federation)
    hold = _hold(federation, session, [A, B], "provisoria")
    first = federation.b.as_peer(A, "POST", "/reserva-temporaria", hold)
    second = federation.b.as_peer(A, "POST", "/reserva-temporaria", hold)
    assert second.status in (200, 201) and "voto" not in second.json, second
    remembered = _branch(federation.b, session)["instante"]
    assert first.json["expira_em"][:19] == remembered[:19]
    assert second.json["expira_em"] == first.json["expira_em"], f"released at {remembered} whatever the repeat says"
    _end(federation, session, "held")


def test_a_company_cannot_take_all_windows_by_holding(make_stage):
    """The quota of undecided holds of one coordinator."""
    federation = make_stage(limits={"undecided_holds_max": 3}).federation
    sessions = [_made_up_session(federation) for _ in range(4)]
    answers = [
        federation.b.as_peer(A, "POST", "/reserva-temporaria", _hold(federation, session, [A, B], "provisoria"))
        for session in sessions
    ]
    assert [answer.status for answer in answers] == [201, 201, 201, 429], answers
    assert answers[3].kind == "limite-de-retencoes" and answers[3].headers["retry-after"]


def test_a_caller_in_a_hurry_is_slowed_down(make_stage):
    """The rate limits of clients and of peers are separate."""
    limits = {"client_requests_per_second_max": 5, "peer_requests_per_second_max": 1000}
    federation = make_stage(limits=limits, start=False).federation
    federation.a.start()
    answers = [federation.a.call("GET", "/saude") for _ in range(40)]
    assert {answer.status for answer in answers} == {200, 429}
    slowed = next(answer for answer in answers if answer.status == 429)
    assert slowed.kind == "muitas-requisicoes" and slowed.headers["retry-after"]
    asked = federation.a.as_peer(B, "GET", f"/transacoes/{_made_up_session(federation)}")
    assert asked.status != 429, asked


def test_half_a_head_is_cut_off(stage):
    """Connections that never finish their head are closed by the server."""
    a = stage.federation.a
    slow = []
    for text in (b"", b"GET /saude HTTP/1.1\r\nHost: a\r\nX-Slow:"):
        connection = socket.create_connection(("127.0.0.1", a.port))
        connection.sendall(text)
        slow.append(connection)
    for connection in slow:
        connection.settimeout(6)
        assert _reads_to_the_end(connection), "the server still waits for the rest of a head"
        connection.close()


def test_a_drip_of_head_bytes_does_not_reset_the_clock(stage):
    """One byte now and then is not progress."""
    connection = socket.create_connection(("127.0.0.1", stage.federation.a.port))
    connection.sendall(b"GET /saude HTTP/1.1\r\nX-Slow: ")
    started = time.monotonic()

    def cut():
        try:
            connection.sendall(b"x")
            connection.settimeout(0.1)
            return connection.recv(4096) == b"" or None
        except TimeoutError:
            return None
        except OSError:
            return True

    # A 408 may come before the end; read on until the end.
    until(cut, "the server to give up", 6, pause=0.1)
    assert time.monotonic() - started >= 0.9
    connection.close()


def test_a_body_over_the_limit_is_refused(stage):
    """64 KiB and one byte: 413, said or only announced."""
    a = stage.federation.a
    for size, expected in ((64 * 1024 + 1, 413), (3 * 1024 * 1024, 413)):
        answer = _post_raw(a, b"x" * size, size)
        assert answer.startswith(f"HTTP/1.1 {expected}"), answer[:300]
        assert "corpo-grande-demais" in answer
    announced = _post_raw(a, b"{", 10**9)
    assert announced.startswith("HTTP/1.1 413"), announced[:300]
    assert a.call("GET", "/saude").status == 200


def test_a_slow_body_is_given_up(stage):
    """The head is complete, the body never comes."""
    a = stage.federation.a
    connection = socket.create_connection(("127.0.0.1", a.port))
    head = b"POST /viagens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    connection.sendall(head + b"{")
    connection.settimeout(20)
    answer = connection.recv(65536).decode()
    assert answer.startswith(("HTTP/1.1 408", "HTTP/1.1 503")), answer
    connection.close()


def test_more_connections_than_allowed_wait_and_are_served(stage):
    """Idle connections hold every place; they are cut, and the next client is served."""
    a = stage.federation.a
    idle = [socket.create_connection(("127.0.0.1", a.port)) for _ in range(40)]
    answer = a.call("GET", "/saude", timeout=15)
    assert answer.status == 200
    for connection in idle:
        connection.close()


def test_an_idle_peer_does_not_keep_others_out(stage):
    """Many clients at once, each closing after its answer, are all served although only 16 fit at a time."""
    a = stage.federation.a
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(a.call("GET", "/pontos").status)) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60


def test_watchers_do_not_keep_others_out(make_stage):
    """A stream without end takes a place for ever: some places must be left for companies and drivers."""
    a = make_stage(limits=LIMITS).federation.a
    watchers = []
    for _ in range(LIMITS["connections_max"]):
        connection = socket.create_connection(("127.0.0.1", a.port))
        connection.sendall(b"GET /eventos HTTP/1.1\r\nHost: a\r\n\r\n")
        watchers.append(connection)
    assert a.call("GET", "/saude", timeout=8).status == 200
    for connection in watchers:
        connection.close()


def test_who_never_reads_is_cut_off(make_stage):
    """Clients that ask and ask and never read an answer give their places back."""
    a = make_stage(limits=LIMITS).federation.a
    deaf = []
    for _ in range(LIMITS["connections_max"]):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", a.port))
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 300)
        deaf.append(connection)
    assert a.call("GET", "/saude", timeout=20).status == 200
    for connection in deaf:
        connection.close()


@pytest.mark.parametrize("token", [b"Bearer \xff\xfe", b"Basic abc", b"Bearer", b""])
def test_a_strange_authorization_header_is_a_401(stage, token):
    """Never a crash, never a way in."""
    raw = b"GET /auditoria HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: " + token + b"\r\n\r\n"
    answer = _raw(stage.federation.a, raw)
    assert answer.startswith("HTTP/1.1 401"), answer[:200]


def _raw(company, data):
    with socket.create_connection(("127.0.0.1", company.port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received.decode("utf-8", "replace")


def _post_raw(company, body, length):
    with socket.create_connection(("127.0.0.1", company.port), timeout=10) as connection:
        head = f"POST /viagens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        try:
            connection.sendall(head.encode() + body)
        except OSError:
            pass  # it may hang up before it has read all of it
        try:
            return connection.recv(65536).decode("utf-8", "replace")
        except ConnectionResetError:
            return "reset before an answer"


def _reads_to_the_end(connection):
    try:
        while connection.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


_counter = itertools.count(1)


def _made_up_session(federation):
    """A session of A that A's own coordinator will never use: of a store of our own."""
    store, nonce = federation.random.getrandbits(128), federation.random.getrandbits(128)
    return f"{A}.{store:032x}.1.{next(_counter)}.{nonce:032x}"


def _hold(federation, session, participants, kind):
    start, end = federation.window()
    return {
        "sessao": session,
        "coordenador": A,
        "requisicao_id": federation.fresh_id(),
        "participantes": participants,
        "tipo": kind,
        "validade_s": 30,
        "prioridade": instant(now()),
        "veiculo": {"veiculo_id": f"carro-{next(_counter)}", "plugue": PLUG},
        "reservas": [{"parada": 0, "ponto_id": federation.b.evse(2), "janela_inicio": start, "janela_fim": end}],
    }


def _try(company, by, operation, session, hold, batched):
    """(status, body) of an operation by `by`, alone or as the only one of a batch."""
    body = {"sessao": session}
    name, method, path, body = {
        "hold": ("reserva-temporaria", "POST", "/reserva-temporaria", hold),
        "confirm": ("confirmar-reserva", "POST", "/confirmar-reserva", body),
        "abort": ("cancelar-reserva", "DELETE", "/cancelar-reserva", body),
        "release": ("cancelar-reserva", "DELETE", "/cancelar-reserva", {**body, "motivo": "viagem-cancelada"}),
        "inquire": ("consultar-transacao", "GET", f"/transacoes/{session}", body),
    }[operation]
    if batched:
        answer = company.as_peer(by, "POST", "/lote", {"operacoes": [{"operacao": name, "corpo": body}]})
        assert answer.status == 200, answer
        result = answer.json["resultados"][0]
        return result["status"], result["corpo"]
    answer = company.as_peer(by, method, path, None if method == "GET" else body)
    return answer.status, answer.json


def _end(federation, session, state):
    """Gives back what a test held."""
    body = {"sessao": session, "motivo": "viagem-cancelada" if state == "confirmed" else "aborto"}
    answer = federation.b.as_peer(A, "DELETE", "/cancelar-reserva", body)
    assert answer.status == 200, answer
    assert _branch(federation.b, session)["estado"] in ("abortada", "liberada")


def _branch(company, session):
    return audit.pages(company)[0].get(session)


def _untouched(federation):
    return not any(branch["estado"] in audit.LIVE for branch in audit.pages(federation.b)[0].values())


