#include "treadle/lab/echo_service.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "treadle/thread.hpp"

namespace treadle::lab {

threaded_echo::open_peer::open_peer(threaded_echo& home, int number)
    : home_(home), number_(number) {
  const lock_guard hold(home_.guard_);
  home_.peers_.insert(number_);
}

threaded_echo::open_peer::~open_peer() {
  const lock_guard hold(home_.guard_);
  home_.peers_.erase(number_);
}

// Until the peer closes or the server shuts the connection down: as in the event loop, a read has
// nothing else to watch for.
void threaded_echo::serve(io::socket& peer) {
  const open_peer known(*this, peer.descriptor());
  if (stop_.stop_requested()) return;  // whoever shuts all down may have done so
  std::array<std::byte, echo_bytes> message;
  try {
    peer.receive_ahead();
    for (;;) {
      std::size_t filled = 0;
      while (filled < message.size()) {
        const std::size_t count = peer.read(std::span(message).subspan(filled));
        if (count == 0) return;
        filled += count;
      }
      peer.write_all(message);
    }
  } catch (const std::system_error&) {
    // The peer is gone: the connection is over.
  }
}

threaded_echo::threaded_echo(const runtime_options& options)
    : own_(options),
      listener_(io::listener::open("127.0.0.1", 0)),
      serving_([this] { own_.run([this] { accept_all(); }); }) {}

threaded_echo::~threaded_echo() {
  stop_.request_stop();
  serving_.join();
  const lock_guard hold(guard_);
  for (const int each : peers_) ::shutdown(each, SHUT_RDWR);
}

// The threads are detached, as there is no bound on how many come; the runtime's destructor waits.
void threaded_echo::accept_all() {
  try {
    for (;;) {
      io::socket peer = listener_.accept(io::wait_limit(stop_.get_token()));
      // 64 KiB are plenty for an echo, and all models get the same.
      thread(thread_attributes{.stack_bytes = 64 * 1024}, [this, peer = std::move(peer)]() mutable {
        serve(peer);
      }).detach();
    }
  } catch (const std::system_error&) {
    // Stopped, or out of threads or descriptors: the load's connections then fail, and say so.
  }
}

event_loop_echo::event_loop_echo()
    : listener_(io::listener::open("127.0.0.1", 0)),
      events_(::epoll_create1(EPOLL_CLOEXEC)),
      end_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (events_ < 0 || end_ < 0) {
    throw std::system_error(errno, std::generic_category(), "an event loop");
  }
  ::fcntl(listener_.descriptor(), F_SETFL, O_NONBLOCK);
  for (const int each : {listener_.descriptor(), end_}) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.fd = each;
    ::epoll_ctl(events_, EPOLL_CTL_ADD, each, &wanted);
  }
  serving_ = std::thread([this] { serve(); });
}

event_loop_echo::~event_loop_echo() {
  const std::uint64_t one = 1;
  (void)!::write(end_, &one, sizeof(one));
  serving_.join();
  for (const int each : peers_) ::close(each);
  ::close(events_);
  ::close(end_);
}

void event_loop_echo::accept_all() {
  for (;;) {
    const int peer =
        ::accept4(listener_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0) return;
    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLET;
    wanted.data.fd = peer;
    ::epoll_ctl(events_, EPOLL_CTL_ADD, peer, &wanted);
    peers_.insert(peer);
  }
}

// A message comes whole, as it is sent whole and the loopback does not split it: what would need a
// buffer for each connection elsewhere is left out here, in favour of the event loop.
void event_loop_echo::serve() {
  std::array<epoll_event, 256> ready;
  std::array<std::byte, echo_bytes> message;
  for (;;) {
    const int count = ::epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int from = ready[static_cast<std::size_t>(i)].data.fd;
      if (from == end_) return;
      if (from == listener_.descriptor()) {
        accept_all();
        continue;
      }
      const ssize_t got = ::recv(from, message.data(), message.size(), 0);
      if (got > 0) {
        (void)!::send(from, message.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
      } else if (got == 0 || errno != EAGAIN) {
        ::close(from);
        peers_.erase(from);
      }
    }
  }
}

}  // namespace treadle::lab
