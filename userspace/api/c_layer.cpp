// The C interface of a layer: its life, properties, keys and states.
#include <algorithm>
#include <array>
#include <new>
#include <optional>

#include "userspace/api/c_handles.h"
#include "userspace/api/version.h"
#include "userspace/record/record_header.h"

namespace {

using api::answer;
using api::guarded;
using api::refuse;
using Bytes = std::span<const std::uint8_t>;

// tlslite-ng's names, and names in their manner for what it has not.
struct CipherName {
  std::string_view cipher;
  const char* name;
};
constexpr std::array kCipherNames = {
    CipherName{"RC4-128", "rc4"},
    CipherName{"RC2-128-CBC", "rc2"},
    CipherName{"IDEA-CBC", "idea"},
    CipherName{"DES-CBC", "des"},
    CipherName{"3DES-EDE-CBC", "3des"},
    CipherName{"AES-128-CBC", "aes128"},
    CipherName{"AES-256-CBC", "aes256"},
    CipherName{"CAMELLIA-128-CBC", "camellia128"},
    CipherName{"CAMELLIA-256-CBC", "camellia256"},
    CipherName{"ARIA-128-CBC", "aria128"},
    CipherName{"ARIA-256-CBC", "aria256"},
    CipherName{"SEED-CBC", "seed"},
    CipherName{"AES-128-GCM", "aes128gcm"},
    CipherName{"AES-256-GCM", "aes256gcm"},
    CipherName{"AES-128-CCM", "aes128ccm"},
    CipherName{"AES-256-CCM", "aes256ccm"},
    CipherName{"AES-128-CCM-8", "aes128ccm_8"},
    CipherName{"AES-256-CCM-8", "aes256ccm_8"},
    CipherName{"ARIA-128-GCM", "aria128gcm"},
    CipherName{"ARIA-256-GCM", "aria256gcm"},
    CipherName{"CAMELLIA-128-GCM", "camellia128gcm"},
    CipherName{"CAMELLIA-256-GCM", "camellia256gcm"},
    CipherName{"SM4-GCM", "sm4gcm"},
    CipherName{"SM4-CCM", "sm4ccm"},
    CipherName{"CHACHA20-POLY1305", "chacha20-poly1305"},
    CipherName{"CHACHA20-POLY1305-DRAFT00", "chacha20-poly1305"},
};

const char* name_of(const tls::BulkCipher& cipher) {
  const auto* row = std::ranges::find(kCipherNames, cipher.name, &CipherName::cipher);
  return row == kCipherNames.end() ? nullptr : row->name;
}

// What a suite means for a state, whether it is in use or not.
void describe(const tls::CipherSuite& suite, tls::ProtocolVersion version, ktlsb_state& state) {
  const tls::BulkCipher& cipher = *suite.bulk_cipher;
  const bool is_13 = version == tls::ProtocolVersion::kTls13;
  const bool is_integrity = cipher.kind == tls::ProtectionKind::kIntegrity;
  state.is_aead = cipher.kind == tls::ProtectionKind::kAead;
  state.is_cbc = cipher.kind == tls::ProtectionKind::kCbc;
  state.has_cipher = cipher.kind != tls::ProtectionKind::kNull && !is_integrity;
  state.has_mac = suite.mac.has_value() || is_integrity;
  state.mac_size = suite.mac ? tls::size_of(*suite.mac) : 0;
  state.block_size = cipher.block_size;
  state.tag_size = cipher.tag_size;
  if (state.is_aead) state.nonce_size = is_13 ? tls::kAeadNonceSize : cipher.iv_size;
  if (is_integrity) state.nonce_size = cipher.iv_size;
  state.cipher = name_of(cipher);
  state.implementation = state.cipher == nullptr ? nullptr : "openssl";
}

bool is_current(ktlsb_which which) {
  return which == KTLSB_WRITE || which == KTLSB_READ;
}

bool is_write(ktlsb_which which) {
  return which == KTLSB_WRITE || which == KTLSB_PENDING_WRITE;
}

bool is_which(ktlsb_which which) {
  return which >= KTLSB_WRITE && which <= KTLSB_PENDING_READ;
}

template <class LayerType>
auto& current_of(LayerType& layer, ktlsb_which which) {
  return is_write(which) ? layer.records().write_state() : layer.records().read_state();
}

template <std::size_t N, class Tag>
void copy_secret(const ktls::Secret<N, Tag>& secret, std::uint8_t* out, std::size_t& size) {
  static_assert(N <= sizeof(ktlsb_keys::key));
  size = secret.size();
  std::ranges::copy(secret.bytes(), out);
}

void copy_keys(const tls::TrafficKeys& held, ktlsb_keys& keys) {
  copy_secret(held.mac_key, keys.mac_key, keys.mac_key_size);
  copy_secret(held.key, keys.key, keys.key_size);
  copy_secret(held.iv, keys.iv, keys.iv_size);
}

}  // namespace

// --- life --------------------------------------------------------------------------------------

const char* ktlsb_version(void) {
  return api::kVersion;
}

ktlsb_layer* ktlsb_new(void) {
  try {
    return new ktlsb_layer;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ktlsb_free(ktlsb_layer* layer) {
  delete layer;
}

int ktlsb_shutdown(ktlsb_layer* layer) {
  return guarded([&] { return answer(layer, layer->shutdown()); });
}

const char* ktlsb_last_error(const ktlsb_layer* layer) {
  return layer->last_error().c_str();
}

// --- properties --------------------------------------------------------------------------------

int ktlsb_set(ktlsb_layer* layer, ktlsb_property property, uint64_t value) {
  return guarded([&]() -> int {
    switch (property) {
      case KTLSB_VERSION:
        if (value > UINT16_MAX) return refuse(layer, KTLSB_OUT_OF_RANGE, "version: two bytes");
        layer->set_version(static_cast<std::uint16_t>(value));
        return KTLSB_OK;
      case KTLSB_IS_CLIENT:
        layer->is_client = value != 0;
        return KTLSB_OK;
      case KTLSB_TLS13_RECORDS:
        layer->set_tls13_records(value != 0);
        return KTLSB_OK;
      case KTLSB_HANDSHAKE_FINISHED:
        layer->set_handshake_finished(value != 0);
        return KTLSB_OK;
      case KTLSB_ENCRYPT_THEN_MAC:
        layer->set_encrypt_then_mac(value != 0);
        return KTLSB_OK;
      case KTLSB_RECEIVE_LIMIT:
        if (value > tls::kBodySizeMax) {
          return refuse(layer, KTLSB_OUT_OF_RANGE, "receive limit: at most 65535");
        }
        layer->set_receive_limit(value);
        return KTLSB_OK;
      case KTLSB_SEND_LIMIT:
        if (value == 0 || value > tls::kPlaintextSizeMax) {
          return refuse(layer, KTLSB_OUT_OF_RANGE, "send limit: 1 to 16384");
        }
        layer->set_send_limit(value);
        return KTLSB_OK;
      case KTLSB_EARLY_DATA_OK:
        layer->set_early_data(value != 0);
        return KTLSB_OK;
      case KTLSB_EARLY_DATA_MAX:
        layer->set_early_data_max(value);
        return KTLSB_OK;
      case KTLSB_UNSAFE_CHANGE_TO_CLEAR:
        layer->set_unsafe_change_to_clear(value != 0);
        return KTLSB_OK;
      case KTLSB_UNSAFE_STATE_ACCESS:
        layer->unsafe_state_access = value != 0;
        return KTLSB_OK;
      default:
        return refuse(layer, KTLSB_OUT_OF_RANGE, "no such property, or none that can be set");
    }
  });
}

int ktlsb_get(const ktlsb_layer* layer, ktlsb_property property, uint64_t* value) {
  switch (property) {
    case KTLSB_VERSION:
      *value = layer->version();
      return KTLSB_OK;
    case KTLSB_IS_CLIENT:
      *value = layer->is_client;
      return KTLSB_OK;
    case KTLSB_TLS13_RECORDS:
      *value = layer->tls13_records();
      return KTLSB_OK;
    case KTLSB_HANDSHAKE_FINISHED:
      *value = layer->handshake_finished();
      return KTLSB_OK;
    case KTLSB_ENCRYPT_THEN_MAC:
      *value = layer->encrypt_then_mac();
      return KTLSB_OK;
    case KTLSB_RECEIVE_LIMIT:
      *value = layer->receive_limit();
      return KTLSB_OK;
    case KTLSB_SEND_LIMIT:
      *value = layer->send_limit();
      return KTLSB_OK;
    case KTLSB_EARLY_DATA_OK:
      *value = layer->records().skips_early_data();
      return KTLSB_OK;
    case KTLSB_EARLY_DATA_MAX:
      *value = layer->early_data_max();
      return KTLSB_OK;
    case KTLSB_WIRE_VERSION:
      *value = layer->wire_version();
      return KTLSB_OK;
    case KTLSB_IS_TLS13:
      *value = layer->is_tls13();
      return KTLSB_OK;
    case KTLSB_EARLY_DATA_SKIPPED:
      *value = layer->records().early_data_skipped();
      return KTLSB_OK;
    case KTLSB_UNSAFE_CHANGE_TO_CLEAR:
      *value = layer->unsafe_change_to_clear();
      return KTLSB_OK;
    case KTLSB_UNSAFE_STATE_ACCESS:
      *value = layer->unsafe_state_access;
      return KTLSB_OK;
    default:
      return KTLSB_OUT_OF_RANGE;
  }
}

int ktlsb_set_random(ktlsb_layer* layer, ktlsb_random random, void* context) {
  return guarded([&]() -> int {
    if (random == nullptr) {
      layer->set_random(nullptr);
    } else {
      layer->set_random([random, context](std::span<std::uint8_t> out) {
        return random(context, out.data(), out.size()) == 0;
      });
    }
    return KTLSB_OK;
  });
}

int ktlsb_set_padding(ktlsb_layer* layer, ktlsb_padding padding, void* context) {
  return guarded([&]() -> int {
    if (padding == nullptr) {
      layer->records().set_padding_policy(nullptr);
    } else {
      layer->records().set_padding_policy(
          [padding, context](std::size_t size, tls::ContentType type, std::size_t max) {
            return padding(context, size, static_cast<std::uint8_t>(type), max);
          });
    }
    return KTLSB_OK;
  });
}

// --- keys --------------------------------------------------------------------------------------

int ktlsb_derive_pending_states(ktlsb_layer* layer, uint16_t suite, const uint8_t* master_secret,
                                size_t master_secret_size, const uint8_t* client_random,
                                const uint8_t* server_random) {
  return guarded([&] {
    return answer(layer,
                  layer->derive_pending_states(suite, {master_secret, master_secret_size},
                                               {client_random, tls::kRandomSize},
                                               {server_random, tls::kRandomSize}),
                  KTLSB_NOT_USABLE);
  });
}

int ktlsb_derive_ssl2_pending_states(ktlsb_layer* layer, uint32_t kind, const uint8_t* master_key,
                                     size_t master_key_size, const uint8_t* challenge,
                                     size_t challenge_size, const uint8_t* connection_id,
                                     size_t connection_id_size, const uint8_t* key_arg_in,
                                     uint8_t key_arg_out[8], size_t* key_arg_size) {
  constexpr std::size_t kKeyArgSize = 8;
  return guarded([&]() -> int {
    *key_arg_size = 0;
    const tls::Ssl2CipherKind* const row = tls::find_ssl2_cipher_kind(kind);
    if (row == nullptr) return refuse(layer, KTLSB_OUT_OF_RANGE, "no such cipher kind of SSLv2");
    std::optional<Bytes> key_arg;
    if (key_arg_in != nullptr) key_arg = Bytes(key_arg_in, kKeyArgSize);
    auto used = layer->derive_ssl2_pending_states(*row->suite, {master_key, master_key_size},
                                                  {challenge, challenge_size},
                                                  {connection_id, connection_id_size}, key_arg);
    if (!used) return answer(layer, used.error());
    std::ranges::copy(*used, key_arg_out);
    *key_arg_size = used->size();
    return KTLSB_OK;
  });
}

int ktlsb_derive_tls13_pending_states(ktlsb_layer* layer, uint16_t suite,
                                      const uint8_t* client_secret, const uint8_t* server_secret,
                                      size_t secret_size) {
  return guarded([&] {
    return answer(layer,
                  layer->derive_tls13_pending_states(suite, {client_secret, secret_size},
                                                     {server_secret, secret_size}),
                  KTLSB_NOT_USABLE);
  });
}

int ktlsb_key_update(ktlsb_layer* layer, uint16_t suite, int received, const uint8_t* client_secret,
                     const uint8_t* server_secret, size_t secret_size, uint8_t* client_secret_after,
                     uint8_t* server_secret_after) {
  return guarded([&]() -> int {
    // The peer's secret when it was received, ours when it was sent.
    const bool is_of_client = layer->is_client != (received != 0);
    const Bytes before(is_of_client ? client_secret : server_secret, secret_size);
    const auto after = layer->key_update(suite, received != 0, before);
    if (!after) return answer(layer, after.error(), KTLSB_NOT_USABLE);
    std::copy_n(client_secret, secret_size, client_secret_after);
    std::copy_n(server_secret, secret_size, server_secret_after);
    std::ranges::copy(after->bytes(), is_of_client ? client_secret_after : server_secret_after);
    return KTLSB_OK;
  });
}

int ktlsb_change_write_state(ktlsb_layer* layer) {
  return guarded([&] { return answer(layer, layer->change_write_state(), KTLSB_NOT_USABLE); });
}

int ktlsb_change_read_state(ktlsb_layer* layer) {
  return guarded([&] { return answer(layer, layer->change_read_state(), KTLSB_NOT_USABLE); });
}

int ktlsb_set_fixed_iv_block(ktlsb_layer* layer, const uint8_t* block, size_t size) {
  return guarded([&] { return answer(layer, layer->set_fixed_iv_block({block, size})); });
}

int ktlsb_fixed_iv_block(const ktlsb_layer* layer, uint8_t* block, size_t capacity, size_t* size) {
  const auto held = layer->fixed_iv_block();
  *size = held.size();
  if (capacity < held.size()) return KTLSB_NO_SPACE;
  std::ranges::copy(held, block);
  return KTLSB_OK;
}

// --- states ------------------------------------------------------------------------------------

int ktlsb_describe_state(const ktlsb_layer* layer, ktlsb_which which, ktlsb_state* state) {
  if (!is_which(which)) return KTLSB_OUT_OF_RANGE;
  *state = {};
  if (!is_current(which)) {
    const api::PendingState& pending = layer->pending(is_write(which));
    state->encrypt_then_mac = pending.encrypt_then_mac;
    state->sequence = pending.sequence.value_or(0);
    if (pending.suite != nullptr) describe(*pending.suite, pending.version, *state);
    return KTLSB_OK;
  }
  const auto& current = current_of(*layer, which);
  if (!current) return KTLSB_WRONG_STATE;
  state->sequence = current->sequence();
  state->encrypt_then_mac =
      which == KTLSB_WRITE ? layer->encrypt_then_mac() : current->encrypt_then_mac();
  if (!current->is_null()) describe(current->suite(), current->version(), *state);
  return KTLSB_OK;
}

int ktlsb_set_sequence(ktlsb_layer* layer, ktlsb_which which, uint64_t sequence) {
  return guarded([&]() -> int {
    if (!is_which(which)) return refuse(layer, KTLSB_OUT_OF_RANGE, "no such state");
    if (!is_current(which)) {
      layer->pending(is_write(which)).sequence = sequence;
      return KTLSB_OK;
    }
    if (!layer->unsafe_state_access) {
      return refuse(layer, KTLSB_WRONG_STATE, "a current state's number: see UNSAFE_STATE_ACCESS");
    }
    auto& current = current_of(*layer, which);
    if (!current) return refuse(layer, KTLSB_WRONG_STATE, "the direction was released");
    current->set_sequence_unsafely(sequence);
    return KTLSB_OK;
  });
}

int ktlsb_set_explicit_nonce(ktlsb_layer* layer, ktlsb_which which, uint64_t nonce) {
  return guarded([&]() -> int {
    if (!is_which(which) || is_current(which)) {
      return refuse(layer, KTLSB_OUT_OF_RANGE, "an explicit nonce is set of a pending state");
    }
    layer->pending(is_write(which)).explicit_nonce = nonce;
    return KTLSB_OK;
  });
}

int ktlsb_state_keys(const ktlsb_layer* layer, ktlsb_which which, ktlsb_keys* keys) {
  if (!is_which(which)) return KTLSB_OUT_OF_RANGE;
  if (!layer->unsafe_state_access) return KTLSB_WRONG_STATE;
  const tls::TrafficKeys* held = &layer->pending(is_write(which)).keys;
  if (is_current(which)) {
    const auto& current = current_of(*layer, which);
    if (!current) return KTLSB_WRONG_STATE;
    held = &current->keys_unsafely();
  }
  *keys = {};
  copy_keys(*held, *keys);
  return KTLSB_OK;
}

int ktlsb_release(ktlsb_layer* layer, ktlsb_which which, ktlsb_released* released) {
  return guarded([&]() -> int {
    *released = {};
    if (!is_which(which) || !is_current(which)) {
      return refuse(layer, KTLSB_OUT_OF_RANGE, "KTLSB_WRITE or KTLSB_READ");
    }
    const auto state = layer->release(is_write(which));
    if (!state) return answer(layer, state.error(), KTLSB_NOT_USABLE);
    released->version = static_cast<std::uint16_t>(state->version());
    released->suite = state->suite().id;
    released->encrypt_then_mac = state->encrypt_then_mac();
    released->sequence = state->sequence();
    released->explicit_nonce = state->explicit_nonce();
    copy_keys(state->keys_unsafely(), released->keys);
    return KTLSB_OK;
  });
}
