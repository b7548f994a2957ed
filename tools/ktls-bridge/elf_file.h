// ElfFile: what the headers of an executable say. It may be any file: nothing in it is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <link.h>

namespace tools {

class ElfFile {
 public:
  // kOurs     of this program's class, byte order and machine; there is more to know of it alone
  // kForeign  of others
  // kNone     no ELF file, or none that is whole
  enum class Kind : std::uint8_t { kOurs, kForeign, kNone };

  // `fd`, a regular file, is borrowed.
  explicit ElfFile(int fd);

  [[nodiscard]] Kind kind() const { return kind_; }
  // PT_INTERP; empty: it has none.
  [[nodiscard]] std::string interpreter() const;
  [[nodiscard]] bool has_section(std::string_view name) const;
  // DT_NEEDED.
  [[nodiscard]] std::vector<std::string> libraries() const;
  // Symbols that others are to provide.
  [[nodiscard]] std::vector<std::string> imports() const;

 private:
  [[nodiscard]] std::string bytes_at(std::uint64_t offset, std::uint64_t size) const;
  template <class Entry>
  [[nodiscard]] std::vector<Entry> entries_at(std::uint64_t offset, std::uint64_t size) const;
  // The first one of that type, and the strings that its entries name.
  struct Table {
    ElfW(Shdr) section;
    std::string strings;
  };
  [[nodiscard]] std::optional<Table> table_of_type(std::uint32_t type) const;

  int fd_;
  Kind kind_ = Kind::kNone;
  std::vector<ElfW(Phdr)> segments_;
  std::vector<ElfW(Shdr)> sections_;
  std::string section_names_;
};

}  // namespace tools
