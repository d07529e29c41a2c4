#include "treadle/context/frame_symbol.hpp"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

namespace treadle::context {

[[gnu::noinline, gnu::used]] int function_with_a_name(int number) {
  asm volatile("" : "+r"(number));
  return number;
}

extern "C" [[gnu::noinline, gnu::used]] int treadle_test_plain_c_function() {
  asm volatile("");
  return 1;
}

namespace {

[[gnu::noinline, gnu::used]] int hidden_function(int number) {
  asm volatile("" : "+r"(number));
  return number;
}

template <class Function>
const void* code_of(Function* function) {
  return reinterpret_cast<const void*>(function);
}

std::string readable(const char* symbol, std::size_t size = 100) {
  std::string out(size, '?');
  write_readable_name(symbol, out.data(), size);
  return out.c_str();
}

TEST(frame_symbol_test, names_functions_of_the_program) {
  frame_symbol symbol;
  ASSERT_TRUE(find_symbol(code_of(&function_with_a_name), &symbol));
  EXPECT_STREQ(symbol.function, "treadle::context::function_with_a_name()");
  EXPECT_STREQ(symbol.module, program_invocation_short_name);
  EXPECT_GT(symbol.offset, 0U);
  ASSERT_TRUE(find_symbol(code_of(&hidden_function), &symbol));
  EXPECT_STREQ(symbol.function, "treadle::context::(anonymous namespace)::hidden_function()");
  ASSERT_TRUE(find_symbol(code_of(&treadle_test_plain_c_function), &symbol));
  EXPECT_STREQ(symbol.function, "treadle_test_plain_c_function()");
}

TEST(frame_symbol_test, names_functions_of_libraries) {
  frame_symbol symbol;
  ASSERT_TRUE(find_symbol(code_of(&::getsubopt), &symbol));
  EXPECT_EQ(std::string(symbol.module).find("lib"), 0U) << symbol.module;
  EXPECT_NE(symbol.function[0], '\0');
}

TEST(frame_symbol_test, refuses_what_is_no_code) {
  frame_symbol symbol;
  int local = 0;
  EXPECT_FALSE(find_symbol(nullptr, &symbol));
  EXPECT_FALSE(find_symbol(&local, &symbol));
}

TEST(frame_symbol_test, shows_simple_names_and_leaves_others_alone) {
  EXPECT_EQ(readable("main"), "main()");
  EXPECT_EQ(readable("_Z1fv"), "f()");
  EXPECT_EQ(readable("_ZL9recursionii"), "recursion()");
  EXPECT_EQ(readable("_ZN3one3two5threeEi"), "one::two::three()");
  EXPECT_EQ(readable("_ZNK3one3two5threeEv"), "one::two::three()");
  EXPECT_EQ(readable("_ZN3one3twoC2Ev"), "one::two::two()");
  EXPECT_EQ(readable("_ZN3one3twoD1Ev"), "one::two::~two()");
  EXPECT_EQ(readable("_ZN12_GLOBAL__N_13oneEv"), "(anonymous namespace)::one()");
  EXPECT_EQ(readable("_ZSt9terminatev"), "std::terminate()");
  for (const char* symbol : {"_ZN3one3twoIiE5threeEv", "_Z3oneIiEvv", "_ZN3oneplEv", "_ZZ4mainE1f",
                             "_Z", "_ZN", "_ZN3on", "_Z99999x", "_Z0v", "_ZN3one"}) {
    EXPECT_EQ(readable(symbol), symbol);
  }
}

TEST(frame_symbol_test, long_names_are_cut) {
  EXPECT_EQ(readable("_ZN3one3two5threeEi", 8), "one::tw");
  EXPECT_EQ(readable("_ZZ4mainE1f", 4), "_ZZ");
  EXPECT_EQ(readable("main", 1), "");
}

}  // namespace
}  // namespace treadle::context
