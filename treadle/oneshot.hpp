// oneshot: one value from one thread to another, once. A wait parks the treadle thread.
//
//   auto [sender, receiver] = treadle::make_oneshot<int>();
//   thread worker([s = std::move(sender)]() mutable { std::move(s).send(42); });
//   if (auto answer = receiver.receive()) ...
//
// Each half can be moved, belongs to one thread at a time and may go at any time. A sender that is
// destroyed without having sent ends the wait: the receiver gets `closed`. When the receiver has
// gone, send() says `closed` and the value is the caller's as before. Happens-before: send() before
// the receive that gets the value. Misuse is fatal: using a half that was moved from.
// A oneshot is a channel for one value with two owners, and costs one allocation.
// Source: Tokio's oneshot. Not promised: that a value whose send() came back `done` is ever looked
// at; the receiver may go the moment after.
#pragma once

#include <memory>
#include <utility>

#include "treadle/base/check.hpp"
#include "treadle/channel.hpp"

namespace treadle {

template <class T>
class oneshot_sender {
 public:
  oneshot_sender(oneshot_sender&&) noexcept = default;
  // What this one was for ends as by its destructor.
  oneshot_sender& operator=(oneshot_sender&& other) noexcept {
    oneshot_sender taken(std::move(other));
    std::swap(there_, taken.there_);
    return *this;
  }
  ~oneshot_sender() {
    if (there_) there_->close();
  }

  // Never waits. Once: the half is used up afterwards, unless the memory for a T whose move may
  // throw was not there.
  channel_status send(T&& value) && {
    if (!there_) base::fail_misuse("oneshot_sender::send", "it has sent, or was moved from");
    const channel_status status = there_->try_send(std::move(value));
    there_->close();
    there_.reset();
    return status;
  }
  channel_status send(const T& value) && { return std::move(*this).send(T(value)); }

  // Whether nobody will receive any more; when it is so it stays so.
  bool is_closed() const noexcept { return there_ == nullptr || there_->is_closed(); }

 private:
  template <class U>
  friend auto make_oneshot();
  explicit oneshot_sender(std::shared_ptr<channel<T>> there) noexcept : there_(std::move(there)) {}

  std::shared_ptr<channel<T>> there_;
};

template <class T>
class oneshot_receiver {
 public:
  oneshot_receiver(oneshot_receiver&&) noexcept = default;
  oneshot_receiver& operator=(oneshot_receiver&& other) noexcept {
    oneshot_receiver taken(std::move(other));
    std::swap(there_, taken.there_);
    return *this;
  }
  ~oneshot_receiver() {
    if (there_) there_->close();
  }

  // As channel's; after the value, `closed`.
  received<T> receive() { return as_channel().receive(); }
  received<T> receive(const wait_limit& limit) { return as_channel().receive(limit); }
  received<T> try_receive() { return as_channel().try_receive(); }

  // For on_receive().
  channel<T>& as_channel() {
    if (!there_) base::fail_misuse("oneshot_receiver", "it was moved from");
    return *there_;
  }

 private:
  template <class U>
  friend auto make_oneshot();
  explicit oneshot_receiver(std::shared_ptr<channel<T>> there) noexcept
      : there_(std::move(there)) {}

  std::shared_ptr<channel<T>> there_;
};

// Both halves.
template <class T>
auto make_oneshot() {
  auto there = std::make_shared<channel<T>>(1);
  return std::pair(oneshot_sender<T>(there), oneshot_receiver<T>(there));
}

}  // namespace treadle
