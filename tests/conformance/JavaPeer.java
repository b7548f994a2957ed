// JavaPeer: the Java side of the conformance matrix, one process for all cells of a run.
//
// Prints "port N", then serves cells one after the other. Each makes two connections: the first
// says what to do, in one line, and is told "ok" or what went wrong; on the second TLS is spoken.
// The line is "ROLE VERSION SUITE SEND RECEIVE": server or client, TLSv1.3, the suite by its
// registered name, and bytes.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.FutureTask;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

public final class JavaPeer {
    private static final int CHUNK_SIZE = 30_000;
    private static final long ENDPOINT_SEED = 1;
    private static final long PEER_SEED = 2;

    private final SSLContext context;

    private JavaPeer(SSLContext context) {
        this.context = context;
    }

    public static void main(String[] arguments) throws Exception {
        JavaPeer peer = new JavaPeer(makeContext(Path.of(arguments[0]), Path.of(arguments[1])));
        try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getLoopbackAddress())) {
            System.out.println("port " + listener.getLocalPort());
            System.out.flush();
            while (true) {
                try (Socket control = listener.accept()) {
                    peer.serve(control, listener);
                }
            }
        }
    }

    private void serve(Socket control, ServerSocket listener) throws IOException {
        String order = new BufferedReader(
            new InputStreamReader(control.getInputStream(), StandardCharsets.US_ASCII)).readLine();
        String verdict = "ok";
        try (Socket wire = listener.accept()) {
            wire.setTcpNoDelay(true);
            speak(wire, order.split(" "));
        } catch (Exception error) {
            error.printStackTrace();
            verdict = error.toString().replace('\n', ' ');
        }
        control.getOutputStream().write((verdict + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private void speak(Socket wire, String[] order) throws Exception {
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(
            wire, "localhost", wire.getPort(), true);
        socket.setUseClientMode(order[0].equals("client"));
        socket.setEnabledProtocols(new String[] {order[1]});
        socket.setEnabledCipherSuites(new String[] {order[2]});
        socket.startHandshake();
        long sendSize = Long.parseLong(order[3]);
        long receiveSize = Long.parseLong(order[4]);
        FutureTask<Void> sending = new FutureTask<>(() -> send(socket.getOutputStream(), sendSize));
        new Thread(sending).start();
        InputStream input = socket.getInputStream();
        receive(input, receiveSize);
        sending.get();
        socket.shutdownOutput();
        if (input.read() != -1) {
            throw new IOException("more came than was to come");
        }
        socket.close();
    }

    private static Void send(OutputStream output, long size) throws IOException {
        byte[] chunk = new byte[CHUNK_SIZE];
        for (long position = 0; position < size; position += CHUNK_SIZE) {
            int length = (int) Math.min(CHUNK_SIZE, size - position);
            fill(PEER_SEED, position, chunk, length);
            output.write(chunk, 0, length);
        }
        return null;
    }

    private static void receive(InputStream input, long size) throws IOException {
        byte[] chunk = new byte[CHUNK_SIZE];
        byte[] expected = new byte[CHUNK_SIZE];
        for (long position = 0; position < size; ) {
            int wanted = (int) Math.min(CHUNK_SIZE, size - position);
            int length = input.read(chunk, 0, wanted);
            if (length < 0) {
                throw new IOException("close_notify after " + position + " bytes of content");
            }
            fill(ENDPOINT_SEED, position, expected, length);
            int differs = java.util.Arrays.mismatch(chunk, 0, length, expected, 0, length);
            if (differs >= 0) {
                throw new IOException("byte " + (position + differs) + " of the content is another");
            }
            position += length;
        }
    }

    // The same bytes as Pattern::fill() of pattern.cpp.
    private static void fill(long seed, long position, byte[] bytes, int length) {
        long value = word(seed, position >>> 3) >>> (8 * (position & 7));
        for (int i = 0; i < length; ++i) {
            if (i > 0 && ((position + i) & 7) == 0) {
                value = word(seed, (position + i) >>> 3);
            }
            bytes[i] = (byte) value;
            value >>>= 8;
        }
    }

    private static long word(long seed, long number) {
        long z = (seed << 40) + (number + 1) * 0x9e3779b97f4a7c15L;
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    // The server's certificate and its key in PKCS #8; as a client it trusts anyone, as what is
    // tested begins after certificates.
    private static SSLContext makeContext(Path certificate, Path key) throws Exception {
        Certificate leaf;
        try (InputStream file = Files.newInputStream(certificate)) {
            leaf = CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
        String pem = Files.readString(key).replaceAll("-----[^-]+-----|\\s", "");
        char[] password = "none".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("server", KeyFactory.getInstance("EC").generatePrivate(
            new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem))), password,
            new Certificate[] {leaf});
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), new TrustManager[] {new TrustAnyone()}, null);
        return context;
    }

    private static final class TrustAnyone implements X509TrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
