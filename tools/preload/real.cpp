#include "tools/preload/real.h"

#include <dlfcn.h>

// __wrap_NAME is what the linker makes of NAME in all our own files (meson.build): a jump to the
// real function, so that nothing of the shim or of the client library can call the shim by mistake.
// A jump passes any arguments on, also of functions that take a variable number of them.
#if defined(__x86_64__)
#define JUMP(name) "jmp *real_" name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name)                          \
  "adrp x16, real_" name "\n"               \
  "ldr x16, [x16, #:lo12:real_" name "]\n" \
  "br x16\n"
#else
#error "the shim knows x86-64 and AArch64: a jump through a pointer is wanted here"
#endif

namespace preload::real {

#define SHIM(name, what)                                                      \
  __attribute__((visibility("hidden"))) decltype(&::name) name asm("real_" #name) = nullptr; \
  asm(".pushsection .text\n"                                                  \
      ".globl __wrap_" #name "\n"                                             \
      ".hidden __wrap_" #name "\n"                                            \
      ".type __wrap_" #name ", %function\n"                                   \
      "__wrap_" #name ":\n" JUMP(#name)                                       \
      ".size __wrap_" #name ", .-__wrap_" #name "\n"                          \
      ".popsection\n");
#include "tools/preload/interposed.def"
#undef SHIM

void resolve() {
#define SHIM(name, what) name = reinterpret_cast<decltype(&::name)>(::dlsym(RTLD_NEXT, #name));
#include "tools/preload/interposed.def"
#undef SHIM
}

}  // namespace preload::real
