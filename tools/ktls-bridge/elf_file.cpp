// Reading ELF: elf(5).

#include "tools/ktls-bridge/elf_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace tools {
namespace {

// Of the largest programs there are, the symbols of the loader take less; what says that it has
// more is read so far.
constexpr std::uint64_t kBytesMax = 32U << 20U;

constexpr unsigned char kOurClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
constexpr unsigned char kOurOrder =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

// The machine that this program is for; 0 if it cannot be read.
ElfW(Half) our_machine() {
  const ktls::UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ElfW(Ehdr) header{};
  if (::pread(self.get(), &header, sizeof header, 0) != sizeof header) return EM_NONE;
  return header.e_machine;
}

// To its zero byte. Empty: it has none, or is not there.
std::string text_at(std::string_view strings, std::uint64_t offset) {
  if (offset >= strings.size()) return {};
  const std::string_view rest = strings.substr(static_cast<std::size_t>(offset));
  const std::size_t end = rest.find('\0');
  return std::string(end == std::string_view::npos ? std::string_view() : rest.substr(0, end));
}

}  // namespace

ElfFile::ElfFile(int fd) : fd_(fd) {
  const auto headers = entries_at<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
  const std::string start = bytes_at(0, EI_NIDENT);
  if (start.size() < EI_NIDENT || std::memcmp(start.data(), ELFMAG, SELFMAG) != 0) return;
  const bool is_ours = static_cast<unsigned char>(start[EI_CLASS]) == kOurClass &&
                       static_cast<unsigned char>(start[EI_DATA]) == kOurOrder &&
                       !headers.empty() && headers.front().e_machine == our_machine();
  kind_ = is_ours ? Kind::kOurs : Kind::kForeign;
  if (!is_ours) return;
  const ElfW(Ehdr)& header = headers.front();
  if (header.e_phentsize == sizeof(ElfW(Phdr))) {
    segments_ = entries_at<ElfW(Phdr)>(header.e_phoff, header.e_phnum * sizeof(ElfW(Phdr)));
  }
  if (header.e_shentsize == sizeof(ElfW(Shdr))) {
    sections_ = entries_at<ElfW(Shdr)>(header.e_shoff, header.e_shnum * sizeof(ElfW(Shdr)));
  }
  if (header.e_shstrndx < sections_.size()) {
    const ElfW(Shdr)& names = sections_[header.e_shstrndx];
    section_names_ = bytes_at(names.sh_offset, names.sh_size);
  }
}

std::string ElfFile::bytes_at(std::uint64_t offset, std::uint64_t size) const {
  std::string bytes(static_cast<std::size_t>(std::min(size, kBytesMax)), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

template <class Entry>
std::vector<Entry> ElfFile::entries_at(std::uint64_t offset, std::uint64_t size) const {
  static_assert(std::is_trivially_copyable_v<Entry>);
  const std::string bytes = bytes_at(offset, size);
  std::vector<Entry> entries(bytes.size() / sizeof(Entry));
  if (!entries.empty()) std::memcpy(entries.data(), bytes.data(), entries.size() * sizeof(Entry));
  return entries;
}

std::string ElfFile::interpreter() const {
  for (const ElfW(Phdr) & each : segments_) {
    if (each.p_type == PT_INTERP) return text_at(bytes_at(each.p_offset, each.p_filesz), 0);
  }
  return {};
}

bool ElfFile::has_section(std::string_view name) const {
  return std::ranges::any_of(sections_, [&](const ElfW(Shdr) & each) {
    return text_at(section_names_, each.sh_name) == name;
  });
}

std::optional<ElfFile::Table> ElfFile::table_of_type(std::uint32_t type) const {
  for (const ElfW(Shdr) & each : sections_) {
    if (each.sh_type != type || each.sh_link >= sections_.size()) continue;
    const ElfW(Shdr)& strings = sections_[each.sh_link];
    return Table{.section = each, .strings = bytes_at(strings.sh_offset, strings.sh_size)};
  }
  return std::nullopt;
}

std::vector<std::string> ElfFile::libraries() const {
  std::vector<std::string> found;
  const auto table = table_of_type(SHT_DYNAMIC);
  if (!table) return found;
  const auto& section = table->section;
  for (const ElfW(Dyn) & each : entries_at<ElfW(Dyn)>(section.sh_offset, section.sh_size)) {
    if (each.d_tag == DT_NEEDED) found.push_back(text_at(table->strings, each.d_un.d_val));
  }
  return found;
}

std::vector<std::string> ElfFile::imports() const {
  std::vector<std::string> found;
  const auto table = table_of_type(SHT_DYNSYM);
  if (!table) return found;
  const auto& section = table->section;
  for (const ElfW(Sym) & each : entries_at<ElfW(Sym)>(section.sh_offset, section.sh_size)) {
    if (each.st_shndx == SHN_UNDEF) found.push_back(text_at(table->strings, each.st_name));
  }
  return found;
}

}  // namespace tools
