"""TLS between companies: who is who by certificates of one authority, and nobody else."""

import ssl
import subprocess

import pytest

from harness import http
from harness.certificates import Certificates
from harness.federation import peer_token
from harness.load import Load
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


class Secured:
    """A federation over TLS, and its authority."""

    def __init__(self, stage, program):
        self.stage = stage
        self.federation = stage.federation
        self.folder = self.federation.folder / "certs"
        self.certificates = Certificates(program, self.folder)
        for company in self.federation:
            self.issue(company.name)
            company.url = f"https://{company.place.address}"
        for company in self.federation:
            self.configure(company)
        http.trust(self.certificates.authority)

    def issue(self, name, *more):
        """A certificate in somebody's name."""
        self.certificates.make("issue", name, "--host", "127.0.0.1", *more)

    def configure(self, company, certificate=None):
        """The companies find each other at https://."""
        files = {"certificate": f"{certificate or self.folder / company.name}.pem",
                 "key": f"{certificate or self.folder / company.name}.key",
                 "authorities": str(self.folder / "authority.pem")}
        company.write_config(tables={"tls": files})
        text = company.config.read_text()
        for peer in self.federation:
            if peer is not company:
                text = text.replace(f'"{self.federation.link_url(company.name, peer.name)}"', f'"{peer.url}"')
        company.config.write_text(text)

    def curl(self, company, path, *options, token=None):
        """What a stranger's client gets: (exit status, HTTP status)."""
        command = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}", *options]
        if token:
            command += ["--header", f"Authorization: Bearer {token}"]
        done = subprocess.run([*command, company.url + path], capture_output=True, text=True)
        return done.returncode, int(done.stdout or 0)


@pytest.fixture
def secured(make_stage, program):
    """Three companies over TLS, running."""
    one = Secured(make_stage(start=False), program)
    one.federation.start()
    return one


def test_trips_are_booked_over_tls_and_strangers_stay_strangers(secured, program):
    """Companies need their own certificates beside their tokens, drivers none."""
    federation, stage = secured.federation, secured.stage
    for _ in range(3):
        told = stage.client.insist(lambda request=federation.trip(A, B, C): stage.client.book(request))
        assert told.outcome == "confirmed", told
    authority = ["--cacert", str(secured.folder / "authority.pem")]
    assert secured.curl(federation.a, "/saude", *authority) == (0, 200), "drivers have no certificate"
    assert secured.curl(federation.a, "/saude")[0] == 60, "the authority is not known everywhere"
    assert secured.curl(federation.a, "/saude", *authority, "--tls-max", "1.2")[0] != 0, "nothing older than TLS 1.3"
    plain = subprocess.run(["curl", "--silent", "--max-time", "5", federation.a.url.replace("https", "http") + "/saude"])
    assert plain.returncode != 0, "nothing unencrypted"
    # Another company's token, with no certificate, somebody else's, and its own.
    token, path = peer_token(B, A), "/transacoes/empresa-b." + "0" * 32 + ".1.1." + "0" * 32

    def as_company(name):
        return ["--cert", str(secured.folder / f"{name}.pem"), "--key", str(secured.folder / f"{name}.key")]

    assert secured.curl(federation.a, path, *authority, token=token) == (0, 401)
    until(lambda: "its token came without a certificate in its name" in federation.a.process.last_output(), "the log", 5)
    assert secured.curl(federation.a, path, *authority, *as_company(C), token=token) == (0, 401)
    assert secured.curl(federation.a, path, *authority, *as_company(B), token=token)[1] in (200, 404)
    assert secured.curl(federation.a, path, *authority, *as_company(B)) == (0, 401), "nor a certificate without the token"
    # A certificate that another authority has signed ends the connection.
    other = federation.folder / "other"
    Certificates(program, other).make("issue", B, "--host", "127.0.0.1")
    forged = ["--cert", str(other / f"{B}.pem"), "--key", str(other / f"{B}.key")]
    assert secured.curl(federation.a, path, *authority, *forged, token=token)[0] != 0
    # The program's own commands.
    ca = ["--ca", secured.folder / "authority.pem"]
    health = [program, "health", "--url", federation.a.url]
    assert subprocess.run([*health, *ca], capture_output=True).returncode == 0
    without = subprocess.run(health, capture_output=True, text=True)
    assert without.returncode == 1 and "--ca FILE" in without.stderr, without
    configs = [argument for company in federation for argument in ("--config", company.config)]
    audit = subprocess.run([program, "audit", *configs], capture_output=True, text=True, timeout=60)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    stage.settle()


def test_a_company_is_only_spoken_with_under_its_own_name(secured, program):
    """One that answers with another one's certificate is not reached, and nothing is booked there."""
    federation, stage = secured.federation, secured.stage
    # Its place is taken by somebody with a good certificate in another name.
    federation.b.process.stop()
    secured.configure(federation.b, certificate=secured.folder / C)
    federation.b.process.start()
    assert federation.b.process.wait(10) == 1
    assert "it is not in the name of empresa-b" in federation.b.process.last_output()
    # Somebody leads the way to the one to the other.
    federation.a.process.stop()
    federation.a.config.write_text(federation.a.config.read_text().replace(federation.b.url, federation.c.url))
    federation.a.start()
    refused = federation.a.call("POST", "/viagens", federation.trip(A, B))
    assert (refused.status, refused.kind) == (409, "empresa-inacessivel"), refused
    federation.a.process.stop()
    for company in (federation.a, federation.b):
        secured.configure(company)
        company.start()
    told = stage.client.insist(lambda request=federation.trip(A, B, C): stage.client.book(request))
    assert told.outcome == "confirmed", told
    stage.settle()


def test_certificates_are_renewed_while_trips_are_booked(secured, seed):
    """The files change under a running node; a bad one is not taken."""
    federation, stage = secured.federation, secured.stage

    def served(company):
        return ssl.get_server_certificate((company.place.host, company.place.port))

    before = served(federation.b)
    load = Load(stage, seed, rest=3).start()
    load.until(asked=10, seconds=30)
    for company in federation:
        secured.issue(company.name, "--force", "--days", "90")
    for company in federation:
        until(lambda company=company: "a new certificate is in use" in company.process.last_output(), "it to be taken over", 15)
    load.until(asked=load.asked + 10, confirmed=load.confirmed + 1, seconds=30)
    assert served(federation.b) != before
    good = served(federation.b)
    (secured.folder / f"{B}.pem").write_text("no certificate")
    until(lambda: "the one before stays" in federation.b.process.last_output(), "the bad file to be noticed", 15)
    load.until(asked=load.asked + 10, seconds=30)
    load.stop()
    assert served(federation.b) == good
    assert federation.b.metric("certificate_not_after_seconds") > 1.79e9
    secured.issue(B, "--force")
    stage.settle(20)
