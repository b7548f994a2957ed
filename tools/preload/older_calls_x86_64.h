// Calls that younger processors were not given, for the table of exports_calls.cpp.
#pragma once

#include <sys/syscall.h>

#include "tools/preload/numbered_calls.h"
#include "tools/preload/ours.h"

namespace preload {

inline constexpr std::array<NumberedCall, 4> kOlderCalls{{
    {SYS_dup2, by_arguments<&__real_dup2>},
    {SYS_epoll_wait, by_arguments<&__real_epoll_wait>},
    {SYS_poll, by_arguments<&__real_poll>},
    {SYS_select, by_arguments<&__real_select>},
}};
// What makes a copy of the process, without arguments.
inline constexpr long kForkNumber = SYS_fork;

}  // namespace preload
