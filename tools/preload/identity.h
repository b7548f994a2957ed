// What a descriptor is that came from elsewhere: by exec, or by SCM_RIGHTS.
#pragma once

namespace preload {

// Enters `fd` if it is TLS already, a stream that the broker relays, or a listener of ours; and
// what may become one of them. Everything found is shared. Not under Changing.
void recognise(int fd);
// The same of all descriptors of the process, for a program that has just been started.
void recognise_all();

}  // namespace preload
