// What travels between the lab and its children.
#include "treadle/lab/child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace treadle::lab {
namespace {

// A record's descriptor leads into a pipe.
class Record : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = ::fcntl(record_descriptor, F_DUPFD_CLOEXEC, 10);               // -1: nothing is there
    ASSERT_EQ(::dup2(STDERR_FILENO, record_descriptor), record_descriptor);  // not the pipe's
    ASSERT_EQ(::pipe(ends_.data()), 0);
    ASSERT_EQ(::dup2(ends_[1], record_descriptor), record_descriptor);
  }
  void TearDown() override {
    before_ >= 0 ? ::dup2(before_, record_descriptor) : ::close(record_descriptor);
    for (const int each : {ends_[0], ends_[1], before_}) {
      if (each >= 0) ::close(each);
    }
  }
  std::string line() const {
    std::array<char, 256> bytes;
    const ssize_t count = ::read(ends_[0], bytes.data(), bytes.size());
    return {bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  }

  std::array<int, 2> ends_{};
  int before_ = -1;
};

TEST_F(Record, IsALine) {
  write_record({{"progress", "half"}});
  EXPECT_EQ(line(), "{\"progress\":\"half\"}\n");
}

TEST_F(Record, OfBytesThatAreNoTextIsNotLost) {
  write_record({{"error", "no file a\xff"}});
  EXPECT_EQ(line(), "{\"error\":\"no file a\xef\xbf\xbd\"}\n");
}

}  // namespace
}  // namespace treadle::lab
