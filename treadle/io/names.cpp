// getaddrinfo: made of so many calls (files, sockets, modules) that only a pool can make it.
//
// It is one of its own: a look-up whose server is silent goes on for its half minute after its
// caller's limit, as no signal ends it, and calls on files must not queue behind such.
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "treadle/io/files.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle::io {
namespace {

// Guess: who has more look-ups at once than this waits for silent servers, and so can the others.
blocking_pool& pool_of_names() noexcept {
  alignas(blocking_pool) static std::byte memory[sizeof(blocking_pool)];
  static auto* pool = ::new (memory) blocking_pool(blocking_threads_default);
  return *pool;
}

class look_up final : public pool_call {
 public:
  // std::bad_alloc for long names.
  look_up(const char* node, const char* service, const addrinfo* hints)
      : node_(node != nullptr ? node : ""),
        service_(service != nullptr ? service : ""),
        has_node_(node != nullptr),
        has_service_(service != nullptr),
        has_hints_(hints != nullptr) {
    if (has_hints_) hints_ = *hints;
  }
  int result() const noexcept { return result_; }
  addrinfo* found() const noexcept { return found_; }

 private:
  void work() noexcept final {
    result_ = ::getaddrinfo(has_node_ ? node_.c_str() : nullptr,
                            has_service_ ? service_.c_str() : nullptr,
                            has_hints_ ? &hints_ : nullptr, &found_);
  }
  void undo() noexcept final {
    if (result_ == 0) ::freeaddrinfo(found_);
  }

  std::string node_;
  std::string service_;
  bool has_node_;
  bool has_service_;
  bool has_hints_;
  addrinfo hints_{};
  addrinfo* found_ = nullptr;
  int result_ = EAI_FAIL;
};

int system_error(int error) noexcept {
  own_errno() = error;
  return EAI_SYSTEM;
}

}  // namespace

int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found,
                const wait_limit& limit) noexcept {
  if (is_stopped(limit)) return system_error(ECANCELED);
  const auto plain = [&] { return ::getaddrinfo(node, service, hints, found); };
  if (!may_end_early(limit)) {
    return shares_kernel_thread() ? call_on_pool(plain, pool_of_names()) : plain();
  }
  if (limit.until().has_passed()) return system_error(ETIMEDOUT);
  look_up* made = nullptr;
  try {
    made = new look_up(node, service, hints);
  } catch (const std::bad_alloc&) {
    return EAI_MEMORY;
  }
  std::unique_ptr<pool_call> call(made);
  const wait_end how = run_on_pool(call, limit, pool_of_names());
  if (how != wait_end::done) return system_error(error_of(how));
  if (made->result() == EAI_SYSTEM) own_errno() = made->error();
  if (made->result() == 0) *found = made->found();
  return made->result();
}

}  // namespace treadle::io
