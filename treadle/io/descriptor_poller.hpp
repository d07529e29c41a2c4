// What the calls on descriptors need of a poller, besides the port through which a scheduler waits:
// every runtime's poller is one of these.
//
// watch() and unwatch() are called with the descriptor's lock held and do not wait.
#pragma once

#include <cerrno>
#include <cstdint>

#include "treadle/io/file_release.hpp"
#include "treadle/sched/poller.hpp"

namespace treadle::io {

class descriptor_poller : public core::poller {
 public:
  virtual ~descriptor_poller() = default;

  // Makes it ready for the first watch(), as that would: for callers who may take the last
  // descriptor. 0 or an errno.
  [[nodiscard]] virtual int open() noexcept = 0;

  // Reports events of the descriptor, with its lifetime, from now on; what is ready already is
  // the first event. An errno of the system calls for it; EPERM for what is always ready; EAGAIN
  // when it must be asked again.
  [[nodiscard]] virtual int watch(int number, std::uint32_t lifetime) noexcept = 0;

  // For those that have a queue, until unwatch(): receives from the descriptor (`receipt`), or
  // reports its end (`end`), which must begin after the receipt that it is for. Errors as above;
  // EOPNOTSUPP when it cannot do that.
  [[nodiscard]] virtual int receive(int number, std::uint32_t lifetime, watch_kind what) noexcept {
    static_cast<void>(number);
    static_cast<void>(lifetime);
    static_cast<void>(what);
    return EOPNOTSUPP;
  }
  // Without a lock: delivers what has been reported so far, if it is the caller who can.
  virtual void catch_up() noexcept {}

  // No longer, as far as it did. Not needed before close(2), unless it holds files. With a
  // `release` it has ended on return, or else the release is told: then true. Only where nobody is
  // there to answer it ends some time later.
  virtual bool unwatch(int number, std::uint32_t lifetime, watch_kind what,
                       file_release* release) noexcept = 0;

  // Whether a watched file stays open after close(2), until unwatch().
  bool holds_files() const noexcept { return holds_files_; }

 protected:
  explicit descriptor_poller(bool holds_files) noexcept : holds_files_(holds_files) {}

 private:
  const bool holds_files_;
};

}  // namespace treadle::io
