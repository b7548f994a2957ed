// The shim's own functions, for the parts of it that stand in for the program.
//
// A plain name in our files is the real function (real.h). __real_NAME is the linker's word for the
// symbol NAME itself (ld(1), --wrap), which is the one that this library exports.
#pragma once

#include "tools/preload/real.h"

extern "C" {
#define SHIM(name, what) extern decltype(::name) __real_##name;
#include "tools/preload/interposed.def"
#undef SHIM
}
