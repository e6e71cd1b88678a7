"""Whether the files of compose.yaml's profile for operators fit together: without an engine to run their images nothing
else can be said of them here."""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def read(path):
    """A YAML file of the repository."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def main():
    """Complains about the first thing that does not fit."""
    services = read("compose.yaml")["services"]
    volumes = read("compose.yaml")["volumes"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            found = (ROOT / source).exists() if source.startswith("./") else source in volumes
            assert found, f"{name} mounts {source}, which is nowhere"
        for other in service.get("depends_on", []):
            assert other in services, f"{name} waits for {other}, which is no service"
    listening = {name: service["environment"]["RECARGA_LISTEN"].rsplit(":", 1)[1]
                 for name, service in services.items() if "RECARGA_LISTEN" in service.get("environment", {})}
    jobs = read("deploy/prometheus/compose.yml")["scrape_configs"]
    watched = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    assert watched == {f"{name}:{port}" for name, port in listening.items()}, watched
    [source] = read("deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in services, source
    [provider] = read("deploy/grafana/provisioning/dashboards/recarga.yaml")["providers"]
    dashboards = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert any(path.startswith(provider["options"]["path"] + "/") for path in dashboards), provider
    made = (ROOT / "deploy/postgres/databases.sql").read_text(encoding="utf-8")
    for name in listening:
        assert f"CREATE DATABASE {name.replace('-', '_')};" in made, name
    print(f"compose.yaml: {len(services)} services fit together")


if __name__ == "__main__":
    sys.exit(main())
