// For the programs that the shim's tests start: plain pthread programs, without Treadle.
//
// Each prints what POSIX lets it print in one way only, so that its output under every model can be
// compared with what it prints natively.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::printf("line %d: not so: %s (errno %d)\n", __LINE__, #condition, errno); \
      std::fflush(stdout);                                                          \
      std::_Exit(1);                                                                \
    }                                                                               \
  } while (false)

inline pthread_t start(void* (*body)(void*), long argument = 0) {
  pthread_t made;
  const int error = pthread_create(&made, nullptr, body, reinterpret_cast<void*>(argument));
  CHECK(error == 0);
  return made;
}

inline long join(pthread_t which) {
  void* result = nullptr;
  CHECK(pthread_join(which, &result) == 0);
  return reinterpret_cast<long>(result);
}

inline void* as_result(long value) { return reinterpret_cast<void*>(value); }
inline long as_number(void* argument) { return reinterpret_cast<long>(argument); }

inline void done(const char* what) {
  std::printf("%s\n", what);
  std::fflush(stdout);
}
