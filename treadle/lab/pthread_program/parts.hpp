// A plain pthread program that knows nothing of Treadle: what the lab's experiments on signals and
// fork run under each model with `treadle run`.
//
// Each part prints one line of JSON on descriptor 3, as the lab's own processes do. It checks what
// POSIX promises to a program, so that a model that breaks a promise shows in the numbers.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace treadle::lab::pthread_program {

void measure_masks(long milliseconds);
void count_deliveries(long rounds);
void try_forks(long stuck_milliseconds);

// Ends the program with a line on stderr: the lab says it.
[[noreturn]] inline void give_up(const char* what, int error) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(error));
  std::exit(1);
}
inline void must(int result, const char* what) {
  if (result != 0) give_up(what, result > 0 ? result : errno);
}

inline pthread_t start(void* (*body)(void*), void* argument) {
  pthread_t made;
  must(pthread_create(&made, nullptr, body, argument), "pthread_create");
  return made;
}
inline void join(pthread_t which) { must(pthread_join(which, nullptr), "pthread_join"); }

}  // namespace treadle::lab::pthread_program
