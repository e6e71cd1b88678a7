"""Several processes of one company, and what spreads connections over them."""

import itertools
import select
import socket
import threading
import time

from .ports import free_port
from .process import Program
from .relay import Relay
from .waiting import until


class Replicas:
    """Takes the place of a company's only process; the company's address becomes that of a balancer."""

    def __init__(self, company, postgres, count=3, broker=None, limits=None):
        self.company = company
        self._postgres = postgres
        self._database = company.name.replace("-", "_")
        store = postgres.database(self._database)
        self.programs = []
        self.ports = [free_port() for _ in range(count)]
        self.relays = [Relay(postgres.port) for _ in range(count)]
        self.killed = []
        command = company.process.command[:-1]
        for number, port in enumerate(self.ports, 1):
            replica = {"name": f"r{number}", "url": f"http://127.0.0.1:{port}"}
            through = self.relays[number - 1].port
            company.write_config(
                broker, limits, tables={"replica": replica}, login=f"{company.name}-r{number}",
                store=store.replace(f":{postgres.port}/", f":{through}/"),
                listen=f"127.0.0.1:{port}", data_dir=str(company.folder / f"data-{number}"),
            )
            config = company.config.with_name(f"r{number}.toml")
            company.config.rename(config)
            log = company.folder / f"log-{number}.txt"
            self.programs.append(Program([*command, config], log, company.process.environment))
        self._balancer = Balancer(company.port, self.ports)
        company.process = self

    # As the one process that they stand for.

    @property
    def is_running(self):
        """Whether all of them are there."""
        return all(program.is_running for program in self.programs)

    @property
    def kills(self):
        """SIGKILLs of all of them."""
        return sum(program.kills for program in self.programs)

    def start(self):
        """Starts those that are not there."""
        for program in self.programs:
            if not program.is_running:
                program.start()

    def thaw(self):
        """Nobody stands still."""
        for program in self.programs:
            program.thaw()

    def kill(self):
        """SIGKILL for all of them."""
        for program in self.programs:
            program.kill()

    def end(self):
        """Everything is gone."""
        for program in self.programs:
            program.end()
        self._balancer.close()
        for relay in self.relays:
            relay.close()

    def output(self):
        """What all of them have printed."""
        return "".join(program.output() for program in self.programs)

    last_output = output

    # As several.

    def leader(self):
        """The number of the one that leads, from 0, as the database says; none if nobody ever did."""
        url = self._postgres.query("SELECT url FROM recarga_leader", self._database)
        return self.ports.index(int(url.rsplit(":", 1)[1])) if url else None

    def wait_for_leader(self, seconds, other_than=None):
        """Waits until another one leads and answers, and returns how long that took."""
        begun = time.monotonic()

        def leads():
            number = self.leader()
            return number is not None and number != other_than and self.company.call("GET", "/saude", timeout=1).status == 200

        until(lambda: _quietly(leads), "another replica to lead", seconds)
        return time.monotonic() - begun


class Balancer:
    """Gives each connection to the next replica that takes it, and knows nothing else."""

    def __init__(self, port, targets):
        self._targets = itertools.cycle(targets)
        self._count = len(targets)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client:
            for _ in range(self._count):
                try:
                    server = socket.create_connection(("127.0.0.1", next(self._targets)), timeout=1)
                except OSError:
                    continue
                with server:
                    server.settimeout(None)
                    _join(client, server)
                return

    def close(self):
        """No more connections."""
        self._listener.close()


def _join(one, other):
    ends = {one: other, other: one}
    try:
        while True:
            for ready in select.select(list(ends), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                ends[ready].sendall(data)
    except (OSError, ValueError):
        return


def _quietly(question):
    try:
        return question()
    except Exception:  # pylint: disable=broad-except
        return False
