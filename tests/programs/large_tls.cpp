// A program whose C++ thread_local variables are larger than its threads' stacks: kernel threads
// must have room for both. `large_tls MODEL`.
#include <array>
#include <cstdio>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>
#include <vector>

namespace {

thread_local std::array<volatile char, 600 * 1024> block;

void use() {
  for (std::size_t i = 0; i < block.size(); i += 1024) block[i] = 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  treadle::runtime_options options;
  options.model = treadle::parse_model(argv[1]);
  options.stack_bytes = 64 * 1024;
  treadle::runtime rt(options);
  rt.run([] {
    std::vector<treadle::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back(
          treadle::thread_attributes{.scope = i % 2 == 0 ? treadle::contention_scope::process
                                                         : treadle::contention_scope::system},
          use);
    }
    for (treadle::thread& t : threads) t.join();
  });
  std::puts("room for all");
  return 0;
}
