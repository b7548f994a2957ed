"""What the README of a part promises about the ends of connections, and how one ended."""

import re
import ssl

from wrap_tls_stream import Truncated


def closing_table(readme, heading):
    """{way: the cells of its row}, of the section `heading`."""
    section = readme.read_text(encoding="utf-8").split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("| ")]
    return {match[1]: cells for cells in rows if (match := re.search(r"\(`(.+?)`\)", cells[0]))}


def all_of(stream):
    """(what arrived, how it ended), in the words of those tables."""
    received = b""
    try:
        while data := stream.recv(65536):
            received += data
        return received, "close_notify"
    except Truncated:
        return received, "bare FIN"
    except ConnectionResetError:
        return received, "reset"
    except ssl.SSLError as error:
        return received, "fatal alert" if "ALERT" in error.reason else error.reason
