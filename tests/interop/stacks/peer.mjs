// Node's tls, and what Bun and Deno have for it, as a peer of stacks.py, which says how it is
// called and what it prints.
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import tls from "node:tls";

const SIZE = 65536;
const TIMEOUT_MS = 60000;
const [role, port, version, , suite, ca, certificate, key, count] = process.argv.slice(2);

const options = {
  ca: fs.readFileSync(ca),
  minVersion: version,
  maxVersion: version,
  // The level is for suites with a short tag, and of OpenSSL alone.
  ciphers: process.versions.bun || process.versions.deno ? suite
    : version === "TLSv1.3" ? `${suite}:DEFAULT:@SECLEVEL=0` : `${suite}:@SECLEVEL=0`,
  servername: "localhost",
  requestCert: role === "asking-server",
  rejectUnauthorized: role !== "server",
};
if (role !== "client") options.dhparam = fs.readFileSync(path.join(path.dirname(ca), "dh.pem"));
if (certificate !== "-") {
  options.cert = fs.readFileSync(certificate);
  options.key = fs.readFileSync(key);
}

function fail(error) {
  console.error(String(error));
  process.exit(1);
}

function say(socket) {
  const how = socket.isSessionReused() ? "resumed" : "full";
  const shown = role !== "client" && socket.getPeerCertificate()?.subject ? " shown" : "";
  console.log(socket.getProtocol(), socket.getCipher().name, how + shown);
}

function connect(session) {
  return new Promise((resolve) => {
    const data = crypto.randomBytes(SIZE);
    const pieces = [];
    let size = 0;
    let newest = session;
    const socket = tls.connect({ ...options, host: "127.0.0.1", port: Number(port), session });
    socket.setTimeout(TIMEOUT_MS, () => fail("nothing came"));
    socket.on("error", fail);
    socket.on("session", (given) => { newest = given; });
    socket.on("secureConnect", () => { say(socket); socket.write(data); });
    socket.on("data", (piece) => {
      pieces.push(piece);
      size += piece.length;
      if (size === SIZE) socket.end();
    });
    socket.on("end", () => {
      if (!Buffer.concat(pieces).equals(data)) fail("other bytes came back");
    });
    socket.on("close", () => resolve(newest));
  });
}

async function runClient() {
  let session;
  for (let i = 0; i < Number(count); ++i) session = await connect(session);
}

function runServer() {
  let left = Number(count);
  const server = tls.createServer(options, (socket) => {
    socket.setTimeout(TIMEOUT_MS, () => fail("nothing came"));
    socket.on("error", fail);
    say(socket);
    socket.pipe(socket);
    socket.on("close", () => { if (--left === 0) server.close(); });
  });
  server.on("tlsClientError", fail);
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

if (role === "client") {
  await runClient();
} else {
  runServer();
}
