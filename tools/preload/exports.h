// How an exported function is declared: those alone are seen outside of the library.
#pragma once

#define PRELOAD_EXPORT extern "C" __attribute__((visibility("default")))
