#!/usr/bin/env python3
"""Prints what the library knows: each suite in each of its versions, and how that is known to be
right: by known answers (their number), by a round trip made here, and whether the kernel has it."""

import argparse
import collections
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import ktls_bridge as bridge  # noqa: E402
from ktls_bridge import Layer  # noqa: E402

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
VERSIONS = {0x0002: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2",
            0x0304: "TLSv1.3"}
SIZES = (0, 1, 15, 16, 17, 255, 256, 1000, 16384)
SSL2_SIZE_MAX = 16359  # what the longer header of a block cipher's record leaves


def count_vectors():
    """Records with known bytes, by (suite, version)."""
    counts = collections.Counter()
    for line in map(json.loads, (VECTORS / "tlslite" / "public.jsonl").read_text().splitlines()):
        if line["kind"] in ("tls", "tls13", "ssl2", "tls-seq", "tls13-seq"):
            key = (int(line["suite"], 16), int(line["version"], 16))
            counts[key] += sum(record.get("op") == "send" and record.get("encrypted", True)
                               for record in line["records"])
        elif line["kind"] == "recv" and "suite" in line["setup"]:
            setup = line["setup"]
            counts[int(setup["suite"], 16), int(setup["version"], 16)] += len(line["results"])
    for path in (VECTORS / "ssl2").glob("*.json"):
        line = json.loads(path.read_text())
        counts[int(line["cipher_kind"], 16), 2] += (len(line["client_records"]) +
                                                    len(line["server_records"]))
    return counts


def pair(suite, version, encrypt_then_mac):
    """A client that writes, and a server that reads, with the same keys."""
    layers = [Layer(version=version, tls13_records=version == 0x0304, is_client=client)
              for client in (True, False)]
    key_arg = None
    for layer in layers:
        if version == 0x0002:
            key_arg = layer.calc_ssl2(suite.id, bytes(range(24)), bytes(16), bytes(16),
                                      key_arg or None)
        elif version == 0x0304:
            size = {"SHA384": 48}.get(suite.name.decode().rsplit("_", 1)[-1], 32)
            layer.calc_tls13(suite.id, bytes(range(size)), bytes(size))
        else:
            layer.encrypt_then_mac = encrypt_then_mac
            layer.calc(suite.id, bytes(range(48)), bytes(32), bytes(32))
    layers[0].change_write()
    layers[1].change_read()
    return layers


def round_trip(suite, version, encrypt_then_mac):
    """Records of every size come back as they went, and one flipped bit does not."""
    writer, reader = pair(suite, version, encrypt_then_mac)
    for size in SIZES:
        size = min(size, SSL2_SIZE_MAX) if version == 0x0002 else size
        content = bytes((7 * i + size) % 256 for i in range(size))
        wire = writer.seal_record(23, content)
        assert size < 16 or content[:16] not in wire or "NULL" in suite.cipher.decode() or \
            "HMAC" in suite.cipher.decode(), "the content stands in the record"
        records, consumed = reader.open_in_place(wire)
        assert consumed == len(wire) and [text for _, text in records] == [content], size
    wire = bytearray(writer.seal_record(23, b"the last one"))
    wire[len(wire) // 2] ^= 1
    try:
        reader.open_in_place(bytes(wire))
    except bridge.Refused as refused:
        assert refused.name in ("bad_record_mac", "decryption_failed"), refused
    else:
        raise AssertionError("a record with a flipped bit was opened")


def rows():
    vectors = count_vectors()
    for suite in bridge.suites():
        for version, name in VERSIONS.items():
            if not suite.version_min <= version <= suite.version_max:
                continue
            cells = {"suite": suite, "version": name, "vectors": vectors[suite.id, version],
                     "kernel": bool(suite.kernel) and version >= 0x0303, "unavailable": "",
                     "round_trips": 0}
            if suite.unavailable:
                cells["unavailable"] = suite.unavailable.decode()
            else:
                is_cbc = suite.cipher.decode().endswith("-CBC") and version > 0x0002
                for encrypt_then_mac in (False, True) if is_cbc else (False,):
                    try:
                        round_trip(suite, version, encrypt_then_mac)
                        cells["round_trips"] += len(SIZES)
                    except bridge.Refused as refused:
                        if refused.name != "not_implemented":
                            raise
                        cells["unavailable"] = str(refused)
            yield cells


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", action="store_true", help="the counts alone")
    summary = parser.parse_args().summary
    counts = collections.Counter()
    if not summary:
        print(f"{'id':6} {'suite':48} {'version':8} {'known answers':>13} {'round trips':>11}  "
              f"{'kernel':6} unavailable")
    for row in rows():
        suite = row["suite"]
        kind = ("unavailable" if row["unavailable"] else
                "by known answers" if row["vectors"] else "by round trips")
        counts[kind] += 1
        counts["all"] += 1
        if not summary:
            print(f"{suite.id:06X} {suite.name.decode():48} {row['version']:8} "
                  f"{row['vectors'] or '-':>13} {row['round_trips'] or '-':>11}  "
                  f"{'yes' if row['kernel'] else 'no':6} {row['unavailable'] or '-'}")
    print(f"{counts['all']} suites in their versions: {counts['by known answers']} shown by known "
          f"answers and round trips, {counts['by round trips']} by round trips, "
          f"{counts['unavailable']} unavailable here")


if __name__ == "__main__":
    main()
