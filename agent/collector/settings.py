"""The collector's configuration: one table of a TOML file, every key optional."""

from dataclasses import dataclass
from pathlib import Path

from agent.mqtt.broker import Broker, Tls
from agent.settings import ConfigError, parse, read_toml, sample, section, setting


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    store: Path = setting(Path("/var/lib/gate-collector/events.db"), "The store, an SQLite file; its folder must be there.", low=1)
    name: str = setting("collector", "Name of this client at the broker; unique there.", low=1, high=64)
    host: str = setting("localhost", "Broker.", low=1)
    port: int = setting(8883, "Port of the broker.", low=1, high=65535)
    tls: bool = setting(True, "False: no TLS; only to a broker on the loopback interface.")
    ca_file: Path = setting(Path("/etc/gate-collector/ca.pem"), "Certificate authority of the broker.")
    cert_file: Path = setting(
        Path("/etc/gate-collector/collector.pem"), "The collector's client certificate; its common name is 'collector'."
    )
    key_file: Path = setting(Path("/etc/gate-collector/collector.key"), "Its key; readable by the collector only.")
    keepalive_s: int = setting(12, "A dead link is noticed after twice this time, s.", low=5, high=60)

    def broker(self) -> Broker:
        """Where to connect to.

        Raises:
            LinkError: no TLS to a broker that is not on the loopback interface.
        """
        tls = Tls(self.ca_file, self.cert_file, self.key_file) if self.tls else None
        return Broker(self.host, self.port, self.keepalive_s, tls)


@dataclass(frozen=True, slots=True)
class CollectorFile:
    collector: CollectorSettings = section(CollectorSettings, "The centre's end of the gates' events.")


def load(file: Path) -> CollectorSettings:
    """Read a configuration file.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, or a value that cannot be.
    """
    try:
        data = read_toml(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the path with --config") from error
    read: CollectorFile = parse(CollectorFile, data, file=str(file))
    return read.collector


def example() -> str:
    """The text of config/collector.example.toml."""
    return sample(CollectorFile, heading="gate-collector: every key with its default. Delete what you do not change.")
