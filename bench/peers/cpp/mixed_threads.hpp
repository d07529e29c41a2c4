// `mixed` by threads: a thread a client, a thread a child, joined one after another.
#pragma once

#include <unistd.h>

#include <array>
#include <memory>
#include <mutex>

#include "mixed.hpp"

namespace treadle::bench {

template <class P>
class mixed_by_threads {
 public:
  explicit mixed_by_threads(long requests) : ledger_(requests) {}

  repetition run() {
    std::vector<typename P::thread> clients;
    clients.reserve(static_cast<std::size_t>(ledger_.in_flight));
    const stopwatch watch;
    for (long client = 0; client < ledger_.in_flight; ++client) {
      clients.push_back(P::spawn([this, client] {
        for (long turn = 0; turn < ledger_.each; ++turn) serve(client * ledger_.each + turn);
      }));
    }
    for (auto& each : clients) P::join(each);
    return ledger_.finish(watch, table_);
  }

 private:
  void serve(long request) {
    const double begin = read_clock(CLOCK_MONOTONIC);
    std::array<long, mixed::fan_out> parts{};
    std::array<typename P::thread, mixed::fan_out> children;
    for (long child = 0; child < mixed::fan_out; ++child) {
      const auto self = static_cast<std::size_t>(child);
      long* const part = &parts[self];
      const mixed::key key(request, child);
      children[self] = P::spawn([this, part, key] { *part = answer(key); });
    }
    for (auto& each : children) P::join(each);
    long sum = 0;
    for (const long part : parts) sum += part;
    ledger_.close(request, begin, sum);
  }

  long answer(mixed::key key) {
    std::uint32_t at = 0;
    {
      const std::lock_guard<typename P::mutex> held(lock_);
      at = table_.look(key);
    }
    P::sleep(key.timer());
    // Not on the stack, of which each has its own: malloc() gives the one that was used last.
    const auto buffer = std::make_unique_for_overwrite<mixed::block>();
    return at + file_.read(key, *buffer, P::read_at);
  }

  mixed::ledger ledger_;
  mixed::block_file file_;
  typename P::mutex lock_;
  mixed::table table_;  // guarded by lock_
};

}  // namespace treadle::bench
