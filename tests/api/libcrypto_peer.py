"""A TLS peer made of hashlib and libcrypto's AEADs alone: key derivation and records of TLS 1.2 and
1.3, for tests of the kernel. It shares no code with the project, on purpose."""

import ctypes
import ctypes.util
import hashlib
import hmac

_LIBRARY = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_CIPHER_fetch"):
    getattr(_LIBRARY, _name).restype = ctypes.c_void_p
_SET_IV_SIZE, _GET_TAG, _SET_TAG = 0x9, 0x10, 0x11
_TAG = 16


def _check(answer):
    if answer != 1:
        raise ValueError("libcrypto refused")


class Aead:
    def __init__(self, name, key):
        self.cipher = ctypes.c_void_p(_LIBRARY.EVP_CIPHER_fetch(None, name.encode(), None))
        self.context = ctypes.c_void_p(_LIBRARY.EVP_CIPHER_CTX_new())
        assert self.cipher and self.context
        self.is_ccm = name.endswith("CCM")
        self.key = key

    def _control(self, command, number, data=None):
        _check(_LIBRARY.EVP_CIPHER_CTX_ctrl(self.context, command, number, data))

    def _update(self, out, data, size):
        written = ctypes.c_int()
        _check(_LIBRARY.EVP_CipherUpdate(self.context, out, ctypes.byref(written), data, size))

    def run(self, encrypts, nonce, associated, text, tag=None):
        start = _LIBRARY.EVP_CipherInit_ex
        _check(start(self.context, self.cipher, None, None, None, int(encrypts)))
        self._control(_SET_IV_SIZE, len(nonce))
        if tag is not None or self.is_ccm:
            self._control(_SET_TAG, _TAG, tag)
        _check(start(self.context, None, None, self.key, nonce, int(encrypts)))
        if self.is_ccm:  # EVP_EncryptInit(3), "CCM mode": the length before all else
            self._update(None, None, len(text))
        self._update(None, associated, len(associated))
        out = ctypes.create_string_buffer(len(text) + 16)
        if text or self.is_ccm:
            self._update(out, text, len(text))
        if not self.is_ccm:
            rest, size = ctypes.create_string_buffer(16), ctypes.c_int()
            _check(_LIBRARY.EVP_CipherFinal_ex(self.context, rest, ctypes.byref(size)))
        return out.raw[:len(text)]

    def seal(self, nonce, associated, text):
        sealed = self.run(True, nonce, associated, text)
        tag = ctypes.create_string_buffer(_TAG)
        self._control(_GET_TAG, _TAG, tag)
        return sealed + tag.raw

    def open(self, nonce, associated, sealed):
        return self.run(False, nonce, associated, sealed[:-_TAG], sealed[-_TAG:])


def prf_12(digest, secret, label, seed, size):
    """RFC 5246 section 5."""
    seed = label + seed
    out, a = b"", seed
    while len(out) < size:
        a = hmac.new(secret, a, digest).digest()
        out += hmac.new(secret, a + seed, digest).digest()
    return out[:size]


def expand_label(digest, secret, label, size):
    """RFC 8446 section 7.1, with an empty context."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    out, block = b"", b""
    for i in range(1, 256):
        if len(out) >= size:
            break
        block = hmac.new(secret, block + info + bytes([i]), digest).digest()
        out += block
    return out[:size]


def _xor(iv, sequence):
    return bytes(a ^ b for a, b in zip(iv, sequence.to_bytes(len(iv), "big")))


class Direction12:
    def __init__(self, name, key, iv):
        self.aead, self.iv, self.sequence = Aead(name, key), iv, 0
        self.explicit = 8 if len(iv) == 4 else 0

    def _associated(self, content_type, size):
        header = bytes([content_type]) + b"\3\3" + size.to_bytes(2, "big")
        return self.sequence.to_bytes(8, "big") + header

    def seal(self, content_type, text):
        explicit = self.sequence.to_bytes(8, "big")[:self.explicit]
        nonce = self.iv + explicit if explicit else _xor(self.iv, self.sequence)
        body = explicit + self.aead.seal(nonce, self._associated(content_type, len(text)), text)
        self.sequence += 1
        return bytes([content_type]) + b"\3\3" + len(body).to_bytes(2, "big") + body

    def open(self, header, body):
        explicit, sealed = body[:self.explicit], body[self.explicit:]
        nonce = self.iv + explicit if explicit else _xor(self.iv, self.sequence)
        text = self.aead.open(nonce, self._associated(header[0], len(sealed) - _TAG), sealed)
        self.sequence += 1
        return header[0], text


class Direction13:
    def __init__(self, name, key, iv):
        self.aead, self.iv, self.sequence = Aead(name, key), iv, 0

    def seal(self, content_type, text):
        inner = text + bytes([content_type])
        header = b"\x17\3\3" + (len(inner) + _TAG).to_bytes(2, "big")
        sealed = self.aead.seal(_xor(self.iv, self.sequence), header, inner)
        self.sequence += 1
        return header + sealed

    def open(self, header, body):
        inner = self.aead.open(_xor(self.iv, self.sequence), header, body).rstrip(b"\0")
        self.sequence += 1
        return inner[-1], inner[:-1]


class Peer:
    """The server's side of a connection whose client is under test. `suite` is a row of SUITES."""

    def __init__(self, sock, suite, secrets):
        self.sock = sock
        digest = getattr(hashlib, suite["hash"])
        if suite["version"] == 0x0304:
            client, server = secrets
            reads, writes = ((expand_label(digest, secret, b"key", suite["key"]),
                              expand_label(digest, secret, b"iv", 12)) for secret in
                             (client, server))
            direction = Direction13
        else:
            master, client_random, server_random = secrets
            key, iv = suite["key"], suite["iv"]
            block = prf_12(digest, master, b"key expansion", server_random + client_random,
                           2 * (key + iv))
            reads = block[:key], block[2 * key:2 * key + iv]
            writes = block[key:2 * key], block[2 * key + iv:]
            direction = Direction12
        self.reads = direction(suite["cipher"], *reads)
        self.writes = direction(suite["cipher"], *writes)

    def send(self, content_type, text):
        for start in range(0, max(len(text), 1), 16384):
            self.sock.sendall(self.writes.seal(content_type, text[start:start + 16384]))

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError(f"{len(data)} of {size} bytes")
            data += piece
        return data

    def receive(self):
        header = self._exactly(5)
        return self.reads.open(header, self._exactly(int.from_bytes(header[3:], "big")))


SUITES = {
    0xC02F: {"version": 0x0303, "cipher": "AES-128-GCM", "hash": "sha256", "key": 16, "iv": 4},
    0xC030: {"version": 0x0303, "cipher": "AES-256-GCM", "hash": "sha384", "key": 32, "iv": 4},
    0xC0AC: {"version": 0x0303, "cipher": "AES-128-CCM", "hash": "sha256", "key": 16, "iv": 4},
    0xCCA8: {"version": 0x0303, "cipher": "ChaCha20-Poly1305", "hash": "sha256", "key": 32,
             "iv": 12},
    0x1301: {"version": 0x0304, "cipher": "AES-128-GCM", "hash": "sha256", "key": 16, "iv": 12},
    0x1302: {"version": 0x0304, "cipher": "AES-256-GCM", "hash": "sha384", "key": 32, "iv": 12},
    0x1303: {"version": 0x0304, "cipher": "ChaCha20-Poly1305", "hash": "sha256", "key": 32,
             "iv": 12},
    0x1304: {"version": 0x0304, "cipher": "AES-128-CCM", "hash": "sha256", "key": 16, "iv": 12},
}
