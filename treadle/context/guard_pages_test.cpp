#include "treadle/context/guard_pages.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"

namespace treadle::context {
namespace {

using base::faulty_call;

class guard_pages_test : public testing::Test {
 protected:
  static constexpr std::uint32_t count = 10;

  void SetUp() override {
    const auto mapped = base::map_memory(nullptr, bytes(), PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    ASSERT_EQ(mapped.error, 0);
    memory_ = static_cast<std::byte*>(mapped.address);
  }
  void TearDown() override {
    refuse_guard_install(false);
    base::fail_nth(faulty_call::madvise, 0, 0);
    base::fail_nth(faulty_call::mprotect, 0, 0);
    base::unmap_memory(memory_, bytes());
  }
  guard_result install() {
    return install_guards(memory_, 3 * base::page_bytes(), base::page_bytes(), count);
  }

 private:
  std::size_t bytes() const { return count * 3 * base::page_bytes(); }
  std::byte* memory_ = nullptr;
};

TEST_F(guard_pages_test, installs_all) {
  const guard_result result = install();
  EXPECT_EQ(result.done, count);
  EXPECT_EQ(result.error, 0);
}

TEST_F(guard_pages_test, tells_how_many_there_are_when_memory_ends) {
  base::fail_nth(faulty_call::madvise, 4, ENOMEM);
  const guard_result result = install();
  EXPECT_EQ(result.done, 3U);
  EXPECT_EQ(result.error, ENOMEM);
  EXPECT_EQ(base::calls_made(faulty_call::mprotect), 0U) << "no fallback for want of memory";
}

TEST_F(guard_pages_test, goes_on_with_mprotect_where_install_is_refused) {
  for (const int refusal : {EINVAL, ENOSYS, EPERM}) {
    refuse_guard_install(false);
    base::fail_from(faulty_call::madvise, 4, refusal);
    base::fail_nth(faulty_call::mprotect, 0, 0);
    const guard_result result = install();
    EXPECT_EQ(result.done, count);
    EXPECT_EQ(result.error, 0);
    EXPECT_EQ(base::calls_made(faulty_call::mprotect), count - 3) << "the first three are there";
    base::fail_nth(faulty_call::madvise, 0, 0);
    EXPECT_EQ(install().done, count);
    EXPECT_EQ(base::calls_made(faulty_call::madvise), 0U) << "asked once for the whole process";
  }
}

TEST_F(guard_pages_test, tells_how_many_mprotect_made) {
  refuse_guard_install(true);
  base::fail_nth(faulty_call::mprotect, 6, ENOMEM);
  const guard_result result = install();
  EXPECT_EQ(result.done, 5U);
  EXPECT_EQ(result.error, ENOMEM);
}

}  // namespace
}  // namespace treadle::context
