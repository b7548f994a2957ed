// ExitCode: what ktls-bridge answers its caller, after sysexits.h; documented in ktls-bridge(1).
#pragma once

namespace tools {

enum ExitCode : int {
  kExitOk = 0,               // ended as asked: after a signal, or a check that passed
  kExitUsage = 64,           // a flag, a value or an address that is malformed
  kExitBadCertificate = 65,  // a certificate, key or CA file that does not parse or does not match
  kExitNoInput = 66,         // a file that cannot be read
  kExitNoHost = 68,          // a host name that does not resolve
  kExitUnavailable = 69,  // what a flag demands is not to be had: kernel TLS, io_uring, the backend
  kExitOsError = 71,      // the system refused: a busy port, no descriptors, no threads
  kExitCannotCreate = 73,  // an output file that cannot be written
  kExitProtocol = 76,      // one connection was all there was to serve, and it failed
};

}  // namespace tools
