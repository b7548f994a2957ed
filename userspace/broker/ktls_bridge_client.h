// ktls_bridge_client.h: TLS for a program that holds no key, by the broker of ktls-bridge.
//
// `ktls-bridge broker` has the certificates and does the handshakes; a program gets sockets on
// which plain read, write, sendfile, splice and poll speak TLS, because the kernel does it. Where
// the kernel cannot, it gets a stream that the broker relays, and mostly cannot tell.
//
// Functions that answer an int or a pointer fail with -1 or NULL and errno; a sentence about the
// thread's last failure is ktlsb_error_text(). No function prints, raises SIGPIPE, starts a thread
// or keeps state outside of a ktlsb_listener. Whatever a call waits for is bounded in time, but for
// ktlsb_accept() and ktlsb_read() on a blocking descriptor.
//
// Threads: all functions may be called from any thread. A connection is read by one thread at a
// time, and likewise written. Fork: descriptors and listeners work in the child as in the parent.
// A connection is still read by one process at a time; only who ends it calls ktlsb_close(),
// everybody else close(). The library allocates, and so may not be called from a signal handler.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KTLSB_API __attribute__((visibility("default")))

/* ---- connections -------------------------------------------------------------------------- */

/* ktlsb_connection.flags */
#define KTLSB_RELAYED 1u /* the kernel could not: a stream that the broker relays */
#define KTLSB_RESUMED 2u /* the handshake resumed a session */

/* What the handshake agreed on. The caller sets `size` to sizeof(struct ktlsb_connection); fields
 * that a later version adds at the end are filled for those alone who have room for them. */
struct ktlsb_connection {
  size_t size;
  uint16_t tls_version;  /* as on the wire: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3 */
  uint16_t cipher_suite; /* the IANA registry's number */
  uint32_t flags;
  char name[256];    /* server: what the client asked for (SNI); client: what was verified */
  char reason[32];   /* code of why it is relayed ("ulp_unavailable"); empty where it is not */
  size_t alpn_size;  /* bytes of `alpn` that were agreed on; 0: on none */
  uint8_t alpn[256]; /* RFC 7301 */
  struct sockaddr_storage local;  /* of the TLS connection, also where a stream is relayed; the */
  struct sockaddr_storage remote; /* family is AF_UNSPEC where it is neither IPv4 nor IPv6 */
};

/* Where the broker is: a path of a unix socket, of less than 108 bytes. NULL: where the variable
 * KTLS_BRIDGE_BROKER of the environment says, else at /run/ktls-bridge/broker.sock, which is how it
 * is without this call. For the whole process, as the broker that made a connection has the secrets
 * that are asked about later; to be called before anything else. ENAMETOOLONG. */
KTLSB_API int ktlsb_use_broker(const char* path);

/* The two calls below make TLS of a connected TCP socket on which not a byte was exchanged. The
 * number `fd` stays what it is, and so do O_NONBLOCK and FD_CLOEXEC; where the connection is
 * relayed another file takes the number, so that an epoll set has to be told again. They wait for
 * the handshake, at most `timeout_ms` milliseconds (negative: a minute). If the broker never had
 * the socket, nothing has happened to it; after any other failure it is shut down in both
 * directions, so that nothing goes out in the clear. `info` may be NULL. 0, or -1 and errno:
 * ECONNREFUSED  nobody listens at the broker's path, or too many ask: the broker had nothing
 * EACCES        this user may not ask it; where it is the broker that says so, and not the file
 *               system, the socket is shut down
 * ETIMEDOUT     the handshake took too long
 * ECONNABORTED  the broker ended meanwhile
 * EPROTO        whoever answered speaks another version of the protocol, or makes no sense
 * other         what the handshake failed with, or what the broker refuses: see the last section */

/* As the server of the handshake. */
KTLSB_API int ktlsb_serve(int fd, int timeout_ms, struct ktlsb_connection* info);

/* As the client. `name`, 1 to 253 bytes, is asked for (SNI) and the certificate has to be valid
 * for it: a host name, or an IP address as text. The connect() of `fd` may still be under way; the
 * errno is that of TCP where it fails. */
KTLSB_API int ktlsb_connect(int fd, const char* name, int timeout_ms,
                            struct ktlsb_connection* info);

/* ---- listening ---------------------------------------------------------------------------- */

typedef struct ktlsb_listener ktlsb_listener;

/* Has the broker accept what comes to a listening TCP socket, and do the handshakes, many at once.
 * `backlog`: connections whose handshake is done and that may wait to be taken; the broker has a
 * limit of its own. A copy of the socket is kept, on which nobody ever accepts in the clear:
 * whatever arrives while there is no broker waits in the kernel for the next one. The caller may
 * close its own. Waits about a second for a broker that is being started. NULL and errno: as above;
 * EINVAL: no listening socket, or a backlog of 0. */
KTLSB_API ktlsb_listener* ktlsb_listen(int listening_fd, unsigned backlog);

/* Readable when ktlsb_accept() has something to say. The number stays the same for the life of the
 * listener. O_NONBLOCK on it makes ktlsb_accept() non-blocking. After ECONNABORTED another file has
 * the number once a broker is there again: an epoll set has to be told again when the next call has
 * answered anything but ECONNREFUSED (poll and select need nothing). Only to be waited for. */
KTLSB_API int ktlsb_listener_fd(const ktlsb_listener* listener);

/* The next connection, as a blocking descriptor with FD_CLOEXEC. `info` may be NULL. -1 and errno:
 * EAGAIN    none waits, and the listener's descriptor is non-blocking
 * EINTR     by a signal, while waiting
 * EMFILE    no descriptor is left here: the connection goes on waiting, none is lost
 * ECONNABORTED  the broker is gone; told once, the next call looks for the next broker
 * ECONNREFUSED  it looked for about a second; call again
 * EPROTO    the broker's message made no sense; as though it were gone
 * other     as the broker says when it ends listening
 * Several threads and, after fork, processes may accept from one listener. */
KTLSB_API int ktlsb_accept(ktlsb_listener* listener, struct ktlsb_connection* info);

/* Ends listening and frees the listener, which no other thread may be using. Waits, at most 5
 * seconds, until the broker has closed its copy of the socket, so that the port is free when the
 * caller's own copies are closed, too. Connections that nobody took are closed. In a process that
 * was forked after the registration this closes the process's own copies only. 0, or -1 with
 * ETIMEDOUT where the broker did not say that it is done; the listener is freed either way. NULL is
 * ignored. */
KTLSB_API int ktlsb_listener_close(ktlsb_listener* listener);

/* ---- reading and closing ------------------------------------------------------------------ */

/* Writing needs no function: write, send, sendfile and splice do. Reading does, for a TLS peer also
 * sends tickets, key updates and alerts, at which read() answers EIO. */

/* As read(), of the connection's application data; acts on everything else, for which it may wait
 * for the broker, at most 10 seconds, also on a non-blocking descriptor. `size` 0 answers 0.
 * 0: the peer sent close_notify; so does every later call. -1 and errno: EAGAIN and EINTR as
 * read(); and, after which the connection is over, so that later calls fail as well:
 * ECONNRESET  the stream ended without close_notify: what was read may be cut off
 * EPROTO      the peer sent an alert, named in ktlsb_error_text(), or what may not come; or this is
 *             no TLS connection
 * EBADMSG, EMSGSIZE, EINVAL  a record that does not open, is too large, or is none; the peer is
 *             told by an alert
 * ECONNABORTED  a key update needs the broker, and there is none ("broker_gone")
 * other       as the broker says, see ktlsb_error_reason(): "secrets_lost", "rekey_impossible"
 * A stream that is relayed asks the broker at its end whether that was an orderly one. */
KTLSB_API ssize_t ktlsb_read(int fd, void* buffer, size_t size);

/* For those who read by read(), recv() or splice(): to be called when that answered EIO,
 * EKEYEXPIRED or 0, or splice() EINVAL, and does what ktlsb_read() does about it. 1: read on; 0:
 * the end, by close_notify; -1: as ktlsb_read(). Never waits for the peer: EAGAIN. */
KTLSB_API int ktlsb_control(int fd);

/* No more is written: sends close_notify and shuts the write side down, as shutdown(fd, SHUT_WR).
 * Waits for room for the alert, at most 30 seconds; on a non-blocking descriptor EAGAIN, and the
 * caller tries again when it is writable. The end of a stream that is relayed is told to the
 * broker, whose answer is waited for, at most 10 seconds. Reading goes on. EPIPE, ECONNRESET: the
 * peer is gone. ECONNREFUSED, ECONNABORTED: the broker is, and the stream with it. EPROTO: this is
 * no TLS connection. */
KTLSB_API int ktlsb_shutdown_write(int fd);

/* Sends close_notify, shuts the write side down, and closes. Never waits for the peer, and at most
 * a tenth of a second for a broker whom too many ask at once: where the send buffer is full, or the
 * stream is relayed, the broker gets the socket and finishes. 0; or -1 where the peer could not be
 * told, so that it sees a truncated stream; `fd` is closed either way. As with close(), received
 * bytes that nobody read make the kernel reset the connection, which may destroy what was just
 * sent: read to the end first. */
KTLSB_API int ktlsb_close(int fd);

/* ---- failures ----------------------------------------------------------------------------- */

/* One sentence on the last failure in this thread, in the broker's words where it had any; "" when
 * there was none. EAGAIN and EINTR leave it as it was. Valid until the thread's next call. */
KTLSB_API const char* ktlsb_error_text(void);

/* The stable code of its reason, for programs ("secrets_lost", "broker_gone"); "" without one. */
KTLSB_API const char* ktlsb_error_reason(void);

#ifdef __cplusplus
}
#endif
