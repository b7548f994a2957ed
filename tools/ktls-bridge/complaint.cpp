// The one line on standard error of a start that failed.

#include "tools/ktls-bridge/complaint.h"

#include <cstdio>

#include "tools/common/log.h"

namespace tools {

int complain(std::string_view command, const Complaint& complaint) {
  std::string line = "ktls-bridge ";
  line.append(command).append(": ").append(one_line(complaint.what)).append("\n");
  std::fputs(line.c_str(), stderr);
  return complaint.code;
}

}  // namespace tools
