#include "tools/preload/real.h"

#include <dlfcn.h>

#include "tools/preload/jumps.h"

// Three things for each NAME:
//   real_NAME    a pointer to the real function: preload::real::NAME
//   __wrap_NAME  what the linker makes of NAME in all our own files (meson.build): a jump to where
//                the pointer points, so that nothing of the shim or of the client library can call
//                the shim by mistake
//   first_NAME   where the pointer points at first: libraries that are loaded after this one are
//                started before it, and may call already. It has all of them found.
// Jumps pass any arguments on, also of functions that take a variable number of them. jumps.h is
// the one of this processor (meson.build), and says what a jump is and what has all found.
#define HIDDEN_FUNCTION(name, body) \
  asm(".pushsection .text\n"        \
      ".globl " name                \
      "\n"                          \
      ".hidden " name               \
      "\n"                          \
      ".type " name ", %function\n" name ":\n" body ".size " name ", .-" name "\n.popsection\n")

// What first_NAME calls.
extern "C" __attribute__((visibility("hidden"), used)) void preload_resolve() {
  preload::real::resolve();
}

#define SHIM(name, what)                                                     \
  extern "C" __attribute__((visibility("hidden"))) void first_##name();      \
  HIDDEN_FUNCTION("first_" #name, CALL_RESOLVE JUMP_THROUGH("real_" #name)); \
  HIDDEN_FUNCTION("__wrap_" #name, JUMP_THROUGH("real_" #name));
#include "tools/preload/interposed.def"
#undef SHIM

namespace preload::real {

#define SHIM(name, what) decltype(&::name) name = reinterpret_cast<decltype(&::name)>(first_##name);
#include "tools/preload/interposed.def"
#undef SHIM

void resolve() {
#define SHIM(name, what) name = reinterpret_cast<decltype(&::name)>(::dlsym(RTLD_NEXT, #name));
#include "tools/preload/interposed.def"
#undef SHIM
}

}  // namespace preload::real
