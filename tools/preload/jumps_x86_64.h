// Jumps through pointers on x86-64, for real.cpp.
//   JUMP_THROUGH(pointer)  to where it points, with whatever arguments there are
//   CALL_RESOLVE           preload_resolve(), with the arguments of the jump that follows kept
#pragma once

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
