#!/usr/bin/env python3
"""The C interface as a caller uses it: records of every age sealed and opened, many at once, over
sockets, and whatever a caller may do wrong."""

import ctypes
import errno
import hmac
import os
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import ktls_bridge as bridge  # noqa: E402
import report  # noqa: E402
from ktls_bridge import PENDING_READ, PENDING_WRITE, READ, RECEIVE, TRANSMIT, WRITE  # noqa: E402
from ktls_bridge import Layer, Refused  # noqa: E402

ALERT, HANDSHAKE, DATA = 21, 22, 23
CBC, GCM12, GCM13 = 0x002F, 0xC02F, 0x1301


def pair(version, suite, encrypt_then_mac=False, **properties):
    """A client and a server with the same keys, both ways."""
    layers = []
    for client in (True, False):
        layer = Layer(version=version, is_client=client, tls13_records=version == 0x0304,
                      **properties)
        layer.encrypt_then_mac = encrypt_then_mac
        if version == 0x0304:
            layer.calc_tls13(suite, bytes(range(32)), bytes(range(1, 33)))
        elif version == 0x0002:
            layer.calc_ssl2(suite, bytes(range(24)), b"challenge", b"connection", bytes(8))
        else:
            layer.calc(suite, bytes(range(48)), bytes(32), bytes(32))
        layer.change_write()
        layer.change_read()
        layers.append(layer)
    return layers


def opened(layer, wire):
    layer.feed(wire)
    records = []
    while (record := layer.next()) is not None:
        records.append((record[0].type, record[1]))
    return records


class Case(unittest.TestCase):
    def refused(self, name, function, *arguments):
        with self.assertRaises(Refused) as refused:
            function(*arguments)
        self.assertEqual(refused.exception.name, name, str(refused.exception))


class Records(Case):
    def both_ways(self, layers, content_type=DATA):
        for writer, reader in (layers, reversed(layers)):
            for size in (1, 100, 16000):
                content = os.urandom(size)
                wire = writer.seal_record(content_type, content)
                self.assertEqual(opened(reader, wire), [(content_type, content)])

    def test_of_sslv2(self):
        for kind in (0x010080, 0x020080, 0x030080, 0x040080, 0x060040, 0x0700C0):
            with self.subTest(f"{kind:06x}"):
                self.both_ways(pair(0x0002, kind, handshake_finished=1))

    def test_that_are_refused_by_their_header_are_not_waited_for(self):
        layer = pair(0x0303, GCM12)[0]
        layer.feed(bytes([23, 3, 3, 0xFF, 0xFF]))
        self.assertEqual(layer.want(), 0)
        self.refused("record_overflow", layer.next)
        self.assertEqual(layer.want(), 0)

    def test_in_the_clear_are_no_alerts_once_protected_ones_have_come(self):
        writer, reader = pair(0x0304, GCM13)
        secrets = bytes(range(32)), bytes(range(1, 33))
        opened(reader, writer.seal(DATA, b"protected"))
        writer.key_update(GCM13, False, *secrets)
        reader.key_update(GCM13, True, *secrets)
        self.refused("unexpected_message", opened, reader, b"\x15\3\3\0\x12" + bytes(18))
        fresh = pair(0x0304, GCM13)[1]
        self.assertEqual(opened(fresh, b"\x15\3\3\0\2\1\0"), [(ALERT, b"\1\0")])

    def test_of_sslv2_whose_length_begins_like_a_type_of_tls(self):
        layers = pair(0x0002, 0x0700C0, handshake_finished=1)
        for size in range(5080, 6420, 8):
            self.assertEqual(opened(layers[1], layers[0].seal(DATA, bytes(size))),
                             [(DATA, b"\0"), (DATA, bytes(size - 1))], size)

    def test_of_tls_1_0_with_cbc_and_encrypt_then_mac(self):
        for encrypt_then_mac in (True, False):
            with self.subTest(encrypt_then_mac=encrypt_then_mac):
                self.both_ways(pair(0x0301, CBC, encrypt_then_mac))

    def test_of_tls_1_3(self):
        layers = pair(0x0304, GCM13)
        self.both_ways(layers)
        self.both_ways(layers, HANDSHAKE)

    def test_sealed_and_opened_many_in_one_call(self):
        writer, reader = pair(0x0304, GCM13)
        content = os.urandom(100_000)
        wire = writer.seal(DATA, content)
        records, consumed = reader.open_in_place(wire + wire[:3])
        self.assertEqual(consumed, len(wire))
        self.assertEqual([len(text) for _, text in records], [16384] * 6 + [100_000 - 6 * 16384])
        self.assertEqual(b"".join(text for _, text in records), content)
        self.assertEqual(reader.state(READ).sequence, 7)

    def test_opened_in_place_as_many_as_there_is_room_for(self):
        writer, reader = pair(0x0303, GCM12)
        wires = [writer.seal(DATA, bytes([i])) for i in range(5)]
        records, consumed = reader.open_in_place(b"".join(wires), most=3)
        self.assertEqual([text for _, text in records], [b"\0", b"\1", b"\2"])
        self.assertEqual(consumed, sum(map(len, wires[:3])))
        records, _ = reader.open_in_place(b"".join(wires[3:]))
        self.assertEqual([text for _, text in records], [b"\3", b"\4"])

    def test_good_ones_are_given_before_the_bad_one_is_told(self):
        writer, reader = pair(0x0303, GCM12)
        good, bad = writer.seal(DATA, b"good"), bytearray(writer.seal(DATA, b"bad"))
        bad[-1] ^= 1
        records, consumed = reader.open_in_place(good + bytes(bad))
        self.assertEqual([text for _, text in records], [b"good"])
        self.assertEqual(consumed, len(good))
        for _ in range(2):
            self.refused("bad_record_mac", reader.open_in_place, bytes(bad))

    def test_are_of_types_of_tls_and_empty_only_where_they_may_be(self):
        for version, suite in ((0x0303, GCM12), (0x0304, GCM13)):
            writer, reader = pair(version, suite)
            for content_type in (0, 19, 24, 255):
                self.refused("out_of_range", writer.seal, content_type, b"x")
            for content_type in (20, ALERT, HANDSHAKE):
                self.refused("out_of_range", writer.seal, content_type, b"")
            self.assertEqual(opened(reader, writer.seal(DATA, b"")), [(DATA, b"")])
        self.refused("out_of_range", writer.seal_record, 0, b"x")

    def test_of_the_limit_that_was_set(self):
        writer, reader = pair(0x0304, GCM13, send_limit=100)
        wire = writer.seal(DATA, bytes(250))
        self.assertEqual([len(text) for _, text in opened(reader, wire)], [100, 100, 50])
        reader.receive_limit = 50
        self.refused("record_overflow", opened, reader, writer.seal(DATA, bytes(51)))

    def test_of_application_data_begin_with_one_byte_where_ivs_can_be_known(self):
        for version, suite, sizes in ((0x0300, CBC, [1, 9]), (0x0301, CBC, [1, 9]),
                                      (0x0302, CBC, [10]), (0x0301, 0x0005, [10])):
            with self.subTest(f"{version:04x} {suite:04x}"):
                writer, reader = pair(version, suite)
                wire = writer.seal(DATA, b"0123456789")
                self.assertEqual([len(text) for _, text in opened(reader, wire)], sizes)
                self.assertEqual(opened(reader, writer.seal(HANDSHAKE, b"0123")),
                                 [(HANDSHAKE, b"0123")])

    def test_with_padding_are_as_long_as_they_are_asked_to_be(self):
        writer, reader = pair(0x0304, GCM13)
        wire = writer.seal_record(DATA, b"secret", 250)
        self.assertEqual(len(wire), 5 + 6 + 1 + 250 + 16)
        self.assertEqual(opened(reader, wire), [(DATA, b"secret")])

    def test_that_go_in_the_clear_need_room_for_header_and_content_alone(self):
        writer, reader = pair(0x0304, GCM13)
        wire = b"\x14\3\3\0\1\1"
        self.assertEqual(writer.seal_record(20, b"\1", room=6), wire)
        self.refused("no_space", lambda: writer.seal_record(20, b"\1", room=5))
        self.assertEqual(writer.seal_record(20, b"\1", padding=9), wire)
        self.refused("no_space", lambda: writer.seal_record(DATA, b"\1", room=22))
        wire = writer.seal_record(DATA, b"\1", room=23)
        self.assertEqual(opened(reader, wire), [(DATA, b"\1")])

    def test_get_the_padding_that_a_policy_asks_for_cut_off_where_the_record_ends(self):
        writer, reader = pair(0x0304, GCM13, send_limit=1000)
        asked = []
        writer.set_padding(lambda size, content_type, most: asked.append(
            (size, content_type, most)) or 400)
        wire = writer.seal(DATA, bytes(1700))
        self.assertEqual(asked, [(1000, DATA, 0), (700, DATA, 300)])
        self.assertEqual(len(wire), 2 * (5 + 1000 + 1 + 16))
        self.assertEqual([len(text) for _, text in opened(reader, wire)], [1000, 700])

    def test_open_when_their_header_was_taken_apart_elsewhere(self):
        writer, reader = pair(0x0304, GCM13)
        wire = writer.seal(HANDSHAKE, b"apart")
        header, size = bridge.decode_header(wire)
        self.assertEqual((header.type, header.version, header.length, size),
                         (DATA, 0x0303, len(wire) - 5, 5))
        self.assertEqual(reader.open_body(header, wire[5:]), (HANDSHAKE, b"apart"))

    def test_that_nobody_can_read_are_skipped_up_to_the_limit(self):
        writer, reader = pair(0x0304, GCM13)
        other = Layer(version=0x0304, is_client=1, tls13_records=1)
        other.calc_tls13(GCM13, os.urandom(32), os.urandom(32))
        other.change_write()
        early = other.seal(DATA, bytes(1000))
        reader.max_early_data = 3000
        reader.early_data_ok = 1
        self.assertEqual(opened(reader, early + early + writer.seal(HANDSHAKE, b"finished")),
                         [(HANDSHAKE, b"finished")])
        self.assertFalse(reader.early_data_ok)
        self.assertEqual(reader.early_data_skipped, 0)
        reader.early_data_ok = 1
        self.refused("bad_record_mac", opened, reader, early * 3)

    def test_are_never_asked_for_past_their_end(self):
        writer, reader = pair(0x0303, GCM12)
        stream = b"".join(writer.seal(DATA, bytes(size)) for size in (0, 1, 100, 16384)) + b"rest"
        position = 0
        for size in (0, 1, 100, 16384):
            while want := reader.want():
                reader.feed(stream[position:position + want])
                position += want
            self.assertEqual(len(reader.next()[1]), size)
        self.assertEqual(stream[position:], b"rest")


class States(Case):
    def test_show_what_they_are(self):
        layer = Layer(version=0x0303)
        state = layer.state(WRITE)
        self.assertEqual((state.has_mac, state.has_cipher, state.cipher), (0, 0, None))
        layer.calc(CBC, bytes(48), bytes(32), bytes(32))
        state = layer.state(PENDING_WRITE)
        self.assertEqual((state.is_cbc, state.block_size, state.mac_size, state.cipher,
                          state.implementation), (1, 16, 20, b"aes128", b"openssl"))
        self.assertEqual(layer.state(WRITE).cipher, None)
        layer.calc(GCM12, bytes(48), bytes(32), bytes(32))
        layer.change_write()
        state = layer.state(WRITE)
        self.assertEqual((state.is_aead, state.tag_size, state.nonce_size, state.has_mac,
                          state.cipher), (1, 16, 4, 0, b"aes128gcm"))
        self.assertEqual(layer.state(PENDING_WRITE).cipher, None)

    def test_are_not_shown_without_leave(self):
        layer, _ = pair(0x0303, GCM12)
        self.refused("wrong_state", layer.keys, WRITE)
        self.refused("wrong_state", layer.set_sequence, WRITE, 0)
        layer.unsafe_state_access = 1
        self.assertEqual(len(layer.keys(WRITE).key), 16)

    def test_start_where_another_library_stopped(self):
        layers = []
        for client in (True, False):
            layer = Layer(version=0x0303, is_client=client)
            layer.calc(GCM12, bytes(48), bytes(32), bytes(32))
            for which in (PENDING_WRITE, PENDING_READ):
                layer.set_sequence(which, 5)
            layer.set_explicit_nonce(PENDING_WRITE, 0xABCDEF)
            layer.change_write()
            layer.change_read()
            layers.append(layer)
        wire = layers[0].seal(DATA, b"go on")
        self.assertEqual(wire[5:13].hex(), "0000000000abcdef")
        self.assertEqual(opened(layers[1], wire), [(DATA, b"go on")])
        self.assertEqual(layers[1].state(READ).sequence, 6)

    def test_are_handed_out_once_with_all_that_is_needed_to_go_on(self):
        layer, other = pair(0x0303, GCM12)
        wire = layer.seal(DATA, b"one")
        state = layer.release(WRITE)
        self.assertEqual((state.version, state.suite, state.sequence, state.explicit_nonce),
                         (0x0303, GCM12, 1, 1))
        self.assertEqual((len(state.keys.key), len(state.keys.iv), state.keys.mac_key),
                         (16, 4, b""))
        self.refused("wrong_state", layer.release, WRITE)
        self.refused("wrong_state", layer.seal, DATA, b"two")
        other.feed(wire)
        self.refused("wrong_state", other.release, READ)
        other.next()
        self.assertEqual(other.release(READ).sequence, 1)
        self.refused("wrong_state", Layer(version=0x0303).release, WRITE)

    def test_are_not_handed_out_once_their_last_number_was_used(self):
        last = 2**64 - 1
        layers = []
        for client in (True, False):
            layer = Layer(version=0x0303, is_client=client)
            layer.calc(GCM12, bytes(48), bytes(32), bytes(32))
            for which in (PENDING_WRITE, PENDING_READ):
                layer.set_sequence(which, last)
            layer.change_write()
            layer.change_read()
            layers.append(layer)
        self.assertEqual(opened(layers[1], layers[0].seal(DATA, b"last")), [(DATA, b"last")])
        self.refused("out_of_range", layers[0].release, WRITE)
        self.refused("out_of_range", layers[1].release, READ)
        self.refused("out_of_range", layers[0].seal, DATA, b"one more")
        self.assertEqual(layers[0].release(READ).sequence, last)

    def test_of_a_key_stream_are_not_handed_out_in_the_middle(self):
        for version, suite in ((0x0303, 0x0005), (0x0301, CBC), (0x0300, CBC), (0x0002, 0x0700C0),
                               (0x0002, 0x010080)):
            with self.subTest(f"{version:04x} {suite:04x}"):
                writer, reader = pair(version, suite)
                for content in (b"first of", b"whole blocks"):
                    reader.feed(writer.seal(HANDSHAKE, content))
                    self.assertTrue(reader.next()[1].startswith(content))
                    self.refused("not_usable", writer.release, WRITE)
                    self.refused("not_usable", reader.release, READ)
                self.assertEqual(writer.release(READ).sequence, 0)
                self.assertEqual(reader.release(WRITE).sequence, 0)
        writer, reader = pair(0x0302, CBC)  # each record brings the block it starts from
        opened(reader, writer.seal(HANDSHAKE, b"one"))
        self.assertEqual((writer.release(WRITE).sequence, reader.release(READ).sequence), (1, 1))

    def test_are_changed_once_each(self):
        layer, _ = pair(0x0303, GCM12)
        for change in (layer.change_write, layer.change_read):
            self.refused("wrong_state", change)
        self.assertEqual(layer.state(WRITE).cipher, b"aes128gcm")
        layer.unsafe_change_to_clear = 1
        layer.change_write()
        self.assertEqual(layer.seal_record(HANDSHAKE, b"x").hex(), "160303000178")

    def test_of_a_key_stream_do_not_start_in_the_middle(self):
        for version, suite in ((0x0303, 0x0005), (0x0301, CBC), (0x0300, CBC)):
            layer = Layer(version=version)
            layer.calc(suite, bytes(48), bytes(32), bytes(32))
            layer.set_sequence(PENDING_WRITE, 7)
            self.refused("not_usable", layer.change_write)

    def test_are_gone_after_a_shutdown(self):
        layer, other = pair(0x0303, GCM12)
        layer.feed(other.seal(DATA, b"unread"))
        layer.shutdown()
        self.assertIsNone(layer.next())
        self.assertEqual(layer.state(WRITE).cipher, None)
        self.assertEqual(layer.seal_record(HANDSHAKE, b"x").hex(), "160303000178")

    def test_that_were_shut_down_know_nothing_of_the_end_before(self):
        layer, _ = pair(0x0303, GCM12)
        layer.feed_end()
        self.refused("abrupt_close", layer.next)
        layer.shutdown()
        self.assertEqual(opened(layer, b"\x16\3\3\0\1x"), [(HANDSHAKE, b"x")])

    def test_are_not_made_for_what_cannot_be(self):
        for version, suite, error in ((0x0303, 0x1399, "not_usable"), (0x0002, CBC, "not_usable"),
                                      (0x0304, CBC, "not_usable"), (0x0300, 0x003C, "not_usable"),
                                      (0x0303, 0xC07A, "not_implemented"),
                                      (0x0303, 0xC0B4, "not_usable")):
            with self.subTest(f"{version:04x} {suite:04x}"):
                layer = Layer(version=version)
                self.refused(error, layer.calc, suite, bytes(48), bytes(32), bytes(32))
        self.refused("out_of_range", Layer(version=0x0303).calc, CBC, bytes(47), bytes(32),
                     bytes(32))
        self.refused("not_usable", Layer(version=0x0304).calc_tls13, CBC, bytes(32), bytes(32))
        self.refused("out_of_range", Layer(version=2).calc_ssl2, 0x999999, bytes(16), b"c", b"i")

    def test_are_made_for_versions_that_a_suite_is_not_registered_for(self):
        (row,) = (suite for suite in bridge.suites() if suite.id == GCM12)
        self.assertEqual((row.version_min, row.version_max), (0x0303, 0x0303))
        writer, reader = pair(0x0301, GCM12)
        self.assertEqual(opened(reader, writer.seal(DATA, b"all the same")),
                         [(DATA, b"all the same")])

    def test_refuse_a_property_that_cannot_be(self):
        layer = Layer()
        for name, value in (("version", 0x10000), ("send_limit", 0), ("send_limit", 16385),
                            ("receive_limit", 65536), ("wire_version", 1)):
            with self.subTest(name):
                self.refused("out_of_range", setattr, layer, name, value)


class Pieces(Case):
    def test_a_mac_covers_what_its_length_can_say_and_no_more(self):
        content = bytes(65535)
        covered = (5).to_bytes(8, "big") + b"\x17\3\3" + b"\xff\xff" + content
        self.assertEqual(bridge.mac(0x0303, "sha1", bytes(20), 5, DATA, content),
                         hmac.digest(bytes(20), covered, "sha1"))
        for version in (0x0300, 0x0301, 0x0303):
            self.refused("out_of_range", bridge.mac, version, "sha1", bytes(20), 5, DATA,
                         bytes(65536))
        self.refused("out_of_range", bridge.mac, 0x0303, "sha1", bytes(19), 5, DATA, b"")


    def test_a_prf_refuses_sizes_that_it_does_not_have(self):
        secret, seed = bytes(48), bytes(64)
        self.assertEqual(len(bridge.prf(0x0300, "md5", secret, None, seed, 416)), 416)
        for arguments in ((0x0300, "md5", secret, None, seed, 0),
                          (0x0300, "md5", secret, None, seed, 417),
                          (0x0301, "md5", secret, None, b"", 16),
                          (0x0302, "md5", b"", b"label", seed, 16),
                          (0x0303, "sha256", secret, b"label", seed, 0),
                          (0x0303, "sha256", secret, b"label", bytes(1020), 16)):
            with self.subTest(f"{arguments[0]:04x} {arguments[-1]}"):
                self.refused("out_of_range", bridge.prf, *arguments)
        for version in (0x0002, 0x0304):
            self.refused("not_usable", bridge.prf, version, "sha256", secret, b"label", seed, 16)


class Errors(Case):
    def test_have_a_name_and_the_alert_that_is_owed(self):
        alerts = {"illegal_parameter": 47, "record_overflow": 22, "bad_record_mac": 20,
                  "decryption_failed": 20, "unexpected_message": 10, "abrupt_close": -1}
        for number, name in bridge.ERRORS.items():
            self.assertEqual(bridge.LIBRARY.ktlsb_error_name(number).decode(), name)
            alert = bridge.LIBRARY.ktlsb_error_alert(number)
            self.assertIn(alert, {alerts.get(name, alert)} & {-1, 10, 20, 22, 47, 80}, name)
        self.assertEqual(bridge.LIBRARY.ktlsb_error_name(-99), b"unknown")

    def test_of_sockets_are_told_by_the_layer(self):
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        layers = pair(0x0303, GCM12)
        records = bridge.RecordSocket(near, layers[0])
        far.close()
        with self.assertRaises(Refused) as refused:
            records.send(DATA, b"x")
        self.assertIn("Broken pipe", str(refused.exception))


class OverSockets(Case):
    def sockets(self, **properties):
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        layers = pair(0x0303, GCM12, **properties)
        return bridge.RecordSocket(near, layers[0]), bridge.RecordSocket(far, layers[1])

    def test_blocking_ones_carry_what_is_sent(self):
        near, far = self.sockets()
        content = os.urandom(3_000_000)
        sender = threading.Thread(target=near.send, args=(DATA, content))
        sender.start()
        received = b""
        while len(received) < len(content):
            received += far.receive()[1]
        sender.join()
        self.assertEqual(received, content)

    def test_others_say_when_to_wait(self):
        near, far = self.sockets()
        near.sock.setblocking(False)
        far.sock.setblocking(False)
        self.assertIsNone(far.receive())
        content = os.urandom(3_000_000)
        self.assertFalse(near.send(DATA, content))
        self.refused("wrong_state", near.send, DATA, b"too early")
        received, done = b"", False
        while len(received) < len(content):
            done = done or near.flush()
            while (record := far.receive()) is not None:
                received += record[1]
        self.assertTrue(done)
        self.assertEqual(received, content)

    def test_nothing_is_read_past_a_record(self):
        near, far = self.sockets()
        near.send(DATA, b"tls")
        near.sock.sendall(b"and then plaintext")
        self.assertEqual(far.receive()[1], b"tls")
        self.assertEqual(far.sock.recv(100), b"and then plaintext")

    def test_the_end_of_the_stream_is_told(self):
        near, far = self.sockets()
        wire = near.layer.seal(DATA, b"cut")
        near.sock.sendall(wire[:-1])
        near.sock.shutdown(socket.SHUT_WR)
        self.refused("abrupt_close", far.receive)

    def test_a_peer_that_is_gone_is_an_error_and_no_signal(self):
        near, far = self.sockets()
        far.sock.close()
        self.refused("system", near.send, DATA, b"x")

    def test_where_they_run_is_told(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        near = socket.create_connection(listener.getsockname())
        self.addCleanup(near.close)
        self.assertEqual(bridge.placement(near), ("userspace", "userspace", 0, 0, ""))
        with open(os.devnull, "rb") as file:
            self.refused("system", bridge.placement, file)

    def test_the_kernel_takes_no_unix_socket_and_nothing_is_lost(self):
        near, far = self.sockets()
        self.assertEqual(near.layer.install(near.sock, TRANSMIT), "not_tcp")
        near.send(DATA, b"in userspace then")
        self.assertEqual(far.receive()[1], b"in userspace then")

    def test_what_is_no_descriptor_is_an_error_and_no_reason(self):
        near, far = self.sockets()
        closed = os.dup(near.sock.fileno())
        os.close(closed)
        for descriptor in (-1, closed):
            with self.assertRaises(Refused) as refused:
                near.layer.install(descriptor, TRANSMIT)
            self.assertEqual((refused.exception.name, ctypes.get_errno()), ("system", errno.EBADF))
        near.send(DATA, b"goes on")
        self.assertEqual(far.receive()[1], b"goes on")

    def test_the_kernel_is_not_asked_for_smaller_records_than_it_makes(self):
        near, far = self.sockets(send_limit=16383)
        self.assertEqual(near.layer.install(near.sock, TRANSMIT), "record_size_limited")
        self.assertEqual(near.layer.install(near.sock, RECEIVE), "not_tcp")
        near.layer.send_limit = 16384
        self.assertEqual(near.layer.install(near.sock, TRANSMIT), "not_tcp")
        near.send(DATA, b"in userspace then")
        self.assertEqual(far.receive()[1], b"in userspace then")


if __name__ == "__main__":
    report.main("api/records")
