"""A car that speaks MQTT through Eclipse paho, 3.1.1 or 5, as a manufacturer's own program would."""

import json
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .history import CANCELLED, CONFIRMED, REFUSED
from .waiting import until

OUTCOMES = {"confirmada": CONFIRMED, "recusada": REFUSED, "cancelada": CANCELLED}


class Listener:
    """A client that is connected, subscribed, and keeps everything that arrives."""

    def __init__(self, broker, name, topics, version=5, will=None, persistent=True, client_id=None):
        self.broker = broker
        self.name = name
        self.version = version
        self.messages = []  # (topic, payload, properties)
        self._topics = topics
        self._granted = threading.Event()
        self._taken = set()  # ids of messages that the broker has acknowledged
        self._lock = threading.Lock()
        self._persistent = persistent
        protocol = mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311
        options = {} if version == 5 else {"clean_session": not persistent}
        client_id = client_id or name
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=protocol, **options)
        broker.admit(self.client, name)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        if will is not None:
            self.client.will_set(*will)

    def start(self):
        """Connects and waits until the subscriptions are granted."""
        options = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if self._persistent else 0
            options = {"clean_start": False, "properties": properties}
        self.client.connect(self.broker.place.host, self.broker.port, keepalive=20, **options)
        self.client.loop_start()
        assert self._granted.wait(10), f"{self.name}: no subscription granted"
        return self

    def stop(self):
        """Says goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """Closes the connection without a goodbye: the broker publishes the last will."""
        self.client.loop_stop()
        self.client.socket().close()

    def publish(self, topic, payload, qos=1, properties=None, seconds=10):
        """Publishes and waits for the broker's acknowledgement."""
        # Without a connection paho keeps the message and sends it after the next one.
        mid = self.client.publish(topic, payload, qos=qos, properties=properties).mid
        until(lambda: mid in self._taken, f"the broker to take {topic} from {self.name}", seconds)

    def received(self, topic=None):
        """Everything that arrived on a topic, decoded."""
        with self._lock:
            kept = list(self.messages)
        return [json.loads(payload) for where, payload, _ in kept if topic in (None, where)]

    def _on_connect(self, client, _userdata, _flags, _reason, _properties=None):
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, *_):
        self._granted.set()

    def _on_publish(self, _client, _userdata, mid, _reason, _properties):
        self._taken.add(mid)

    def _on_message(self, _client, _userdata, message):
        with self._lock:
            self.messages.append((message.topic, message.payload, getattr(message, "properties", None)))


class Car(Listener):
    """A car: asks for trips and is told what became of them."""

    def __init__(self, broker, history, version=5, name=None, will=False):
        name = name or broker.car()
        last_will = None
        if will:
            last_will = (f"veiculo/{name}/status", json.dumps(status_of(name, "offline")), 1, True)
        super().__init__(broker, name, [f"veiculo/{name}/resposta"], version, last_will)
        self.history = history

    @property
    def answers(self):
        """All answers so far, repeats included."""
        return self.received(f"veiculo/{self.name}/resposta")

    def ask(self, request, properties=None, **extra):
        """Sends a request for a trip, or anything else, with these properties of MQTT 5."""
        body = request if isinstance(request, (bytes, str)) else json.dumps({**request, **extra})
        if isinstance(request, dict) and "paradas" in request:
            self.history.asked(request)
        self.publish(f"veiculo/{self.name}/requisicao", body, properties=properties)

    def status(self, state="dirigindo"):
        """Publishes where it is."""
        self.publish(f"veiculo/{self.name}/status", json.dumps(status_of(self.name, state)), qos=0)

    def answers_to(self, request_id):
        """All answers to one request, repeats included."""
        return [one for one in self.answers if one.get("requisicao_id") == request_id]

    def answer_to(self, request, seconds=10.0, resend_after=None, nth=1):
        """Waits for the nth answer to a request; asks again from time to time if it shall."""
        request_id = request["requisicao_id"]
        again = [time.monotonic() + resend_after] if resend_after else []

        def answered():
            found = self.answers_to(request_id)
            if len(found) >= nth:
                return found[nth - 1]
            if again and time.monotonic() >= again[0]:
                again[0] = time.monotonic() + resend_after
                self.client.publish(f"veiculo/{self.name}/requisicao", json.dumps(request), qos=1)
            return None

        answer = until(answered, f"an answer to {request_id} of {self.name}", seconds)
        if "paradas" in request:
            self.note(request)
        return answer

    def note(self, request):
        """Writes down everything it was told about a request."""
        for answer in self.answers_to(request["requisicao_id"]):
            outcome = OUTCOMES[answer["estado"]]
            self.history.told(request, outcome, answer.get("viagem_id"), sticky=True)


def status_of(name, state):
    """What a car publishes of itself."""
    return {
        "veiculo_id": name,
        "latitude": -12.9,
        "longitude": -38.4,
        "bateria_pct": 71.5,
        "velocidade_kmh": 88.0,
        "autonomia_km": 240.0,
        "instante": "2026-01-01T12:00:00Z",
        "estado": state,
    }
