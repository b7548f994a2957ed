// One for the whole process.

#include "tools/common/service_name.h"

namespace tools {
namespace {

std::string& held_name() {
  static std::string name;
  return name;
}

}  // namespace

void name_service(const std::string& name) {
  held_name() = name;
}

const std::string& service_name() {
  return held_name();
}

}  // namespace tools
