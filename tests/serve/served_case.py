"""ServedCase: a test that has a directory, serves it, and talks to the server as a client."""

import shutil
import tempfile
import unittest
from pathlib import Path

from https_client import HttpsClient
from shared_certificates import certificates
from watched_serve import WAIT_S, Serve


class ServedCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = self.folder / "site"
        self.root.mkdir()

    def write(self, name, content=b"content\n"):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def serve(self, *flags, credentials=None, **options):
        """`credentials`: those flags instead of the usual certificate's."""
        if credentials is None:
            credentials = certificates().server_flags
        serve = Serve(self.root, *credentials, *flags, folder=self.folder, **options)
        self.addCleanup(serve.kill)
        return serve

    def client(self, serve, version=None, endpoint=None, context=None, **options):
        context = context or certificates().client_context(version)
        client = HttpsClient(endpoint or serve.endpoint, context, timeout=WAIT_S, **options)
        self.addCleanup(client.close)
        return client

    def ask(self, serve, path, **options):
        """One request on a connection of its own."""
        client = self.client(serve)
        response = client.ask(path, **options)
        client.end()
        return response
