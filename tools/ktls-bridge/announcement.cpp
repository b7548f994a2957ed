// Fields of the line `ready`, and the limit of open files.

#include "tools/ktls-bridge/announcement.h"

#include <string>

#include <sys/resource.h>

#include "ktls/core/reason.h"

namespace tools {

void add_loop_fields(LogFields& fields, const bridge::Loop& loop) {
  fields.emplace_back("loop", std::string(bridge::name_of(loop.kind())));
  if (!loop.why().empty()) fields.emplace_back("loop_reason", loop.why());
}

void add_kernel_fields(LogFields& fields, const ktls::Capability& capability) {
  const bool kernel = capability.attach_errno == 0;
  fields.emplace_back("kernel_tls", kernel);
  if (kernel) {
    fields.emplace_back("kernel_rekey", capability.rekey);
    return;
  }
  const ktls::ReasonText& text = ktls::text_of(ktls::reason_of_attach(capability.attach_errno));
  fields.emplace_back("reason", std::string(text.code));
  fields.emplace_back("remedy", std::string(text.remedy));
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace tools
