#!/usr/bin/env python3
"""A register's side of etims-gateway's serial frames: Python 3, standard library, Linux and other POSIX systems.

As a module:

    with Register("/dev/ttyUSB0", 9600) as register:
        kind, body = register.hello()
        kind, body = register.ask("S", {"trdInvcNo": "T1-000123", ...})

As a command, the same as register_posix.c: `register.py DEVICE BAUD < requests`.

One request at a time; each is sent again with the same bytes until it is answered, so a sale is never lost and never
doubled by the line. A sale that stays without an answer is in doubt, not failed: keep it, and send it again later with
the same trdInvcNo and the same content.

Licence: MIT OR Apache-2.0, as the gateway's. Copy it.
"""
import json
import os
import select
import sys
import termios
import time
import tty
import zlib

RS, ETX, LF = 0x1E, 0x03, 0x0A
ENQ, ACK, NAK, SYN, CAN = 0x05, 0x06, 0x15, 0x16, 0x18

IDLE = 3.0          # nothing received at all
BETWEEN_BYTES = 0.5  # inside a reply
EXCHANGE = 60.0
PAUSES = (0, 0.5, 1, 2, 4)  # before each try


class InDoubt(Exception):
    """No reply that could be read, but the gateway is there. Send a sale again later."""


class NoGateway(InDoubt):
    """Nothing at all came back: cable, power or settings?"""


class _Again(Exception):
    """NAK, silence or a damaged reply: the same bytes are sent again."""


def frame(seq, kind, data):
    """The bytes of a frame; data: bytes of one JSON object, or empty."""
    if len(data) > 0xFFFF or any(byte < 0x20 for byte in data):
        raise ValueError("a request has at most 65535 bytes and no control characters")
    core = b"%04X%02X%s%s\x03" % (len(data), seq, kind.encode("ascii"), data)
    return b"\x1e%s%08X\n" % (core, zlib.crc32(core))


class Register:
    def __init__(self, path, baud):
        self.seq = 0
        self._in = bytearray()
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        mode = termios.tcgetattr(self.fd)
        mode[2] |= termios.CLOCAL | termios.CREAD
        mode[4] = mode[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self.fd, termios.TCSANOW, mode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def hello(self):
        """First after each start of the register; compare `last` with your own last sale."""
        return self._exchange(0, "H", b'{"proto":1}')

    def ask(self, kind, data=b""):
        """The reply's type and object. data: an object, or the bytes of one; empty for L and T."""
        if not isinstance(data, bytes):
            data = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() if data else b""
        self.seq = self.seq % 255 + 1
        return self._exchange(self.seq, kind, data)

    def _exchange(self, seq, kind, data):
        request = frame(seq, kind, data)
        end = time.monotonic() + EXCHANGE
        for pause in PAUSES:
            time.sleep(pause)
            try:
                self._send(request)
                return self._reply(seq, end)
            except _Again:
                if time.monotonic() > end:
                    break
        raise InDoubt() if self._is_there() else NoGateway()

    def _send(self, data):
        try:
            while data:
                data = data[os.write(self.fd, data):]
        except OSError:
            raise _Again() from None  # the adapter is gone

    def _byte(self, wait):
        """The next byte, or None."""
        if not self._in:
            if not select.select([self.fd], [], [], wait)[0]:
                return None
            try:
                self._in += os.read(self.fd, 4096)
            except OSError:
                pass
            if not self._in:
                raise _Again()  # the adapter is gone
        return self._in.pop(0)

    def _inside(self):
        """The next byte of a reply. RS begins another one."""
        byte = self._byte(BETWEEN_BYTES)
        if byte is None:
            raise _Again()
        if byte == RS:
            self._in.insert(0, byte)
            raise EOFError()
        return byte

    def _reply(self, seq, end):
        while time.monotonic() < end:
            byte = self._byte(IDLE)
            if byte is None or byte == NAK:
                raise _Again()
            if byte != RS:
                continue  # SYN: it works; anything else is noise
            try:
                head = bytes(self._inside() for _ in range(7))
                if any(digit not in b"0123456789ABCDEF" for digit in head[:6]):
                    raise _Again()
                data = bytes(self._inside() for _ in range(int(head[:4], 16)))
                tail = bytes(self._inside() for _ in range(10))
            except EOFError:
                continue
            if tail != b"\x03%08X\n" % zlib.crc32(head + data + b"\x03"):
                raise _Again()
            kind = chr(head[6])
            if kind.islower() and int(head[4:6], 16) == seq:
                return kind, json.loads(data)
            # Our own echo, or the reply to an earlier request.
        raise _Again()

    def _is_there(self):
        """Noise that never ends is no answer."""
        end = time.monotonic() + IDLE
        try:
            self._send(bytes([ENQ]))
            while time.monotonic() < end and (byte := self._byte(IDLE)) is not None:
                if byte in (ACK, SYN, CAN):
                    return True
        except _Again:
            pass
        return False


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} DEVICE BAUD < requests")
    good = True
    with Register(sys.argv[1], int(sys.argv[2])) as register:
        def tell(exchange):
            try:
                kind, body = exchange()
                print(kind, json.dumps(body, separators=(",", ":"), ensure_ascii=False), flush=True)
                return True
            except NoGateway:
                print("! no gateway: cable, power or settings?", flush=True)
            except InDoubt:
                print("! in doubt: send it again later", flush=True)
            return False

        good &= tell(register.hello)
        for line in sys.stdin:
            kind, _, data = line.rstrip("\r\n").partition(" ")
            if kind:
                good &= tell(lambda: register.ask(kind, data.encode()))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
