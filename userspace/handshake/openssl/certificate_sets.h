// CertificateSets: which of a server's certificates a client is shown by the name it asks for: one
// of each kind of key, between which libssl chooses by what the client can verify.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "userspace/handshake/host_names.h"

namespace tls {

// What counts of a certificate here.
//   key_kind  of certificates of one kind, libssl has one at a time
//   names     in canonical form, "*.example.org" among them
struct CertificateNames {
  int key_kind = 0;
  std::vector<std::string> names;
};

// Certificates are known by their place in the order in which they were given.
class CertificateSets {
 public:
  using Set = std::vector<std::size_t>;
  // The number of the set for clients that ask for no name that a certificate holds: the first
  // certificate, and beside it the first of each other kind that holds all its names.
  static constexpr std::size_t kDefault = 0;

  CertificateSets() = default;
  // Of the first `common` of `all`, of which there is one at least. The rest is of hosts, and
  // shown where host() says so.
  CertificateSets(std::vector<CertificateNames> all, std::size_t common);

  // The set for a host with a certificate of its own: that one, and beside it what holds `name`.
  std::size_t host(std::size_t certificate, std::string_view name);

  // The number of the set for `server_name`, in canonical form. For each kind of key that is the
  // first certificate that has the very name, or else the first with a wildcard for it.
  [[nodiscard]] std::size_t find(std::string_view server_name) const;

  // At most one certificate of a kind.
  [[nodiscard]] const Set& operator[](std::size_t set) const { return sets_[set]; }

 private:
  // Those that hold `name`, the ones with the very name first.
  [[nodiscard]] Set holders_of(std::string_view name) const;
  [[nodiscard]] Set one_of_each_kind(const Set& certificates) const;
  [[nodiscard]] Set beside_first() const;
  std::size_t number_of(const Set& set);

  std::vector<CertificateNames> all_;
  std::map<std::string, Set, std::less<>> holders_;  // by name, as certificates have it
  HostNames names_;                                  // the keys of holders_
  std::vector<std::size_t> set_of_name_;             // as names_ has them
  std::vector<Set> sets_;
  std::map<Set, std::size_t> numbers_;
};

}  // namespace tls
