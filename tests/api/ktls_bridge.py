"""libktls-bridge.so from Python: the C interface, a class around a layer. Standard library only."""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64
from ctypes import c_void_p
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / os.environ.get("KTLS_BRIDGE_BUILD", "build-test")

OK, WANT_MORE = 0, 1
ERRORS = {-1: "illegal_parameter", -2: "record_overflow", -3: "bad_record_mac",
          -4: "decryption_failed", -5: "unexpected_message", -6: "abrupt_close",
          -7: "out_of_range", -8: "not_usable", -9: "not_implemented", -10: "wrong_state",
          -11: "system", -12: "crypto", -13: "no_memory", -14: "no_space", -15: "not_in_kernel"}

PROPERTIES = {"version": 1, "is_client": 2, "tls13_records": 3, "handshake_finished": 4,
              "encrypt_then_mac": 5, "receive_limit": 6, "send_limit": 7, "early_data_ok": 8,
              "max_early_data": 9, "wire_version": 10, "is_tls13": 11, "early_data_skipped": 12,
              "unsafe_change_to_clear": 100, "unsafe_state_access": 101}
WRITE, READ, PENDING_WRITE, PENDING_READ = range(4)
RECORD_SIZE_MAX = 5 + 65535
HASHES = {"md5": 0, "sha1": 1, "sha256": 2, "sha384": 3}


class State(ctypes.Structure):
    _fields_ = [("sequence", c_uint64), ("has_mac", c_int), ("has_cipher", c_int),
                ("is_cbc", c_int), ("is_aead", c_int), ("encrypt_then_mac", c_int),
                ("block_size", c_size_t), ("tag_size", c_size_t), ("mac_size", c_size_t),
                ("nonce_size", c_size_t), ("cipher", c_char_p), ("implementation", c_char_p)]


class Keys(ctypes.Structure):
    _fields_ = [("mac_key_bytes", c_uint8 * 48), ("key_bytes", c_uint8 * 48),
                ("iv_bytes", c_uint8 * 48), ("mac_key_size", c_size_t), ("key_size", c_size_t),
                ("iv_size", c_size_t)]

    mac_key = property(lambda self: bytes(self.mac_key_bytes)[:self.mac_key_size])
    key = property(lambda self: bytes(self.key_bytes)[:self.key_size])
    iv = property(lambda self: bytes(self.iv_bytes)[:self.iv_size])


class Released(ctypes.Structure):
    _fields_ = [("version", c_uint16), ("suite", c_uint32), ("encrypt_then_mac", c_int),
                ("sequence", c_uint64), ("explicit_nonce", c_uint64), ("keys", Keys)]


class Header(ctypes.Structure):
    _fields_ = [("type", c_uint8), ("version", c_uint16), ("length", c_size_t),
                ("is_ssl2", c_int), ("security_escape", c_int), ("padding", c_uint8)]


class Record(ctypes.Structure):
    _fields_ = [("header", Header), ("content_at", c_void_p), ("content_size", c_size_t)]

    content = property(lambda self: ctypes.string_at(self.content_at, self.content_size)
                       if self.content_size else b"")


class Suite(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("version_min", c_uint16), ("version_max", c_uint16),
                ("name", c_char_p), ("cipher", c_char_p), ("mac", c_char_p), ("kernel", c_int),
                ("unavailable", c_char_p)]


class Places(ctypes.Structure):
    _fields_ = [("transmit", c_int), ("receive", c_int), ("version", c_uint16),
                ("cipher", c_uint16), ("unseen", c_char_p)]


RANDOM = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_uint8), c_size_t)
PADDING = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_size_t, c_uint8, c_size_t)

_LAYER = {
    "shutdown": [], "last_error": [], "set": [c_int, c_uint64], "get": [c_int, POINTER(c_uint64)],
    "set_random": [RANDOM, c_void_p], "set_padding": [PADDING, c_void_p],
    "derive_pending_states": [c_uint16, c_char_p, c_size_t, c_char_p, c_char_p],
    "derive_ssl2_pending_states": [c_uint32, c_char_p, c_size_t, c_char_p, c_size_t, c_char_p,
                                 c_size_t, c_char_p, c_void_p, POINTER(c_size_t)],
    "derive_tls13_pending_states": [c_uint16, c_char_p, c_char_p, c_size_t],
    "key_update": [c_uint16, c_int, c_char_p, c_char_p, c_size_t, c_void_p, c_void_p],
    "change_write_state": [], "change_read_state": [],
    "set_fixed_iv_block": [c_char_p, c_size_t],
    "fixed_iv_block": [c_void_p, c_size_t, POINTER(c_size_t)],
    "describe_state": [c_int, POINTER(State)], "set_sequence": [c_int, c_uint64],
    "set_explicit_nonce": [c_int, c_uint64], "state_keys": [c_int, POINTER(Keys)],
    "release": [c_int, POINTER(Released)],
    "sealed_record_size": [c_size_t, c_size_t], "sealed_size": [c_size_t],
    "seal_record": [c_uint8, c_char_p, c_size_t, c_size_t, c_void_p, c_size_t, POINTER(c_size_t)],
    "seal": [c_uint8, c_char_p, c_size_t, c_void_p, c_size_t, POINTER(c_size_t)],
    "want": [], "feed": [c_char_p, c_size_t], "feed_end": [], "next": [POINTER(Record)],
    "open_in_place": [c_void_p, c_size_t, POINTER(Record), c_size_t, POINTER(c_size_t),
                      POINTER(c_size_t)],
    "open_body": [POINTER(Header), c_void_p, c_size_t, POINTER(Record)],
}
_OTHERS = {
    "encode_header": [POINTER(Header), c_void_p, POINTER(c_size_t)],
    "decode_header": [c_char_p, c_size_t, POINTER(Header), POINTER(c_size_t)],
    "framer_free": [c_void_p], "framer_set_limit": [c_void_p, c_size_t, c_int],
    "framer_want": [c_void_p], "framer_feed": [c_void_p, c_char_p, c_size_t],
    "framer_feed_end": [c_void_p], "framer_next": [c_void_p, POINTER(Record)],
    "mac": [c_uint16, c_int, c_char_p, c_size_t, c_uint64, c_uint8, c_char_p, c_size_t, c_void_p,
            c_size_t, POINTER(c_size_t)],
    "cbc_padding": [c_size_t, c_size_t, c_void_p, POINTER(c_size_t)],
    "prf": [c_uint16, c_int, c_char_p, c_size_t, c_char_p, c_char_p, c_size_t, c_void_p, c_size_t],
    "free": [c_void_p], "error_name": [c_int], "error_alert": [c_int],
    "record_socket_free": [c_void_p],
    "record_socket_send": [c_void_p, c_uint8, c_char_p, c_size_t],
    "record_socket_flush": [c_void_p], "record_socket_receive": [c_void_p, POINTER(Record)],
    "install": [c_int, c_void_p, c_int, POINTER(c_int)],
    "reason_code": [c_int], "reason_sentence": [c_int], "reason_remedy": [c_int],
    "send": [c_int, c_uint8, c_char_p, c_size_t, POINTER(c_size_t)],
    "receive": [c_int, POINTER(c_uint8), c_void_p, c_size_t, POINTER(c_size_t), POINTER(c_int)],
    "placement": [c_int, POINTER(Places)], "place_name": [c_int],
    "suite_count": [], "suite_at": [c_size_t, POINTER(Suite)],
}
_RETURNS = {"last_error": c_char_p, "error_name": c_char_p, "want": c_size_t,
            "reason_code": c_char_p, "reason_sentence": c_char_p, "reason_remedy": c_char_p,
            "place_name": c_char_p, "suite_count": c_size_t,
            "sealed_record_size": c_size_t, "sealed_size": c_size_t, "framer_want": c_size_t}


def load(path=None):
    """The library with all its signatures."""
    library = ctypes.CDLL(str(path or BUILD / "userspace" / "api" / "libktls-bridge.so.0"),
                          use_errno=True)
    library.ktlsb_new.restype = library.ktlsb_framer_new.restype = c_void_p
    library.ktlsb_version.restype = c_char_p
    library.ktlsb_record_socket_new.restype = c_void_p
    library.ktlsb_record_socket_new.argtypes = [c_int, c_void_p]
    for name, arguments in _LAYER.items():
        getattr(library, f"ktlsb_{name}").argtypes = [c_void_p, *arguments]
    for name, arguments in _OTHERS.items():
        getattr(library, f"ktlsb_{name}").argtypes = arguments
    for name, result in _RETURNS.items():
        getattr(library, f"ktlsb_{name}").restype = result
    return library


LIBRARY = load()


class Refused(Exception):
    """A negative answer: `name` is the error's, without its number."""

    def __init__(self, error, text=""):
        self.name = ERRORS[error]
        super().__init__(f"{self.name}: {text}" if text else self.name)


def check(error):
    if error < 0:
        raise Refused(error)
    return error


class Layer:
    """A record layer. Properties are attributes: layer.version = 0x0303. `random` is a function
    from a size to as many bytes, in place of libcrypto's."""

    def __init__(self, random=None, **properties):
        object.__setattr__(self, "_layer", LIBRARY.ktlsb_new())
        if not self._layer:
            raise MemoryError
        object.__setattr__(self, "_random", None)
        if random is not None:
            self.set_random(random)
        for name, value in properties.items():
            setattr(self, name, value)

    def __del__(self):
        LIBRARY.ktlsb_free(self._layer)

    def _call(self, name, *arguments):
        error = getattr(LIBRARY, f"ktlsb_{name}")(self._layer, *arguments)
        if error < 0:
            raise Refused(error, LIBRARY.ktlsb_last_error(self._layer).decode())
        return error

    def __setattr__(self, name, value):
        self._call("set", PROPERTIES[name], int(value))

    def __getattr__(self, name):
        if name not in PROPERTIES:
            raise AttributeError(name)
        value = c_uint64()
        self._call("get", PROPERTIES[name], byref(value))
        return value.value

    def set_random(self, random):
        """`random` is a function from a size to as many bytes."""

        def draw(_context, out, size):
            try:
                data = random(size)
            except Exception:  # pylint: disable=broad-except
                return 1  # and the call that wanted them fails
            ctypes.memmove(out, data, size)
            return 0

        object.__setattr__(self, "_random", RANDOM(draw))  # kept for as long as it is called
        self._call("set_random", self._random, None)

    def calc(self, suite, master_secret, client_random, server_random):
        assert len(client_random) == len(server_random) == 32
        self._call("derive_pending_states", suite, master_secret, len(master_secret), client_random,
                   server_random)

    def calc_ssl2(self, kind, master_key, challenge, connection_id, key_arg=None):
        out = (c_uint8 * 8)()
        size = c_size_t()
        self._call("derive_ssl2_pending_states", kind, master_key, len(master_key), challenge,
                   len(challenge), connection_id, len(connection_id), key_arg, out, byref(size))
        return bytes(out)[:size.value]

    def calc_tls13(self, suite, client_secret, server_secret):
        assert len(client_secret) == len(server_secret)
        self._call("derive_tls13_pending_states", suite, client_secret, server_secret,
                   len(client_secret))

    def key_update(self, suite, received, client_secret, server_secret):
        client = ctypes.create_string_buffer(len(client_secret))
        server = ctypes.create_string_buffer(len(server_secret))
        self._call("key_update", suite, int(received), client_secret, server_secret,
                   len(client_secret), client, server)
        return client.raw, server.raw

    def change_write(self):
        self._call("change_write_state")

    def change_read(self):
        self._call("change_read_state")

    def shutdown(self):
        self._call("shutdown")

    def state(self, which):
        state = State()
        self._call("describe_state", which, byref(state))
        return state

    def keys(self, which):
        keys = Keys()
        self._call("state_keys", which, byref(keys))
        return keys

    def release(self, which):
        released = Released()
        self._call("release", which, byref(released))
        return released

    def set_sequence(self, which, sequence):
        self._call("set_sequence", which, sequence)

    def set_explicit_nonce(self, which, nonce):
        self._call("set_explicit_nonce", which, nonce)

    def fixed_iv_block(self):
        out = ctypes.create_string_buffer(16)
        size = c_size_t()
        self._call("fixed_iv_block", out, 16, byref(size))
        return out.raw[:size.value]

    def seal_record(self, content_type, content, padding=0, room=None):
        """`room`: another capacity than what the library says is needed."""
        if room is None:
            room = LIBRARY.ktlsb_sealed_record_size(self._layer, len(content), padding)
            room = min(room, RECORD_SIZE_MAX)  # what cannot be one is refused by the call
        out = ctypes.create_string_buffer(max(room, 1))
        size = c_size_t()
        self._call("seal_record", content_type, content, len(content), padding, out, room,
                   byref(size))
        return out.raw[:size.value]

    def seal(self, content_type, content):
        room = LIBRARY.ktlsb_sealed_size(self._layer, len(content))
        out = ctypes.create_string_buffer(max(room, 1))
        size = c_size_t()
        self._call("seal", content_type, content, len(content), out, room, byref(size))
        return out.raw[:size.value]

    def want(self):
        return LIBRARY.ktlsb_want(self._layer)

    def feed(self, data):
        self._call("feed", data, len(data))

    def feed_end(self):
        self._call("feed_end")

    def next(self):
        """(header, content), or None while more is wanted."""
        record = Record()
        if self._call("next", byref(record)) == WANT_MORE:
            return None
        return record.header, record.content

    def set_padding(self, policy):
        """`policy` is a function from content size, type and the most that fits to a size."""

        def ask(_context, size, content_type, most):
            return policy(size, content_type, most)

        object.__setattr__(self, "_padding", PADDING(ask))
        self._call("set_padding", self._padding, None)

    def open_body(self, header, body):
        """(type, content)."""
        record = Record()
        buffer = ctypes.create_string_buffer(body, len(body))
        self._call("open_body", byref(header), buffer, len(body), byref(record))
        return record.header.type, record.content

    def open_in_place(self, wire, most=64):
        """([(header, content)], bytes done with)."""
        buffer = ctypes.create_string_buffer(wire, len(wire))
        records = (Record * most)()
        count, consumed = c_size_t(), c_size_t()
        self._call("open_in_place", buffer, len(wire), records, most, byref(count),
                   byref(consumed))
        return ([(record.header, record.content) for record in records[:count.value]],
                consumed.value)


    def install(self, sock, direction):
        """"" once the kernel has the direction, else the code of the reason why it has not. `sock`:
        a socket, or a descriptor."""
        descriptor = sock if isinstance(sock, int) else sock.fileno()
        reason = c_int()
        error = LIBRARY.ktlsb_install(descriptor, self._layer, direction, byref(reason))
        if error == 0:
            return ""
        if ERRORS[error] != "not_in_kernel":
            raise Refused(error, LIBRARY.ktlsb_last_error(self._layer).decode())
        return LIBRARY.ktlsb_reason_code(reason).decode()


TRANSMIT, RECEIVE = 0, 1


class RecordSocket:
    """A layer over a socket; keeps both."""

    def __init__(self, sock, layer):
        self.sock, self.layer = sock, layer
        self._socket = LIBRARY.ktlsb_record_socket_new(sock.fileno(), layer._layer)

    def __del__(self):
        LIBRARY.ktlsb_record_socket_free(self._socket)

    def _check(self, error):
        if error < 0:
            raise Refused(error, LIBRARY.ktlsb_last_error(self.layer._layer).decode())
        return error

    def send(self, content_type, content):
        """False: some of it waits for flush()."""
        return self._check(LIBRARY.ktlsb_record_socket_send(self._socket, content_type, content,
                                                            len(content))) == OK

    def flush(self):
        return self._check(LIBRARY.ktlsb_record_socket_flush(self._socket)) == OK

    def receive(self):
        """(header, content), or None while nothing can be read."""
        record = Record()
        error = self._check(LIBRARY.ktlsb_record_socket_receive(self._socket, byref(record)))
        return None if error == WANT_MORE else (record.header, record.content)


def kernel_send(sock, content_type, content):
    sent = c_size_t()
    error = LIBRARY.ktlsb_send(sock.fileno(), content_type, content, len(content), byref(sent))
    if error < 0:
        raise Refused(error, os.strerror(ctypes.get_errno()))
    return sent.value


def kernel_receive(sock, capacity=16384):
    """(type, content), or None at the end of the stream."""
    content_type, buffer = c_uint8(), ctypes.create_string_buffer(capacity)
    size, end = c_size_t(), c_int()
    error = LIBRARY.ktlsb_receive(sock.fileno(), byref(content_type), buffer, capacity, byref(size),
                                  byref(end))
    if error < 0:
        raise Refused(error, os.strerror(ctypes.get_errno()))
    return None if end.value else (content_type.value, buffer.raw[:size.value])


def placement(sock):
    """(transmit, receive, version, cipher, what was not told): names and numbers."""
    places = Places()
    error = LIBRARY.ktlsb_placement(sock.fileno(), byref(places))
    if error < 0:
        raise Refused(error, os.strerror(ctypes.get_errno()))
    names = (LIBRARY.ktlsb_place_name(place).decode() for place in (places.transmit,
                                                                    places.receive))
    return (*names, places.version, places.cipher, (places.unseen or b"").decode())


def suites():
    """All that the library knows."""
    rows = []
    for index in range(LIBRARY.ktlsb_suite_count()):
        row = Suite()
        check(LIBRARY.ktlsb_suite_at(index, byref(row)))
        rows.append(row)
    return rows


class Framer:
    def __init__(self):
        self._framer = LIBRARY.ktlsb_framer_new()

    def __del__(self):
        LIBRARY.ktlsb_framer_free(self._framer)

    def feed(self, data):
        check(LIBRARY.ktlsb_framer_feed(self._framer, data, len(data)))

    def feed_end(self):
        check(LIBRARY.ktlsb_framer_feed_end(self._framer))

    def next(self):
        record = Record()
        if check(LIBRARY.ktlsb_framer_next(self._framer, byref(record))) == WANT_MORE:
            return None
        return record.header, record.content


def mac(version, hash_name, key, sequence, content_type, data):
    out, size = ctypes.create_string_buffer(48), c_size_t()
    check(LIBRARY.ktlsb_mac(version, HASHES[hash_name], key, len(key), sequence, content_type, data,
                            len(data), out, len(out), byref(size)))
    return out.raw[:size.value]


def prf(version, hash_name, secret, label, seed, size):
    out = ctypes.create_string_buffer(max(size, 1))
    check(LIBRARY.ktlsb_prf(version, HASHES[hash_name], secret, len(secret), label, seed, len(seed),
                            out, size))
    return out.raw[:size]


def decode_header(data):
    """(header, its size), or None while more is wanted."""
    header, size = Header(), c_size_t()
    error = check(LIBRARY.ktlsb_decode_header(data, len(data), byref(header), byref(size)))
    return None if error == WANT_MORE else (header, size.value)


def encode_header(**fields):
    out = ctypes.create_string_buffer(5)
    size = c_size_t()
    check(LIBRARY.ktlsb_encode_header(byref(Header(**fields)), out, byref(size)))
    return out.raw[:size.value]
