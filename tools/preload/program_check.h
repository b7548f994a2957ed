// Programs that a program runs, and that the shim cannot be loaded into: whoever asked for TLS is
// told. The one that is started first is refused by `ktls-bridge run` itself.
#pragma once

namespace preload {

// Says so in one line where `path` is such a program: static, of Go, or with the rights of another
// user. Whatever cannot be looked at is not told of. Without malloc, for it is called in front of
// exec. Keeps errno.
void warn_of_program(const char* path);
// The same of `file`, which is looked for as execvp(3) does.
void warn_of_file(const char* file);

}  // namespace preload
