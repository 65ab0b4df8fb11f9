"""The two messages of `grpc.health.v1`, written and read by hand: each has one field.

    message HealthCheckRequest  { string service = 1; }
    message HealthCheckResponse { ServingStatus status = 1; }

In the protobuf encoding a field is a key, `number << 3 | wire type`, and a value. Fields that are not these are
skipped, fields that are not there have their zero value. Generated code would do the same for 3 MB of memory.
"""

from enum import IntEnum

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"
_SERVICE_KEY, _STATUS_KEY = 1 << 3 | 2, 1 << 3 | 0


class ServingStatus(IntEnum):
    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def encode_request(service: str) -> bytes:
    text = service.encode()
    return bytes([_SERVICE_KEY]) + _varint(len(text)) + text if text else b""


def decode_request(data: bytes) -> str:
    """The service that is asked for; `ValueError` if it is no such message."""
    service = b""
    for key, value in _fields(data):
        if key == _SERVICE_KEY and isinstance(value, bytes):
            service = value
    return service.decode()


def encode_response(status: ServingStatus) -> bytes:
    return bytes([_STATUS_KEY, status]) if status else b""


def decode_response(data: bytes) -> int:
    """A number, for there may be a status that this version has no name for; `ValueError` as above."""
    status = 0
    for key, value in _fields(data):
        if key == _STATUS_KEY and isinstance(value, int):
            # An enum is 32 bits wide.
            status = (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    return status


def frame(message: bytes) -> bytes:
    """As gRPC sends it: not compressed, its length, itself."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Each key with its value: a number for a varint, else the bytes."""
    out: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key >> 3 == 0:
            raise ValueError("field number 0")
        value: int | bytes
        if key & 7 == 0:
            value, at = _read_varint(data, at)
        else:
            if key & 7 == 2:
                size, at = _read_varint(data, at)
            else:
                size = {1: 8, 5: 4}.get(key & 7, len(data))
            value = data[at : at + size]
            at += size
        out.append((key, value))
    if at > len(data):
        raise ValueError("a field is longer than the message")
    return out


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a number without an end")
