// One for the whole process: a complaint is its last words.

#include "tools/ktls-bridge/complaint_place.h"

#include <utility>

namespace tools {
namespace {

std::function<std::string(std::string_view)>& locator() {
  static std::function<std::string(std::string_view)> locate;
  return locate;
}

}  // namespace

void locate_complaints(std::function<std::string(std::string_view)> locate) {
  locator() = std::move(locate);
}

std::string located(const std::string& what) {
  return locator() ? locator()(what) + ": " + what : what;
}

}  // namespace tools
