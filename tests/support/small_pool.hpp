// A model whose file calls are made by few kernel threads, and not by io_uring.
#pragma once

#include <treadle/io.hpp>
#include <treadle/runtime.hpp>

namespace treadle::testing_support {

inline constexpr int small_pool_threads = 2;

template <class Configuration>
struct with_small_pool : Configuration {
  static runtime_options options() {
    runtime_options wanted = Configuration::options();
    wanted.file_calls = io::file_calls::pool;
    wanted.blocking_threads = small_pool_threads;
    return wanted;
  }
};

}  // namespace treadle::testing_support
