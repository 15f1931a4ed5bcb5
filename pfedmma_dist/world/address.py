"""Addresses at which ranks meet: tried before torch does, which says less, later and in traces."""

import errno
import fcntl
import os
import re
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch.distributed as dist

from pfedmma_dist.spelling import quoted

RESOLVE_SECONDS = 3.0
"""How long a name that no host is known by may take to be known."""

OWN_SECONDS = 5.0
"""How long rank 0 may take to reach itself."""

KNOCK_SECONDS = 4.0
"""Of one try to reach a store; a second one ends before people want to know."""

PAUSE_SECONDS = 0.02

SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of an interface."""

INTERFACES = "GLOO_SOCKET_IFNAME"
"""The variable that names the interfaces of gloo."""


def resolve(host: str, remedy: str) -> None:
    """ValueError where no host is known by this name or address, after a short while."""
    end = time.monotonic() + RESOLVE_SECONDS
    while True:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return
        except (socket.gaierror, UnicodeError) as error:
            if time.monotonic() > end:
                hint = "; a port belongs into MASTER_PORT" if re.search(r":\d+$", host) else ""
                raise ValueError(
                    f"MASTER_ADDR: {quoted(host)} is no host that {socket.gethostname()} knows "
                    f"({reason(error)}); {remedy}{hint}"
                ) from error
        time.sleep(0.2)


def listen(port: int) -> socket.socket:
    """Return a socket that listens at a port on all addresses; ValueError where it cannot."""
    try:
        return _listen(port)
    except OSError as error:
        what = {
            errno.EADDRINUSE: "is in use by another run or program",
            errno.EACCES: "is reserved for the system",
        }.get(error.errno or 0, f"cannot be listened at ({reason(error)})")
        raise ValueError(
            f"MASTER_PORT: {port} {what} on host {socket.gethostname()}, where rank 0 is; set "
            "another one from 1024 to 32767, the same for all ranks"
        ) from error


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return socket.create_server(("", port))  # IPv6 is switched off


def knock(host: str, port: int, seconds: float = KNOCK_SECONDS) -> str:
    """Try to reach a store; return why it does not answer, or nothing."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as error:
        return reason(error)
    return ""


def check_own(host: str, port: int) -> None:
    """ValueError where MASTER_ADDR does not lead rank 0 to itself, and so nobody to it."""
    end = time.monotonic() + OWN_SECONDS
    while problem := knock(host, port):
        if time.monotonic() > end:
            raise ValueError(
                f"MASTER_ADDR: {quoted(host)} does not lead to rank 0, which listens at port "
                f"{port} of host {socket.gethostname()} ({problem}); set it to a name or address "
                "of that host, or start rank 0 on that one"
            )
        time.sleep(PAUSE_SECONDS)


def reason(error: Exception) -> str:
    """Return what the system says of an error, without its number."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def check_interfaces() -> None:
    """ValueError where INTERFACES names an interface that this host lacks."""
    value = os.environ.get(INTERFACES, "")
    there = [name for _, name in socket.if_nameindex()]
    names = [name.strip() for name in value.split(",")] if value else []
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{INTERFACES}: {quoted(value)} names no network interface of host "
            f"{socket.gethostname()} (there: {', '.join(there[:8])}); set it to one by which the "
            "hosts reach each other, or unset it"
        )


class Network(NamedTuple):
    """The address at which gloo lets other ranks find this one, and what shares its loopback."""

    address: str
    space: str

    @classmethod
    def own(cls) -> "Network":
        """Return this rank's."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        space = boot.read_text().strip() if boot.is_file() else socket.gethostname()
        net = Path("/proc/self/ns/net")
        return cls(_gloo_address(), f"{space}:{net.stat().st_ino if net.exists() else ''}")

    def loops(self) -> bool:
        """Whether only ranks of the same space reach the address."""
        return self.address.startswith("127.") or self.address == "::1"


def check_reachable(store: dist.Store, rank: int, size: int) -> None:
    """ValueError on all ranks where gloo would give away an address that others cannot reach.

    Debian lets a host's own name mean 127.0.1.1; gloo believes it, and the ranks of other hosts
    call themselves for the length of their patience.
    """
    store.set(f"network/{rank}", " ".join(Network.own()))
    texts = store.multi_get([f"network/{other}" for other in range(size)])
    networks = [Network(*text.decode().split(" ")) for text in texts]
    loops = [other for other, network in enumerate(networks) if network.loops()]
    if loops and len({network.space for network in networks}) > 1:
        _refuse_loops(loops, networks)


def _refuse_loops(loops: Sequence[int], networks: Sequence[Network]) -> None:
    raise ValueError(
        f"GLOO_SOCKET_IFNAME: the host of rank {loops[0]} calls itself {networks[loops[0]].address}"
        ", which ranks on other hosts cannot reach; set GLOO_SOCKET_IFNAME on all hosts to the "
        "interface by which they reach each other (ip -brief address lists them), or mend the "
        "host's name in /etc/hosts"
    )


def _gloo_address() -> str:
    """Return the address that gloo will take, by its own rules."""
    name = os.environ.get(INTERFACES, "").split(",")[0].strip()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        if name:
            try:
                request = struct.pack("256s", name.encode()[:15])
                return socket.inet_ntoa(fcntl.ioctl(any_socket, SIOCGIFADDR, request)[20:24])
            except OSError:
                return "-"  # an interface without an IPv4 address
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return "127.0.0.1"
    for family, kind, _, _, address in found:
        with socket.socket(family, kind) as tried:
            try:
                tried.bind(address)
            except OSError:
                continue
            return str(address[0])
    return "127.0.0.1"
