// Jumps through pointers on AArch64, for real.cpp.
//   JUMP_THROUGH(pointer)  to where it points, with whatever arguments there are
//   CALL_RESOLVE           preload_resolve(), with the arguments of the jump that follows kept
#pragma once

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
