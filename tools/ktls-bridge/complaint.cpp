// The one line on standard error of a start that failed.

#include "tools/ktls-bridge/complaint.h"

#include <cstdio>

#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint_place.h"

namespace tools {

int complain(std::string_view command, const Complaint& complaint) {
  if (complaint.what.empty()) return complaint.code;  // another process has said it
  std::string line = "ktls-bridge";
  if (!command.empty()) line.append(" ").append(command);
  line.append(": ").append(one_line(located(complaint.what))).append("\n");
  std::fputs(line.c_str(), stderr);
  return complaint.code;
}

}  // namespace tools
