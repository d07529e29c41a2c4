// write, writev, sendto, sendmsg: as much as fits at once, and the thread parks until the reader
// has made room. So a reader among our own threads gets on also where there is one worker only.
//
// Several parts are handed over as one first: what a pipe or a socket takes as a whole it gets as a
// whole, and only what it has split itself goes on in pieces.
// Rejected: to ask with poll(2) and then make the call as it is: room for one byte is enough for
// poll, and the call blocks the worker until there was room for all.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/descriptors.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/calls/untried.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/threads/name_files.hpp"

namespace treadle::shim {
namespace {

constexpr int without_waiting = 0x8;  // sourced: RWF_NOWAIT
constexpr long at_its_place = -1;     // sourced: pwritev2(2), the file's own offset

// What is still to be written. The program's own parts are read only after a call has accepted
// them: they may lie anywhere.
class remainder {
 public:
  remainder(const iovec* first, std::size_t count) noexcept : first_(first), count_(count) {}

  const iovec* parts() const noexcept { return into_first_ != 0 ? &cut_ : first_; }
  std::size_t count() const noexcept { return into_first_ != 0 ? 1 : count_; }
  bool is_empty() const noexcept { return count_ == 0; }

  void advance(std::uint64_t bytes) noexcept {
    while (count_ != 0 && bytes >= first_->iov_len - into_first_) {
      bytes -= first_->iov_len - into_first_;
      into_first_ = 0;
      ++first_;
      --count_;
    }
    into_first_ += bytes;
    if (into_first_ == 0) return;
    cut_ = {static_cast<char*>(first_->iov_base) + into_first_, first_->iov_len - into_first_};
  }

 private:
  const iovec* first_;
  std::size_t count_;
  std::uint64_t into_first_ = 0;
  iovec cut_{};
};

long note_broken_pipe(program_thread& self, long result) noexcept {
  if (result == -EPIPE) take_over_raised(self, SIGPIPE);
  return result;
}

// `put(rest, waits)` makes the call that writes what is left, in the kernel if it is to wait there.
template <class Put>
long write_all(program_thread& self, int descriptor, remainder rest, Put&& put) noexcept {
  std::uint64_t done = 0;
  const auto end_with = [&done](long result) noexcept {
    return done != 0 ? static_cast<long>(done) : result;
  };
  for (;;) {
    long some = put(rest, false);
    // A file whose pages cannot be had at once is always ready.
    if (some == -EAGAIN && is_ready(descriptor, POLLOUT)) some = put(rest, true);
    if (some >= 0) {
      done += static_cast<std::uint64_t>(some);
      rest.advance(static_cast<std::uint64_t>(some));
      if (some == 0 || rest.is_empty()) return static_cast<long>(done);
      continue;
    }
    // A socket that is to connect with its first bytes says that it is about to.
    if (some != -EAGAIN && some != -EINPROGRESS) return end_with(some);
    if (const long waited = wait_after(self, descriptor, POLLOUT)) return end_with(waited);
  }
}

saved_call another(const saved_call& call, long number, std::uint64_t second, std::uint64_t third,
                   std::uint64_t fourth = 0) noexcept {
  saved_call changed = call;
  changed.number = number;
  changed.arguments[1] = second;
  changed.arguments[2] = third;
  changed.arguments[3] = fourth;
  return changed;
}

// Nothing is something: an empty datagram, or a question to the driver. It is not asked for parts
// that are empty.
long write_nothing(saved_call& call) noexcept {
  struct stat about {};
  const bool is_there = kernel_call(SYS_fstat, call.arguments[0], &about) == 0;
  if (!is_there || !S_ISSOCK(about.st_mode)) return pass_on_blocking(call);
  saved_call sending = call;
  sending.number = SYS_sendto;
  for (int i = 3; i < 6; ++i) sending.arguments[i] = 0;
  return serve_send(sending);
}

}  // namespace

long serve_write(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int descriptor = static_cast<int>(call.arguments[0]);
  const iovec one{reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]};
  const bool has_parts = call.number == SYS_writev;
  if (has_name_files() && !has_parts && write_name(descriptor, one.iov_base, one.iov_len)) {
    return static_cast<long>(one.iov_len);
  }
  if (!has_parts && one.iov_len == 0) return write_nothing(call);
  const remainder all(has_parts ? reinterpret_cast<const iovec*>(call.arguments[1]) : &one,
                      has_parts ? call.arguments[2] : 1);
  long result = write_all(
      self, descriptor, all, [&call, descriptor](const remainder& rest, bool waits) noexcept {
        if (!waits) {
          return kernel_call(SYS_pwritev2, descriptor, rest.parts(), rest.count(), at_its_place,
                             at_its_place, without_waiting);
        }
        saved_call blocking =
            another(call, SYS_writev, reinterpret_cast<std::uint64_t>(rest.parts()), rest.count());
        return pass_on_blocking(blocking);
      });
  // The latter as in serve_read().
  if (result == -EOPNOTSUPP) result = write_untried(call);
  if (result == -EINVAL) result = pass_on_blocking(call);
  return note_broken_pipe(self, result);
}

long serve_send(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int descriptor = static_cast<int>(call.arguments[0]);
  const bool is_message = call.number == SYS_sendmsg;
  const std::uint64_t flags = call.arguments[is_message ? 2 : 3];
  const auto* const asked = reinterpret_cast<const msghdr*>(is_message ? call.arguments[1] : 0);
  const iovec one{reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]};
  bool begun = false;
  long result = -EAGAIN;
  if ((flags & MSG_DONTWAIT) != 0) {
    result = pass_on(call);
  } else {
    const auto put = [&](remainder& rest, bool waits) noexcept {
      saved_call next = call;
      msghdr message{};
      if (begun) {
        // What goes with the first bytes has gone with them.
        if (is_message) message = {asked->msg_name, asked->msg_namelen, nullptr, 0, nullptr, 0, 0};
        message.msg_iov = const_cast<iovec*>(rest.parts());
        message.msg_iovlen = rest.count();
        next = another(call, SYS_sendmsg, reinterpret_cast<std::uint64_t>(&message), flags);
      }
      if (!waits) next.arguments[next.number == SYS_sendmsg ? 2 : 3] |= MSG_DONTWAIT;
      const long some = waits ? pass_on_blocking(next) : pass_on(next);
      // The kernel could read the header: so can we.
      if (is_message && !begun && some >= 0) rest = remainder(asked->msg_iov, asked->msg_iovlen);
      begun |= some >= 0;
      return some;
    };
    result = write_all(self, descriptor, remainder(&one, 1), put);
  }
  return (flags & MSG_NOSIGNAL) != 0 ? result : note_broken_pipe(self, result);
}

}  // namespace treadle::shim
