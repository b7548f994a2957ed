#include "tests/unit/userspace/bridge/ends.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace bridge::test {
namespace {

// Rounds of the loop without news after which whoever reads has taken all that it wants: a record
// of the handshake costs the bridge four (header, body, answer, next header), with room to spare.
constexpr int kQuietRounds = 12;
constexpr int kQueueRounds = 10'000;  // until the bytes are acknowledged; loopback needs none
constexpr std::uint8_t kKeyUpdate = 24;

int queued(int fd, unsigned long request) {
  int size = 0;
  return ::ioctl(fd, request, &size) == 0 ? size : 0;
}

}  // namespace

std::string pattern_text(std::size_t size, std::size_t seed) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>(((i + seed) * 2654435761U) >> 13U);
  }
  return text;
}

void StreamEnd::cut_at(std::size_t position, int reader_fd) {
  cut_ = position;
  reader_fd_ = reader_fd;
}

Task<bool> StreamEnd::send_piece(std::span<const std::uint8_t> piece) {
  while (!piece.empty()) {
    const ssize_t size = ::send(fd(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size >= 0) {
      sent_ += static_cast<std::size_t>(size);
      piece = piece.subspan(static_cast<std::size_t>(size));
      continue;
    }
    if (errno != EAGAIN) co_return false;
    const auto room = co_await loop_->writable(*scope_, fd());
    if (!room) co_return false;
  }
  co_return true;
}

// Until nothing is on its way and the reader has left alone for some rounds what it has not taken.
Task<void> StreamEnd::settle() const {
  for (int i = 0; i < kQueueRounds && queued(fd(), SIOCOUTQ) != 0; ++i) co_await loop_->yield();
  int left = -1;
  for (int quiet = 0; quiet < kQuietRounds; ++quiet) {
    co_await loop_->yield();
    if (const int now = queued(reader_fd_, SIOCINQ); now != left) {
      left = now;
      quiet = 0;
    }
  }
  // What is left was left by the kernel's record parser, which works in a thread of its own.
  if (left != 0) static_cast<void>(co_await loop_->sleep(*scope_, std::chrono::milliseconds(1)));
}

Task<bool> StreamEnd::send_bytes(Bytes bytes) {
  std::span<const std::uint8_t> rest = bytes;
  if (sent_ < cut_ && cut_ < sent_ + rest.size()) {
    const std::size_t first = cut_ - sent_;
    if (const bool sent = co_await send_piece(rest.first(first)); !sent) co_return false;
    co_await settle();
    rest = rest.subspan(first);
  }
  co_return co_await send_piece(rest);
}

Task<bool> StreamEnd::receive_once() {
  auto received = co_await loop_->receive_pooled(*scope_, fd());
  if (!received) {
    was_reset_ = received.error().sys_errno == ECONNRESET;
    co_return false;
  }
  saw_fin_ = received->empty();
  if (saw_fin_) co_return false;
  const std::span<const std::uint8_t> bytes = received->bytes();
  co_return co_await take(Bytes(bytes.begin(), bytes.end()));
}

Task<std::string> StreamEnd::read(std::size_t size) {
  while (text_.size() < size) {
    if (const bool more = co_await receive_once(); !more) break;
  }
  const std::size_t taken = std::min(size, text_.size());
  std::string text = text_.substr(0, taken);
  text_.erase(0, taken);
  co_return text;
}

Task<std::string> StreamEnd::read_to_end() {
  while (!saw_fin_ && !was_reset_) {
    if (const bool more = co_await receive_once(); !more) break;
  }
  co_return std::exchange(text_, {});
}

void StreamEnd::shut_write() {
  ::shutdown(fd(), SHUT_WR);
}

void StreamEnd::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

Task<bool> PlainEnd::write(std::string text) {
  co_return co_await send_bytes(Bytes(text.begin(), text.end()));
}

Task<bool> PlainEnd::take(Bytes bytes) {
  text_.append(bytes.begin(), bytes.end());
  co_return true;
}

TlsEnd::TlsEnd(Loop& loop, Scope& scope, ktls::UniqueFd fd, SSL_CTX* context, tls::Role role,
               const std::string& name, SSL_SESSION* session)
    : StreamEnd(loop, scope, std::move(fd)), ssl_(SSL_new(context)) {
  BIO* const input = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(input, -1);
  SSL_set_bio(ssl(), input, BIO_new(BIO_s_mem()));
  SSL_set_msg_callback(ssl(), &TlsEnd::message_callback);
  SSL_set_msg_callback_arg(ssl(), this);
  if (role == tls::Role::kServer) {
    SSL_set_accept_state(ssl());
    return;
  }
  SSL_set_connect_state(ssl());
  std::string sni = name;
  SSL_ctrl(ssl(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.data());
  if (session != nullptr) SSL_set_session(ssl(), session);
}

void TlsEnd::message_callback(int written, int /*version*/, int type, const void* bytes,
                              std::size_t size, SSL* /*ssl*/, void* self) {
  static_cast<TlsEnd*>(self)->note_message(written != 0, type,
                                           {static_cast<const std::uint8_t*>(bytes), size});
}

void TlsEnd::note_message(bool written, int type, std::span<const std::uint8_t> bytes) {
  if (written || bytes.empty()) return;
  if (type == SSL3_RT_HANDSHAKE && bytes[0] == kKeyUpdate) ++key_updates_received_;
  if (type != SSL3_RT_ALERT || bytes.size() != 2 || bytes[1] == SSL_AD_CLOSE_NOTIFY) return;
  alert_level_ = bytes[0];
  alert_ = bytes[1];
  fatal_alert_ = bytes[0] == SSL3_AL_FATAL;
}

Bytes TlsEnd::take_output() {
  BIO* const output = SSL_get_wbio(ssl());
  Bytes bytes(BIO_ctrl_pending(output));
  if (!bytes.empty()) BIO_read(output, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

Task<bool> TlsEnd::flush() {
  Bytes output = take_output();
  if (output.empty()) co_return true;
  co_return co_await send_bytes(std::move(output));
}

Task<bool> TlsEnd::shake_hands(bool hold_last) {
  for (;;) {
    ERR_clear_error();
    const int answer = SSL_do_handshake(ssl());
    if (answer == 1) read_all();  // what came with the last record of the handshake
    if (answer == 1 && hold_last) co_return true;
    if (const bool flushed = co_await flush(); !flushed) co_return false;
    if (answer == 1) co_return true;
    if (SSL_get_error(ssl(), answer) != SSL_ERROR_WANT_READ) co_return false;
    if (const bool fed = co_await feed_once(); !fed) co_return false;
  }
}

void TlsEnd::feed(std::span<const std::uint8_t> bytes) {
  BIO_write(SSL_get_rbio(ssl()), bytes.data(), static_cast<int>(bytes.size()));
  wire_.insert(wire_.end(), bytes.begin(), bytes.end());
}

Task<bool> TlsEnd::feed_once() {
  auto received = co_await loop_->receive_pooled(*scope_, fd());
  if (!received || received->empty()) co_return false;
  feed(received->bytes());
  co_return true;
}

Task<bool> TlsEnd::write_before_finished(std::string text) {
  std::size_t size = 0;
  for (;;) {
    ERR_clear_error();
    const int answer = SSL_read_early_data(ssl(), text.data(), 0, &size);
    if (answer == SSL_READ_EARLY_DATA_FINISH) break;
    if (SSL_get_error(ssl(), 0) != SSL_ERROR_WANT_READ) co_return false;
    if (const bool fed = co_await feed_once(); !fed) co_return false;
  }
  if (SSL_write_early_data(ssl(), text.data(), text.size(), &size) != 1) co_return false;
  co_return co_await flush();
}

Task<bool> TlsEnd::write(std::string text) {
  ERR_clear_error();
  if (SSL_write(ssl(), text.data(), static_cast<int>(text.size())) <= 0) co_return false;
  co_return co_await flush();
}

Task<bool> TlsEnd::close_notify() {
  SSL_shutdown(ssl());
  co_return co_await flush();
}

Task<bool> TlsEnd::object() {
  Bytes record = {23, 3, 3, 0, 40};
  record.resize(record.size() + record.back());
  BIO_write(SSL_get_rbio(ssl()), record.data(), static_cast<int>(record.size()));
  read_all();
  co_return co_await flush();
}

Task<bool> TlsEnd::write_damaged(std::string_view text) {
  SSL_write(ssl(), text.data(), static_cast<int>(text.size()));
  Bytes record = take_output();
  record.back() ^= 1U;
  co_return co_await send_bytes(std::move(record));
}

Task<bool> TlsEnd::update_key(int type) {
  if (SSL_key_update(ssl(), type) != 1 || SSL_do_handshake(ssl()) != 1) co_return false;
  co_return co_await flush();
}

// Reads until libssl wants more, and sends what it answers meanwhile (KeyUpdate, alerts).
Task<bool> TlsEnd::take(Bytes bytes) {
  feed(bytes);
  read_all();
  static_cast<void>(co_await flush());
  co_return true;
}

void TlsEnd::read_all() {
  std::array<char, 16384> buffer{};
  for (;;) {
    ERR_clear_error();
    const int size = SSL_read(ssl(), buffer.data(), buffer.size());
    if (size > 0) {
      text_.append(buffer.data(), static_cast<std::size_t>(size));
      continue;
    }
    const int error = SSL_get_error(ssl(), size);
    if (error == SSL_ERROR_SSL && objection_.empty()) {
      const char* const why = ERR_reason_error_string(ERR_peek_last_error());
      objection_ = why == nullptr ? "unnamed" : why;
    }
    return;
  }
}

}  // namespace bridge::test
