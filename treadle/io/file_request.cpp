#include "treadle/io/file_request.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "treadle/io/file_ring.hpp"
#include "treadle/io/interruptible.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle::io {
namespace {

// Guess: a call that may be left behind moves so many bytes at a time through memory of its own.
constexpr std::size_t copied_bytes_max = std::size_t{1} << 20;

// No result of a call's: not made, as it may wait for ever.
constexpr ssize_t not_for_pool = -2;

// On the pool, where a look at a path may take as long as it takes. A FIFO's open waits for its
// other end, a terminal's for its line.
ssize_t make_bounded_call(const file_request& request) noexcept {
  if (request.what == file_request::kind::open) {
    struct stat about {};
    const int before = errno;
    const bool is_there = ::stat(request.path, &about) == 0;
    errno = before;
    if (is_there && (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode))) return not_for_pool;
  }
  return make_call(request);
}

ssize_t open_interruptibly(const file_request& request, const wait_limit& limit) noexcept {
  auto open_now = [&]() noexcept -> ssize_t {
    const ssize_t opened = make_call(request);
    return opened >= 0 ? opened : -errno;
  };
  const ssize_t opened = call_interruptibly(open_now, nullptr, limit);
  return opened >= 0 ? opened : fail_with(static_cast<int>(-opened));
}

// Between the caller's parts and memory of ours. `skip` bytes of the parts are passed over.
enum class direction { gather, scatter };

void copy_parts(direction way, const iovec* parts, int count, std::size_t skip, std::byte* memory,
                std::size_t bytes) noexcept {
  for (int i = 0; i < count && bytes != 0; ++i) {
    if (skip >= parts[i].iov_len) {
      skip -= parts[i].iov_len;
      continue;
    }
    const std::size_t here = std::min(parts[i].iov_len - skip, bytes);
    auto* theirs = static_cast<std::byte*>(parts[i].iov_base) + skip;
    if (way == direction::gather) {
      std::memcpy(memory, theirs, here);
    } else {
      std::memcpy(theirs, memory, here);
    }
    skip = 0;
    memory += here;
    bytes -= here;
  }
}

// A call with copies of all that it needs.
class left_behind_call final : public pool_call {
 public:
  explicit left_behind_call(const file_request& request) noexcept : request_(request) {
    request_.fd = -1;
  }
  ~left_behind_call() final {
    if (request_.fd >= 0) ::close(request_.fd);
  }

  // A descriptor of its own: the number may be another file's by the time that it is used. 0 or an
  // errno.
  int copy_descriptor(int fd) noexcept {
    request_.fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return request_.fd >= 0 ? 0 : own_errno();
  }

  // False without memory.
  bool copy_path() noexcept {
    const std::size_t bytes = std::strlen(request_.path) + 1;
    if (!take(bytes)) return false;
    std::memcpy(memory_.get(), request_.path, bytes);
    request_.path = reinterpret_cast<const char*>(memory_.get());
    return true;
  }
  bool take_part(std::size_t bytes) noexcept {
    if (!take(bytes)) return false;
    part_ = {memory_.get(), bytes};
    request_.parts = &part_;
    request_.count = 1;
    return true;
  }
  std::byte* memory() noexcept { return memory_.get(); }
  ssize_t result() const noexcept { return result_; }

 private:
  bool take(std::size_t bytes) noexcept {
    memory_.reset(new (std::nothrow) std::byte[bytes]);
    return memory_ != nullptr;
  }
  void work() noexcept final { result_ = make_bounded_call(request_); }
  void undo() noexcept final {
    if (request_.what == file_request::kind::open && result_ >= 0) {
      ::close(static_cast<int>(result_));
    }
  }

  file_request request_;
  iovec part_{};
  std::unique_ptr<std::byte[]> memory_;
  ssize_t result_ = -1;
};

ssize_t finish(std::unique_ptr<pool_call> call, left_behind_call*& made, const wait_limit& limit,
               std::unique_ptr<pool_call>& kept) noexcept {
  const wait_end how = run_on_pool(call, limit);
  if (how != wait_end::done) return fail_with(error_of(how));
  kept = std::move(call);
  if (made->result() < 0) own_errno() = made->error();
  return made->result();
}

ssize_t call_left_behind(const file_request& request, const wait_limit& limit) noexcept {
  auto* made = new (std::nothrow) left_behind_call(request);
  std::unique_ptr<pool_call> call(made);
  std::unique_ptr<pool_call> kept;
  if (made == nullptr || (request.path != nullptr && !made->copy_path())) return fail_with(ENOMEM);
  if (request.path == nullptr) {
    if (const int error = made->copy_descriptor(request.fd)) return fail_with(error);
  }
  return finish(std::move(call), made, limit, kept);
}

// Bytes `from` on of the request's parts, at most copied_bytes_max of them.
ssize_t transfer_chunk(const file_request& request, std::size_t from, std::size_t bytes,
                       const wait_limit& limit) noexcept {
  file_request chunk = request;
  if (chunk.offset >= 0) chunk.offset += static_cast<off_t>(from);
  auto* made = new (std::nothrow) left_behind_call(chunk);
  std::unique_ptr<pool_call> call(made);
  std::unique_ptr<pool_call> kept;
  if (made == nullptr || !made->take_part(bytes)) return fail_with(ENOMEM);
  if (const int error = made->copy_descriptor(request.fd)) return fail_with(error);
  const bool writes = request.what == file_request::kind::write;
  if (writes) {
    copy_parts(direction::gather, request.parts, request.count, from, made->memory(), bytes);
  }
  const ssize_t moved = finish(std::move(call), made, limit, kept);
  if (!writes && moved > 0) {
    copy_parts(direction::scatter, request.parts, request.count, from, made->memory(),
               static_cast<std::size_t>(moved));
  }
  return moved;
}

ssize_t transfer_left_behind(const file_request& request, const wait_limit& limit) noexcept {
  const std::size_t total = bytes_in(request.parts, request.count);
  std::size_t done = 0;
  do {
    const std::size_t bytes = std::min(total - done, copied_bytes_max);
    const ssize_t moved = transfer_chunk(request, done, bytes, limit);
    if (moved < 0) return done != 0 ? static_cast<ssize_t>(done) : moved;
    done += static_cast<std::size_t>(moved);
    if (static_cast<std::size_t>(moved) < bytes) break;
  } while (done < total);
  return static_cast<ssize_t>(done);
}

}  // namespace

std::size_t bytes_in(const iovec* parts, int count) noexcept {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

namespace {

// The kernel takes a sixth less for a read with one part than for one with a list of one.
ssize_t make_read(const file_request& request) noexcept {
  const bool at_position = request.offset < 0;
  if (request.count == 1) {
    const iovec& part = *request.parts;
    return at_position ? ::read(request.fd, part.iov_base, part.iov_len)
                       : ::pread(request.fd, part.iov_base, part.iov_len, request.offset);
  }
  return at_position ? ::readv(request.fd, request.parts, request.count)
                     : ::preadv(request.fd, request.parts, request.count, request.offset);
}

}  // namespace

ssize_t make_call(const file_request& request) noexcept {
  const bool at_position = request.offset < 0;
  switch (request.what) {
    case file_request::kind::read:
      return make_read(request);
    case file_request::kind::write:
      return at_position ? ::writev(request.fd, request.parts, request.count)
                         : ::pwritev(request.fd, request.parts, request.count, request.offset);
    case file_request::kind::fsync:
      return ::fsync(request.fd);
    case file_request::kind::fdatasync:
      return ::fdatasync(request.fd);
    case file_request::kind::open:
      return ::open(request.path, request.flags, request.mode);
  }
  return -1;
}

ssize_t make_call_on_pool(const file_request& request, const wait_limit& limit) noexcept {
  const bool moves =
      request.what == file_request::kind::read || request.what == file_request::kind::write;
  ssize_t result;
  if (!may_end_early(limit)) {
    result = call_on_pool([&] { return make_bounded_call(request); });
  } else {
    result = moves ? transfer_left_behind(request, limit) : call_left_behind(request, limit);
  }
  return result == not_for_pool ? open_interruptibly(request, limit) : result;
}

ssize_t make_call_elsewhere(const file_request& request, const wait_limit& limit) noexcept {
  if (file_ring::usable()) {
    const file_ring::outcome got = file_ring::perform(request, limit);
    if (got.how != wait_end::done) return fail_with(error_of(got.how));
    if (got.result >= 0) return got.result;
    // What the ring cannot do with this file the plain call can.
    if (got.result != -EAGAIN) return fail_with(static_cast<int>(-got.result));
  }
  return make_call_on_pool(request, limit);
}

}  // namespace treadle::io
