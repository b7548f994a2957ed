// ktls_bridge.h: the record layer of SSL and TLS, from SSLv2 to TLS 1.3, and its installation into
// kernel TLS, for C and for every language that can call C.
//
// The layer works in memory: it is fed what a transport brought and gives back what to send. It
// computes connection states from secrets, changes to them, seals and opens records; and it can
// release a state into the kernel, after which the socket itself speaks TLS.
//
// Every function that can fail answers a ktlsb_error: 0, or a negative number. What a layer's last
// call said about it is ktlsb_last_error(). No function prints, exits or throws. A layer belongs to
// one thread at a time; different layers are independent of each other.
//
// Nothing here is a handshake: which version and suite were agreed on, and the secrets, are the
// caller's. The library checks what can be checked of them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KTLSB_API __attribute__((visibility("default")))

/* ---- errors ------------------------------------------------------------------------------- */

typedef enum ktlsb_error {
  KTLSB_OK = 0,
  KTLSB_WANT_MORE = 1,           /* no error: the next record is not all there, see ktlsb_want() */
  KTLSB_ILLEGAL_PARAMETER = -1,  /* a field with a value that it may not have */
  KTLSB_RECORD_OVERFLOW = -2,    /* longer than it may be */
  KTLSB_BAD_RECORD_MAC = -3,     /* MAC, tag or padding wrong, or too short to have them */
  KTLSB_DECRYPTION_FAILED = -4,  /* ciphertext of a block cipher that is not whole blocks */
  KTLSB_UNEXPECTED_MESSAGE = -5, /* a record of a type that may not come now */
  KTLSB_ABRUPT_CLOSE = -6,       /* the transport ended, within a record or between two */
  KTLSB_OUT_OF_RANGE = -7,       /* a value that cannot be: too long, too many, no number left */
  KTLSB_NOT_USABLE = -8,         /* a suite that is not known, or not with this version */
  KTLSB_NOT_IMPLEMENTED = -9,    /* known, but libcrypto does not offer it here */
  KTLSB_WRONG_STATE = -10, /* not in this order: a change without keys, a released direction */
  KTLSB_SYSTEM = -11,      /* a system call failed: errno is set */
  KTLSB_CRYPTO = -12,      /* libcrypto failed where it should not */
  KTLSB_NO_MEMORY = -13,
  KTLSB_NO_SPACE = -14,     /* the caller's buffer is too small */
  KTLSB_NOT_IN_KERNEL = -15 /* the kernel would not take the direction: see its reason */
} ktlsb_error;

/* "bad_record_mac"; "unknown" for a number that is none of them. Static. */
KTLSB_API const char* ktlsb_error_name(int error);
/* The alert that the peer is owed (RFC 8446 section 6), or -1 where there is none. */
KTLSB_API int ktlsb_error_alert(int error);

/* ---- life --------------------------------------------------------------------------------- */

typedef struct ktlsb_layer ktlsb_layer;

/* "0.1.0". Static. */
KTLSB_API const char* ktlsb_version(void);

/* NULL when there is no memory. Client role, no version, records in the clear. */
KTLSB_API ktlsb_layer* ktlsb_new(void);
/* Wipes all keys. NULL is ignored. */
KTLSB_API void ktlsb_free(ktlsb_layer* layer);
/* Empties and wipes all four states; version, role, limits and flags stay. */
KTLSB_API int ktlsb_shutdown(ktlsb_layer* layer);
/* What the last call that failed had to say, for people; calls that take a const layer leave it as
 * it was. Valid until the next call. */
KTLSB_API const char* ktlsb_last_error(const ktlsb_layer* layer);

/* ---- properties --------------------------------------------------------------------------- */

typedef enum ktlsb_property {
  KTLSB_VERSION = 1,             /* two bytes as on the wire: 0x0303; SSLv2 is 0x0002 or 0x0200 */
  KTLSB_IS_CLIENT = 2,           /* role, asked when states are computed and at a key update */
  KTLSB_TLS13_RECORDS = 3,       /* with a version above 0x0303: the records are TLS 1.3's */
  KTLSB_HANDSHAKE_FINISHED = 4,  /* records of SSLv2 are application data from now on */
  KTLSB_ENCRYPT_THEN_MAC = 5,    /* set: both pending states; get: the current write state */
  KTLSB_RECEIVE_LIMIT = 6,       /* bytes of content of a record of the peer; 16384 */
  KTLSB_SEND_LIMIT = 7,          /* bytes of content of a record of ktlsb_seal(); 16384 */
  KTLSB_EARLY_DATA_OK = 8,       /* skip what does not open; set: the count begins anew */
  KTLSB_EARLY_DATA_MAX = 9,      /* fewer bytes than that, of record bodies as they came */
  KTLSB_WIRE_VERSION = 10,       /* get only: what headers say */
  KTLSB_IS_TLS13 = 11,           /* get only */
  KTLSB_EARLY_DATA_SKIPPED = 12, /* get only: bytes */
  /* A change of state without pending keys is a change to records in the clear, as in tlslite-ng.
   * Off: it is KTLSB_WRONG_STATE. For comparison with known answers alone. */
  KTLSB_UNSAFE_CHANGE_TO_CLEAR = 100,
  /* Allows ktlsb_set_sequence() on a current state and ktlsb_state_keys(). A number that is set
   * back is a nonce used twice; keys that are shown have a second holder. */
  KTLSB_UNSAFE_STATE_ACCESS = 101
} ktlsb_property;

KTLSB_API int ktlsb_set(ktlsb_layer* layer, ktlsb_property property, uint64_t value);
KTLSB_API int ktlsb_get(const ktlsb_layer* layer, ktlsb_property property, uint64_t* value);

/* Callbacks may not call functions of the layer that calls them, and must not return by longjmp().
 */

/* A source of random bytes in place of libcrypto's, for known answers: fills `out` with `size`
 * bytes and answers 0. NULL: libcrypto's again. */
typedef int (*ktlsb_random)(void* context, uint8_t* out, size_t size);
KTLSB_API int ktlsb_set_random(ktlsb_layer* layer, ktlsb_random random, void* context);

/* How many zero bytes to add to a record of TLS 1.3 that ktlsb_seal() makes: given its content's
 * size, its type, and the most that fits; more is cut off. NULL: none. */
typedef size_t (*ktlsb_padding)(void* context, size_t content_size, uint8_t type, size_t max);
KTLSB_API int ktlsb_set_padding(ktlsb_layer* layer, ktlsb_padding padding, void* context);

/* ---- keys --------------------------------------------------------------------------------- */

/* SSLv3 to TLS 1.2 (RFC 5246 section 6.3): both pending states from the master secret, 48 bytes,
 * and the randoms, 32 bytes each. Draws a block of random bytes from TLS 1.1 on. */
KTLSB_API int ktlsb_derive_pending_states(ktlsb_layer* layer, uint16_t suite,
                                          const uint8_t* master_secret, size_t master_secret_size,
                                          const uint8_t* client_random,
                                          const uint8_t* server_random);

/* SSLv2: both pending states. `kind` is three bytes, 0x0700C0. `key_arg_in`, of 8 bytes, is what
 * the client sent; NULL: drawn. `key_arg_out` gets it, `*key_arg_size` its size, 0 for RC4. */
KTLSB_API int ktlsb_derive_ssl2_pending_states(ktlsb_layer* layer, uint32_t kind,
                                               const uint8_t* master_key, size_t master_key_size,
                                               const uint8_t* challenge, size_t challenge_size,
                                               const uint8_t* connection_id,
                                               size_t connection_id_size, const uint8_t* key_arg_in,
                                               uint8_t key_arg_out[8], size_t* key_arg_size);

/* TLS 1.3 (RFC 8446 section 7.3): both pending states from the traffic secrets, which a handshake
 * makes as long as the suite's hash; 1 to 48 bytes are taken. */
KTLSB_API int ktlsb_derive_tls13_pending_states(ktlsb_layer* layer, uint16_t suite,
                                                const uint8_t* client_secret,
                                                const uint8_t* server_secret, size_t secret_size);

/* RFC 8446 section 7.2, at once and without a pending state. `received`: the peer sent KeyUpdate,
 * so the read state follows; else we have sent it, and the write state does. The secrets after it
 * are written to the two outputs, secret_size bytes each, one of them unchanged. KTLSB_NOT_USABLE:
 * no suite of TLS 1.3; KTLSB_OUT_OF_RANGE: secret_size is not that of the suite's hash. */
KTLSB_API int ktlsb_key_update(ktlsb_layer* layer, uint16_t suite, int received,
                               const uint8_t* client_secret, const uint8_t* server_secret,
                               size_t secret_size, uint8_t* client_secret_after,
                               uint8_t* server_secret_after);

KTLSB_API int ktlsb_change_write_state(ktlsb_layer* layer);
KTLSB_API int ktlsb_change_read_state(ktlsb_layer* layer);

/* The block that starts the records of a CBC cipher from TLS 1.1 on, before encryption: 8 or 16
 * bytes, as the cipher's. Drawn anew by ktlsb_derive_pending_states(); it is used by the current
 * write state and by those that become current. KTLSB_OUT_OF_RANGE: more than 16 bytes. One of
 * another size than the cipher's is ignored by a current state, and a change to a pending one is
 * KTLSB_NOT_USABLE. */
KTLSB_API int ktlsb_set_fixed_iv_block(ktlsb_layer* layer, const uint8_t* block, size_t size);
KTLSB_API int ktlsb_fixed_iv_block(const ktlsb_layer* layer, uint8_t* block, size_t capacity,
                                   size_t* size);

/* ---- states ------------------------------------------------------------------------------- */

typedef enum ktlsb_which {
  KTLSB_WRITE = 0,
  KTLSB_READ = 1,
  KTLSB_PENDING_WRITE = 2,
  KTLSB_PENDING_READ = 3
} ktlsb_which;

/* Sizes in bytes, 0 where there is no such thing. */
typedef struct ktlsb_state {
  uint64_t sequence; /* number of the next record */
  int has_mac;
  int has_cipher;
  int is_cbc;
  int is_aead;
  int encrypt_then_mac;
  size_t block_size;
  size_t tag_size;
  size_t mac_size;
  size_t nonce_size;          /* the part of the nonce that is fixed */
  const char* cipher;         /* "aes128gcm", as tlslite-ng names it; NULL without one. Static. */
  const char* implementation; /* "openssl"; NULL without a cipher. Static. */
} ktlsb_state;

/* KTLSB_WRONG_STATE: the direction was released. */
KTLSB_API int ktlsb_describe_state(const ktlsb_layer* layer, ktlsb_which which, ktlsb_state* state);

/* Where a pending state is to start: how a connection of another TLS library is taken over. Not
 * under a stream cipher, nor CBC before TLS 1.1, whose key stream and chain a number does not tell:
 * the change is KTLSB_NOT_USABLE then. Of a current state it needs KTLSB_UNSAFE_STATE_ACCESS. */
KTLSB_API int ktlsb_set_sequence(ktlsb_layer* layer, ktlsb_which which, uint64_t sequence);
/* The explicit nonce of a pending state's first record, where it is not the sequence number
 * (libssl's AES-GCM in TLS 1.2 counts from a random value). */
KTLSB_API int ktlsb_set_explicit_nonce(ktlsb_layer* layer, ktlsb_which which, uint64_t nonce);

typedef struct ktlsb_keys {
  uint8_t mac_key[48];
  uint8_t key[48];
  uint8_t iv[48];
  size_t mac_key_size;
  size_t key_size;
  size_t iv_size;
} ktlsb_keys;

/* Needs KTLSB_UNSAFE_STATE_ACCESS: wipe what you are given. */
KTLSB_API int ktlsb_state_keys(const ktlsb_layer* layer, ktlsb_which which, ktlsb_keys* keys);

/* A state that was handed out. */
typedef struct ktlsb_released {
  uint16_t version;
  uint32_t suite; /* 0 for SSLv2 */
  int encrypt_then_mac;
  uint64_t sequence;       /* number of the next record */
  uint64_t explicit_nonce; /* its explicit nonce, where it has one */
  ktlsb_keys keys;
} ktlsb_released;

/* Hands the current state of a direction out for good: the layer refuses the direction from then
 * on, so that its keys and numbers have one holder, who wipes them. KTLSB_WRONG_STATE: no keys,
 * bytes that were fed are unread, or released before. */
KTLSB_API int ktlsb_release(ktlsb_layer* layer, ktlsb_which which, ktlsb_released* released);

/* ---- sealing ------------------------------------------------------------------------------ */

/* Bytes that ktlsb_seal_record() would write; 0 when the direction was released, SIZE_MAX where no
 * record can hold so much. */
KTLSB_API size_t ktlsb_sealed_record_size(const ktlsb_layer* layer, size_t content_size,
                                          size_t padding);
/* One complete record: no fragments, and no limit but what its header can say. `padding`: zero
 * bytes inside a record of TLS 1.3; ignored elsewhere. */
KTLSB_API int ktlsb_seal_record(ktlsb_layer* layer, uint8_t type, const uint8_t* content,
                                size_t content_size, size_t padding, uint8_t* wire, size_t capacity,
                                size_t* wire_size);

/* Bytes that ktlsb_seal() writes at most. */
KTLSB_API size_t ktlsb_sealed_size(const ktlsb_layer* layer, size_t content_size);
/* Content and wire may not overlap, here and above.
 * As many records as the send limit makes of it, in one call; nothing is written unless all fit.
 * Application data of SSLv2 to TLS 1.0 under CBC starts with a record of one byte. */
KTLSB_API int ktlsb_seal(ktlsb_layer* layer, uint8_t type, const uint8_t* content,
                         size_t content_size, uint8_t* wire, size_t capacity, size_t* wire_size);

/* ---- opening ------------------------------------------------------------------------------ */

/* A record's header. Of a protected record of TLS 1.3: the inner type, 0x0304, the content's size.
 */
typedef struct ktlsb_header {
  uint8_t type;     /* SSLv2 has none: 22, or 23 once the handshake is finished */
  uint16_t version; /* SSLv2: 0x0200 */
  size_t length;    /* bytes after the header */
  int is_ssl2;
  int security_escape;
  uint8_t padding;
} ktlsb_header;

typedef struct ktlsb_record {
  ktlsb_header header;
  uint8_t* content;
  size_t content_size;
} ktlsb_record;

/* Bytes that the next record still wants; reading that many never reads past it. */
KTLSB_API size_t ktlsb_want(const ktlsb_layer* layer);
/* Appends to what is there. */
KTLSB_API int ktlsb_feed(ktlsb_layer* layer, const uint8_t* bytes, size_t size);
/* The transport has ended. */
KTLSB_API int ktlsb_feed_end(ktlsb_layer* layer);
/* KTLSB_OK and a record, whose content is valid until the next call; KTLSB_WANT_MORE; or an error,
 * after which reading is over. */
KTLSB_API int ktlsb_next(ktlsb_layer* layer, ktlsb_record* record);

/* Opens what lies in the caller's memory, in place, nothing being copied: up to `max` records.
 * `*count` of them were opened, and `*consumed` bytes are done with. KTLSB_OK, also when nothing is
 * whole; an error once what came before it has been given. Not while fed bytes are unread. */
KTLSB_API int ktlsb_open_in_place(ktlsb_layer* layer, uint8_t* wire, size_t size,
                                  ktlsb_record* records, size_t max, size_t* count,
                                  size_t* consumed);

/* Opens a body whose header was taken apart elsewhere, in place. */
KTLSB_API int ktlsb_open_body(ktlsb_layer* layer, const ktlsb_header* header, uint8_t* body,
                              size_t body_size, ktlsb_record* record);

/* ---- framing alone ------------------------------------------------------------------------ */

/* `out` has 5 bytes; `*size` of them were written. */
KTLSB_API int ktlsb_encode_header(const ktlsb_header* header, uint8_t out[5], size_t* size);
/* KTLSB_WANT_MORE: `*size` is how many bytes the header has, as far as is known. */
KTLSB_API int ktlsb_decode_header(const uint8_t* bytes, size_t available, ktlsb_header* header,
                                  size_t* size);

/* Records without any protection: headers and bodies. */
typedef struct ktlsb_framer ktlsb_framer;
KTLSB_API ktlsb_framer* ktlsb_framer_new(void);
KTLSB_API void ktlsb_framer_free(ktlsb_framer* framer);
/* As KTLSB_RECEIVE_LIMIT and KTLSB_TLS13_RECORDS. */
KTLSB_API int ktlsb_framer_set_limit(ktlsb_framer* framer, size_t limit, int tls13_records);
KTLSB_API size_t ktlsb_framer_want(const ktlsb_framer* framer);
KTLSB_API int ktlsb_framer_feed(ktlsb_framer* framer, const uint8_t* bytes, size_t size);
KTLSB_API int ktlsb_framer_feed_end(ktlsb_framer* framer);
KTLSB_API int ktlsb_framer_next(ktlsb_framer* framer, ktlsb_record* record);

/* ---- over a descriptor -------------------------------------------------------------------- */

/* A layer and a descriptor (a stream socket, or a pipe with SIGPIPE ignored), blocking or not; it
 * owns neither, and both must live as long. It never reads past a record, so that the descriptor
 * can be handed on at any time between two. */
typedef struct ktlsb_record_socket ktlsb_record_socket;
KTLSB_API ktlsb_record_socket* ktlsb_record_socket_new(int fd, ktlsb_layer* layer);
KTLSB_API void ktlsb_record_socket_free(ktlsb_record_socket* socket);
/* Seals as ktlsb_seal() does, and writes. KTLSB_WANT_MORE: the descriptor takes no more now; the
 * rest is kept, and ktlsb_record_socket_flush() sends it when the descriptor is writable. Until it
 * has, nothing else is sent: KTLSB_WRONG_STATE. */
KTLSB_API int ktlsb_record_socket_send(ktlsb_record_socket* socket, uint8_t type,
                                       const uint8_t* content, size_t content_size);
KTLSB_API int ktlsb_record_socket_flush(ktlsb_record_socket* socket);
/* As ktlsb_next(), reading what it wants. KTLSB_WANT_MORE: nothing can be read now. */
KTLSB_API int ktlsb_record_socket_receive(ktlsb_record_socket* socket, ktlsb_record* record);

/* ---- the kernel --------------------------------------------------------------------------- */

/* In the order of ktlsb_which: one may stand for the other. */
typedef enum ktlsb_direction { KTLSB_TRANSMIT = 0, KTLSB_RECEIVE = 1 } ktlsb_direction;

/* Releases the layer's current state of that direction and installs it into kernel TLS on `fd`, a
 * connected TCP socket with nothing in flight: all that was sealed is written, and reading stands
 * between two records. From then on the layer refuses the direction, and read(), write(),
 * sendfile() and splice() on the socket speak TLS. TLS 1.2 and 1.3 with AES-GCM,
 * AES-128-CCM, ChaCha20-Poly1305 and SM4, TLS 1.2 with ARIA-GCM, where the kernel has the cipher
 * (Debian's have neither SM4 nor ARIA). Keys in the kernel are not changed by this library: a
 * KeyUpdate of the peer ends a connection whose receiving is there. KTLSB_NOT_IN_KERNEL: nothing
 * has changed, the layer goes on in userspace, and `*reason` says why: see the three functions
 * below. KTLSB_WRONG_STATE: no keys, bytes that were fed are unread, or the direction was released
 * before. */
KTLSB_API int ktlsb_install(int fd, ktlsb_layer* layer, ktlsb_direction direction, int* reason);

/* A stable code ("ulp_unavailable"), one sentence, and what would change it. Static. */
KTLSB_API const char* ktlsb_reason_code(int reason);
KTLSB_API const char* ktlsb_reason_sentence(int reason);
KTLSB_API const char* ktlsb_reason_remedy(int reason);

/* After ktlsb_install(KTLSB_TRANSMIT): sends records of `type`, without waiting. `*sent` bytes were
 * taken. KTLSB_SYSTEM with EAGAIN: none can be now. */
KTLSB_API int ktlsb_send(int fd, uint8_t type, const uint8_t* content, size_t content_size,
                         size_t* sent);
/* After ktlsb_install(KTLSB_RECEIVE): what one record brought, or part of it, without waiting; one
 * call never mixes types. `*size` 0 and `*end` 1: the stream ended, without close_notify if none
 * came. KTLSB_SYSTEM with EAGAIN: no whole record is there. After any other error receiving is
 * over; the kernel tells most of them once. */
KTLSB_API int ktlsb_receive(int fd, uint8_t* type, uint8_t* content, size_t capacity, size_t* size,
                            int* end);

typedef enum ktlsb_place {
  KTLSB_IN_USERSPACE = 0,
  KTLSB_IN_KERNEL = 1,
  KTLSB_IN_NIC = 2,           /* the network card, and the kernel for what the card leaves */
  KTLSB_IN_KERNEL_OR_NIC = 3, /* one of them: which was not told */
  KTLSB_IN_UNKNOWN = 4        /* not even whether the kernel has keys was told */
} ktlsb_place;

/* What the kernel says of a socket. */
typedef struct ktlsb_places {
  ktlsb_place transmit;
  ktlsb_place receive;
  uint16_t version;   /* 0x0303, 0x0304; 0 where neither direction has keys */
  uint16_t cipher;    /* TLS_CIPHER_* of linux/tls.h; 0 likewise */
  const char* unseen; /* why a place is not sure ("ulp_info_hidden"); NULL where all was told */
} ktlsb_places;

/* Where the two directions of `fd` run now, whoever put them there. Asks by sock_diag, and by
 * getsockopt() where that tells nothing, as on Linux 6.1 and 6.12 without CAP_NET_ADMIN. Changes
 * nothing, and no key leaves the kernel. KTLSB_SYSTEM: EBADF, ENOTSOCK. */
KTLSB_API int ktlsb_placement(int fd, ktlsb_places* places);
/* "kernel", "kernel-or-nic"; "unknown" for a number that is none of them. Static. */
KTLSB_API const char* ktlsb_place_name(ktlsb_place place);

/* ---- what there is ------------------------------------------------------------------------ */

typedef struct ktlsb_suite {
  uint32_t id;          /* two bytes, of SSLv2's kinds three */
  uint16_t version_min; /* 0x0002, 0x0300 to 0x0304 */
  uint16_t version_max;
  const char* name;        /* the IANA registry's. Static, as the rest. */
  const char* cipher;      /* "AES-128-GCM" */
  const char* mac;         /* "SHA1"; NULL where the cipher authenticates */
  int kernel;              /* ktlsb_install() can install it where the kernel has it */
  const char* unavailable; /* set where libcrypto does not offer the cipher; NULL where it does */
} ktlsb_suite;

/* Suites that the library knows; SSLv2's cipher kinds come last. */
KTLSB_API size_t ktlsb_suite_count(void);
KTLSB_API int ktlsb_suite_at(size_t index, ktlsb_suite* suite);

/* ---- pieces, for tests -------------------------------------------------------------------- */

typedef enum ktlsb_hash {
  KTLSB_MD5 = 0,
  KTLSB_SHA1 = 1,
  KTLSB_SHA256 = 2,
  KTLSB_SHA384 = 3
} ktlsb_hash;

/* The MAC of a record of SSLv3 to TLS 1.2; `mac` has the hash's size. */
KTLSB_API int ktlsb_mac(uint16_t version, ktlsb_hash hash, const uint8_t* key, size_t key_size,
                        uint64_t sequence, uint8_t type, const uint8_t* data, size_t data_size,
                        uint8_t* mac, size_t capacity, size_t* mac_size);
/* Bytes of padding that a CBC cipher adds to `size` bytes, into `out`, which has a block of room.
 */
KTLSB_API int ktlsb_cbc_padding(size_t size, size_t block_size, uint8_t* out, size_t* padding_size);
/* The PRF of `version` with that hash, which counts in TLS 1.2 alone; SSLv3's has no label. */
KTLSB_API int ktlsb_prf(uint16_t version, ktlsb_hash hash, const uint8_t* secret,
                        size_t secret_size, const char* label, const uint8_t* seed,
                        size_t seed_size, uint8_t* out, size_t size);

#ifdef __cplusplus
}
#endif
