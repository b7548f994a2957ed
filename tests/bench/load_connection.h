// LoadConnection: one kept-alive HTTPS connection of the load client, which asks for one thing over
// and over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <openssl/ssl.h>

#include "ktls/base/unique_fd.h"
#include "userspace/handshake/openssl/pointers.h"

namespace bench {

// What is done with what comes: opening every record costs the client as much as sealing costs the
// server; where only the server is measured, reading the records' lengths will do.
enum class Reading : std::uint8_t { kDecrypt, kCount };

struct Load {
  std::uint16_t port = 0;
  std::string path;
  Reading reading = Reading::kDecrypt;
  int connections = 1;
  std::uint64_t requests = 1;
};

// Sizes of one response, all bytes of plaintext.
struct ResponseSize {
  std::uint64_t head = 0;
  std::uint64_t body = 0;
};

// To this machine. Throws std::runtime_error.
[[nodiscard]] ktls::UniqueFd connect_to(std::uint16_t port);

// Its functions throw std::runtime_error where the server does something else than answer.
class LoadConnection {
 public:
  // Connects to this machine, shakes hands, and asks by HEAD how much a response is.
  LoadConnection(SSL_CTX& context, const Load& load);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const ResponseSize& size() const { return size_; }
  // Records that responses came in; known where they are counted.
  [[nodiscard]] std::uint64_t records() const { return records_; }

  // From here on nothing waits.
  void begin();
  void send_request();
  // Takes what is there. True: the response is complete.
  [[nodiscard]] bool take(std::span<std::uint8_t> memory);

 private:
  [[nodiscard]] ResponseSize ask_size();
  [[nodiscard]] bool take_plaintext(std::span<std::uint8_t> memory);
  [[nodiscard]] bool take_records(std::span<std::uint8_t> memory);
  // One step over ciphertext; answers how many bytes it took.
  [[nodiscard]] std::size_t step_over(std::span<const std::uint8_t> ciphertext);
  // The socket becomes readable when so much has come, or all of what the response still is.
  void wait_for_bulk();

  const Load& load_;
  ktls::UniqueFd fd_;
  tls::SslPtr ssl_;
  ResponseSize size_;
  std::uint64_t left_ = 0;  // plaintext of the present response
  std::uint64_t records_ = 0;
  std::size_t record_left_ = 0;
  std::uint8_t header_[5] = {};
  std::size_t header_size_ = 0;
  int low_water_ = 1;
};

}  // namespace bench
