#!/usr/bin/env python3
"""Checks the broker of the compose file alone, before any company is connected to it.

    broker.py rules         who may say and hear what, with MQTT 3.1.1 and 5
    broker.py queue         leaves a request for a company that is not connected
    broker.py queue-after   the company fetches it (after the broker was killed in between)

The companies' own users are used, so no company may run at the same time: the broker gives each
user one connection. Prints one line `ok - ...` per check and stops at the first that fails.
"""

import argparse
import queue
import socket
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SECONDS_MAX = 15
VERSIONS = {"MQTT 3.1.1": mqtt.MQTTv311, "MQTT 5": mqtt.MQTTv5}
NOT_AUTHORIZED_V5 = 135

options = argparse.Namespace()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["rules", "queue", "queue-after"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--cars-password", required=True)
    parser.add_argument("--company-password", action="append", required=True, metavar="ID=PASSWORD")
    parser.parse_args(namespace=options)
    options.passwords = dict(pair.split("=", 1) for pair in options.company_password)
    {"rules": rules, "queue": leave_request, "queue-after": fetch_request}[options.command]()


def rules():
    for name, version in VERSIONS.items():
        logins(name, version)
        for case in ALLOWED:
            check_delivery(name, version, case, expected=True)
        for case in DENIED:
            check_delivery(name, version, case, expected=False)
        forged_will(name, version)
        takeover(name, version)
    denied_publish_is_told_to_mqtt5()


# (who says it, on which topic, who listens, with which filter)
ALLOWED = [
    ("carro-0001", "veiculo/carro-0001/requisicao", "empresa-a", "veiculo/+/requisicao"),
    ("carro-0001", "veiculo/carro-0001/requisicao", "empresa-b", "veiculo/+/requisicao"),
    ("carro-0001", "veiculo/carro-0001/requisicao", "empresa-c", "$share/empresa-c/veiculo/+/requisicao"),
    ("carro-0001", "veiculo/carro-0001/status", "empresa-b", "veiculo/+/status"),
    ("empresa-c", "veiculo/carro-0001/resposta", "carro-0001", "veiculo/carro-0001/resposta"),
    ("empresa-a", "servidor/empresa-a/resposta", "empresa-a", "servidor/empresa-a/resposta"),
]
DENIED = [
    # A car speaks for another car, or answers itself.
    ("carro-0002", "veiculo/carro-0001/requisicao", "empresa-a", "veiculo/+/requisicao"),
    ("carro-0002", "veiculo/carro-0001/status", "empresa-a", "veiculo/+/status"),
    ("carro-0001", "veiculo/carro-0001/resposta", "carro-0001", "veiculo/carro-0001/resposta"),
    ("carro-0002", "veiculo/carro-0001/resposta", "carro-0001", "veiculo/carro-0001/resposta"),
    ("carro-0001", "servidor/empresa-a/resposta", "empresa-a", "servidor/empresa-a/resposta"),
    # A car listens to another car.
    ("empresa-a", "veiculo/carro-0001/resposta", "carro-0002", "veiculo/carro-0001/resposta"),
    ("empresa-a", "veiculo/carro-0001/resposta", "carro-0002", "#"),
    ("carro-0001", "veiculo/carro-0001/requisicao", "carro-0002", "veiculo/#"),
    ("carro-0001", "veiculo/carro-0001/requisicao", "carro-0002", "$share/x/veiculo/+/requisicao"),
    ("carro-0001", "veiculo/carro-0001/status", "carro-0002", "veiculo/+/status"),
    ("empresa-a", "servidor/empresa-a/resposta", "carro-0001", "servidor/+/resposta"),
    # A company speaks for another company or for a car, or listens where it has no business.
    ("empresa-b", "servidor/empresa-a/resposta", "empresa-a", "servidor/empresa-a/#"),
    ("empresa-a", "veiculo/carro-0001/requisicao", "empresa-b", "veiculo/+/requisicao"),
    ("empresa-a", "servidor/empresa-a/resposta", "empresa-b", "servidor/#"),
    ("empresa-a", "veiculo/carro-0001/resposta", "empresa-b", "veiculo/#"),
]


def check_delivery(name, version, case, expected):
    """The message arrives, or a later message that must arrive comes without it: nothing waits for a silence."""
    speaker_user, topic, listener_user, topic_filter = case
    with Client(listener_user, version) as listener:
        listener.subscribe(topic_filter)
        if speaker_user == listener_user:
            listener.publish(topic, "case")
        else:
            with Client(speaker_user, version) as speaker:
                speaker.publish(topic, "case")
        arrived = "case" in listener.received_until_marker(version)
    verb = "hears" if expected else "does not hear"
    ok(f"{name}: {listener_user} {verb} {speaker_user} on {topic} (subscribed {topic_filter})", arrived == expected)


def logins(name, version):
    for what, user, password in [
        ("nobody", None, None),
        ("a wrong password", "carro-0001", "wrong"),
        ("an empty password", "carro-0001", ""),
        ("an unknown user", "carro-0000", options.cars_password),
        ("a company with the cars' password", "empresa-a", options.cars_password),
    ]:
        client = Client(user, version, password=password)
        ok(f"{name}: {what} is refused", not client.try_connect())
        client.close()


def forged_will(name, version):
    """A last will must not be a way around the rules."""
    with Client("carro-0001", version) as listener:
        listener.subscribe("veiculo/carro-0001/resposta")
        forger = Client("carro-0002", version, will=("veiculo/carro-0001/resposta", "case"))
        if forger.try_connect():
            forger.vanish()
            # The broker must have noticed the loss before the marker is sent: it answers the
            # same user only after it has dropped the old connection and published its will.
            with Client("carro-0002", version):
                pass
        forger.close()
        ok(f"{name}: a will does not forge an answer", "case" not in listener.received_until_marker(version))


def takeover(name, version):
    """The user is the client id: saying another car's id does not throw that car out."""
    with Client("carro-0002", version) as victim:
        victim.subscribe("veiculo/carro-0002/resposta")
        with Client("carro-0001", version, client_id="carro-0002"):
            victim.received_until_marker(version)
            ok(f"{name}: another car's client id takes nobody's place", not victim.lost)


def denied_publish_is_told_to_mqtt5():
    with Client("carro-0001", mqtt.MQTTv5) as car:
        reason = car.publish("veiculo/carro-0001/resposta", "case")
        ok("MQTT 5: a denied publish is answered with 'not authorized'", reason == NOT_AUTHORIZED_V5)


def leave_request():
    """The company has a session at the broker but is away; a car asks it something."""
    with Client("empresa-a", mqtt.MQTTv5, keep_session=True) as company:
        company.subscribe("veiculo/+/requisicao")
    with Client("carro-0001", mqtt.MQTTv5) as car:
        car.publish("veiculo/carro-0001/requisicao", "queued")
    ok("a request waits for a company that is away", True)


def fetch_request():
    with Client("empresa-a", mqtt.MQTTv5, keep_session=True) as company:
        ok("after the kill the broker still knows the company's session", company.session_present)
        ok("after the kill the request is still there", company.next_message() == "queued")
    # Leaves nothing behind: the company itself starts with a fresh session.
    with Client("empresa-a", mqtt.MQTTv5):
        pass


class Client:
    """A paho client whose every step waits for the broker's answer."""

    def __init__(self, user, version, *, client_id=None, password=None, will=None, keep_session=False):
        self.user, self.version, self.keep_session = user, version, keep_session
        self.messages, self.events, self.lost = queue.Queue(), queue.Queue(), False
        self.session_present = False
        session = {} if version == mqtt.MQTTv5 else {"clean_session": not keep_session}
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or user or "nobody", protocol=version,
            reconnect_on_failure=False, **session,
        )
        if password is None and user is not None:
            password = options.passwords.get(user, options.cars_password)
        if user is not None:
            self.paho.username_pw_set(user, password)
        if will is not None:
            self.paho.will_set(will[0], will[1], qos=1)
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.events.put(("connect", flags, reason))
        self.paho.on_subscribe = lambda *_: self.events.put(("subscribe",))
        self.paho.on_publish = lambda _c, _u, _mid, reason, _p: self.events.put(("publish", reason))
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message.payload.decode())

    def __enter__(self):
        if not self.try_connect():
            sys.exit(f"not ok - {self.user} cannot log in")
        return self

    def __exit__(self, *_):
        self.close()

    def try_connect(self):
        arguments = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if self.keep_session else 0
            arguments = {"clean_start": not self.keep_session, "properties": properties}
        self.paho.connect(options.host, options.port, keepalive=30, **arguments)
        self.paho.loop_start()
        _, flags, reason = self._wait("connect")
        if reason.is_failure:
            return False
        self.session_present = flags.session_present
        return True

    def subscribe(self, topic_filter):
        self.paho.subscribe(topic_filter, qos=1)
        self._wait("subscribe")

    def publish(self, topic, payload):
        self.paho.publish(topic, payload, qos=1)
        return self._wait("publish")[1].value

    def received_until_marker(self, version):
        """Everything that arrived before a message which this listener is entitled to."""
        if self.user.startswith("carro-"):
            marker_user, marker_topic = "empresa-c", f"veiculo/{self.user}/resposta"
        else:
            marker_user, marker_topic = "carro-0009", "veiculo/carro-0009/status"
        self.subscribe(marker_topic)
        with Client(marker_user, version) as entitled:
            entitled.publish(marker_topic, "marker")
        received = []
        while "marker" not in received:
            received.append(self.next_message())
        return received

    def next_message(self):
        try:
            return self.messages.get(timeout=SECONDS_MAX)
        except queue.Empty:
            sys.exit(f"not ok - {self.user} waited {SECONDS_MAX} s for a message")

    def vanish(self):
        """Breaks the connection without a word, so that the broker publishes the will."""
        self.paho.loop_stop()
        self.paho.socket().shutdown(socket.SHUT_RDWR)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def _on_disconnect(self, _client, _data, _flags, reason, _properties):
        self.lost = reason.is_failure

    def _wait(self, what):
        try:
            event = self.events.get(timeout=SECONDS_MAX)
        except queue.Empty:
            sys.exit(f"not ok - the broker did not answer {self.user}'s {what} in {SECONDS_MAX} s")
        if event[0] != what:
            sys.exit(f"not ok - {self.user} expected {what}, got {event}")
        return event


def ok(what, condition):
    if not condition:
        sys.exit(f"not ok - {what}")
    print(f"ok - {what}", flush=True)


if __name__ == "__main__":
    main()
