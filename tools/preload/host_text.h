// Hosts as patterns write them, and addresses as text: each address has one text, by which it is
// compared.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace preload {

struct AddressText {
  std::array<char, INET6_ADDRSTRLEN> text{};
  [[nodiscard]] std::string_view view() const { return text.data(); }
};

inline in6_addr as_ipv6(const in_addr& four) {
  in6_addr six{};
  six.s6_addr[10] = 0xff;
  six.s6_addr[11] = 0xff;
  std::memcpy(&six.s6_addr[12], &four, sizeof four);
  return six;
}

// What connect(2) makes of the address that stands for any: the loopback.
inline in6_addr reached_by(in6_addr address) {
  if (IN6_IS_ADDR_UNSPECIFIED(&address)) return in6addr_loopback;
  const in6_addr any = as_ipv6({INADDR_ANY});
  if (std::memcmp(&address, &any, sizeof any) == 0) return as_ipv6({htonl(INADDR_LOOPBACK)});
  return address;
}

// IPv4 that is written as IPv6 is IPv4.
inline AddressText text_of(const in6_addr& address) {
  const in6_addr reached = reached_by(address);
  const bool is_four = IN6_IS_ADDR_V4MAPPED(&reached);
  AddressText found;
  ::inet_ntop(is_four ? AF_INET : AF_INET6, &reached.s6_addr[is_four ? 12 : 0], found.text.data(),
              found.text.size());
  return found;
}

//   kOtherAddress  an address in a form that no text of one has (`127.1`, `fe80::1%lo`)
enum class HostForm : std::uint8_t { kName, kAddress, kOtherAddress };

// What the host of a pattern is; of an address also its text.
inline HostForm form_of(std::string_view host, AddressText& text) {
  if (host.empty()) return HostForm::kName;
  std::array<char, 256> copy{};
  host.copy(copy.data(), copy.size() - 1);
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, copy.data(), &four) == 1) {
    text = text_of(as_ipv6(four));
    return HostForm::kAddress;
  }
  if (::inet_pton(AF_INET6, copy.data(), &six) == 1) {
    text = text_of(six);
    return HostForm::kAddress;
  }
  const bool is_glob = host.find_first_of("*?") != std::string_view::npos;
  const bool is_other = ::inet_aton(copy.data(), &four) != 0 ||
                        (host.find(':') != std::string_view::npos && !is_glob);
  return is_other ? HostForm::kOtherAddress : HostForm::kName;
}

}  // namespace preload
