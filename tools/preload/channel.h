// The process's way to the broker, and whether it may be used.
#pragma once

namespace preload {

// Takes over the channel that the environment names, or connects to the broker's path; and tells
// the programs that this one runs. Where there is none, requests say so one by one.
void open_channel();
// Number of the channel's descriptor; -1: there is none.
[[nodiscard]] int channel();
// Whether another broker may take the place of one that is gone: that of a path, not that of `run`.
[[nodiscard]] bool has_broker_path();
// It has another number now.
void move_channel(int fd);

}  // namespace preload
