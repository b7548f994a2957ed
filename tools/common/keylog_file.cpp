// Writing of key log lines.

#include "tools/common/keylog_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <string.h>  // explicit_bzero
#include <unistd.h>

namespace tools {

using ktls::Error;

ktls::Result<std::unique_ptr<KeylogFile>> KeylogFile::open(const std::string& path) {
  ktls::UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ktls::fail(Error::system(errno, path));
  return std::unique_ptr<KeylogFile>(new KeylogFile(path, std::move(fd)));
}

void KeylogFile::append(std::string_view line, const Log& log) {
  std::string whole(line);
  whole += '\n';
  const ssize_t written = ::write(fd_.get(), whole.data(), whole.size());
  const int sys_errno = written < 0 ? errno : ENOSPC;  // short: the disk filled up within it
  ::explicit_bzero(whole.data(), whole.size());
  if (written == static_cast<ssize_t>(whole.size()) || has_failed_.exchange(true)) return;
  log.write(LogLevel::kError, "keylog",
            {{"file", path_}, {"error", Error::system(sys_errno, "write").message()}});
}

}  // namespace tools
