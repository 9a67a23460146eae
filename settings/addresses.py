"""Which port each process listens on: one base number, fixed offsets (the design's section 5)."""

from dataclasses import dataclass

HOST = "127.0.0.1"
HIGHEST_OFFSET = 674


@dataclass(frozen=True)
class Addresses:
    """Ports of one system. Two systems whose bases differ by at least 700 never collide."""

    port_base: int = 8000

    @property
    def shop(self) -> int:
        return self.port_base

    @property
    def load_balancer_admin(self) -> int:
        return self.port_base + 1

    @property
    def observatory(self) -> int:
        return self.port_base + 100

    def web(self, number: int) -> int:
        """Port of web-``number``, counted from 1."""
        return self.port_base + 200 + number

    def manufacturer_process(self, number: int) -> int:
        """Port of the manufacturer process ``number``, counted from 1."""
        return self.port_base + 300 + number

    @property
    def postgres(self) -> int:
        return self.port_base + 432

    def distributor(self, number: int) -> int:
        """Health, metrics and internal pages of distributor ``number``, counted from 1."""
        return self.port_base + 500 + number

    @property
    def traffic(self) -> int:
        return self.port_base + 600

    @property
    def rabbitmq(self) -> int:
        return self.port_base + 672

    @property
    def epmd(self) -> int:
        """Erlang's port mapper, needed by a private RabbitMQ node."""
        return self.port_base + 673

    @property
    def erlang_distribution(self) -> int:
        return self.port_base + 674

    @staticmethod
    def url(port: int) -> str:
        return f"http://{HOST}:{port}"
