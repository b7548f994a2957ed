#!/usr/bin/env python3
"""Every line of tests/vectors/tlslite and tests/vectors/ssl2 through the C interface, both
directions. The rules of the lines: tests/vectors/README.md."""

import collections
import functools
import hashlib
import json
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import ktls_bridge as bridge  # noqa: E402
import report  # noqa: E402
from ktls_bridge import PENDING_READ, PENDING_WRITE, READ, WRITE, Layer, Refused  # noqa: E402

LINES = TESTS / "vectors" / "tlslite" / "public.jsonl"
SSL2 = sorted((TESTS / "vectors" / "ssl2").glob("*.json"))
# As tests/vectors/README.md has it: data that is lost must not pass for data that agrees.
LINE_COUNT = 1089
SSL2_COUNT = 5

ERROR_NAMES = {
    "TLSIllegalParameterException": "illegal_parameter", "TLSRecordOverflow": "record_overflow",
    "TLSBadRecordMAC": "bad_record_mac", "TLSDecryptionFailed": "decryption_failed",
    "TLSUnexpectedMessage": "unexpected_message", "TLSAbruptCloseError": "abrupt_close",
    "ValueError": "out_of_range", "AssertionError": "not_usable",
    "NotImplementedError": "not_implemented",
}
SSL2_VERSIONS = (0x0002, 0x0200)
SSL2_BLOCK_SIZE = 8


def unhex(line, name):
    return bytes.fromhex(line[name])


def content_of(record):
    return bytes((record["seed"] + 7 * i + (i >> 8)) % 256 for i in range(record["len"]))


def all_lines():
    return [json.loads(line) for line in LINES.read_text().splitlines()]


KINDS_TESTED = set()


def lines_of(kind):
    """Makes a test of every line of one kind out of a test of one line."""
    KINDS_TESTED.add(kind)

    def of(check):
        @functools.wraps(check)
        def test(self):
            self.each(kind, functools.partial(check, self))
        return test
    return of


class Source:
    """What a line says that the random source gives, and that nothing more is drawn."""

    def __init__(self, text):
        self.rest = bytes.fromhex(text or "")

    def __call__(self, size):
        if size > len(self.rest):
            raise ValueError(f"{size} random bytes were drawn, {len(self.rest)} are left")
        drawn, self.rest = self.rest[:size], self.rest[size:]
        return drawn


class Case(unittest.TestCase):
    counts = collections.Counter()
    maxDiff = None

    def each(self, kind, check):
        lines = [line for line in all_lines() if line["kind"] == kind]
        self.assertTrue(lines, f"no line is of kind {kind}")
        for line in lines:
            with self.subTest(line["id"]):
                check(line)
                self.counts[kind] += 1

    def expect_wire(self, record, wire):
        if "wire" in record:
            self.assertEqual(wire.hex(), record["wire"])
        else:
            self.assertEqual(len(wire), record["wire_len"])
            self.assertEqual(hashlib.sha256(wire).hexdigest(), record["wire_sha256"])
            self.assertEqual(wire[:32].hex(), record["wire_head"])
            self.assertEqual(wire[-32:].hex(), record["wire_tail"])

    def expect_error(self, name, function, *arguments):
        with self.assertRaises(Refused) as refused:
            function(*arguments)
        if name != "AttributeError":  # a crash of the reference: any error will do
            self.assertEqual(refused.exception.name, ERROR_NAMES[name], str(refused.exception))

    def exchange(self, writer, reader, record, sequence=None):
        """Seals a record of the line, compares it, and has the other side open it."""
        if sequence is not None:
            self.assertEqual(writer.state(WRITE).sequence, sequence)
        content = content_of(record)
        wire = writer.seal_record(record.get("type", 22), content, record.get("pad", 0))
        self.expect_wire(record, wire)
        self.read(reader, wire, content, record.get("type"))
        return wire

    def read(self, reader, wire, content, content_type=None):
        # One byte too few, then the rest: what is wanted is exact.
        self.assertEqual(reader.next(), None)
        position = 0
        while (want := reader.want()) and position < len(wire):
            reader.feed(wire[position:position + want])
            position += want
        self.assertEqual(position, len(wire))
        header, opened = reader.next()
        self.assertEqual(opened, content)
        if content_type is not None:
            self.assertEqual(header.type, content_type)
        return header


def tls_layer(line, client, keys, writes, random="", **properties):
    """A layer with the keys of `keys` in one direction."""
    layer = Layer(random=Source(random), version=int(line["version"], 16), is_client=client,
                  unsafe_state_access=1, **properties)
    layer.encrypt_then_mac = keys.get("etm", False)
    layer.calc(int(keys["suite"], 16), unhex(keys, "master_secret"), unhex(keys, "client_random"),
               unhex(keys, "server_random"))
    (layer.change_write if writes else layer.change_read)()
    return layer


def tls13_layer(line, client, writes, **properties):
    layer = Layer(version=0x0304, tls13_records=1, is_client=client, unsafe_state_access=1,
                  **properties)
    layer.calc_tls13(int(line["suite"], 16), unhex(line, "client_secret"),
                     unhex(line, "server_secret"))
    (layer.change_write if writes else layer.change_read)()
    return layer


class KnownAnswers(Case):
    def pair(self, line):
        client = line["role"] == "client"
        return (tls_layer(line, client, line, True, line["rng"]),
                tls_layer(line, not client, line, False, line["rng"]))

    def pair13(self, line):
        client = line["role"] == "client"
        return tls13_layer(line, client, True), tls13_layer(line, not client, False)

    @lines_of("tls")
    def test_records_of_sslv3_to_tls_1_2(self, line):
        writer, reader = self.pair(line)
        for layer, which in ((writer, WRITE), (reader, READ)):
            keys = layer.keys(which)
            for name, value in (("mac_key", keys.mac_key), ("key", keys.key), ("iv", keys.iv)):
                self.assertEqual(value.hex(), line["key_block"][f"{line['role']}_{name}"])
        state = writer.state(WRITE)
        name = state.cipher.decode() if state.cipher else None
        self.assertEqual(name, line["cipher_name"])
        self.assertEqual(bool(state.is_cbc), line["is_cbc"])
        self.assertEqual(state.block_size or None, line["block_size"])
        for record in line["records"]:
            self.exchange(writer, reader, record, record["seq"])

    @lines_of("tls13")
    def test_records_of_tls_1_3(self, line):
        writer, reader = self.pair13(line)
        self.assertEqual(writer.keys(WRITE).key.hex(), line["keys"][f"{line['role']}_key"])
        self.assertEqual(reader.keys(READ).iv.hex(), line["keys"][f"{line['role']}_iv"])
        secrets = [unhex(line, "client_secret"), unhex(line, "server_secret")]
        for record in line["records"]:
            if record["op"] == "key_update":
                suite = int(line["suite"], 16)
                after = writer.key_update(suite, False, *secrets)
                self.assertEqual(reader.key_update(suite, True, *secrets), after)
                secrets = list(after)
                own = secrets[0 if line["role"] == "client" else 1]
                self.assertEqual(own.hex(), record["new_secret"])
                self.assertEqual(writer.keys(WRITE).key.hex(), record["new_key"])
                self.assertEqual(writer.keys(WRITE).iv.hex(), record["new_iv"])
            else:
                self.exchange(writer, reader, record, record.get("seq"))

    @lines_of("ssl2")
    def test_records_of_sslv2(self, line):
        client = line["role"] == "client"
        layers = [Layer(random=Source(line["rng"]), version=int(line["version"], 16),
                        is_client=side, unsafe_state_access=1) for side in (client, not client)]
        writer, reader = layers
        for record in line["records"]:
            if record["op"] == "change_cipher":
                for layer in layers:
                    iv = layer.calc_ssl2(int(line["suite"], 16), unhex(line, "master_key"),
                                         unhex(line, "challenge"), unhex(line, "connection_id"))
                    self.assertEqual(iv.hex(), line["keys"]["iv"])
                writer.change_write()
                reader.change_read()
                reader.handshake_finished = 1
                own = line["keys"][f"{line['role']}_write_key"]
                self.assertEqual(writer.keys(WRITE).key.hex(), own)
                self.assertEqual(reader.keys(READ).key.hex(), own)
                continue
            self.assertEqual(writer.state(WRITE).sequence, record["seq"])
            content = content_of(record)
            wire = writer.seal_record(22, content)
            self.expect_wire(record, wire)
            self.assertEqual(3 - (wire[0] >> 7), record["header_len"])
            header = self.read(reader, wire, content, 23 if record["encrypted"] else 22)
            self.assertEqual((header.is_ssl2, header.padding), (1, record["padding"]))

    def expect_the_end(self, line, writer, reader):
        for record in line["records"]:
            self.exchange(writer, reader, record, int(record["seq_hex"], 16))
        if "after" in line:
            self.expect_error(line["after"]["error"], writer.seal_record, 23, b"")

    @lines_of("tls-seq")
    def test_sequence_numbers_up_to_tls_1_2(self, line):
        writer, reader = self.pair(line)
        writer.set_sequence(WRITE, int(line["start_seq"], 16))
        reader.set_sequence(READ, int(line["start_seq"], 16))
        self.expect_the_end(line, writer, reader)

    @lines_of("tls13-seq")
    def test_sequence_numbers_of_tls_1_3(self, line):
        writer, reader = self.pair13(line)
        writer.set_sequence(WRITE, int(line["start_seq"], 16))
        reader.set_sequence(READ, int(line["start_seq"], 16))
        self.expect_the_end(line, writer, reader)

    @lines_of("tls-rekey")
    def test_several_keys_on_one_connection(self, line):
        client = line["role"] == "client"
        rng = "".join(phase.get("rng", "") for phase in line["phases"])
        layers = [Layer(random=Source(rng), version=int(line["version"], 16), is_client=side)
                  for side in (client, not client)]
        writer, reader = layers
        for phase in line["phases"]:
            if "suite" in phase:
                for layer in layers:
                    layer.encrypt_then_mac = phase["etm"]
                    layer.calc(int(phase["suite"], 16), unhex(phase, "master_secret"),
                               unhex(phase, "client_random"), unhex(phase, "server_random"))
                writer.change_write()
                reader.change_read()
            for record in phase["records"]:
                self.exchange(writer, reader, record, record["seq"])

    @lines_of("ssl2-frame")
    def test_headers_of_sslv2(self, line):
        fields = {"length": line["length"], "padding": line["padding"],
                  "security_escape": line["escape"], "is_ssl2": 1}
        if "error" in line:
            self.expect_error(line["error"], lambda: bridge.encode_header(**fields))
            return
        encoded = bridge.encode_header(**fields)
        self.assertEqual(encoded.hex(), line["header"])
        framer = bridge.Framer()
        framer.feed(encoded + bytes(line["length"]))
        expected = line["recv"]
        if "error" in expected:
            self.expect_error(expected["error"], framer.next)
            return
        header, body = framer.next()
        self.assertEqual((header.length, bool(header.is_ssl2), header.padding,
                          bool(header.security_escape)),
                         (expected["length"], expected["ssl2"], expected["padding"],
                          expected["escape"]))
        self.assertEqual(len(body), line["length"])

    @lines_of("send-limit")
    def test_the_largest_records(self, line):
        version = int(line["version"], 16)
        layer = Layer(version=version, random=bytes)
        if "suite" in line and version in SSL2_VERSIONS:
            kind = int(line["suite"], 16)
            layer.calc_ssl2(kind, bytes(24 if kind == 0x0700C0 else 16), bytes(16), bytes(16))
        elif "suite" in line and version == 0x0304:
            layer.tls13_records = 1
            layer.calc_tls13(int(line["suite"], 16), bytes(32), bytes(32))
        elif "suite" in line:
            layer.encrypt_then_mac = line["etm"]
            layer.calc(int(line["suite"], 16), bytes(48), bytes(32), bytes(32))
        if "suite" in line:
            layer.change_write()
        if "error" in line:
            self.expect_error(line["error"], layer.seal_record, 23, bytes(line["len"]))
        else:
            self.assertEqual(len(layer.seal_record(23, bytes(line["len"]))), line["wire_len"])

    def reader_of(self, setup):
        version = int(setup["version"], 16)
        layer = Layer(random=Source(setup["rng"]) if "rng" in setup else None, version=version,
                      is_client=setup["role"] == "client", unsafe_state_access=1)
        if setup.get("tls13record"):
            layer.tls13_records = 1
        layer.encrypt_then_mac = setup.get("etm", False)
        secrets = setup.get("secrets")
        if secrets == "tls":
            layer.calc(int(setup["suite"], 16), unhex(setup, "master_secret"),
                       unhex(setup, "client_random"), unhex(setup, "server_random"))
        elif secrets == "tls13":
            layer.calc_tls13(int(setup["suite"], 16), unhex(setup, "client_secret"),
                             unhex(setup, "server_secret"))
        elif secrets == "ssl2":
            layer.calc_ssl2(int(setup["suite"], 16), unhex(setup, "master_key"),
                            unhex(setup, "challenge"), unhex(setup, "connection_id"))
        if secrets:
            layer.change_read()
        if "read_seq" in setup:
            layer.set_sequence(READ, setup["read_seq"])
        for name, property_name in (("recv_record_limit", "receive_limit"),
                                    ("max_early_data", "max_early_data"),
                                    ("early_data_ok", "early_data_ok"),
                                    ("handshake_finished", "handshake_finished")):
            if name in setup:
                setattr(layer, property_name, setup[name])
        return layer

    @lines_of("recv")
    def test_what_is_received_good_and_bad(self, line):
        layer = self.reader_of(line["setup"])
        layer.feed(bytes.fromhex(line["input"]["hex"]) + bytes(line["input"]["zeros"]))
        layer.feed_end()
        for expected in line["results"]:
            if "error" in expected:
                self.expect_error(expected["error"], layer.next)
                self.assertEqual(bool(layer.early_data_ok), expected["early_data_ok"])
                continue
            header, content = layer.next()
            self.assertEqual(
                (header.type, f"{header.version:04x}", header.length, bool(header.is_ssl2),
                 len(content), hashlib.sha256(content).hexdigest()[:16]),
                (expected["type"], expected["version"], expected["length"], expected["ssl2"],
                 expected["len"], expected["sha256"]))
            self.assertEqual(layer.state(READ).sequence, expected["read_seq"])
            self.assertEqual(bool(layer.early_data_ok), expected["early_data_ok"])


class Calls(Case):
    """Sequences of calls, and what they leave behind."""

    @lines_of("api")
    def test_sequences_of_calls(self, line):
        source = Source("")
        layer = Layer(random=lambda size, source=source: source(size), unsafe_state_access=1,
                      unsafe_change_to_clear=1)
        for op in line["ops"]:
            # The lines do not say what the reference draws for a cipher that it then refuses.
            nothing = "00" * 8 if op.get("error") == "NotImplementedError" else ""
            source.rest = bytes.fromhex(op.get("rng", nothing))
            try:
                self.run_op(layer, op)
                self.assertNotIn(op.get("error"), set(ERROR_NAMES) - {"NotImplementedError"})
            except Refused as refused:
                self.assertEqual(refused.name, ERROR_NAMES.get(op.get("error")), str(refused))
            else:
                if "error" in op:  # the reference has no such cipher, and we have
                    self.counts["ciphers of SSLv2 that the reference lacks"] += 1
                    break
            self.expect_after(layer, op["after"])

    def run_op(self, layer, op):
        kind = op["op"]
        if kind == "set":
            value = int(op["value"], 16) if op["name"] == "version" else int(op["value"])
            name = {"client": "is_client", "tls13record": "tls13_records",
                    "encryptThenMAC": "encrypt_then_mac"}.get(op["name"], op["name"])
            setattr(layer, name, value)
        elif kind == "calc":
            layer.calc(int(op["suite"], 16), unhex(op, "master_secret"), unhex(op, "client_random"),
                       unhex(op, "server_random"))
        elif kind == "calc13":
            layer.calc_tls13(int(op["suite"], 16), unhex(op, "client_secret"),
                             unhex(op, "server_secret"))
        elif kind == "calc2":
            iv = layer.calc_ssl2(int(op["suite"], 16), unhex(op, "master_key"),
                                 unhex(op, "challenge"), unhex(op, "connection_id"))
            if "iv" in op:
                self.assertEqual(iv.hex(), op["iv"])
        elif kind == "key_update":
            client, server = layer.key_update(int(op["suite"], 16), op["received"],
                                              unhex(op, "client_secret"),
                                              unhex(op, "server_secret"))
            self.assertEqual((client.hex(), server.hex()), (op["client_after"], op["server_after"]))
        elif kind in ("change_write", "change_read", "shutdown"):
            getattr(layer, kind)()
        elif kind == "send":
            self.assertEqual(layer.seal_record(op["type"], content_of(op)).hex(), op["wire"])
        else:
            self.assertEqual(kind, "recv")
            layer.feed(bytes.fromhex(op["input"]))
            header, content = layer.next()
            self.assertEqual((header.type, content.hex()), (op["type"], op["data"]))

    def expect_after(self, layer, after):
        write, read = layer.state(WRITE), layer.state(READ)
        pending = {layer.state(which).encrypt_then_mac for which in (PENDING_WRITE, PENDING_READ)}
        self.assertIn(int(after["pending_etm"]), pending)
        self.assertEqual(
            {"etm": bool(layer.encrypt_then_mac), "pending_etm": after["pending_etm"],
             "cipher": write.cipher.decode() if write.cipher else None, "cbc": bool(write.is_cbc),
             "block": write.block_size or None, "wseq": write.sequence, "rseq": read.sequence,
             "wire_version": f"{layer.wire_version:04x}", "early": bool(layer.early_data_ok)},
            after)

    def test_a_change_without_keys_is_refused_unless_it_is_asked_for(self):
        layer = Layer(version=0x0303)
        for change in (layer.change_write, layer.change_read):
            with self.assertRaises(Refused) as refused:
                change()
            self.assertEqual(refused.exception.name, "wrong_state")


class Complete(Case):
    def test_every_kind_of_line_has_a_test(self):
        self.assertEqual({line["kind"] for line in all_lines()}, KINDS_TESTED)

    def test_no_line_and_no_connection_is_missing(self):
        self.assertEqual(len({line["id"] for line in all_lines()}), LINE_COUNT)
        self.assertEqual(len(all_lines()), LINE_COUNT)
        self.assertEqual(len(SSL2), SSL2_COUNT)


class Stream:
    """One direction of a connection of SSLv2: its records, of which the last are protected."""

    def __init__(self, line, name):
        self.line, self.of_client = line, name == "c2s"
        self.protected = line["client_records" if self.of_client else "server_records"]
        self.key = line["client_write_key" if self.of_client else "client_read_key"]
        wire = unhex(line, name)
        self.records = []
        while wire:
            two = wire[0] & 0x80
            size = (2 if two else 3) + (((wire[0] & (0x7F if two else 0x3F)) << 8) | wire[1])
            self.records.append(wire[:size])
            wire = wire[size:]
        self.clear_count = len(self.records) - len(self.protected)

    def layer(self, writes):
        layer = Layer(version=0x0002, is_client=self.of_client == writes, unsafe_state_access=1)
        layer.calc_ssl2(int(self.line["cipher_kind"], 16), unhex(self.line, "master_key"),
                        unhex(self.line, "challenge"), unhex(self.line, "connection_id"),
                        unhex(self.line, "key_arg") or None)
        return layer

    def reader(self):
        """After what is in the clear."""
        layer = self.layer(writes=False)
        for record in self.records[:self.clear_count]:
            layer.feed(record)
            layer.next()
        layer.change_read()
        return layer

    def writer(self):
        layer = self.layer(writes=True)
        layer.set_sequence(WRITE, self.clear_count)
        layer.change_write()
        return layer


class RealConnections(Case):
    """SSLv2 between OpenSSL 1.0.2 and 0.9.8, both ways as they went."""

    def each_stream(self, check):
        self.assertTrue(SSL2)
        for path in SSL2:
            line = json.loads(path.read_text())
            for name in ("c2s", "s2c"):
                with self.subTest(f"{path.name} {name}"):
                    stream = Stream(line, name)
                    self.assertTrue(stream.protected)
                    check(stream)

    def test_every_record_of_sslv2_connections_opens(self):
        self.each_stream(self.expect_opened)

    def expect_opened(self, stream):
        self.assertEqual(stream.layer(writes=False).keys(PENDING_READ).key.hex(), stream.key)
        reader = stream.reader()
        for record, expected in zip(stream.records[stream.clear_count:], stream.protected):
            reader.feed(record)
            header, content = reader.next()
            self.assertEqual(content.hex(), expected["plain"])
            self.assertEqual(header.padding, expected["padding"])
            self.counts["ssl2 protected records"] += 1

    def test_every_record_of_sslv2_connections_is_sealed_again(self):
        self.each_stream(self.expect_sealed)

    def expect_sealed(self, stream):
        """Byte for byte under RC4. Under CBC the MAC covers what the padding is filled with, which
        OpenSSL chooses otherwise, and every record depends on the one before: there the header is
        the same, but for whole blocks, to which OpenSSL adds none, and a reader finds the same
        content."""
        writer, reader = stream.writer(), stream.reader()
        self.assertEqual(writer.keys(WRITE).key.hex(), stream.key)
        is_cbc = writer.state(WRITE).is_cbc
        for record, expected in zip(stream.records[stream.clear_count:], stream.protected):
            wire = writer.seal_record(22, unhex(expected, "plain"))
            if is_cbc:
                if expected["padding"]:
                    self.assertEqual((len(wire), wire[:3]), (len(record), record[:3]))
                reader.feed(wire)
                header, content = reader.next()
                self.assertEqual((header.padding, content.hex()),
                                 (expected["padding"] or SSL2_BLOCK_SIZE, expected["plain"]))
            else:
                self.assertEqual(wire.hex(), record.hex())
            self.counts["ssl2 records sealed again"] += 1


def tearDownModule():
    for kind, count in sorted(Case.counts.items()):
        print(f"{count:5} {kind}")
    print(f"{len(all_lines()):5} lines and {len(SSL2)} connections in all")


if __name__ == "__main__":
    report.main("api/vectors")
