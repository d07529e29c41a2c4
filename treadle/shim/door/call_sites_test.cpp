// The source itself: the shim is a library of its own, which tests are not linked with.
#if defined(__x86_64__)
#include "treadle/shim/door/call_sites.cpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace treadle::shim {
namespace {

// Code with nothing in it but what a test puts there; int3 is no part of any form.
class Sites : public ::testing::Test {
 protected:
  void put(std::size_t at, std::initializer_list<int> bytes) {
    for (const int byte : bytes) code_.at(at++) = static_cast<std::uint8_t>(byte);
  }
  std::vector<call_site> find() {
    std::vector<call_site> found(16);
    found.resize(find_call_sites(text(), found.data(), found.size()));
    found.resize(drop_jumped_into(text(), found.data(), found.size()));
    return found;
  }
  std::uint8_t* place(std::size_t at) { return code_.data() + at; }
  text_range text() { return {code_.data(), code_.data() + code_.size()}; }

  std::vector<std::uint8_t> code_ = std::vector<std::uint8_t>(1024, 0xcc);
};

TEST_F(Sites, NumberThenCall) {
  put(99, {0x90, 0xb8, 0xca, 0, 0, 0, 0x0f, 0x05});
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].form, site_form::plain);
  EXPECT_EQ(found[0].number, 0xcau);
  EXPECT_EQ(found[0].at, place(100));
  EXPECT_EQ(found[0].back, place(107));
  EXPECT_EQ(found[0].kept_bytes, 5);
}

TEST_F(Sites, AnInstructionBetweenIsKept) {
  // mov $202, %eax; xor $0x80, %sil; syscall
  put(100, {0xb8, 0xca, 0, 0, 0, 0x40, 0x80, 0xf6, 0x80, 0x0f, 0x05});
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].at, place(100));
  EXPECT_EQ(found[0].kept_bytes, 9);
  EXPECT_EQ(found[0].back, place(111));
}

TEST_F(Sites, AnotherRegisterIsNoNumber) {
  put(100, {0x41, 0xb8, 0xca, 0, 0, 0, 0x0f, 0x05});  // mov $202, %r8d
  EXPECT_TRUE(find().empty());
}

TEST_F(Sites, UnknownInstructionBetweenIsLeftAlone) {
  put(100, {0xb8, 0xca, 0, 0, 0, 0x91, 0x0f, 0x05});  // xchg %eax, %ecx
  EXPECT_TRUE(find().empty());
}

TEST_F(Sites, CopiedNumberNeedsWhatStandsBefore) {
  put(100, {0x45, 0x31, 0xd2, 0x44, 0x89, 0xe0, 0x0f, 0x05});
  put(200, {0x89, 0x44, 0x89, 0xe0, 0x0f, 0x05});  // mov %eax, -32(%rcx,%rcx,4)
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].form, site_form::copied);
  EXPECT_EQ(found[0].number, call_site::not_known);
  EXPECT_EQ(found[0].at, place(103));
  EXPECT_EQ(found[0].back, place(108));
}

TEST_F(Sites, ReadGoesBackToAShorterComparison) {
  put(99, {0x90, 0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff});
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].form, site_form::zeroed);
  EXPECT_EQ(found[0].number, 0u);
  EXPECT_EQ(found[0].back, place(105));  // 3d 00 f0 ff ff: cmp $0xfffff000, %eax
}

TEST_F(Sites, ShortJumpIntoTheMiddleForbidsIt) {
  put(100, {0x45, 0x31, 0xd2, 0x44, 0x89, 0xe0, 0x0f, 0x05});
  put(150, {0xeb, 0x100 - (152 - 106)});  // to the call
  EXPECT_TRUE(find().empty());
}

TEST_F(Sites, LongJumpIntoTheMiddleForbidsIt) {
  put(100, {0x45, 0x31, 0xd2, 0x44, 0x89, 0xe0, 0x0f, 0x05});
  put(600, {0x0f, 0x84, 0, 0, 0, 0});  // je
  const std::int32_t distance = 106 - 606;
  std::memcpy(place(602), &distance, sizeof(distance));
  EXPECT_TRUE(find().empty());
}

TEST_F(Sites, JumpToTheBeginningOrToAPlainCallIsNoHarm) {
  put(100, {0x45, 0x31, 0xd2, 0x44, 0x89, 0xe0, 0x0f, 0x05});
  put(120, {0xeb, 0x100 - (122 - 103)});  // to the copy
  put(200, {0xb8, 0xca, 0, 0, 0, 0x0f, 0x05});
  put(220, {0xeb, 0x100 - (222 - 205)});  // to the call
  EXPECT_EQ(find().size(), 2u);
}

}  // namespace
}  // namespace treadle::shim
#else
#include <gtest/gtest.h>

TEST(Sites, DISABLED_AreThoseOfX86) {}
#endif
