// When each message of a load is to be sent, and on which connection.
//
// Messages are numbered over all connections; message n is due at begin + n / rate, computed from n
// each time, and connection c has the messages c, c + C, c + 2C and so on. Rejected: two times that
// are added up, one for the whole load and one for each connection. They round differently, by some
// ns at a clock of hours, so that at a connection's turn its own time was not there yet, and its
// message went out a whole lap late, which then counted as the server's (tests/load_pace_test.cpp).
// Whole nanoseconds throughout. One thread; it knows no socket and no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace treadle::bench {

class load_pace {
 public:
  /// Message 0 is due at `begin`; none that would be due at `end` or later is ever sent.
  load_pace(std::int64_t begin, std::int64_t end, std::int64_t per_second, std::size_t connections)
      : begin_(begin), end_(end), per_second_(per_second), lanes_(connections) {
    for (std::size_t i = 0; i < connections; ++i) lanes_[i].message = static_cast<std::int64_t>(i);
  }

  /// Calls send(connection) for each whose message has become due and that has none under way.
  template <class F>
  void send_due(std::int64_t now, F send) {
    for (; due(turn_) <= now && due(turn_) < end_; ++turn_) {
      const std::size_t which = static_cast<std::size_t>(turn_) % lanes_.size();
      lane& one = lanes_[which];
      // Else it waits for an answer, or the answer has come and this message is sent already.
      if (one.under_way || one.message != turn_) continue;
      one.under_way = true;
      send(which);
    }
  }

  /// The answer on a connection is whole. Gives its latency, counted from when its message was due.
  /// Calls send() if the time of the next one has come meanwhile.
  template <class F>
  std::int64_t answered(std::size_t which, std::int64_t now, F send) {
    lane& one = lanes_[which];
    const std::int64_t latency = now - due(one.message);
    one.message += static_cast<std::int64_t>(lanes_.size());
    one.under_way = due(one.message) <= now && due(one.message) < end_;
    if (one.under_way) send(which);
    return latency;
  }

  bool is_under_way(std::size_t which) const { return lanes_[which].under_way; }

  /// Calls waited(nanoseconds) for each message that was due and has no answer, sent or not.
  template <class F>
  void unanswered(std::int64_t now, F waited) const {
    for (const lane& one : lanes_) {
      const auto step = static_cast<std::int64_t>(lanes_.size());
      for (std::int64_t message = one.message; due(message) < end_; message += step) {
        if (due(message) <= now) waited(now - due(message));
      }
    }
  }

 private:
  struct lane {
    std::int64_t message = 0;  // under way, or the next one
    bool under_way = false;
  };

  // No overflow: messages times 1e9 stays below 2^63 for nine thousand million of them.
  std::int64_t due(std::int64_t message) const {
    return begin_ + message * 1'000'000'000 / per_second_;
  }

  std::int64_t begin_;
  std::int64_t end_;
  std::int64_t per_second_;
  std::int64_t turn_ = 0;  // all messages before it were sent, or wait for an answer
  std::vector<lane> lanes_;
};

}  // namespace treadle::bench
