"""The one grammar of -p."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import ports
from dynbuild.run.ports import Port


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("8000:80", ("", range(8000, 8001), range(80, 81), "tcp")),
        ("80", ("", range(0), range(80, 81), "tcp")),
        ("127.0.0.1:8000:80", ("127.0.0.1", range(8000, 8001), range(80, 81), "tcp")),
        ("127.0.0.1::80", ("127.0.0.1", range(0), range(80, 81), "tcp")),
        ("[::1]:8000:80/udp", ("::1", range(8000, 8001), range(80, 81), "udp")),
        ("8000-8002:80-82/TCP", ("", range(8000, 8003), range(80, 83), "tcp")),
        ("::1:8000:80", ("::1", range(8000, 8001), range(80, 81), "tcp")),
        ("[0:0::1]::80", ("::1", range(0), range(80, 81), "tcp")),
        (":8000:80", ("", range(8000, 8001), range(80, 81), "tcp")),
        ("0:80", ("", range(0), range(80, 81), "tcp")),
        ("8000-8010:80", ("", range(8000, 8011), range(80, 81), "tcp")),
        ("80/", ("", range(0), range(80, 81), "tcp")),
        ("80/sctp", ("", range(0), range(80, 81), "sctp")),
    ],
)
def test_published_ports(text, parts):
    port = ports.parse(text)
    assert (port.address, port.host, port.container, port.protocol) == parts


@pytest.mark.parametrize(
    "text",
    ["a:b", "70000:80", "9-8:80", "0-99999999999:80", "",
     "80/icmp", "0", "1:0", "8000-8001:80-82", "80-79", "localhost:80:80", "1.2.3:80:80",
     "[::1:80:80", "[fe80::1%eth0]:80:80", "80:", "-1:80", "1:+80", "\u0668:80",
     "9" * 5000, "1-2-3:1"],
)  # fmt: skip
def test_what_docker_refuses(text):
    with pytest.raises(RequestError) as caught:
        ports.parse(text)
    assert caught.value.message.startswith("-p ")
    assert len(caught.value.message) < 200


numbers = st.integers(1, 65535)
addresses = st.one_of(
    st.just(""), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda ip: f"[{ip}]")
)


@st.composite
def ranges(draw, lowest=1):
    first = draw(st.integers(lowest, 65535))
    return range(first, min(first + draw(st.integers(1, 30)), 65536))


def shown(numbers):
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


@given(addresses, ranges(), st.sampled_from(["", "/tcp", "/UDP", "/sctp"]), st.data())
def test_a_port_reads_back(address, inside, protocol, data):
    first = data.draw(st.integers(1, 65536 - len(inside)))
    outside = range(first, first + len(inside))
    text = f"{shown(outside)}:{shown(inside)}{protocol}"
    port = ports.parse(f"{address}:{text}" if address else text)
    bare = address.strip("[]")
    assert port == Port(
        address=str(ipaddress.ip_address(bare)) if bare else "",
        host=outside,
        container=inside,
        protocol=protocol[1:].lower() or "tcp",
    )


@given(st.text(st.sampled_from("0123456789:-/[].tcpud")) | st.text())
def test_any_text_is_a_port_or_refused(text):
    try:
        port = ports.parse(text)
    except RequestError:
        return
    assert port.container
    assert all(0 < number < 65536 for number in (*port.host, *port.container))
