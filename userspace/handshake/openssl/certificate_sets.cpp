// Certificates by names, gathered once.
#include "userspace/handshake/openssl/certificate_sets.h"

#include <algorithm>
#include <utility>

namespace tls {

CertificateSets::CertificateSets(std::vector<CertificateNames> all, std::size_t common)
    : all_(std::move(all)) {
  for (std::size_t place = 0; place < common; ++place) {
    for (const std::string& name : all_[place].names) {
      Set& holders = holders_[name];
      if (holders.empty() || holders.back() != place) holders.push_back(place);
    }
  }
  number_of(beside_first());
  for (const auto& [name, holders] : holders_) {
    if (!names_.add(name)) continue;
    set_of_name_.push_back(number_of(one_of_each_kind(holders_of(name))));
  }
}

std::size_t CertificateSets::host(std::size_t certificate, std::string_view name) {
  Set candidates = holders_of(name);
  candidates.insert(candidates.begin(), certificate);
  return number_of(one_of_each_kind(candidates));
}

std::size_t CertificateSets::find(std::string_view server_name) const {
  const auto found = names_.find(server_name);
  return found ? set_of_name_[*found] : kDefault;
}

CertificateSets::Set CertificateSets::holders_of(std::string_view name) const {
  Set found;
  const auto append = [&](std::string_view held) {
    const auto holders = holders_.find(held);
    if (holders != holders_.end()) {
      found.insert(found.end(), holders->second.begin(), holders->second.end());
    }
  };
  append(name);
  const auto dot = name.find('.');
  if (!name.starts_with("*.") && dot != std::string_view::npos) {
    append(std::string(1, '*').append(name.substr(dot)));
  }
  return found;
}

CertificateSets::Set CertificateSets::one_of_each_kind(const Set& certificates) const {
  Set chosen;
  for (const std::size_t each : certificates) {
    const bool is_there = std::ranges::any_of(
        chosen, [&](std::size_t other) { return all_[other].key_kind == all_[each].key_kind; });
    if (!is_there) chosen.push_back(each);
  }
  return chosen;
}

CertificateSets::Set CertificateSets::beside_first() const {
  const std::vector<std::string>& names = all_.front().names;
  if (names.empty()) return {0};
  Set common = holders_of(names.front());
  for (const std::string& name : names) {
    const Set holders = holders_of(name);
    std::erase_if(common, [&](std::size_t each) {
      return std::ranges::find(holders, each) == holders.end();
    });
  }
  std::ranges::sort(common);
  common.insert(common.begin(), 0);
  return one_of_each_kind(common);
}

std::size_t CertificateSets::number_of(const Set& set) {
  const auto [found, is_new] = numbers_.emplace(set, sets_.size());
  if (is_new) sets_.push_back(set);
  return found->second;
}

}  // namespace tls
