// Deno's fetch as a client of stacks.py: asks for a page COUNT times, with a connection each, the
// later ones with the session of the first. Its tls.connect() keeps no session: it makes a
// configuration of rustls, which holds them, for each connection.
const [port, ca, certificate, key, count] = Deno.args;

const own = certificate === "-" ? {} : {
  cert: Deno.readTextFileSync(certificate),
  key: Deno.readTextFileSync(key),
};
const client = Deno.createHttpClient({
  caCerts: [Deno.readTextFileSync(ca)], http2: false, poolMaxIdlePerHost: 0, ...own,
});
for (let i = 0; i < Number(count); ++i) {
  const answer = await fetch(`https://localhost:${port}/`, { client });
  if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
  await Deno.stdout.write(new Uint8Array(await answer.arrayBuffer()));
}
