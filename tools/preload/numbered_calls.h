// System calls by number, as syscall(2) makes them, and the shim's functions for them.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

namespace preload {

using Arguments = std::array<long, 6>;

struct NumberedCall {
  long number = 0;
  long (*call)(const Arguments& arguments) = nullptr;
};

template <class To>
To argument_as(long argument) {
  if constexpr (std::is_pointer_v<To>) {
    return reinterpret_cast<To>(argument);
  } else {
    return static_cast<To>(argument);
  }
}

template <class Answer, class... Parameters, std::size_t... kIndex>
long call_with(Answer (*function)(Parameters...), const Arguments& arguments,
               std::index_sequence<kIndex...>) {
  return static_cast<long>(function(argument_as<Parameters>(arguments[kIndex])...));
}

template <class Answer, class... Parameters>
long call_with(Answer (*function)(Parameters...), const Arguments& arguments) {
  return call_with(function, arguments, std::index_sequence_for<Parameters...>{});
}

// A function of libc whose parameters are those of the system call.
template <auto kFunction>
long by_arguments(const Arguments& arguments) {
  return call_with(kFunction, arguments);
}

}  // namespace preload
