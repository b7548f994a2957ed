// Java's JSSE as a peer of stacks.py, which says how it is called and what it prints.
// Certificate and key are in CERTIFICATE.p12, whose passphrase is "stacks".
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public final class Peer {
  private static final int SIZE = 65536;
  private static final int TIMEOUT_MS = 60000;
  private static final char[] PASSPHRASE = "stacks".toCharArray();

  private final String[] versions;
  private final String[] suites;
  private final int count;
  private final SSLContext context;
  // JSSE does not say what was resumed; a session that came before was.
  private final Set<Long> created = new HashSet<>();

  private Peer(String[] arguments) throws Exception {
    versions = new String[] {arguments[2]};
    suites = new String[] {arguments[3]};
    count = Integer.parseInt(arguments[8]);
    context = makeContext(arguments[5], arguments[6]);
  }

  private static SSLContext makeContext(String ca, String certificate) throws Exception {
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
    trusted.load(null, null);
    try (InputStream file = new FileInputStream(ca)) {
      trusted.setCertificateEntry(
          "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    KeyManager[] keys = null;
    if (!certificate.equals("-")) {
      KeyStore own = KeyStore.getInstance("PKCS12");
      try (InputStream file = new FileInputStream(certificate + ".p12")) {
        own.load(file, PASSPHRASE);
      }
      KeyManagerFactory factory =
          KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      factory.init(own, PASSPHRASE);
      keys = factory.getKeyManagers();
    }
    SSLContext made = SSLContext.getInstance("TLS");
    made.init(keys, trust.getTrustManagers(), new SecureRandom());
    return made;
  }

  private void say(SSLSocket socket, boolean isShown) {
    boolean isNew = created.add(socket.getSession().getCreationTime());
    System.out.println(socket.getSession().getProtocol() + " "
        + socket.getSession().getCipherSuite() + (isNew ? " full" : " resumed")
        + (isShown ? " shown" : ""));
  }

  private void runClient(int port) throws Exception {
    for (int i = 0; i < count; ++i) {
      try (SSLSocket socket =
              (SSLSocket) context.getSocketFactory().createSocket("localhost", port)) {
        socket.setSoTimeout(TIMEOUT_MS);
        socket.setEnabledProtocols(versions);
        socket.setEnabledCipherSuites(suites);
        byte[] data = new byte[SIZE];
        new SecureRandom().nextBytes(data);
        socket.getOutputStream().write(data);
        byte[] got = socket.getInputStream().readNBytes(SIZE);
        if (!Arrays.equals(data, got)) {
          throw new IllegalStateException("other bytes came back");
        }
        say(socket, false);
        socket.shutdownOutput();
        if (socket.getInputStream().read() != -1) {
          throw new IllegalStateException("more came than was sent");
        }
      }
    }
  }

  private void runServer(boolean asks) throws Exception {
    InetAddress loopback = InetAddress.getByName("127.0.0.1");
    try (SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
            .createServerSocket(0, 8, loopback)) {
      listener.setEnabledProtocols(versions);
      listener.setEnabledCipherSuites(suites);
      listener.setNeedClientAuth(asks);
      System.out.println(listener.getLocalPort());
      for (int i = 0; i < count; ++i) {
        try (SSLSocket socket = (SSLSocket) listener.accept()) {
          socket.setSoTimeout(TIMEOUT_MS);
          socket.getInputStream().transferTo(socket.getOutputStream());
          // It throws where the client has shown none.
          say(socket, asks && socket.getSession().getPeerCertificates().length > 0);
          socket.shutdownOutput();
        }
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    Peer peer = new Peer(arguments);
    if (arguments[0].equals("client")) {
      peer.runClient(Integer.parseInt(arguments[1]));
    } else {
      peer.runServer(arguments[0].equals("asking-server"));
    }
  }
}
