// `mixed` by Treadle's tasks: a task a client, whose children are a co::when_all().
#pragma once

#include <unistd.h>
#include <treadle/treadle.hpp>

#include "mixed.hpp"

namespace treadle::bench {

class mixed_by_tasks {
 public:
  explicit mixed_by_tasks(long requests) : ledger_(requests) {}

  repetition run() {
    std::vector<task_handle<>> clients;
    const stopwatch watch;
    for (long client = 0; client < ledger_.in_flight; ++client) {
      clients.push_back(spawn(serve_all(client * ledger_.each)));
    }
    for (task_handle<>& each : clients) each.join();
    return ledger_.finish(watch, table_);
  }

 private:
  task<> serve_all(long first) {
    for (long request = first; request < first + ledger_.each; ++request) {
      const double begin = read_clock(CLOCK_MONOTONIC);
      std::vector<task<long>> children;
      children.reserve(mixed::fan_out);
      for (long child = 0; child < mixed::fan_out; ++child) {
        children.push_back(answer(mixed::key(request, child)));
      }
      long sum = 0;
      for (const long part : co_await co::when_all(std::move(children))) sum += part;
      ledger_.close(request, begin, sum);
    }
  }

  task<long> answer(mixed::key key) {
    std::uint32_t at = 0;
    {
      const auto held = co_await co::lock(lock_);
      at = table_.look(key);
    }
    co_await co::sleep_for(key.timer());
    co_return at + read(key);
  }

  // In place, by the plain call, as the other peers: what is cached needs no waiting. What is not
  // would block the worker, and another one would go on with the other tasks; io::pread() would
  // wait for it without, up to a stop of the task.
  [[gnu::noinline]] long read(mixed::key key) {
    mixed::block buffer;
    return file_.read(key, buffer, &::pread);
  }

  mixed::ledger ledger_;
  mixed::block_file file_;
  mutex lock_;
  mixed::table table_;  // guarded by lock_
};

}  // namespace treadle::bench
