#include "tools/preload/real.h"

#include <dlfcn.h>

// Three things for each NAME:
//   real_NAME    a pointer to the real function: preload::real::NAME
//   __wrap_NAME  what the linker makes of NAME in all our own files (meson.build): a jump to where
//                the pointer points, so that nothing of the shim or of the client library can call
//                the shim by mistake
//   first_NAME   where the pointer points at first: libraries that are loaded after this one are
//                started before it, and may call already. It has all of them found.
// Jumps pass any arguments on, also of functions that take a variable number of them.
#if defined(__x86_64__)
#define JUMP_THROUGH(pointer) "jmp *" pointer "(%rip)\n"
#define CALL_RESOLVE "call preload_resolve_first\n"
asm(".pushsection .text\n"
    ".type preload_resolve_first, %function\n"
    "preload_resolve_first:\n"
    // Called by a jump's target, so that the stack is aligned here; eight more words keep it so.
    "push %rdi\npush %rsi\npush %rdx\npush %rcx\npush %r8\npush %r9\npush %rax\npush %r10\n"
    "call preload_resolve\n"
    "pop %r10\npop %rax\npop %r9\npop %r8\npop %rcx\npop %rdx\npop %rsi\npop %rdi\n"
    "ret\n"
    ".size preload_resolve_first, .-preload_resolve_first\n"
    ".popsection\n");
#elif defined(__aarch64__)
#define JUMP_THROUGH(pointer)      \
  "adrp x16, " pointer             \
  "\n"                             \
  "ldr x16, [x16, #:lo12:" pointer \
  "]\n"                            \
  "br x16\n"
// The link register is the caller's, and is kept over the call.
#define CALL_RESOLVE            \
  "stp x29, x30, [sp, #-16]!\n" \
  "bl preload_resolve_first\n"  \
  "ldp x29, x30, [sp], #16\n"
asm(".pushsection .text\n"
    ".type preload_resolve_first, %function\n"
    "preload_resolve_first:\n"
    "stp x29, x30, [sp, #-96]!\n"
    "stp x0, x1, [sp, #16]\nstp x2, x3, [sp, #32]\nstp x4, x5, [sp, #48]\n"
    "stp x6, x7, [sp, #64]\nstr x8, [sp, #80]\n"
    "bl preload_resolve\n"
    "ldp x0, x1, [sp, #16]\nldp x2, x3, [sp, #32]\nldp x4, x5, [sp, #48]\n"
    "ldp x6, x7, [sp, #64]\nldr x8, [sp, #80]\n"
    "ldp x29, x30, [sp], #96\n"
    "ret\n"
    ".size preload_resolve_first, .-preload_resolve_first\n"
    ".popsection\n");
#else
#error "the shim knows x86-64 and AArch64: jumps through a pointer are wanted here"
#endif

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
