"""One company of the protocol, as one writes it with FastAPI and SQLite: the yardstick for Recarga.

Small and honest: a hold is on the disk before the vote is told, the decision before the driver hears of it, and companies
are asked at the same time over connections that are kept. What it leaves out (inquiries, tombstones, recovery, limits,
authentication) would only cost it time.

    NAME=empresa-a PORT=9001 PEERS='{"empresa-b": "http://127.0.0.1:9002"}' DATABASE=a.sqlite python company.py
"""

import asyncio
import json
import os
import sqlite3
import uuid
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

NAME = os.environ["NAME"]
PEERS = json.loads(os.environ["PEERS"])
POINTS = [f"L{place}-{evse}" for place in range(40) for evse in range(10)]


class Window(BaseModel):
    """A stop at this company."""

    parada: int
    ponto_id: str
    janela_inicio: datetime
    janela_fim: datetime


class Hold(BaseModel):
    """All stops of a trip at this company."""

    sessao: str
    coordenador: str
    reservas: list[Window]


class About(BaseModel):
    """A decision."""

    sessao: str


class Stop(BaseModel):
    """A stop, and where."""

    empresa: str
    ponto_id: str
    janela_inicio: datetime
    janela_fim: datetime


class Vehicle(BaseModel):
    """The car."""

    veiculo_id: str
    plugue: str | None = None


class Trip(BaseModel):
    """What a driver asks."""

    requisicao_id: str
    veiculo: Vehicle
    paradas: list[Stop]


class Store:
    """What must survive: every commit is on the disk when it returns."""

    def __init__(self, path):
        self._db = sqlite3.connect(path, isolation_level=None)
        self.commits = 0
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE IF NOT EXISTS reserva (sessao TEXT, ponto_id TEXT, inicio REAL, fim REAL, estado TEXT)",
            "CREATE INDEX IF NOT EXISTS por_ponto ON reserva (ponto_id, inicio)",
            "CREATE INDEX IF NOT EXISTS por_sessao ON reserva (sessao)",
            "CREATE TABLE IF NOT EXISTS viagem (sessao TEXT PRIMARY KEY, corpo TEXT)",
        ):
            self._db.execute(statement)

    def hold(self, hold):
        """All windows or none; whether they were free."""
        with self:
            for stop in hold.reservas:
                start, end = stop.janela_inicio.timestamp(), stop.janela_fim.timestamp()
                taken = self._db.execute(
                    "SELECT 1 FROM reserva WHERE ponto_id = ? AND inicio < ? AND inicio > ? - 86400 AND fim > ?",
                    (stop.ponto_id, end, start, start),
                )
                if taken.fetchone():
                    self._db.execute("DELETE FROM reserva WHERE sessao = ?", (hold.sessao,))
                    return False
                self._db.execute(
                    "INSERT INTO reserva VALUES (?, ?, ?, ?, 'temporaria')", (hold.sessao, stop.ponto_id, start, end)
                )
        return True

    def confirm(self, session):
        """From now on they are reserved."""
        with self:
            self._db.execute("UPDATE reserva SET estado = 'confirmada' WHERE sessao = ?", (session,))

    def cancel(self, session):
        """From now on they are free."""
        with self:
            self._db.execute("DELETE FROM reserva WHERE sessao = ?", (session,))

    def decide(self, session, trip):
        """The trip is booked."""
        with self:
            self._db.execute("INSERT INTO viagem VALUES (?, ?)", (session, trip.model_dump_json()))

    def __enter__(self):
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind, _error, _trace):
        self._db.execute("ROLLBACK" if kind else "COMMIT")
        self.commits += 1


store = Store(os.environ["DATABASE"])
background = set()


@asynccontextmanager
async def lifespan(application):
    """Connections to the others, kept."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        application.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/pontos")
def points(limite: int = 100, cursor: str = ""):
    """What this company offers."""
    page = [name for name in sorted(POINTS) if name > cursor][:limite]
    found = {"empresa": NAME, "revisao": 1, "pontos": [_point(name) for name in page]}
    return found | ({"proximo": page[-1]} if len(page) == limite else {})


@app.post("/reserva-temporaria", status_code=201)
async def hold(body: Hold):
    """The vote."""
    if not store.hold(body):
        return JSONResponse({"tipo": "ponto-reservado", "sessao": body.sessao}, status_code=409)
    return {"sessao": body.sessao, "voto": "sim"}


@app.post("/confirmar-reserva")
async def confirm(body: About):
    """The trip is booked."""
    store.confirm(body.sessao)
    return {"sessao": body.sessao, "estado": "confirmada"}


@app.delete("/cancelar-reserva")
async def cancel(sessao: str):
    """The trip is not."""
    store.cancel(sessao)
    return {"sessao": sessao, "estado": "cancelada"}


@app.post("/viagens", status_code=201)
async def book(body: Trip, response: Response):
    """Asks every company at once, decides, answers; the others hear of it while the driver has the answer."""
    session = f"{NAME}.{uuid.uuid4().hex}"
    holds = {}
    for number, stop in enumerate(body.paradas):
        window = Window(parada=number, **stop.model_dump(exclude={"empresa"}))
        holds.setdefault(stop.empresa, []).append(window)
    asked = [_ask(company, Hold(sessao=session, coordenador=NAME, reservas=stops)) for company, stops in holds.items()]
    if not all(await asyncio.gather(*asked)):
        await asyncio.gather(*(_tell(company, session, "cancelar-reserva") for company in holds))
        return JSONResponse({"tipo": "ponto-reservado"}, status_code=409)
    store.decide(session, body)
    for company in holds:
        task = asyncio.create_task(_tell(company, session, "confirmar-reserva"))
        background.add(task)
        task.add_done_callback(background.discard)
    return {"viagem_id": session, "requisicao_id": body.requisicao_id, "estado": "confirmada"}


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics():
    """Each commit is a flush."""
    return f"recarga_flushes {store.commits}\nrecarga_durable_records {store.commits}\n"


@app.get("/contagem")
async def count():
    """How many windows are reserved, for the check at the end."""
    (found,) = store._db.execute("SELECT count(*) FROM reserva WHERE estado = 'confirmada'").fetchone()
    return {"confirmadas": found}


async def _ask(company, body):
    if company == NAME:
        return store.hold(body)
    text, head = body.model_dump_json(), {"content-type": "application/json"}
    async with app.state.client.post(f"{PEERS[company]}/reserva-temporaria", data=text, headers=head) as answer:
        return answer.status == 201


async def _tell(company, session, what):
    if company == NAME:
        return store.confirm(session) if what == "confirmar-reserva" else store.cancel(session)
    if what == "confirmar-reserva":
        call = app.state.client.post(f"{PEERS[company]}/{what}", json={"sessao": session})
    else:
        call = app.state.client.delete(f"{PEERS[company]}/{what}", params={"sessao": session})
    async with call as answer:
        return await answer.read()


def _point(name):
    connector = {"conector_id": "1", "plugue": "IEC_62196_T2_COMBO", "potencia_kw": 60}
    place = {"cidade": "Salvador", "uf": "BA", "latitude": -12.97, "longitude": -38.5, "fuso": "America/Bahia"}
    price = {"preco_kwh": 2.0, "taxa_ativacao": 0.0, "estado": "disponivel"}
    return {"ponto_id": name, "estacao_id": name.split("-")[0], "nome": name, "conectores": [connector], **place, **price}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False, timeout_keep_alive=600)
